//! From a graph to a [`Program`]: WGSL kernels and the dispatches that run them, as plain data made without a device.
//!
//! [`compile`] runs the passes, emits every fused kernel from its family in `shaders/` plus a generated prelude, and
//! places stored values in buffers. `gpu` is the only one who executes the result.

mod check;
mod choose;
mod conv;
mod emit;
mod family;
mod matmul;
mod rows;

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use crate::graph::{Graph, NodeId, Op, verify};
use crate::passes::{self, FusedKernel, Life, Schedule};

pub use check::validate;
pub use choose::{Choices, ShapeClass, Target, Variant};
use emit::{Scope, Target as StoreTarget};

/// Why a program could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// An input that the outputs need was given no place.
    #[error("input `{0}` is used but has no place in a buffer; list it among the program's inputs")]
    Unplaced(String),
    /// A shape exceeds what a dispatch can address.
    #[error("{0} has more elements than one dispatch can address; use smaller chunks")]
    TooLarge(String),
    /// A kernel cannot be cut further.
    #[error("{0} needs more than {1} buffers at once; split the expression, or let inputs share a buffer")]
    TooManyBuffers(String, usize),
    /// Values of several types in one buffer.
    #[error("{0} stores values of different types in one buffer; give each type a buffer of its own")]
    MixedTypes(String),
    /// Generated WGSL was refused by the validator.
    #[error("kernel {label} is not valid WGSL; this is a bug in the generator\n{message}")]
    Invalid {
        /// The kernel.
        label: String,
        /// What naga said.
        message: String,
    },
    /// A pass broke the graph.
    #[error(transparent)]
    Graph(#[from] crate::graph::GraphError),
}

/// A range of one of the caller's buffers: `slot` counts buffers, `offset` counts elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Which buffer.
    pub slot: usize,
    /// First element.
    pub offset: usize,
}

/// A value that a program leaves in one of the caller's buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Output {
    /// The node.
    pub node: NodeId,
    /// Where it goes.
    pub place: Place,
    /// Add to what is there instead of replacing it.
    pub accumulate: bool,
}

/// What to compile.
#[derive(Debug)]
pub struct Spec<'a> {
    /// Short name for people and profiles.
    pub name: &'a str,
    /// The graph.
    pub graph: &'a Graph,
    /// Where inputs are found.
    pub inputs: &'a [(NodeId, Place)],
    /// What is computed and where it goes.
    pub outputs: &'a [Output],
    /// Length in elements of each of the caller's buffers.
    pub slots: &'a [usize],
}

/// How a kernel uses a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Loads only.
    Read,
    /// Stores only.
    Write,
    /// Both.
    ReadWrite,
}

/// Where a value lives while kernels are emitted, before buffers are assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    /// One of the caller's buffers.
    Slot(usize),
    /// The buffer of a stored node.
    Node(NodeId),
}

/// One of the program's buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BufferRef {
    /// One of the caller's buffers.
    Slot(usize),
    /// A buffer of the program's own.
    Temp(usize),
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
    /// Index into [`Program::kernels`].
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

/// Kernels and dispatches over buffer numbers: everything about a computation but the device.
#[derive(Clone, Debug)]
pub struct Program {
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
}

/// A kernel with its bindings still in terms of nodes.
struct Emitted {
    kernel: Kernel,
    sources: Vec<Source>,
    offsets: Vec<u32>,
    grid: [u32; 3],
    flops: f64,
}

