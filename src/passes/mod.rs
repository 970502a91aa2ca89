//! Rewrites of graphs that preserve what [`eval`](crate::graph::eval) says: `simplify` (algebra), `split`
//! (deterministic reduction trees, two-stage contractions, operand layout), `stage` (partial evaluation) and `vmap` (a
//! leading axis).

mod simplify;
mod split;
mod stage;
mod storage;
mod vmap;

use crate::graph::{Graph, NodeId, Op};

pub use simplify::simplify;
pub use split::{SplitPolicy, split};
pub use stage::{Stages, stage};
pub(crate) use storage::{is_cheap, producer};
pub use vmap::vmap;

/// A graph made from another one, and where the old nodes went. It has the error of the old one too, see
/// [`Graph::check`].
#[derive(Debug)]
pub struct Rewritten {
    /// The new graph. Its inputs are those of the old one, in the same order.
    pub graph: Graph,
    /// New id of every old node that the outputs need.
    map: Vec<Option<NodeId>>,
}

impl Rewritten {
    /// The new id of an old node; `None` if the outputs did not need it.
    pub fn get(&self, old: NodeId) -> Option<NodeId> {
        self.map[old.index()]
    }

    /// The new ids of old nodes that were named as outputs.
    ///
    /// # Panics
    /// When one was not.
    pub fn outputs(&self, old: &[NodeId]) -> Vec<NodeId> {
        old.iter().map(|&id| self.get(id).expect("an output is always rewritten")).collect()
    }
}

/// Copies what `outputs` need into a new graph, node by node through `rule`.
fn rewrite(graph: &Graph, outputs: &[NodeId], mut rule: impl FnMut(&mut Graph, &Op, &[NodeId]) -> NodeId) -> Rewritten {
    let live = graph.reachable(outputs);
    let mut new = graph.successor();
    let inputs: Vec<NodeId> = graph.inputs().iter().map(|i| new.input(&i.name, &i.ty.shape, i.ty.dtype)).collect();
    let mut map = vec![None; graph.nodes().len()];
    for id in graph.ids().filter(|id| live[id.index()]) {
        let node = graph.node(id);
        let operands: Vec<NodeId> = node.inputs.iter().map(|i| map[i.index()].expect("operands come first")).collect();
        map[id.index()] = Some(match node.op {
            Op::Input(number) => inputs[number],
            _ => rule(&mut new, &node.op, &operands),
        });
    }
    Rewritten { graph: new, map }
}
