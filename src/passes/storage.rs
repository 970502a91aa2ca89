//! Which values must be stored, and which are cheap to compute again: what `stage` keeps and `plan` stores goes by
//! this.

use crate::graph::{Binary, ConvSide, Graph, NodeId, Op, Unary};
use crate::index::{Idx, pull_back};

/// The axis of a contraction's operand along which its rows are read, which must lie side by side in memory.
fn row_axis(op: &Op, side: usize, rank: usize) -> Option<usize> {
    match op {
        Op::DotGeneral(dims) => (side == 1 && !dims.rhs_free(rank).is_empty()).then(|| rank - 1),
        // The input side reads its kernel along the channels in.
        Op::Conv { of: ConvSide::Input, .. } if side == 0 => Some(rank - 2),
        _ => Some(rank - 1),
    }
}

/// Follows index maps down from a contraction's operand to the value that must be stored, its `producer`: the furthest
/// one that has the rows contiguous, or where nothing has, the operand itself.
pub(crate) fn producer(graph: &Graph, root: NodeId, side: usize) -> NodeId {
    let operand = graph.node(root).inputs[side];
    let shape = graph.shape(operand);
    // One variable per axis.
    let name = |axis: usize| format!("i{axis}");
    let mut index: Vec<Idx> = shape.iter().enumerate().map(|(a, &n)| Idx::var(&name(a), n)).collect();
    let row = row_axis(&graph.node(root).op, side, shape.len()).filter(|&axis| shape[axis] > 1);
    let (mut base, mut found) = (operand, operand);
    loop {
        let flat = Idx::flatten(&index, graph.shape(base));
        if row.is_none_or(|axis| flat.stride(&name(axis)) == Some(1)) {
            found = base;
        }
        let Some((next, pulled)) = pull_back(graph, base, &index) else { return found };
        (base, index) = (next, pulled);
    }
}

/// Whether a node can be computed again from inputs and stored values within the budget of (operations, loads).
pub(crate) fn is_cheap(graph: &Graph, id: NodeId, stored: &dyn Fn(NodeId) -> bool, budget: &mut (i32, i32)) -> bool {
    let node = graph.node(id);
    let (ops, loads) = match &node.op {
        Op::Input(_) => (0, 1),
        _ if stored(id) => (0, 1),
        Op::Constant(_) | Op::Iota { .. } => (0, 0),
        Op::Unary(Unary::Neg | Unary::StopGradient) => (1, 0),
        Op::Unary(Unary::Exp | Unary::Log | Unary::Sqrt | Unary::Rsqrt) => (6, 0),
        Op::Unary(Unary::Expm1 | Unary::Tanh | Unary::Logistic | Unary::Softplus | Unary::Erf) => (9, 0),
        Op::Binary(Binary::Div) => (2, 0),
        Op::Binary(_) | Op::Compare(_) | Op::Select | Op::ToF32 | Op::Pad { .. } => (1, 0),
        Op::BroadcastInDim { .. } | Op::Reshape { .. } | Op::Transpose { .. } | Op::Slice { .. } => (0, 0),
        Op::ReduceSum { .. } | Op::ReduceMax { .. } | Op::DotGeneral(_) | Op::Conv { .. } => return false,
    };
    *budget = (budget.0 - ops, budget.1 - loads);
    if budget.0 < 0 || budget.1 < 0 {
        return false;
    }
    loads > 0 || node.inputs.iter().all(|&i| is_cheap(graph, i, stored, budget))
}
