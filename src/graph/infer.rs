//! Shape inference: the type of every op's result, and the refusal of operands that do not fit it.
//!
//! [`try_push`](super::Graph::try_push) calls this once per node and `verify` calls it again, so no node can carry a
//! type that its op does not imply. [`implied`] is total: it gives a refused op a type too, with which a model can go
//! on.

use super::{ConvSide, DType, DotDims, Graph, GraphError, NodeId, Op, SCALAR, Type, Window, len};

/// Type of `op` applied to `inputs`.
///
/// # Errors
/// [`GraphError::Type`] when the operands do not fit the op, and [`GraphError::TooLarge`] when they do.
pub(super) fn infer(graph: &Graph, op: &Op, inputs: &[NodeId]) -> Result<Type, GraphError> {
    fit(graph, op, inputs).map_err(|reason| GraphError::Type { op: format!("{op:?}"), reason })?;
    implied(graph, op, inputs).addressable()
}

/// The type that an op implies. If the operands do not fit, it is the one that comes closest to what was meant, so that
/// a model which goes on with the result finds the axes that it expects.
pub(super) fn implied(graph: &Graph, op: &Op, inputs: &[NodeId]) -> Type {
    let of = |i: usize| inputs.get(i).map_or(&SCALAR, |&id| graph.ty(id));
    let from = &of(0).shape;
    let along = |shape: &[usize], axes: &[usize]| -> Vec<usize> {
        axes.iter().map(|&axis| shape.get(axis).copied().unwrap_or(1)).collect()
    };
    let (shape, dtype) = match op {
        Op::Input(index) => return graph.inputs().get(*index).map_or(&SCALAR, |info| &info.ty).clone(),
        Op::Constant(_) => (vec![], DType::F32),
        Op::Iota { shape, .. } => (shape.clone(), DType::U32),
        Op::Unary(_) | Op::Binary(_) | Op::ToF32 => (from.clone(), DType::F32),
        Op::Compare(_) => (from.clone(), DType::Bool),
        Op::Select => (of(1).shape.clone(), of(1).dtype),
        Op::BroadcastInDim { shape, .. } | Op::Reshape { shape } => (shape.clone(), of(0).dtype),
        Op::Transpose { perm } => (along(from, perm), of(0).dtype),
        Op::Slice { start, limit } => {
            (start.iter().zip(limit).map(|(s, l)| l.saturating_sub(*s)).collect(), of(0).dtype)
        }
        Op::Pad { low, high } => {
            let zeros = |axis: usize| [low, high].map(|side| side.get(axis).copied().unwrap_or(0));
            let padded = |(axis, &n): (usize, &usize)| zeros(axis).into_iter().fold(n, usize::saturating_add);
            (from.iter().enumerate().map(padded).collect(), DType::F32)
        }
        Op::ReduceSum { axes } | Op::ReduceMax { axes } => {
            ((0..from.len()).filter(|axis| !axes.contains(axis)).map(|axis| from[axis]).collect(), DType::F32)
        }
        Op::DotGeneral(dims) => {
            let rhs = &of(1).shape;
            let free = [along(from, &dims.lhs_free(from.len())), along(rhs, &dims.rhs_free(rhs.len()))];
            ([&along(from, &dims.lhs_batch)[..], &free[0], &free[1]].concat(), DType::F32)
        }
        Op::Conv { of: side, window } => (conv_shape(*side, window, [from, &of(1).shape]), DType::F32),
    };
    Type { shape, dtype }
}

