//! Forward differentiation, one rule per op in the order of [`Op`].
//!
//! A tangent that is zero everywhere is `None` and costs nothing. Rules use the op's result `y` wherever it gives the
//! derivative (exp, tanh, max, ...), so only one value stays alive for the backward pass. Every rule is linear in the
//! tangents, which `transpose` relies on, and multiplies with the tangent on the left, so that equal nodes are shared.

use super::{refuse, zeros_like};
use crate::graph::{Binary, Compare, DType, Graph, Node, NodeId, Op, Type, Unary};

/// Derivative of `outputs` along `tangents`: Σⱼ ∂output/∂wrtⱼ · tangentⱼ for each output, or `None` where it is zero
/// because nothing that the output is differentiable in depends on `wrt`.
///
/// `wrt` may be any `F32` nodes, each named once. They are independent variables: their own operands are ignored. Each
/// tangent has the type of its node. If the lists' lengths or the nodes' types do not fit, or a node is named twice,
/// the graph has an error.
pub fn jvp(graph: &mut Graph, outputs: &[NodeId], wrt: &[NodeId], tangents: &[NodeId]) -> Vec<Option<NodeId>> {
    if let Err(error) = graph.check_nodes(outputs.iter().chain(wrt).chain(tangents)) {
        graph.refuse(error, Type::scalar());
        return vec![None; outputs.len()];
    }
    if wrt.len() != tangents.len() {
        refuse(graph, format!("{} tangents for {} nodes; it takes one for each", tangents.len(), wrt.len()));
    }
    let mut tangent: Vec<Option<NodeId>> = vec![None; graph.nodes().len()];
    for (&x, &t) in wrt.iter().zip(tangents) {
        let (x_ty, t_ty) = (&graph.node(x).ty, &graph.node(t).ty);
        let number = x.index();
        if x_ty != t_ty || x_ty.dtype != DType::F32 {
            let types = format!("%{number} is {x_ty} and its tangent {t_ty}");
            refuse(graph, format!("{types}; both must be F32 of one shape"));
        } else if tangent[number].replace(t).is_some() {
            refuse(graph, format!("%{number} is differentiated by twice; name it once"));
        }
    }
    let needed = graph.reachable(outputs);
    for y in graph.ids().filter(|id| needed[id.index()]) {
        if tangent[y.index()].is_some() {
            continue;
        }
        let t: Vec<Option<NodeId>> = graph.node(y).inputs.iter().map(|x| tangent[x.index()]).collect();
        if t.iter().any(Option::is_some) {
            let node = graph.node(y).clone();
            tangent[y.index()] = rule(graph, y, &node, &t);
        }
    }
    outputs.iter().map(|y| tangent[y.index()]).collect()
}

/// Tangent of `y`, the value of `node`, from the tangents `t` of its operands.
fn rule(graph: &mut Graph, y: NodeId, node: &Node, t: &[Option<NodeId>]) -> Option<NodeId> {
    let x = &node.inputs;
    match &node.op {
        Op::Input(_) | Op::Constant(_) | Op::Iota { .. } => None,
        Op::Unary(f) => unary(graph, *f, x[0], y, t[0]?),
        Op::Binary(f) => binary(graph, *f, (x[0], x[1]), y, (t[0], t[1])),
        Op::Compare(_) => None,
        Op::Select => select(graph, x[0], t[1], t[2]),
        Op::ToF32 => None,
        op @ (Op::BroadcastInDim { .. }
        | Op::Reshape { .. }
        | Op::Transpose { .. }
        | Op::Slice { .. }
        | Op::Pad { .. }
        | Op::ReduceSum { .. }) => Some(graph.push(op.clone(), &[t[0]?])),
        Op::ReduceMax { axes } => Some(reduce_max(graph, x[0], y, axes, t[0]?)),
        op @ (Op::DotGeneral(_) | Op::Conv { .. }) => {
            let left = t[0].map(|t| graph.push(op.clone(), &[t, x[1]]));
            let right = t[1].map(|t| graph.push(op.clone(), &[x[0], t]));
            sum(graph, left, right)
        }
    }
}

