//! The intermediate representation: a hash-consed, append-only graph of typed nodes with static shapes.
//!
//! Nodes are numbered in topological order (operands come first), so a pass is a loop over ids. Two nodes with the same
//! op and operands are one node: common subexpressions vanish at insertion, which is what keeps the output of repeated
//! differentiation small. `model` and `objective` build graphs, `autodiff` and `passes` rewrite them, `kernel` lowers
//! them to WGSL, and [`eval`] is their definition.

mod build;
mod eval;
mod infer;
mod op;
mod print;
mod verify;

use std::collections::HashMap;

pub use eval::{Tensor, eval};
pub use op::{Binary, Bits, Compare, ConvSide, DType, DotDims, Op, Unary, Window};
pub use verify::verify;

/// Why a node or a graph was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// The operands' types do not fit the op, or what a model or a loss returns does not fit its purpose.
    #[error("{op}: {reason}; change the operands' shapes or the op's attributes")]
    Type {
        /// The op, as printed, or what was wrong.
        op: String,
        /// What does not fit.
        reason: String,
    },
    /// A value has too many elements.
    #[error(
        "a value {0} has more elements than a 32-bit index reaches; use fewer examples at once, or a smaller model"
    )]
    TooLarge(Type),
    /// A node of another graph.
    #[error("%{node} is not a node of this graph; use the ids that its own methods return")]
    Unknown {
        /// Its number.
        node: usize,
    },
    /// A stored node breaks an invariant; the text names it.
    #[error("the graph is inconsistent at %{node}: {reason}; this is a bug in the pass that ran last")]
    Invalid {
        /// The node's number.
        node: usize,
        /// The broken invariant.
        reason: String,
    },
    /// The interpreter was given the wrong tensors.
    #[error("input `{name}`: {reason}; give one tensor of its shape for every input that the outputs use")]
    Input {
        /// Name of the input.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Number of a node in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// The number as an index into [`Graph::nodes`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Shape and element type of a node's value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Type {
    /// Length of every axis.
    pub shape: Vec<usize>,
    /// Element type.
    pub dtype: DType,
}

/// What a node that does not exist is taken for.
static SCALAR: Type = Type { shape: vec![], dtype: DType::F32 };

/// Number of elements of a shape; more than `usize` holds are as many as it holds.
pub(crate) fn len(shape: &[usize]) -> usize {
    shape.iter().fold(1, |n, &d| n.saturating_mul(d))
}

impl Type {
    /// A number.
    pub fn scalar() -> Self {
        SCALAR.clone()
    }

    /// Number of elements; more than `usize` holds are as many as it holds.
    pub fn len(&self) -> usize {
        len(&self.shape)
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// The type itself, if the product of any of its axes has 32 bits: of an empty value too, whose other axes are
    /// multiplied by themselves here and there.
    fn addressable(self) -> Result<Self, GraphError> {
        let filled: Vec<usize> = self.shape.iter().copied().filter(|&length| length > 0).collect();
        if len(&filled) > u32::MAX as usize { Err(GraphError::TooLarge(self)) } else { Ok(self) }
    }
}

/// One node: an op applied to earlier nodes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// The operation.
    pub op: Op,
    /// Its operands.
    pub inputs: Vec<NodeId>,
    /// Type of its value.
    pub ty: Type,
}

/// Name and type of a value given from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputInfo {
    /// Name, for people.
    pub name: String,
    /// Its type.
    pub ty: Type,
}

