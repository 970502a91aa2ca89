//! What is asked of a plan: values and where they lie in the caller's buffers; and why a plan is refused.

use std::collections::HashMap;
use std::ops::Range;

use crate::graph::{Graph, GraphError, Node, NodeId, Op};

/// Why a graph cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
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
    /// A step cannot be cut further.
    #[error("{0} needs more than {1} buffers at once; split the expression, or let inputs share a buffer")]
    TooManyBuffers(String, usize),
    /// Values of several types in one buffer.
    #[error("{0} stores values of different types in one buffer; give each type a buffer of its own")]
    MixedTypes(String),
    /// The graph has an error, or a pass broke it.
    #[error(transparent)]
    Graph(GraphError),
}

impl From<GraphError> for PlanError {
    /// What is too large for a graph is too large for a dispatch: whoever cuts data in chunks then tries fewer examples.
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

/// What to plan.
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

/// A copy of a [`Spec`], by which a device finds the program that it has compiled.
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct SpecKey {
    name: String,
    nodes: Vec<Node>,
    inputs: Vec<(NodeId, Place)>,
    outputs: Vec<Output>,
    slots: Vec<usize>,
}

impl Spec<'_> {
    /// The key of the program.
    pub(crate) fn key(&self) -> SpecKey {
        SpecKey {
            name: self.name.to_owned(),
            nodes: self.graph.nodes().to_vec(),
            inputs: self.inputs.to_vec(),
            outputs: self.outputs.to_vec(),
            slots: self.slots.to_vec(),
        }
    }

    /// Whether inputs and outputs are nodes of the graph and lie inside slots whose elements have 32-bit indices.
    pub(super) fn check_places(&self) -> Result<(), PlanError> {
        let outputs = self.outputs.iter().map(|output| (&output.node, &output.place));
        for (id, place) in self.inputs.iter().map(|(id, place)| (id, place)).chain(outputs) {
            self.graph.check_nodes([id])?;
            let ty = &self.graph.node(*id).ty;
            let end = place.offset.checked_add(ty.len());
            if self.slots.get(place.slot).is_none_or(|&len| end.is_none_or(|end| end > len)) {
                return Err(PlanError::Misplaced {
                    program: self.name.to_owned(),
                    value: ty.to_string(),
                    place: *place,
                    slots: self.slots.to_vec(),
                });
            }
            if end.is_none_or(|end| end > u32::MAX as usize) {
                return Err(PlanError::TooLarge(format!("slot {} of `{}`", place.slot, self.name)));
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
            Some(pair) => Err(PlanError::Overlap(self.name.to_owned(), pair[0].0)),
            None => Ok(()),
        }
    }

    /// Places by input node of a graph that the passes have made, whose inputs keep their numbers.
    pub(super) fn input_places(&self, graph: &Graph, outputs: &[NodeId]) -> Result<HashMap<NodeId, Place>, PlanError> {
        let number = |g: &Graph, id: NodeId| match g.node(id).op {
            Op::Input(number) => Some(number),
            _ => None,
        };
        let given: HashMap<usize, Place> =
            self.inputs.iter().filter_map(|&(id, place)| Some((number(self.graph, id)?, place))).collect();
        let live = graph.reachable(outputs);
        let mut places = HashMap::new();
        for id in graph.ids().filter(|id| live[id.index()]) {
            if let Some(n) = number(graph, id) {
                let place = given.get(&n).ok_or_else(|| PlanError::Unplaced(graph.inputs()[n].name.clone()))?;
                places.insert(id, *place);
            }
        }
        Ok(places)
    }
}

/// Whether two ranges have an element in common.
pub(super) fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start.max(b.start) < a.end.min(b.end)
}