/// Whether the operands fit the op, and if not, why.
fn fit(graph: &Graph, op: &Op, inputs: &[NodeId]) -> Result<(), String> {
    let arity = arity(op);
    if inputs.len() != arity {
        return Err(format!("takes {arity} operands, got {}", inputs.len()));
    }
    graph.check_nodes(inputs).map_err(|error| error.to_string())?;
    let ty = |i: usize| graph.ty(inputs[i]);
    let need = |i: usize, dtype: DType| {
        let found = ty(i).dtype;
        if found == dtype { Ok(()) } else { Err(format!("operand {i} is {found:?}, not {dtype:?}")) }
    };
    let same = |i: usize, j: usize| {
        let (a, b) = (ty(i), ty(j));
        if a == b { Ok(()) } else { Err(format!("operands {i} and {j} differ: {a} and {b}")) }
    };
    let from = inputs.first().map_or(&SCALAR.shape, |&id| &graph.ty(id).shape);
    let numbers = |count: usize| (0..count).try_for_each(|i| need(i, DType::F32));
    let shaped = |fits: bool| if fits { Ok(()) } else { Err(format!("operand shape {from:?}")) };
    match op {
        Op::Input(index) if *index < graph.inputs().len() => Ok(()),
        Op::Input(_) => Err("no such input".to_owned()),
        Op::Constant(value) if (value.get() as f32).is_finite() => Ok(()),
        Op::Constant(_) => Err("constants are finite, in 32 bits too".to_owned()),
        Op::Iota { shape, axis } if *axis < shape.len() => Ok(()),
        Op::Iota { shape, axis } => Err(format!("axis {axis} of a rank-{} result", shape.len())),
        Op::Unary(_) => numbers(1),
        Op::Binary(_) => numbers(1).and_then(|()| same(0, 1)),
        Op::Compare(_) => same(0, 1),
        Op::Select => {
            need(0, DType::Bool)?;
            same(1, 2)?;
            let (mask, values) = (&ty(0).shape, &ty(1).shape);
            if mask == values { Ok(()) } else { Err(format!("mask {mask:?} and values {values:?}")) }
        }
        Op::ToF32 if ty(0).dtype == DType::F32 => Err("operand 0 is F32 already".to_owned()),
        Op::ToF32 => Ok(()),
        Op::BroadcastInDim { shape, dims } => {
            let found = dims.iter().zip(from).all(|(&d, &n)| shape.get(d) == Some(&n));
            shaped(dims.len() == from.len() && is_ascending(dims) && found)
        }
        Op::Reshape { shape } => shaped(len(shape) == len(from)),
        Op::Transpose { perm } => shaped(is_permutation(perm, from.len())),
        Op::Slice { start, limit } => {
            let ranks = start.len() == from.len() && limit.len() == from.len();
            shaped(ranks && (0..from.len()).all(|i| start[i] <= limit[i] && limit[i] <= from[i]))
        }
        Op::Pad { low, high } => {
            numbers(1)?;
            shaped(low.len() == from.len() && high.len() == from.len())
        }
        Op::ReduceSum { axes } | Op::ReduceMax { axes } => {
            numbers(1)?;
            shaped(is_ascending(axes) && axes.last().is_none_or(|&axis| axis < from.len()))?;
            let of_nothing = matches!(op, Op::ReduceMax { .. }) && axes.iter().any(|&axis| from[axis] == 0);
            if of_nothing { Err("the maximum of nothing".to_owned()) } else { Ok(()) }
        }
        Op::DotGeneral(dims) => numbers(2).and_then(|()| fit_dot(dims, from, &ty(1).shape)),
        Op::Conv { of, window } => numbers(2).and_then(|()| fit_conv(*of, window, [from, &ty(1).shape])),
    }
}

/// The number of operands that an op takes.
fn arity(op: &Op) -> usize {
    match op {
        Op::Input(_) | Op::Constant(_) | Op::Iota { .. } => 0,
        Op::Unary(_) | Op::ToF32 => 1,
        Op::Binary(_) | Op::Compare(_) | Op::DotGeneral(_) | Op::Conv { .. } => 2,
        Op::Select => 3,
        Op::BroadcastInDim { .. } | Op::Reshape { .. } | Op::Transpose { .. } => 1,
        Op::Slice { .. } | Op::Pad { .. } | Op::ReduceSum { .. } | Op::ReduceMax { .. } => 1,
    }
}

fn is_permutation(axes: &[usize], rank: usize) -> bool {
    let mut sorted = axes.to_vec();
    sorted.sort_unstable();
    sorted.into_iter().eq(0..rank)
}

fn is_ascending(axes: &[usize]) -> bool {
    axes.windows(2).all(|w| w[0] < w[1])
}

/// Whether batch and contracted axes pair up.
fn fit_dot(dims: &DotDims, lhs: &[usize], rhs: &[usize]) -> Result<(), String> {
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
    if ok { Ok(()) } else { Err(format!("operand shapes {lhs:?} and {rhs:?}")) }
}

/// Shape of one side of a convolution from those of its operands.
fn conv_shape(of: ConvSide, window: &Window, operands: [&[usize]; 2]) -> Vec<usize> {
    // Axes counted from the last one.
    let axis = |i: usize, back: usize| operands[i].len().checked_sub(back).map_or(1, |axis| operands[i][axis]);
    let shape = match of {
        ConvSide::Input => [axis(1, 4), window.input[0], window.input[1], axis(0, 2)],
        ConvSide::Kernel => [window.kernel[0], window.kernel[1], axis(0, 1), axis(1, 1)],
        ConvSide::Output => [axis(0, 4), window.output[0], window.output[1], axis(1, 1)],
    };
    let lead = operands[0].len().saturating_sub(4);
    [&operands[0][..lead], &shape].concat()
}

/// Whether the operands are two sides of one convolution whose positions have 32-bit indices, negative ones included.
fn fit_conv(of: ConvSide, window: &Window, operands: [&[usize]; 2]) -> Result<(), String> {
    let misfit = || Err(format!("operand shapes {:?} and {:?}", operands[0], operands[1]));
    let Some(lead) = operands[0].len().checked_sub(4) else { return misfit() };
    if operands[1].len() != lead + 4 || operands[0][..lead] != operands[1][..lead] || window.stride.contains(&0) {
        return misfit();
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
    if a.0 != a.1 || b.0 != b.1 || !agree {
        return misfit();
    }
    let Window { input, kernel, output, stride, low } = *window;
    let reach = |a: usize| {
        let ends = [output[a].saturating_mul(stride[a]), kernel[a], input[a], low[a]];
        ends.into_iter().fold(0, usize::saturating_add)
    };
    if [0, 1].into_iter().any(|axis| reach(axis) > i32::MAX as usize) {
        return Err(format!("{window:?} reaches further than a 32-bit index"));
    }
    Ok(())
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
