//! Shape inference: the type of every op's result, and the refusal of operands that do not fit it.
//!
//! [`try_push`](super::Graph::try_push) calls this once per node and `verify` calls it again, so no node can carry a
//! type that its op does not imply.

use super::{ConvSide, DType, DotDims, Graph, GraphError, NodeId, Op, Type, Window};

/// Type of `op` applied to `inputs`.
pub(super) fn infer(graph: &Graph, op: &Op, inputs: &[NodeId]) -> Result<Type, GraphError> {
    let fail = |reason: String| GraphError::Type { op: format!("{op:?}"), reason };
    let arity = match op {
        Op::Input(_) | Op::Constant(_) | Op::Iota { .. } => 0,
        Op::Unary(_) | Op::ToF32 => 1,
        Op::Binary(_) | Op::Compare(_) | Op::DotGeneral(_) | Op::Conv { .. } => 2,
        Op::Select => 3,
        Op::BroadcastInDim { .. } | Op::Reshape { .. } | Op::Transpose { .. } => 1,
        Op::Slice { .. } | Op::Pad { .. } | Op::ReduceSum { .. } | Op::ReduceMax { .. } => 1,
    };
    if inputs.len() != arity {
        return Err(fail(format!("takes {arity} operands, got {}", inputs.len())));
    }
    if let Some(bad) = inputs.iter().find(|id| id.index() >= graph.nodes().len()) {
        return Err(fail(format!("operand %{} is not in the graph", bad.index())));
    }
    let ty = |i: usize| &graph.node(inputs[i]).ty;
    let need = |i: usize, dtype: DType| {
        let found = ty(i).dtype;
        if found == dtype { Ok(()) } else { Err(fail(format!("operand {i} is {found:?}, not {dtype:?}"))) }
    };
    let same = |i: usize, j: usize| {
        let (a, b) = (ty(i), ty(j));
        if a == b { Ok(()) } else { Err(fail(format!("operands {i} and {j} differ: {a} and {b}"))) }
    };
    let f32_of = |shape: Vec<usize>| Type { shape, dtype: DType::F32 };
    let result = match op {
        Op::Input(index) => match graph.inputs().get(*index) {
            Some(info) => info.ty.clone(),
            None => return Err(fail("no such input".to_owned())),
        },
        Op::Constant(value) => {
            if !value.get().is_finite() {
                return Err(fail("constants are finite".to_owned()));
            }
            f32_of(vec![])
        }
        Op::Iota { shape, axis } => {
            if *axis >= shape.len() {
                return Err(fail(format!("axis {axis} of a rank-{} result", shape.len())));
            }
            Type { shape: shape.clone(), dtype: DType::U32 }
        }
        Op::Unary(_) => {
            need(0, DType::F32)?;
            ty(0).clone()
        }
        Op::Binary(_) => {
            need(0, DType::F32)?;
            same(0, 1)?;
            ty(0).clone()
        }
        Op::Compare(_) => {
            same(0, 1)?;
            Type { shape: ty(0).shape.clone(), dtype: DType::Bool }
        }
        Op::Select => {
            need(0, DType::Bool)?;
            same(1, 2)?;
            if ty(0).shape != ty(1).shape {
                return Err(fail(format!("mask {:?} and values {:?}", ty(0).shape, ty(1).shape)));
            }
            ty(1).clone()
        }
        Op::ToF32 => {
            if ty(0).dtype == DType::F32 {
                return Err(fail("operand 0 is F32 already".to_owned()));
            }
            f32_of(ty(0).shape.clone())
        }
        Op::BroadcastInDim { shape, dims } => {
            let from = &ty(0).shape;
            let ascending = dims.windows(2).all(|w| w[0] < w[1]);
            let fits = dims.len() == from.len() && dims.iter().zip(from).all(|(&d, &n)| shape.get(d) == Some(&n));
            if !ascending || !fits {
                return Err(fail(format!("operand shape {from:?}")));
            }
            Type { shape: shape.clone(), dtype: ty(0).dtype }
        }
        Op::Reshape { shape } => {
            if shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) != Some(ty(0).len()) {
                return Err(fail(format!("operand shape {:?}", ty(0).shape)));
            }
            Type { shape: shape.clone(), dtype: ty(0).dtype }
        }
        Op::Transpose { perm } => {
            let from = &ty(0).shape;
            let mut sorted = perm.clone();
            sorted.sort_unstable();
            if !sorted.iter().copied().eq(0..from.len()) {
                return Err(fail(format!("operand shape {from:?}")));
            }
            Type { shape: perm.iter().map(|&p| from[p]).collect(), dtype: ty(0).dtype }
        }
        Op::Slice { start, limit } => {
            let from = &ty(0).shape;
            let fits = start.len() == from.len() && limit.len() == from.len();
            if !fits || (0..from.len()).any(|i| start[i] > limit[i] || limit[i] > from[i]) {
                return Err(fail(format!("operand shape {from:?}")));
            }
            let shape = start.iter().zip(limit).map(|(s, l)| l - s).collect();
            Type { shape, dtype: ty(0).dtype }
        }
        Op::Pad { low, high } => {
            need(0, DType::F32)?;
            let from = &ty(0).shape;
            if low.len() != from.len() || high.len() != from.len() {
                return Err(fail(format!("operand shape {from:?}")));
            }
            f32_of((0..from.len()).map(|i| low[i].saturating_add(from[i]).saturating_add(high[i])).collect())
        }
        Op::ReduceSum { axes } | Op::ReduceMax { axes } => {
            need(0, DType::F32)?;
            let from = &ty(0).shape;
            let ascending = axes.windows(2).all(|w| w[0] < w[1]);
            if !ascending || axes.last().is_some_and(|&a| a >= from.len()) {
                return Err(fail(format!("operand shape {from:?}")));
            }
            if matches!(op, Op::ReduceMax { .. }) && axes.iter().any(|&a| from[a] == 0) {
                return Err(fail("the maximum of nothing".to_owned()));
            }
            f32_of((0..from.len()).filter(|i| !axes.contains(i)).map(|i| from[i]).collect())
        }
        Op::DotGeneral(dims) => {
            need(0, DType::F32)?;
            need(1, DType::F32)?;
            f32_of(dot_shape(dims, &ty(0).shape, &ty(1).shape).map_err(fail)?)
        }
        Op::Conv { of, window } => {
            need(0, DType::F32)?;
            need(1, DType::F32)?;
            f32_of(conv_shape(*of, window, [&ty(0).shape, &ty(1).shape]).map_err(fail)?)
        }
    };
    if result.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).is_none_or(|n| n > u32::MAX as usize) {
        return Err(fail(format!("{:?} has more elements than a 32-bit index reaches", result.shape)));
    }
    Ok(result)
}

