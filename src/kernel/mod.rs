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
use std::ops::{Deref, Range};

use crate::graph::{Graph, GraphError, NodeId, Op, verify};
use crate::passes;
use crate::passes::{FusedKernel, Life, Schedule};

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
    #[error("{0} has more elements than one dispatch can address; use smaller chunks, or a smaller model")]
    TooLarge(String),
    /// An input or output lies outside the caller's buffers.
    #[error(
        "`{program}` has {value} at {place:?}, and its slots have {slots:?} elements; give it a place inside one of them"
    )]
    Misplaced {
        /// The program.
        program: String,
        /// Type of the value.
        value: String,
        /// Its place.
        place: Place,
        /// Lengths of the slots.
        slots: Vec<usize>,
    },
    /// Two outputs at one place.
    #[error("`{0}` stores two outputs in the same elements of slot {1}; give each a place of its own")]
    Overlap(String, usize),
    /// Kernels for subgroups of another width.
    #[error("`{0}` was compiled for another adapter; compile it with this one's target")]
    OtherTarget(String),
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
    /// The graph has an error, or a pass broke it.
    #[error(transparent)]
    Graph(GraphError),
}

impl From<GraphError> for KernelError {
    /// What is too large for a graph is too large for a kernel: the planner then tries fewer examples.
    fn from(error: GraphError) -> Self {
        match error {
            GraphError::TooLarge(ty) => Self::TooLarge(format!("a value {ty}")),
            other => Self::Graph(other),
        }
    }
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

/// A kernel with its bindings still in terms of nodes.
struct Emitted {
    kernel: Kernel,
    sources: Vec<Source>,
    /// See [`emit::Emitter::races`].
    races: Vec<(NodeId, StoreTarget)>,
    offsets: Vec<u32>,
    grid: [u32; 3],
    flops: f64,
}

impl Spec<'_> {
    /// Whether inputs and outputs are nodes of the graph and lie inside slots whose elements have 32-bit indices.
    fn check_places(&self) -> Result<(), KernelError> {
        let outputs = self.outputs.iter().map(|output| (&output.node, &output.place));
        for (id, place) in self.inputs.iter().map(|(id, place)| (id, place)).chain(outputs) {
            self.graph.check_nodes([id])?;
            let ty = &self.graph.node(*id).ty;
            let end = place.offset.checked_add(ty.len());
            if self.slots.get(place.slot).is_none_or(|&len| end.is_none_or(|end| end > len)) {
                return Err(KernelError::Misplaced {
                    program: self.name.to_owned(),
                    value: ty.to_string(),
                    place: *place,
                    slots: self.slots.to_vec(),
                });
            }
            if end.is_none_or(|end| end > u32::MAX as usize) {
                return Err(KernelError::TooLarge(format!("slot {} of `{}`", place.slot, self.name)));
            }
        }
        let range = |output: &Output| {
            let Place { slot, offset } = output.place;
            (slot, offset..offset + self.graph.node(output.node).ty.len())
        };
        let mut stored: Vec<(usize, Range<usize>)> = self.outputs.iter().map(range).collect();
        stored.retain(|(_, range)| !range.is_empty());
        stored.sort_by_key(|(slot, range)| (*slot, range.start));
        match stored.windows(2).find(|pair| pair[0].0 == pair[1].0 && overlap(&pair[0].1, &pair[1].1)) {
            Some(pair) => Err(KernelError::Overlap(self.name.to_owned(), pair[0].0)),
            None => Ok(()),
        }
    }
}

