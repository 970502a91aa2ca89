//! Partial evaluation: a graph cut in two, what can be computed before some inputs are known and what cannot.
//!
//! A product H·v is linear in v, and most of what it reads (activations, the backward signal) depends on the parameters
//! alone. Computed once and kept, it serves all products at these parameters; JAX calls this `linearize`. Kept is as
//! little as will do: what the second stage can compute again from kept values and inputs at the price of a few
//! operations is not (relu's mask from relu's value), and of a value seen through index maps the smaller original.

use std::collections::BTreeSet;

use super::Rewritten;
use super::storage::{is_cheap, producer};
use crate::graph::{DType, Graph, NodeId, Op};

/// A graph cut in two. See the module text.
#[derive(Debug)]
pub struct Stages {
    /// Nodes of the graph given: the outputs of the first stage.
    pub kept: Vec<NodeId>,
    /// The second stage. Its inputs are those of the graph given, in the same order, and then the kept values.
    pub second: Rewritten,
}

/// Cuts what `outputs` need in what depends on any of the inputs `late` and what does not.
///
/// # Panics
/// When one of them is not a node of the graph.
pub fn stage(graph: &Graph, outputs: &[NodeId], late: &[NodeId]) -> Stages {
    let live = graph.reachable(outputs);
    let mut is_late = vec![false; graph.nodes().len()];
    for id in late {
        is_late[id.index()] = true;
    }
    let mut keeper = Keeper { graph, kept: BTreeSet::new() };
    let mut needed: BTreeSet<NodeId> = outputs.iter().copied().collect();
    for id in graph.ids().filter(|id| live[id.index()]) {
        let node = graph.node(id);
        is_late[id.index()] |= node.inputs.iter().any(|i| is_late[i.index()]);
        if is_late[id.index()] {
            needed.extend(&node.inputs);
            if node.op.is_contraction() {
                // Contractions read stored operands: what would be stored for every product is kept instead.
                (0..2)
                    .filter(|&side| !is_late[node.inputs[side].index()])
                    .for_each(|side| keeper.store(producer(graph, id, side)));
            }
        }
    }
    // In order, so that what is kept first (relu's value) serves what comes after (its mask).
    needed.into_iter().filter(|id| !is_late[id.index()]).for_each(|id| keeper.need(id));
    let kept: Vec<NodeId> = keeper.kept.into_iter().collect();
    Stages { second: second(graph, outputs, &kept), kept }
}

struct Keeper<'a> {
    graph: &'a Graph,
    kept: BTreeSet<NodeId>,
}

impl Keeper<'_> {
    /// Sees to it that the second stage can have an early value.
    fn need(&mut self, id: NodeId) {
        let node = self.graph.node(id);
        if is_cheap(self.graph, id, &|id| self.kept.contains(&id), &mut (8, 2)) {
            return;
        }
        // Masks are not stored either: they are one comparison away from numbers.
        if node.op.is_index_map() || node.ty.dtype == DType::Bool {
            for &input in &node.inputs {
                self.need(input);
            }
        } else {
            self.store(id);
        }
    }

    fn store(&mut self, id: NodeId) {
        if !matches!(self.graph.node(id).op, Op::Input(_)) {
            self.kept.insert(id);
        }
    }
}

/// The graph with kept values as inputs.
fn second(graph: &Graph, outputs: &[NodeId], kept: &[NodeId]) -> Rewritten {
    let mut g = graph.successor();
    let mut map: Vec<Option<NodeId>> = vec![None; graph.nodes().len()];
    let inputs: Vec<NodeId> = graph.inputs().iter().map(|i| g.input(&i.name, &i.ty.shape, i.ty.dtype)).collect();
    for &id in kept {
        let ty = &graph.node(id).ty;
        map[id.index()] = Some(g.input(&format!("kept %{}", id.index()), &ty.shape, ty.dtype));
    }
    // Only what is still needed with these in place.
    let mut live = vec![false; graph.nodes().len()];
    outputs.iter().for_each(|id| live[id.index()] = true);
    for id in graph.ids().rev().filter(|id| map[id.index()].is_none()) {
        if live[id.index()] {
            graph.node(id).inputs.iter().for_each(|i| live[i.index()] = true);
        }
    }
    for id in graph.ids() {
        if !live[id.index()] || map[id.index()].is_some() {
            continue;
        }
        let node = graph.node(id);
        let operands: Vec<NodeId> = node.inputs.iter().map(|i| map[i.index()].expect("operands come first")).collect();
        map[id.index()] = Some(match node.op {
            Op::Input(number) => inputs[number],
            _ => g.push(node.op.clone(), &operands),
        });
    }
    Rewritten { graph: g, map }
}