/// Result shape of a contraction: batch, then the free axes of each operand.
fn dot_shape(dims: &DotDims, lhs: &[usize], rhs: &[usize]) -> Result<Vec<usize>, String> {
    let paired = |a: &[usize], b: &[usize]| {
        a.len() == b.len() && a.iter().zip(b).all(|(&i, &j)| i < lhs.len() && j < rhs.len() && lhs[i] == rhs[j])
    };
    let distinct = |a: &[usize], b: &[usize]| {
        let mut all: Vec<usize> = a.iter().chain(b).copied().collect();
        all.sort_unstable();
        all.windows(2).all(|w| w[0] != w[1])
    };
    let ok = paired(&dims.lhs_batch, &dims.rhs_batch)
        && paired(&dims.lhs_contract, &dims.rhs_contract)
        && distinct(&dims.lhs_batch, &dims.lhs_contract)
        && distinct(&dims.rhs_batch, &dims.rhs_contract);
    if !ok {
        return Err(format!("operand shapes {lhs:?} and {rhs:?}"));
    }
    let mut shape: Vec<usize> = dims.lhs_batch.iter().map(|&i| lhs[i]).collect();
    shape.extend(dims.lhs_free(lhs.len()).iter().map(|&i| lhs[i]));
    shape.extend(dims.rhs_free(rhs.len()).iter().map(|&i| rhs[i]));
    Ok(shape)
}

/// Shape of one side of a convolution from those of its operands.
fn conv_shape(of: ConvSide, window: &Window, operands: [&[usize]; 2]) -> Result<Vec<usize>, String> {
    let misfit = || format!("operand shapes {:?} and {:?}", operands[0], operands[1]);
    let Some(lead) = operands[0].len().checked_sub(4) else { return Err(misfit()) };
    if operands[1].len() != lead + 4 || operands[0][..lead] != operands[1][..lead] || window.stride.contains(&0) {
        return Err(misfit());
    }
    // Positions, and what a side knows of n, of the channels in and of those out.
    let known = |side: ConvSide, s: &[usize]| match side {
        ConvSide::Input => (window.input, [s[1], s[2]], [Some(s[0]), Some(s[3]), None]),
        ConvSide::Kernel => (window.kernel, [s[0], s[1]], [None, Some(s[2]), Some(s[3])]),
        ConvSide::Output => (window.output, [s[1], s[2]], [Some(s[0]), None, Some(s[3])]),
    };
    let sides = of.operands();
    let [a, b] = [0, 1].map(|i| known(sides[i], &operands[i][lead..]));
    let agree = (0..3).all(|i| a.2[i].zip(b.2[i]).is_none_or(|(a, b)| a == b));
    let [Some(n), Some(ci), Some(co)] = std::array::from_fn(|i| a.2[i].or(b.2[i])) else { return Err(misfit()) };
    if a.0 != a.1 || b.0 != b.1 || !agree {
        return Err(misfit());
    }
    let shape = match of {
        ConvSide::Input => [n, window.input[0], window.input[1], ci],
        ConvSide::Kernel => [window.kernel[0], window.kernel[1], ci, co],
        ConvSide::Output => [n, window.output[0], window.output[1], co],
    };
    Ok([&operands[0][..lead], &shape].concat())
}

impl DotDims {
    /// Axes of a left operand of this rank that are neither batch nor contracted.
    pub fn lhs_free(&self, rank: usize) -> Vec<usize> {
        (0..rank).filter(|i| !self.lhs_batch.contains(i) && !self.lhs_contract.contains(i)).collect()
    }

    /// Axes of a right operand of this rank that are neither batch nor contracted.
    pub fn rhs_free(&self, rank: usize) -> Vec<usize> {
        (0..rank).filter(|i| !self.rhs_batch.contains(i) && !self.rhs_contract.contains(i)).collect()
    }
}