/// Compiles a graph for a target.
///
/// # Errors
/// [`KernelError`]; only [`KernelError::TooLarge`] and [`KernelError::Unplaced`] can be caused by a caller.
///
/// # Panics
/// When an input or output does not fit its slot, and when a kernel would read an input that an earlier one has overwritten
/// with an output: updates in place of values that depend on one another belong into separate programs.
pub fn compile(spec: &Spec, target: &Target) -> Result<Program, KernelError> {
    let placed = spec.inputs.iter().copied().chain(spec.outputs.iter().map(|output| (output.node, output.place)));
    for (id, Place { slot, offset }) in placed {
        let (ty, len) = (&spec.graph.node(id).ty, spec.slots[slot]);
        assert!(offset + ty.len() <= len, "{ty} at {offset} of slot {slot}, which has {len} elements: `{}`", spec.name);
    }
    let wanted: Vec<NodeId> = spec.outputs.iter().map(|o| o.node).collect();
    let simple = passes::simplify(spec.graph, &wanted);
    let wanted = simple.outputs(&wanted);
    let split = passes::split(&simple.graph, &wanted, target.split);
    let mut outputs = split.outputs(&wanted);
    let mut graph = split.graph;
    if cfg!(debug_assertions) {
        verify(&graph)?;
    }
    let inputs = places(spec, &graph, &outputs)?;
    let mut cuts = HashSet::new();
    loop {
        let schedule = passes::fuse(&graph, &outputs, &cuts);
        let targets = store_targets(spec, &graph, &outputs, &schedule);
        assert_inputs_survive(spec, &graph, &inputs, &targets, &schedule);
        let scope = Scope { graph: &graph, inputs: &inputs, stored: &schedule.stored, targets: &targets };
        let kernels = schedule.kernels.iter().filter(|k| !graph.node(k.stores[0]).ty.is_empty());
        let emitted: Vec<(&FusedKernel, Emitted)> =
            kernels.map(|k| Ok((k, family::emit(&scope, k, target)?))).collect::<Result<_, KernelError>>()?;
        let crowded = emitted.iter().find(|(_, e)| e.sources.len() > target.max_bindings);
        let Some((fused, e)) = crowded else { return Ok(link(spec, &graph, &schedule, emitted)) };
        if let Some(node) = schedule.cut(&graph, fused, &cuts) {
            cuts.insert(node);
            continue;
        }
        // Nothing is left to cut, but a value may go to several buffers: one of them gets a copy, by a kernel of its own.
        let shared = |id: &NodeId| fused.stores.contains(id) && targets[id].len() > 1;
        let Some(output) = outputs.iter().position(shared) else {
            return Err(KernelError::TooManyBuffers(e.kernel.label.clone(), target.max_bindings));
        };
        let shape = graph.shape(outputs[output]).to_vec();
        outputs[output] = graph.push(Op::Reshape { shape }, &[outputs[output]]);
    }
}

/// Places by input node of the rewritten graph, whose inputs keep their numbers.
fn places(spec: &Spec, graph: &Graph, outputs: &[NodeId]) -> Result<HashMap<NodeId, Place>, KernelError> {
    let number = |g: &Graph, id: NodeId| match g.node(id).op {
        Op::Input(number) => Some(number),
        _ => None,
    };
    let given: HashMap<usize, Place> =
        spec.inputs.iter().filter_map(|&(id, place)| Some((number(spec.graph, id)?, place))).collect();
    let live = graph.reachable(outputs);
    let mut places = HashMap::new();
    for id in graph.ids().filter(|id| live[id.index()]) {
        if let Some(n) = number(graph, id) {
            let place = given.get(&n).ok_or_else(|| KernelError::Unplaced(graph.inputs()[n].name.clone()))?;
            places.insert(id, *place);
        }
    }
    Ok(places)
}

