//! Algebra: identities that differentiation leaves behind (x + 0, 1·x, −(−x), a reshape of a reshape) are removed while
//! the graph is copied.
//!
//! Only identities that hold exactly for finite values are used, so results do not change beyond the sign of a zero.

use super::{Rewritten, rewrite};
use crate::graph::{Binary, Bits, Graph, NodeId, Op, Unary};

/// Returns an equivalent, smaller graph of what `outputs` need.
pub fn simplify(graph: &Graph, outputs: &[NodeId]) -> Rewritten {
    rewrite(graph, outputs, node)
}

/// The value that every element of `id` has, if that is known.
fn filled(graph: &Graph, id: NodeId) -> Option<f64> {
    let node = graph.node(id);
    match node.op {
        Op::Constant(value) => Some(value.get()),
        Op::BroadcastInDim { .. } | Op::Reshape { .. } | Op::Transpose { .. } | Op::Slice { .. } => {
            filled(graph, node.inputs[0])
        }
        _ => None,
    }
}

/// Inserts one node, or what it simplifies to.
fn node(g: &mut Graph, op: &Op, inputs: &[NodeId]) -> NodeId {
    let same = |g: &mut Graph| g.push(op.clone(), inputs);
    match op {
        Op::Unary(Unary::StopGradient) => inputs[0],
        Op::Unary(Unary::Neg) => match (g.node(inputs[0]).op.clone(), filled(g, inputs[0])) {
            (Op::Unary(Unary::Neg), _) => g.node(inputs[0]).inputs[0],
            (_, Some(c)) => fill_like(g, inputs[0], -c),
            _ => same(g),
        },
        Op::Binary(f) => binary(g, *f, inputs[0], inputs[1]),
        Op::Select if inputs[1] == inputs[2] => inputs[1],
        Op::BroadcastInDim { shape, dims } => {
            if g.shape(inputs[0]) == shape {
                return inputs[0];
            }
            match g.node(inputs[0]).op.clone() {
                Op::BroadcastInDim { dims: inner, .. } => {
                    let source = g.node(inputs[0]).inputs[0];
                    let dims: Vec<usize> = inner.iter().map(|&d| dims[d]).collect();
                    g.broadcast(source, shape, &dims)
                }
                _ => same(g),
            }
        }
        Op::Reshape { shape } => {
            let source = match g.node(inputs[0]).op {
                Op::Reshape { .. } => g.node(inputs[0]).inputs[0],
                _ => inputs[0],
            };
            g.reshape(source, shape)
        }
        Op::Transpose { perm } => match g.node(inputs[0]).op.clone() {
            Op::Transpose { perm: inner } => {
                let source = g.node(inputs[0]).inputs[0];
                let perm: Vec<usize> = perm.iter().map(|&p| inner[p]).collect();
                g.transpose(source, &perm)
            }
            _ => g.transpose(inputs[0], perm),
        },
        Op::Slice { start, limit } => g.slice(inputs[0], start, limit),
        Op::Pad { low, high } => g.pad(inputs[0], low, high),
        Op::ReduceSum { axes } => match filled(g, inputs[0]) {
            Some(0.0) => {
                let shape = (0..g.shape(inputs[0]).len()).filter(|a| !axes.contains(a)).map(|a| g.shape(inputs[0])[a]);
                let shape: Vec<usize> = shape.collect();
                g.full(0.0, &shape)
            }
            _ => g.reduce_sum(inputs[0], axes),
        },
        Op::ReduceMax { axes } => g.reduce_max(inputs[0], axes),
        Op::Unary(_) | Op::Compare(_) | Op::Select | Op::ToF32 | Op::DotGeneral(_) | Op::Conv { .. } => same(g),
        Op::Input(_) | Op::Constant(_) | Op::Iota { .. } => same(g),
    }
}

fn fill_like(g: &mut Graph, like: NodeId, value: f64) -> NodeId {
    let shape = g.shape(like).to_vec();
    g.full(value, &shape)
}

/// Whether a result computed in f64 is an f32. (A sum that f64 rounds is none: it needs more than 53 bits.)
fn is_exact(value: f64) -> bool {
    (value as f32).is_finite() && f64::from(value as f32) == value
}

fn is_power_of_two(c: f64) -> bool {
    (c as f32).is_normal() && c.to_bits().trailing_zeros() >= f64::MANTISSA_DIGITS - 1
}

fn binary(g: &mut Graph, f: Binary, a: NodeId, b: NodeId) -> NodeId {
    let (ca, cb) = (filled(g, a), filled(g, b));
    match (f, ca, cb) {
        (Binary::Add, Some(0.0), _) => b,
        (Binary::Add | Binary::Sub, _, Some(0.0)) => a,
        (Binary::Sub, Some(0.0), _) => node(g, &Op::Unary(Unary::Neg), &[b]),
        (Binary::Mul, Some(0.0), _) => a,
        (Binary::Mul, _, Some(0.0)) => b,
        (Binary::Mul, Some(1.0), _) => b,
        (Binary::Mul | Binary::Div, _, Some(1.0)) => a,
        (Binary::Mul, Some(x), Some(y)) if is_exact(x * y) => fill_like(g, a, x * y),
        (Binary::Add, Some(x), Some(y)) if is_exact(x + y) => fill_like(g, a, x + y),
        (Binary::Mul, Some(-1.0), _) => node(g, &Op::Unary(Unary::Neg), &[b]),
        (Binary::Mul, _, Some(-1.0)) => node(g, &Op::Unary(Unary::Neg), &[a]),
        // Constants go to the right, and c2·(c1·x) becomes one product where c1·c2 is exact (a power of two).
        (Binary::Mul, Some(_), None) => binary(g, f, b, a),
        (Binary::Mul, None, Some(c)) if is_power_of_two(c) => match g.node(a).op {
            Op::Binary(Binary::Mul) => {
                let (x, inner) = (g.node(a).inputs[0], g.node(a).inputs[1]);
                match filled(g, inner) {
                    Some(c1) if ((c1 * c) as f32).is_normal() => {
                        let shape = g.shape(a).to_vec();
                        let product = g.push(Op::Constant(Bits::new(c1 * c)), &[]);
                        let product = g.broadcast(product, &shape, &[]);
                        g.mul(x, product)
                    }
                    _ => g.binary(f, a, b),
                }
            }
            _ => g.binary(f, a, b),
        },
        _ => g.binary(f, a, b),
    }
}