/// f'(x)·t, in terms of y = f(x) where possible.
fn unary(graph: &mut Graph, f: Unary, x: NodeId, y: NodeId, t: NodeId) -> Option<NodeId> {
    let shape = graph.shape(y).to_vec();
    let derivative = match f {
        Unary::Neg => return Some(graph.neg(t)),
        Unary::Exp => y,
        Unary::Expm1 => graph.unary(Unary::Exp, x),
        Unary::Log => return Some(graph.div(t, x)),
        Unary::Sqrt => {
            let twice = graph.add(y, y);
            return Some(graph.div(t, twice));
        }
        // −½·x^(−3/2)
        Unary::Rsqrt => {
            let square = graph.mul(y, y);
            let cube = graph.mul(square, y);
            graph.scale(cube, -0.5)
        }
        Unary::Tanh => {
            let one = graph.full(1.0, &shape);
            let square = graph.mul(y, y);
            graph.sub(one, square)
        }
        // y·(1 − y), where 1 − y would lose its digits as y comes close to 1
        Unary::Logistic => {
            let opposite = graph.neg(x);
            let rest = graph.unary(Unary::Logistic, opposite);
            graph.mul(y, rest)
        }
        Unary::Softplus => graph.unary(Unary::Logistic, x),
        // 2/√π·e^(−x²)
        Unary::Erf => {
            let square = graph.mul(x, x);
            let exponent = graph.neg(square);
            let bell = graph.unary(Unary::Exp, exponent);
            graph.scale(bell, std::f64::consts::FRAC_2_SQRT_PI)
        }
        Unary::StopGradient => return None,
    };
    Some(graph.mul(t, derivative))
}

fn binary(
    graph: &mut Graph,
    f: Binary,
    (a, b): (NodeId, NodeId),
    y: NodeId,
    (ta, tb): (Option<NodeId>, Option<NodeId>),
) -> Option<NodeId> {
    match f {
        Binary::Add => sum(graph, ta, tb),
        Binary::Sub => difference(graph, ta, tb),
        Binary::Mul => {
            let left = ta.map(|t| graph.mul(t, b));
            let right = tb.map(|t| graph.mul(t, a));
            sum(graph, left, right)
        }
        // (ta − y·tb) / b
        Binary::Div => {
            let from_b = tb.map(|t| graph.mul(t, y));
            let numerator = difference(graph, ta, from_b)?;
            Some(graph.div(numerator, b))
        }
        // y > b exactly where a > b, and for relu only y stays alive
        Binary::Max => {
            let a_wins = graph.compare(Compare::Gt, y, b);
            select(graph, a_wins, ta, tb)
        }
    }
}

fn sum(graph: &mut Graph, a: Option<NodeId>, b: Option<NodeId>) -> Option<NodeId> {
    match (a, b) {
        (Some(a), Some(b)) => Some(graph.add(a, b)),
        (only, None) | (None, only) => only,
    }
}

fn difference(graph: &mut Graph, a: Option<NodeId>, b: Option<NodeId>) -> Option<NodeId> {
    match (a, b) {
        (Some(a), Some(b)) => Some(graph.sub(a, b)),
        (a, None) => a,
        (None, Some(b)) => Some(graph.neg(b)),
    }
}

fn select(graph: &mut Graph, mask: NodeId, ta: Option<NodeId>, tb: Option<NodeId>) -> Option<NodeId> {
    let zero = zeros_like(graph, ta.or(tb)?);
    Some(graph.select(mask, ta.unwrap_or(zero), tb.unwrap_or(zero)))
}

/// The mean of the tangents at the maximal elements.
///
/// At ties the maximum has no derivative; the mean lies in Clarke's subdifferential, does not depend on the order of
/// the elements, and is the limit of the derivative of log-sum-exp at zero temperature.
fn reduce_max(graph: &mut Graph, x: NodeId, y: NodeId, axes: &[usize], t: NodeId) -> NodeId {
    let shape = graph.shape(x).to_vec();
    let repeated = graph.broadcast_over(y, &shape, axes);
    let is_max = graph.compare(Compare::Eq, x, repeated);
    let ones = graph.to_f32(is_max);
    let ties = graph.reduce_sum(ones, axes);
    let zero = graph.full(0.0, &shape);
    let kept = graph.select(is_max, t, zero);
    let total = graph.reduce_sum(kept, axes);
    graph.div(total, ties)
}