/// Every stored node goes to the caller's buffers where it is an output, and to its own where a later kernel reads it.
fn store_targets(
    spec: &Spec,
    graph: &Graph,
    outputs: &[NodeId],
    schedule: &Schedule,
) -> HashMap<NodeId, Vec<StoreTarget>> {
    let mut targets: HashMap<NodeId, Vec<StoreTarget>> = HashMap::new();
    for (output, &node) in spec.outputs.iter().zip(outputs) {
        let Place { slot, offset } = output.place;
        let target = StoreTarget { source: Source::Slot(slot), offset, accumulate: output.accumulate };
        targets.entry(node).or_default().push(target);
    }
    let loads = schedule.kernels.iter().flat_map(|k| schedule.loads(graph, k));
    for id in loads.filter(|&id| schedule.stored[id.index()] && !is_input(graph, id)).collect::<HashSet<_>>() {
        targets.entry(id).or_default().push(StoreTarget { source: Source::Node(id), offset: 0, accumulate: false });
    }
    targets
}

/// Panics if a kernel reads from a range of the caller's that an earlier kernel has written.
fn assert_inputs_survive(
    spec: &Spec,
    graph: &Graph,
    inputs: &HashMap<NodeId, Place>,
    targets: &HashMap<NodeId, Vec<StoreTarget>>,
    schedule: &Schedule,
) {
    let mut written: Vec<(usize, Range<usize>)> = vec![];
    for kernel in &schedule.kernels {
        for (id, &Place { slot, offset }) in
            schedule.loads(graph, kernel).iter().filter_map(|id| inputs.get_key_value(id))
        {
            let read = offset..offset + graph.node(*id).ty.len();
            let clash = written.iter().any(|(s, w)| *s == slot && w.start < read.end && read.start < w.end);
            assert!(!clash, "`{}` reads %{} of slot {slot} after it has been overwritten", spec.name, id.index());
        }
        for id in &kernel.stores {
            let places = targets.get(id).into_iter().flatten();
            written.extend(places.filter_map(|target| match target.source {
                Source::Slot(slot) => Some((slot, target.offset..target.offset + graph.node(*id).ty.len())),
                Source::Node(_) => None,
            }));
        }
    }
}

/// Inputs are loaded from where the caller keeps them, even if some kernel also copies them to an output.
fn is_input(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.node(id).op, Op::Input(_))
}

/// Assigns buffers and puts the program together.
fn link(spec: &Spec, graph: &Graph, schedule: &Schedule, emitted: Vec<(&FusedKernel, Emitted)>) -> Program {
    let loads: Vec<HashSet<NodeId>> = emitted.iter().map(|(fused, _)| schedule.loads(graph, fused)).collect();
    let mut last = HashMap::new();
    for (k, ids) in loads.iter().enumerate() {
        last.extend(ids.iter().filter(|&&id| !is_input(graph, id)).map(|&id| (id, k)));
    }
    let mut lives = vec![];
    let mut numbers = HashMap::new();
    for (k, (fused, _)) in emitted.iter().enumerate() {
        for id in fused.stores.iter().filter(|id| last.contains_key(id)) {
            numbers.insert(*id, lives.len());
            lives.push(Life { first: k, last: last[id], len: graph.node(*id).ty.len() });
        }
    }
    let (placed, temps) = passes::assign_buffers(&lives);
    let mut program =
        Program { name: spec.name.to_owned(), slots: spec.slots.to_vec(), temps, kernels: vec![], dispatches: vec![] };
    let mut known: HashMap<String, usize> = HashMap::new();
    for ((fused, e), loads) in emitted.into_iter().zip(&loads) {
        let kernel = *known.entry(e.kernel.wgsl.clone()).or_insert_with(|| {
            program.kernels.push(e.kernel);
            program.kernels.len() - 1
        });
        let buffers = e.sources.iter().map(|source| match source {
            Source::Slot(slot) => BufferRef::Slot(*slot),
            Source::Node(id) => BufferRef::Temp(placed[numbers[id]]),
        });
        let touched = loads.iter().chain(&fused.stores);
        let bytes = touched.map(|id| 4.0 * graph.node(*id).ty.len() as f64).sum();
        let buffers = buffers.collect();
        program.dispatches.push(Dispatch { kernel, buffers, offsets: e.offsets, grid: e.grid, flops: e.flops, bytes });
    }
    program
}