/// A graph under construction. See the module text.
///
/// A graph remembers the first error of its builders. The node that a failing builder returns has a plausible type, so
/// that a model's forward pass can go on, but no value: whatever is made from the graph carries the error too, and
/// [`eval`], [`verify`] and the compiler return it.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    inputs: Vec<InputInfo>,
    interned: HashMap<(Op, Vec<NodeId>), NodeId>,
    error: Option<GraphError>,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty graph in the place of this one: it takes over the error.
    pub(crate) fn successor(&self) -> Self {
        Self { error: self.error.clone(), ..Self::default() }
    }

    /// Whether the graph can be computed.
    ///
    /// # Errors
    /// The first error of its builders.
    pub fn check(&self) -> Result<(), GraphError> {
        self.error.clone().map_or(Ok(()), Err)
    }

    /// Remembers an error, unless there is an earlier one, and returns a node in the place of the value that cannot be
    /// had.
    pub fn refuse(&mut self, error: GraphError, ty: Type) -> NodeId {
        let node = self.add_input(&format!("in place of: {error}"), ty);
        self.error.get_or_insert(error);
        node
    }

    /// Whether these are nodes of the graph.
    pub(crate) fn check_nodes<'a>(&self, ids: impl IntoIterator<Item = &'a NodeId>) -> Result<(), GraphError> {
        let unknown = ids.into_iter().find(|id| id.index() >= self.nodes.len());
        unknown.map_or(Ok(()), |id| Err(GraphError::Unknown { node: id.index() }))
    }

    /// All nodes, operands before users.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The values given from outside, in order of creation.
    pub fn inputs(&self) -> &[InputInfo] {
        &self.inputs
    }

    /// One node.
    ///
    /// # Panics
    /// When it is not a node of this graph.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// Shape of a node's value; a node of another graph has rank 0.
    pub fn shape(&self, id: NodeId) -> &[usize] {
        &self.ty(id).shape
    }

    /// Type of a node's value; a node of another graph is a number.
    pub(crate) fn ty(&self, id: NodeId) -> &Type {
        self.nodes.get(id.index()).map_or(&SCALAR, |node| &node.ty)
    }

    /// The ids of all nodes, in topological order.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.nodes.len() as u32).map(NodeId)
    }

    /// Adds a value given from outside. Each call makes a new input, whatever its name.
    pub fn input(&mut self, name: &str, shape: &[usize], dtype: DType) -> NodeId {
        let ty = Type { shape: shape.to_vec(), dtype };
        if let Err(error) = ty.clone().addressable() {
            self.error.get_or_insert(error);
        }
        self.add_input(name, ty)
    }

    fn add_input(&mut self, name: &str, ty: Type) -> NodeId {
        self.inputs.push(InputInfo { name: name.to_owned(), ty: ty.clone() });
        self.insert(Op::Input(self.inputs.len() - 1), vec![], ty)
    }

    /// Adds `op` applied to `inputs`, or returns the node that already is that.
    ///
    /// # Errors
    /// [`GraphError::Type`] when the operands do not fit the op, [`GraphError::TooLarge`] when the result has too many
    /// elements. The graph does not remember these.
    pub fn try_push(&mut self, op: Op, inputs: &[NodeId]) -> Result<NodeId, GraphError> {
        let key = (op, inputs.to_vec());
        if let Some(&id) = self.interned.get(&key) {
            return Ok(id);
        }
        let (op, inputs) = key;
        let ty = infer::infer(self, &op, &inputs)?;
        Ok(self.insert(op, inputs, ty))
    }

    fn insert(&mut self, op: Op, inputs: Vec<NodeId>, ty: Type) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).expect("a graph of 2^32 nodes does not fit memory"));
        self.interned.insert((op.clone(), inputs.clone()), id);
        self.nodes.push(Node { op, inputs, ty });
        id
    }

    /// For every node, whether any of `roots` depends on it (roots included). Nodes of other graphs do not count.
    pub fn reachable(&self, roots: &[NodeId]) -> Vec<bool> {
        let mut live = vec![false; self.nodes.len()];
        for root in roots.iter().filter(|root| root.index() < self.nodes.len()) {
            live[root.index()] = true;
        }
        for id in self.ids().rev() {
            if live[id.index()] {
                for &input in &self.node(id).inputs {
                    live[input.index()] = true;
                }
            }
        }
        live
    }
}
