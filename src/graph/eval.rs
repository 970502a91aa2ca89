//! The f64 interpreter: the living definition of every op.
//!
//! It is written to be obviously right rather than fast, and everything else is compared with it: derivative rules,
//! passes and kernels. Only [`Op::DotGeneral`] takes some care, so that a network of real size can be checked. Values
//! are f64 throughout (`U32` and `Bool` are exact in it), constants too, which kernels round to f32.

use super::{Binary, Compare, ConvSide, DType, DotDims, Graph, GraphError, NodeId, Op, Unary, Window};

/// A dense row-major array.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Length of every axis.
    pub shape: Vec<usize>,
    /// The elements, last axis fastest; as many as the product of `shape`. A `Bool` is 0 or 1.
    pub data: Vec<f64>,
}

/// Values of `outputs`, given the value of every input that they need.
///
/// Only what the outputs need is computed, and a value is dropped after its last use.
///
/// # Errors
/// The graph's own error, [`GraphError::Unknown`] for an output that is not its, and [`GraphError::Input`] when an
/// input is missing, given twice, of the wrong shape or holds an element that its type does not have, or when a given
/// node is no input.
pub fn eval(graph: &Graph, outputs: &[NodeId], inputs: &[(NodeId, Tensor)]) -> Result<Vec<Tensor>, GraphError> {
    graph.check()?;
    graph.check_nodes(outputs)?;
    let given = check_inputs(graph, inputs)?;
    let live = graph.reachable(outputs);
    let mut uses = vec![0usize; graph.nodes().len()];
    for id in graph.ids().filter(|id| live[id.index()]) {
        for input in &graph.node(id).inputs {
            uses[input.index()] += 1;
        }
    }
    for output in outputs {
        uses[output.index()] += 1;
    }
    let mut values: Vec<Option<Tensor>> = vec![None; graph.nodes().len()];
    for id in graph.ids().filter(|id| live[id.index()]) {
        let node = graph.node(id);
        let value = {
            let operand = |i: usize| values[node.inputs[i].index()].as_ref().expect("operands come before their users");
            match &node.op {
                Op::Input(index) => match given[*index] {
                    Some(tensor) => tensor.clone(),
                    None => return Err(input_error(&graph.inputs()[*index].name, "no value was given".to_owned())),
                },
                op => Tensor { shape: node.ty.shape.clone(), data: apply(op, &node.ty.shape, &operand) },
            }
        };
        values[id.index()] = Some(value);
        for input in &node.inputs {
            uses[input.index()] -= 1;
            if uses[input.index()] == 0 {
                values[input.index()] = None;
            }
        }
    }
    Ok(outputs.iter().map(|id| values[id.index()].clone().expect("outputs are live and counted as used")).collect())
}

fn input_error(name: &str, reason: String) -> GraphError {
    GraphError::Input { name: name.to_owned(), reason }
}

/// The given tensors by input number.
fn check_inputs<'a>(graph: &Graph, inputs: &'a [(NodeId, Tensor)]) -> Result<Vec<Option<&'a Tensor>>, GraphError> {
    let mut given: Vec<Option<&Tensor>> = vec![None; graph.inputs().len()];
    for (id, tensor) in inputs {
        let Some(Op::Input(index)) = graph.nodes().get(id.index()).map(|node| &node.op) else {
            return Err(input_error(&format!("%{}", id.index()), "this node is not an input".to_owned()));
        };
        let info = &graph.inputs()[*index];
        if tensor.shape != info.ty.shape || tensor.data.len() != info.ty.len() {
            let got = format!("shape {:?} with {} elements", tensor.shape, tensor.data.len());
            return Err(input_error(&info.name, format!("{got} instead of {:?}", info.ty.shape)));
        }
        let fits = |v: f64| match info.ty.dtype {
            DType::F32 => true,
            DType::U32 => v.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&v),
            DType::Bool => v == 0.0 || v == 1.0,
        };
        if let Some(bad) = tensor.data.iter().find(|&&v| !fits(v)) {
            return Err(input_error(&info.name, format!("{bad} is not a {:?}", info.ty.dtype)));
        }
        if given[*index].replace(tensor).is_some() {
            return Err(input_error(&info.name, "two values were given".to_owned()));
        }
    }
    Ok(given)
}

