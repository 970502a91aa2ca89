//! The intermediate representation: a hash-consed, append-only graph of typed nodes with static shapes.
//!
//! Nodes are numbered in topological order (operands come first), so a pass is a loop over ids. Two nodes with the same
//! op and operands are one node: common subexpressions vanish at insertion, which is what keeps the output of repeated
//! differentiation small. `model` and `objective` build graphs, `autodiff` and `passes` rewrite them, `kernel` lowers
//! them to WGSL, and [`eval`] is their definition.

mod build;
mod eval;
pub mod index;
mod infer;
mod op;
mod print;
mod verify;

use std::collections::HashMap;

pub use eval::{Tensor, eval};
pub use op::{Binary, Bits, Compare, ConvSide, DType, DotDims, Op, Unary, Window};
pub use verify::verify;

/// Why a node was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// The operands' types do not fit the op.
    #[error("{op}: {reason}; change the operands' shapes or the op's attributes")]
    Type {
        /// The op, as printed.
        op: String,
        /// What does not fit.
        reason: String,
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

impl Type {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    inputs: Vec<InputInfo>,
    interned: HashMap<(Op, Vec<NodeId>), NodeId>,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
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
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// Shape of a node's value.
    pub fn shape(&self, id: NodeId) -> &[usize] {
        &self.node(id).ty.shape
    }

    /// The ids of all nodes, in topological order.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.nodes.len() as u32).map(NodeId)
    }

    /// Adds a value given from outside. Each call makes a new input, whatever its name.
    pub fn input(&mut self, name: &str, shape: &[usize], dtype: DType) -> NodeId {
        let ty = Type { shape: shape.to_vec(), dtype };
        self.inputs.push(InputInfo { name: name.to_owned(), ty: ty.clone() });
        self.insert(Op::Input(self.inputs.len() - 1), vec![], ty)
    }

    /// Adds `op` applied to `inputs`, or returns the node that already is that.
    ///
    /// # Errors
    /// [`GraphError::Type`] when the operands do not fit the op.
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

    /// For every node, whether any of `roots` depends on it (roots included).
    pub fn reachable(&self, roots: &[NodeId]) -> Vec<bool> {
        let mut live = vec![false; self.nodes.len()];
        for &root in roots {
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