/// Compiles a graph for a target. An output may lie where inputs do: it takes their place when all of them have been read.
///
/// # Errors
/// [`KernelError`]: that of the graph, and what the caller's places or the target's limits do not allow.
pub fn compile(spec: &Spec, target: &Target) -> Result<Program, KernelError> {
    spec.graph.check()?;
    spec.check_places()?;
    let wanted: Vec<NodeId> = spec.outputs.iter().map(|o| o.node).collect();
    let simple = passes::simplify(spec.graph, &wanted);
    let wanted = simple.outputs(&wanted);
    let split = passes::split(&simple.graph, &wanted, target.split);
    let mut outputs = split.outputs(&wanted);
    let mut graph = split.graph;
    graph.check()?;
    if cfg!(debug_assertions) {
        verify(&graph)?;
    }
    let inputs = places(spec, &graph, &outputs)?;
    let mut cuts = HashSet::new();
    // Stored, so that outputs can be copied from them.
    let mut kept: Vec<NodeId> = vec![];
    loop {
        let schedule = passes::fuse(&graph, &[&outputs[..], &kept].concat(), &cuts);
        let targets = store_targets(spec, &graph, &outputs, &schedule);
        let scope = Scope { graph: &graph, inputs: &inputs, stored: &schedule.stored, targets: &targets };
        let kernels = schedule.kernels.iter().filter(|k| !graph.node(k.stores[0]).ty.is_empty());
        let emitted: Vec<(&FusedKernel, Emitted)> =
            kernels.map(|k| Ok((k, family::emit(&scope, k, target)?))).collect::<Result<_, KernelError>>()?;
        let mut early = early_stores(&graph, &inputs, &targets, &schedule);
        early.extend(emitted.iter().flat_map(|(_, e)| &e.races).copied());
        let is_early = |output: &usize| {
            let Place { slot, offset } = spec.outputs[*output].place;
            early.iter().any(|(id, t)| *id == outputs[*output] && (t.source, t.offset) == (Source::Slot(slot), offset))
        };
        let postponed: Vec<usize> = (0..outputs.len()).filter(is_early).collect();
        if !postponed.is_empty() {
            for output in postponed {
                outputs[output] = postpone(&mut graph, outputs[output], &mut kept);
            }
            continue;
        }
        let crowded = emitted.iter().find(|(_, e)| e.sources.len() > target.max_bindings);
        let Some((fused, e)) = crowded else { return Ok(link(spec, &graph, &schedule, emitted, target)) };
        if let Some(node) = schedule.cut(&graph, fused, &cuts) {
            cuts.insert(node);
            continue;
        }
        // Nothing is left to cut, but a value may go to several buffers: one of them gets a copy, by a kernel of its own.
        let shared = |id: &NodeId| fused.stores.contains(id) && targets[id].len() > 1;
        let Some(output) = outputs.iter().position(shared) else {
            return Err(KernelError::TooManyBuffers(e.kernel.label.clone(), target.max_bindings));
        };
        outputs[output] = copy(&mut graph, outputs[output]);
    }
}

/// A node of its own with the same value.
fn copy(graph: &mut Graph, id: NodeId) -> NodeId {
    let shape = graph.shape(id).to_vec();
    graph.push(Op::Reshape { shape }, &[id])
}

/// A copy that a kernel behind all others makes of a value, which is kept until then in a buffer of the program's own.
fn postpone(graph: &mut Graph, id: NodeId, kept: &mut Vec<NodeId>) -> NodeId {
    // Inputs are loaded from where the caller has them.
    let value = if is_input(graph, id) { copy(graph, id) } else { id };
    kept.push(value);
    copy(graph, value)
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

/// What kernels store in ranges of the caller's that a later kernel reads an input from.
fn early_stores(
    graph: &Graph,
    inputs: &HashMap<NodeId, Place>,
    targets: &HashMap<NodeId, Vec<StoreTarget>>,
    schedule: &Schedule,
) -> Vec<(NodeId, StoreTarget)> {
    let range = |id: &NodeId, offset: usize| offset..offset + graph.node(*id).ty.len();
    let mut stored: Vec<(NodeId, StoreTarget)> = vec![];
    let mut early = vec![];
    for kernel in &schedule.kernels {
        let loads = schedule.loads(graph, kernel);
        for (id, &Place { slot, offset }) in loads.iter().filter_map(|id| inputs.get_key_value(id)) {
            let read = range(id, offset);
            early.extend(stored.iter().filter(|(id, target)| {
                target.source == Source::Slot(slot) && overlap(&range(id, target.offset), &read)
            }));
        }
        for id in &kernel.stores {
            stored.extend(targets.get(id).into_iter().flatten().map(|target| (*id, *target)));
        }
    }
    early
}

/// Whether two ranges have an element in common.
fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start.max(b.start) < a.end.min(b.end)
}

/// Inputs are loaded from where the caller keeps them, even if some kernel also copies them to an output.
fn is_input(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.node(id).op, Op::Input(_))
}

/// Assigns buffers and puts the program together.
fn link(
    spec: &Spec,
    graph: &Graph,
    schedule: &Schedule,
    emitted: Vec<(&FusedKernel, Emitted)>,
    target: &Target,
) -> Program {
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
    let mut program = Parts {
        name: spec.name.to_owned(),
        slots: spec.slots.to_vec(),
        temps,
        kernels: vec![],
        dispatches: vec![],
        subgroup: target.subgroup,
    };
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
    Program(program)
}
