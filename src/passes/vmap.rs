//! One graph evaluated for several values of some inputs at once: these get a leading axis, and so does what depends on
//! them; one rule per op in the order of [`Op`].
//!
//! What does not depend on them is computed once and shared. A contraction of a mapped left operand with a shared right
//! one stays a single contraction with more rows, so the shared operand is read once for all.

use super::Rewritten;
use crate::graph::{DotDims, Graph, GraphError, NodeId, Op, Type};

/// `outputs` for `count` values of each of the inputs `mapped`. In the new graph these inputs, and all outputs, have a
/// leading axis of that length. If `mapped` names a node that is not an input, the new graph has an error.
///
/// # Panics
/// When an output is not a node of the graph.
pub fn vmap(graph: &Graph, outputs: &[NodeId], mapped: &[NodeId], count: usize) -> Rewritten {
    let live = graph.reachable(outputs);
    let mut is_mapped = vec![false; graph.nodes().len()];
    let mut numbers = vec![false; graph.inputs().len()];
    let mut other_than_input = None;
    let mut g = graph.successor();
    for id in mapped {
        match graph.nodes().get(id.index()).map(|node| &node.op) {
            Some(&Op::Input(number)) => (is_mapped[id.index()], numbers[number]) = (true, true),
            _ => other_than_input = Some(*id),
        }
    }
    let inputs: Vec<NodeId> = (graph.inputs().iter().zip(&numbers))
        .map(|(input, &mapped)| {
            let leading: &[usize] = if mapped { &[count] } else { &[] };
            g.input(&input.name, &[leading, &input.ty.shape].concat(), input.ty.dtype)
        })
        .collect();
    let mut map: Vec<Option<NodeId>> = vec![None; graph.nodes().len()];
    for id in graph.ids().filter(|id| live[id.index()]) {
        let node = graph.node(id);
        let operands: Vec<(NodeId, bool)> =
            node.inputs.iter().map(|i| (map[i.index()].expect("operands come first"), is_mapped[i.index()])).collect();
        is_mapped[id.index()] |= operands.iter().any(|&(_, mapped)| mapped);
        map[id.index()] = Some(match node.op {
            Op::Input(number) => inputs[number],
            _ if is_mapped[id.index()] => rule(&mut g, &node.op, &operands, count),
            _ => g.push(node.op.clone(), &operands.iter().map(|&(id, _)| id).collect::<Vec<_>>()),
        });
    }
    for id in outputs {
        if !std::mem::replace(&mut is_mapped[id.index()], true) {
            map[id.index()] = map[id.index()].map(|new| repeat(&mut g, new, count));
        }
    }
    if let Some(id) = other_than_input {
        let reason = format!("%{} is not an input", id.index());
        g.refuse(GraphError::Type { op: "vmap".to_owned(), reason }, Type::scalar());
    }
    Rewritten { graph: g, map }
}

/// The op with a leading axis, where at least one of the operands (each with whether it is mapped) has one.
fn rule(g: &mut Graph, op: &Op, operands: &[(NodeId, bool)], count: usize) -> NodeId {
    let lead = |first: usize, axes: &[usize]| [&[first], axes].concat();
    // Axes of the result or the operand, one further along; with a first one.
    let shift = |axes: &[usize]| axes.iter().map(|a| a + 1).collect::<Vec<_>>();
    let x = operands[0].0;
    match op {
        Op::Input(_) | Op::Constant(_) | Op::Iota { .. } => unreachable!("has no operands"),
        Op::Unary(_) | Op::Binary(_) | Op::Compare(_) | Op::Select | Op::ToF32 | Op::Conv { .. } => {
            let all: Vec<NodeId> = operands.iter().map(|&operand| repeated(g, operand, count)).collect();
            g.push(op.clone(), &all)
        }
        Op::BroadcastInDim { shape, dims } => {
            g.push(Op::BroadcastInDim { shape: lead(count, shape), dims: lead(0, &shift(dims)) }, &[x])
        }
        Op::Reshape { shape } => g.reshape(x, &lead(count, shape)),
        Op::Transpose { perm } => g.transpose(x, &lead(0, &shift(perm))),
        Op::Slice { start, limit } => g.slice(x, &lead(0, start), &lead(count, limit)),
        Op::Pad { low, high } => g.pad(x, &lead(0, low), &lead(0, high)),
        Op::ReduceSum { axes } => g.reduce_sum(x, &shift(axes)),
        Op::ReduceMax { axes } => g.reduce_max(x, &shift(axes)),
        Op::DotGeneral(dims) => {
            let (lhs, rhs) = (operands[0], operands[1]);
            if !rhs.1 && dims.lhs_batch.is_empty() {
                // The new axis is the first free one of the left operand, and so of the result.
                return g.dot_general(
                    lhs.0,
                    rhs.0,
                    DotDims { lhs_contract: shift(&dims.lhs_contract), ..dims.clone() },
                );
            }
            let (lhs, rhs) = (repeated(g, lhs, count), repeated(g, rhs, count));
            let dims = DotDims {
                lhs_batch: lead(0, &shift(&dims.lhs_batch)),
                rhs_batch: lead(0, &shift(&dims.rhs_batch)),
                lhs_contract: shift(&dims.lhs_contract),
                rhs_contract: shift(&dims.rhs_contract),
            };
            g.dot_general(lhs, rhs, dims)
        }
    }
}

/// An operand with a leading axis, repeated along it where it had none.
fn repeated(g: &mut Graph, (x, is_mapped): (NodeId, bool), count: usize) -> NodeId {
    if is_mapped { x } else { repeat(g, x, count) }
}

fn repeat(g: &mut Graph, x: NodeId, count: usize) -> NodeId {
    let shape = [&[count], g.shape(x)].concat();
    g.broadcast_over(x, &shape, &[0])
}