/// Elements of `op`'s result, whose shape is `shape`.
fn apply<'a>(op: &Op, shape: &[usize], operand: &dyn Fn(usize) -> &'a Tensor) -> Vec<f64> {
    match op {
        Op::Input(_) => unreachable!("inputs are given, not computed"),
        Op::Constant(value) => vec![value.get()],
        Op::Iota { axis, .. } => {
            let mut counted = vec![0; shape.len()];
            counted[*axis] = 1;
            positions(shape, &counted).into_iter().map(|i| i as f64).collect()
        }
        Op::Unary(f) => operand(0).data.iter().map(|&x| unary(*f, x)).collect(),
        Op::Binary(f) => zip(operand(0), operand(1), |a, b| binary(*f, a, b)),
        Op::Compare(f) => zip(operand(0), operand(1), |a, b| f64::from(u8::from(compare(*f, a, b)))),
        Op::Select => {
            let (mask, on_true, on_false) = (&operand(0).data, &operand(1).data, &operand(2).data);
            (0..mask.len()).map(|i| if mask[i] != 0.0 { on_true[i] } else { on_false[i] }).collect()
        }
        Op::ToF32 => operand(0).data.clone(),
        Op::BroadcastInDim { dims, .. } => {
            let x = operand(0);
            let from = strides(&x.shape);
            let mut along = vec![0; shape.len()];
            for (&dim, &stride) in dims.iter().zip(&from) {
                along[dim] = stride;
            }
            positions(shape, &along).into_iter().map(|i| x.data[i]).collect()
        }
        Op::Reshape { .. } => operand(0).data.clone(),
        Op::Transpose { perm } => permute(operand(0), perm),
        Op::Slice { start, .. } => {
            let x = operand(0);
            let from = strides(&x.shape);
            let first: usize = start.iter().zip(&from).map(|(s, stride)| s * stride).sum();
            positions(shape, &from).into_iter().map(|i| x.data[first + i]).collect()
        }
        Op::Pad { low, .. } => {
            let x = operand(0);
            let to = strides(shape);
            let first: usize = low.iter().zip(&to).map(|(l, stride)| l * stride).sum();
            let mut data = vec![0.0; shape.iter().product()];
            for (&value, i) in x.data.iter().zip(positions(&x.shape, &to)) {
                data[first + i] = value;
            }
            data
        }
        Op::ReduceSum { axes } => reduce(operand(0), axes, shape, 0.0, |sum, x| sum + x),
        Op::ReduceMax { axes } => {
            reduce(operand(0), axes, shape, f64::NEG_INFINITY, |max, x| if x > max { x } else { max })
        }
        Op::DotGeneral(dims) => dot_general(operand(0), operand(1), dims),
        Op::Conv { of, window } => conv(*of, window, [operand(0), operand(1)], shape),
    }
}

fn unary(f: Unary, x: f64) -> f64 {
    match f {
        Unary::Neg => -x,
        Unary::Exp => x.exp(),
        Unary::Expm1 => x.exp_m1(),
        Unary::Log => x.ln(),
        Unary::Sqrt => x.sqrt(),
        Unary::Rsqrt => 1.0 / x.sqrt(),
        Unary::Tanh => x.tanh(),
        Unary::Logistic => 1.0 / (1.0 + (-x).exp()),
        Unary::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
        Unary::Erf => libm::erf(x),
        Unary::StopGradient => x,
    }
}

fn binary(f: Binary, a: f64, b: f64) -> f64 {
    match f {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Max => {
            if a > b {
                a
            } else {
                b
            }
        }
    }
}

fn compare(f: Compare, a: f64, b: f64) -> bool {
    match f {
        Compare::Gt => a > b,
        Compare::Ge => a >= b,
        Compare::Eq => a == b,
    }
}

fn zip(a: &Tensor, b: &Tensor, f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    a.data.iter().zip(&b.data).map(|(&a, &b)| f(a, b)).collect()
}

/// Distance in memory between neighbours along every axis.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// Σᵢ indexᵢ·strideᵢ for every index of `shape` in row-major order: every index map of the op set is one of these.
fn positions(shape: &[usize], strides: &[usize]) -> Vec<usize> {
    let mut all = vec![0];
    for (&length, &stride) in shape.iter().zip(strides) {
        all = all.iter().flat_map(|&base| (0..length).map(move |i| base + i * stride)).collect();
    }
    all
}

/// The elements in the order of a transposition: result axis i is operand axis `perm[i]`.
fn permute(x: &Tensor, perm: &[usize]) -> Vec<f64> {
    let from = strides(&x.shape);
    let shape: Vec<usize> = perm.iter().map(|&p| x.shape[p]).collect();
    let along: Vec<usize> = perm.iter().map(|&p| from[p]).collect();
    positions(&shape, &along).into_iter().map(|i| x.data[i]).collect()
}

