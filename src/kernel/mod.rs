//! From a plan to a [`Program`]: WGSL kernels and the dispatches that run them, as plain data made without
//! a device. Each step becomes a family of `shaders/` plus a generated prelude. `gpu` is the only one who executes the result.

mod check;
mod choose;
mod family;
mod matmul;
mod rows;
mod spell;
mod tile;

use std::collections::HashMap;
use std::ops::Deref;

use crate::graph::GraphError;
use crate::plan::{Access, BufferRef, Code, Form, PlanError, Rows, Spec, Step, plan};

pub use check::validate;
pub use choose::{Choices, ShapeClass, Target, Variant};
pub use tile::{Registers, Tile};

/// Why a program could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// There is no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Kernels for subgroups of another width.
    #[error("`{0}` was compiled for another adapter; compile it with this one's target")]
    OtherTarget(String),
    /// Generated WGSL was refused by the validator.
    #[error("kernel {label} is not valid WGSL; this is a bug in the generator\n{message}")]
    Invalid {
        /// The kernel.
        label: String,
        /// What naga said.
        message: String,
    },
}

impl From<GraphError> for KernelError {
    fn from(error: GraphError) -> Self {
        Self::Plan(error.into())
    }
}

/// A compute shader with entry point `main`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Family and sizes, for people and profiles.
    pub label: String,
    /// The complete module.
    pub wgsl: String,
    /// Whether it uses subgroup operations.
    pub subgroups: bool,
    /// How each storage buffer of group 0 is used.
    pub access: Vec<Access>,
    /// Length of the uniform `offsets`, which is bound behind the storage buffers if it is not empty.
    pub offsets: usize,
    /// Of a contraction: the class of its shape, and the variant that it got.
    pub variant: Option<(ShapeClass, Variant)>,
}

/// One dispatch of a kernel.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// Index into [`Parts::kernels`].
    pub kernel: usize,
    /// One buffer per storage binding.
    pub buffers: Vec<BufferRef>,
    /// Contents of the uniform `offsets`.
    pub offsets: Vec<u32>,
    /// Workgroups along x, y and z.
    pub grid: [u32; 3],
    /// Floating-point operations, estimated.
    pub flops: f64,
    /// Bytes loaded and stored once each, estimated.
    pub bytes: f64,
}

/// Kernels and dispatches over buffer numbers: everything about a computation but the device. Devices run kernels without bounds
/// checks, so only [`compile`] makes programs, and nobody changes them; their parts can be looked at.
#[derive(Clone, Debug)]
pub struct Program(Parts);

impl Deref for Program {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Program {
    /// A program of parts whose dispatches stay inside its buffers.
    pub(crate) fn trusted(parts: Parts) -> Self {
        Self(parts)
    }

    /// One of its dispatches by itself, with a slot for every buffer; `None` if there is none with this number.
    pub fn single(&self, number: usize) -> Option<Self> {
        let mut dispatch = self.dispatches.get(number)?.clone();
        let kernel = self.kernels.get(dispatch.kernel)?.clone();
        // Buffers that are bound twice stay one.
        let mut bound = dispatch.buffers.clone();
        bound.sort_unstable();
        bound.dedup();
        let len = |buffer: &BufferRef| match *buffer {
            BufferRef::Slot(slot) => self.slots[slot],
            BufferRef::Temp(temp) => self.temps[temp],
        };
        let slots = bound.iter().map(len).collect();
        for buffer in &mut dispatch.buffers {
            *buffer = BufferRef::Slot(bound.binary_search(buffer).unwrap_or_default());
        }
        dispatch.kernel = 0;
        let (name, subgroup) = (kernel.label.clone(), self.subgroup);
        let (kernels, dispatches) = (vec![kernel], vec![dispatch]);
        Some(Self(Parts { name, slots, temps: vec![], kernels, dispatches, subgroup }))
    }
}

/// What a [`Program`] is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Short name.
    pub name: String,
    /// Length in elements of the caller's buffers.
    pub slots: Vec<usize>,
    /// Length in elements of the program's own buffers.
    pub temps: Vec<usize>,
    /// The distinct kernels.
    pub kernels: Vec<Kernel>,
    /// What runs, in order.
    pub dispatches: Vec<Dispatch>,
    /// Lanes of a subgroup, which kernels that use subgroups count on.
    pub subgroup: Option<u32>,
}

/// A kernel, and workgroups along x, y and z.
type Emitted = (Kernel, [u32; 3]);

/// Compiles a graph for a target. An output may lie where inputs do: it takes their place when all of them have been read.
///
/// # Errors
/// [`KernelError::Plan`]: the error of the graph, and what the caller's places or the target's limits do not allow.
pub fn compile(spec: &Spec, target: &Target) -> Result<Program, KernelError> {
    let rows = if target.cpu { Rows::Invocation } else { Rows::Workgroup };
    let plan = plan(spec, target.split, Form::Kernels { bindings: target.max_bindings, rows })?;
    let (mut kernels, mut dispatches) = (vec![], vec![]);
    let mut known: HashMap<String, usize> = HashMap::new();
    for step in plan.steps {
        let (kernel, grid) = emit(&step, target)?;
        let kernel = *known.entry(kernel.wgsl.clone()).or_insert_with(|| {
            kernels.push(kernel);
            kernels.len() - 1
        });
        let Step { bindings, offsets, flops, bytes, .. } = step;
        let buffers = bindings.iter().map(|binding| binding.buffer).collect();
        dispatches.push(Dispatch { kernel, buffers, offsets, grid, flops, bytes });
    }
    let subgroup = target.subgroup;
    Ok(Program(Parts {
        name: spec.name.to_owned(),
        slots: spec.slots.to_vec(),
        temps: plan.temps,
        kernels,
        dispatches,
        subgroup,
    }))
}

/// Spells a step in WGSL.
fn emit(step: &Step, target: &Target) -> Result<Emitted, KernelError> {
    match &step.code {
        Code::Each { count, body } => Ok(family::each(step, *count, body)),
        Code::Rows { count, len, body } => Ok(rows::emit(step, *count, *len, body)),
        Code::Reduce(fold) => Ok(family::reduce(step, fold)),
        Code::Product(product) => matmul::emit(step, product, target),
    }
}