/// Folds `f` over `axes`, in row-major order.
fn reduce(x: &Tensor, axes: &[usize], shape: &[usize], start: f64, f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let mut kept = strides(shape).into_iter();
    let to: Vec<usize> =
        (0..x.shape.len()).map(|axis| if axes.contains(&axis) { 0 } else { kept.next().unwrap_or(0) }).collect();
    let mut data = vec![start; shape.iter().product()];
    for (&value, i) in x.data.iter().zip(positions(&x.shape, &to)) {
        data[i] = f(data[i], value);
    }
    data
}

/// Both operands are packed, to [batch, m, k] and [batch, k, n], and multiplied in panels of `k` that stay in the
/// cache.
fn dot_general(lhs: &Tensor, rhs: &Tensor, dims: &DotDims) -> Vec<f64> {
    const PANEL: usize = 64;
    let lhs_free = dims.lhs_free(lhs.shape.len());
    let rhs_free = dims.rhs_free(rhs.shape.len());
    let size = |axes: &[usize], shape: &[usize]| axes.iter().map(|&axis| shape[axis]).product::<usize>();
    let batch = size(&dims.lhs_batch, &lhs.shape);
    let (m, k) = (size(&lhs_free, &lhs.shape), size(&dims.lhs_contract, &lhs.shape));
    let n = size(&rhs_free, &rhs.shape);
    let a = permute(lhs, &[&dims.lhs_batch[..], &lhs_free, &dims.lhs_contract].concat());
    let b = permute(rhs, &[&dims.rhs_batch[..], &dims.rhs_contract, &rhs_free].concat());
    let mut c = vec![0.0; batch * m * n];
    for t in 0..batch {
        for panel in (0..k).step_by(PANEL) {
            for i in 0..m {
                let row = &mut c[(t * m + i) * n..][..n];
                for p in panel..k.min(panel + PANEL) {
                    let factor = a[(t * m + i) * k + p];
                    for (sum, value) in row.iter_mut().zip(&b[(t * k + p) * n..][..n]) {
                        *sum += factor * value;
                    }
                }
            }
        }
    }
    c
}

/// Every product of T = Σ u·(x ⋆ w), added to the side that is wanted.
fn conv(of: ConvSide, window: &Window, operands: [&Tensor; 2], shape: &[usize]) -> Vec<f64> {
    let mut result = vec![0.0; shape.iter().product()];
    let [a, b] = operands.map(|tensor| &tensor.data[..]);
    let of_side = |side: ConvSide| match of.operands().iter().position(|&s| s == side) {
        Some(i) => &operands[i].shape[..],
        None => shape,
    };
    let lead = shape.len() - 4;
    let batch: usize = shape[..lead].iter().product();
    let (n, ci, co) =
        (of_side(ConvSide::Input)[lead], of_side(ConvSide::Kernel)[lead + 2], of_side(ConvSide::Kernel)[lead + 3]);
    let Window { input, kernel, output, stride, low } = *window;
    for example in 0..batch * n {
        for (o, k) in positions_2d(output).flat_map(|o| positions_2d(kernel).map(move |k| (o, k))) {
            let meet = [o[0] * stride[0] + k[0], o[1] * stride[1] + k[1]];
            if (0..2).any(|axis| meet[axis] < low[axis] || meet[axis] - low[axis] >= input[axis]) {
                continue;
            }
            let x_at = (example * input[0] + meet[0] - low[0]) * input[1] + meet[1] - low[1];
            let w_at = (example / n * kernel[0] + k[0]) * kernel[1] + k[1];
            let u_at = (example * output[0] + o[0]) * output[1] + o[1];
            for i in 0..ci {
                let (x, w, u) = (x_at * ci + i, (w_at * ci + i) * co, u_at * co);
                match of {
                    ConvSide::Input => result[x] += (0..co).map(|j| a[w + j] * b[u + j]).sum::<f64>(),
                    ConvSide::Kernel => (0..co).for_each(|j| result[w + j] += a[x] * b[u + j]),
                    ConvSide::Output => (0..co).for_each(|j| result[u + j] += a[x] * b[w + j]),
                }
            }
        }
    }
    result
}

fn positions_2d([height, width]: [usize; 2]) -> impl Iterator<Item = [usize; 2]> {
    (0..height).flat_map(move |y| (0..width).map(move |x| [y, x]))
}
