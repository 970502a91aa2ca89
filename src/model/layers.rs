//! The layers that models share, each a few ops: dense, layer normalisation, pooling, and the parts of softmax.

use super::{Init, ModelError, Param};
use crate::graph::{Compare, DType, Graph, GraphError, NodeId, Type, Unary};
use crate::text::counted;

/// x·W + b: `[n, in]`, `[in, out]` and `[out]` to `[n, out]`.
pub fn dense(g: &mut Graph, x: NodeId, kernel: NodeId, bias: NodeId) -> NodeId {
    let product = g.matmul(x, kernel);
    add_bias(g, product, bias)
}

/// x + b, b repeated along all axes but the last.
pub fn add_bias(g: &mut Graph, x: NodeId, bias: NodeId) -> NodeId {
    let shape = g.shape(x).to_vec();
    let bias = g.broadcast(bias, &shape, &[last_axis(&shape)]);
    g.add(x, bias)
}

/// The last axis. A scalar has none; the op that receives it refuses it.
fn last_axis(shape: &[usize]) -> usize {
    shape.len().saturating_sub(1)
}

/// (x − mean)/√(variance + ε)·scale + bias over the last axis (Ba, Kiros and Hinton 2016).
pub fn layer_norm(g: &mut Graph, x: NodeId, scale: NodeId, bias: NodeId, epsilon: f32) -> NodeId {
    let last = last_axis(g.shape(x));
    let normed = standardised(g, x, &[last], epsilon);
    scaled(g, normed, scale, bias)
}

/// The mean over `axes`, which vanish.
pub fn mean(g: &mut Graph, x: NodeId, axes: &[usize]) -> NodeId {
    let shape = g.shape(x);
    // An empty axis has no mean, and no value that needs one.
    let count: usize = axes.iter().filter_map(|&axis| shape.get(axis)).product::<usize>().max(1);
    let sum = g.reduce_sum(x, axes);
    g.scale(sum, 1.0 / count as f64)
}

/// (x − mean)/√(variance + ε), both over `axes`.
pub(super) fn standardised(g: &mut Graph, x: NodeId, axes: &[usize], epsilon: f32) -> NodeId {
    let shape = g.shape(x).to_vec();
    standardised_by(g, x, epsilon, |g, x| mean(g, x, axes), |g, means| g.broadcast_over(means, &shape, axes))
}

/// The same with any means, which `spread` repeats to the shape of `x`.
pub(super) fn standardised_by(
    g: &mut Graph,
    x: NodeId,
    epsilon: f32,
    means: impl Fn(&mut Graph, NodeId) -> NodeId,
    spread: impl Fn(&mut Graph, NodeId) -> NodeId,
) -> NodeId {
    let centre = means(g, x);
    let centre = spread(g, centre);
    let centred = g.sub(x, centre);
    let square = g.mul(centred, centred);
    let variance = means(g, square);
    let variance = g.offset(variance, epsilon);
    let inverse = g.unary(Unary::Rsqrt, variance);
    let inverse = spread(g, inverse);
    g.mul(centred, inverse)
}

/// x·scale + bias, both by the last axis.
pub(super) fn scaled(g: &mut Graph, x: NodeId, scale: NodeId, bias: NodeId) -> NodeId {
    let shape = g.shape(x).to_vec();
    let scale = g.broadcast(scale, &shape, &[last_axis(&shape)]);
    let scaled = g.mul(x, scale);
    add_bias(g, scaled, bias)
}

/// The parts of softmax and its logarithm, over the last axis.
pub(super) struct Exponentials {
    /// x minus its maximum.
    pub shifted: NodeId,
    /// e to that: at most 1.
    pub exp: NodeId,
    /// Their sums over the last axis, which is removed.
    pub sum: NodeId,
}

/// Exponentials that cannot overflow. The maximum only keeps them in range: neither softmax nor log-sum-exp depends on
/// it, so it needs no derivative.
pub(super) fn exponentials(g: &mut Graph, x: NodeId) -> Exponentials {
    let shape = g.shape(x).to_vec();
    let last = last_axis(&shape);
    let max = g.reduce_max(x, &[last]);
    let max = g.unary(Unary::StopGradient, max);
    let max = g.broadcast_over(max, &shape, &[last]);
    let shifted = g.sub(x, max);
    let exp = g.unary(Unary::Exp, shifted);
    let sum = g.reduce_sum(exp, &[last]);
    Exponentials { shifted, exp, sum }
}

/// The largest size of a cell: its elements are compared one by one.
const LARGEST_CELL: usize = 256;

/// Images as cells of size × size.
struct Cells {
    /// `[n, rows, size, columns, size, channels]`
    values: NodeId,
    n: usize,
    rows: usize,
    columns: usize,
    channels: usize,
    size: usize,
}

/// `[n, height, width, channels]` as cells, without the rows and columns that fill no cell.
fn cells(g: &mut Graph, x: NodeId, size: usize) -> Cells {
    let (x, [n, height, width, channels], size) = match *g.shape(x) {
        [n, height, width, channels] if (1..=LARGEST_CELL).contains(&size) => (x, [n, height, width, channels], size),
        ref shape => {
            let reason =
                format!("images have four axes and cells sizes up to {LARGEST_CELL}, not {shape:?} and {size}");
            let ty = Type { shape: vec![1; 4], dtype: DType::F32 };
            (g.refuse(GraphError::Type { op: "pooling".to_owned(), reason }, ty), [1; 4], 1)
        }
    };
    let (rows, columns) = (height / size, width / size);
    let whole = g.slice(x, &[0; 4], &[n, rows * size, columns * size, channels]);
    let values = g.reshape(whole, &[n, rows, size, columns, size, channels]);
    Cells { values, n, rows, columns, channels, size }
}

/// The maximum of every cell of size × size: `[n, height, width, channels]` to
/// `[n, height/size, width/size, channels]`. The derivative of a cell flows to its first maximum in row-major order.
///
/// It is the sum over the cell under a one-hot mask, which has no derivative, so derivatives of any order are exact.
pub fn max_pool(g: &mut Graph, x: NodeId, size: usize) -> NodeId {
    let Cells { values, n, rows, columns, channels, size } = cells(g, x, size);
    let shape = g.shape(values).to_vec();
    let pooled = [n, rows, columns, channels];
    if pooled.contains(&0) {
        return g.reduce_sum(values, &[2, 4]);
    }
    // The first maximum of a cell: a later one must be larger.
    let mut best: Option<NodeId> = None;
    let mut which = g.full(0.0, &pooled);
    for (number, (i, j)) in (0..size).flat_map(|i| (0..size).map(move |j| (i, j))).enumerate() {
        let one = g.slice(values, &[0, 0, i, 0, j, 0], &[n, rows, i + 1, columns, j + 1, channels]);
        let one = g.reshape(one, &pooled);
        let one = g.unary(Unary::StopGradient, one);
        best = Some(match best {
            None => one,
            Some(best) => {
                let larger = g.compare(Compare::Gt, one, best);
                let here = g.full(number as f64, &pooled);
                which = g.select(larger, here, which);
                g.select(larger, one, best)
            }
        });
    }
    let which = g.broadcast(which, &shape, &[0, 1, 3, 5]);
    let [row, column] = [2, 4].map(|axis| {
        let count = g.iota(&shape, axis);
        g.to_f32(count)
    });
    let row = g.scale(row, size as f64);
    let number = g.add(row, column);
    let first = g.compare(Compare::Eq, which, number);
    let zero = g.full(0.0, &shape);
    let through = g.select(first, values, zero);
    g.reduce_sum(through, &[2, 4])
}

/// The mean of every cell of size × size, see [`max_pool`].
pub fn average_pool(g: &mut Graph, x: NodeId, size: usize) -> NodeId {
    let Cells { values, size, .. } = cells(g, x, size);
    let sum = g.reduce_sum(values, &[2, 4]);
    g.scale(sum, 1.0 / (size as f64 * size as f64))
}

/// The nodes of a model's parameters, in order; `None`, and an error in the graph, if their number differs or the model
/// is invalid.
pub(super) fn one_each<'a>(
    g: &mut Graph,
    params: Result<Vec<Param>, ModelError>,
    given: &'a [NodeId],
) -> Option<&'a [NodeId]> {
    let reason = match params {
        Ok(params) if params.len() == given.len() => return Some(given),
        Ok(params) => {
            let (nodes, tensors) = (counted(given.len(), "node"), counted(params.len(), "tensor"));
            format!("{nodes} for {tensors}; it takes one for each")
        }
        Err(error) => error.to_string(),
    };
    g.refuse(GraphError::Type { op: "a model's parameters".to_owned(), reason }, Type::scalar());
    None
}

/// The parameters of [`dense`]: `name.kernel` and `name.bias`, the latter zeros.
pub(super) fn dense_params(name: &str, fan_in: usize, fan_out: usize, init: Init) -> [Param; 2] {
    [
        Param { name: format!("{name}.kernel"), shape: vec![fan_in, fan_out], init },
        Param { name: format!("{name}.bias"), shape: vec![fan_out], init: Init::Zeros },
    ]
}

/// The parameters of [`layer_norm`]: `name.scale` of ones and `name.bias` of zeros.
pub(super) fn norm_params(name: &str, features: usize) -> [Param; 2] {
    [
        Param { name: format!("{name}.scale"), shape: vec![features], init: Init::Ones },
        Param { name: format!("{name}.bias"), shape: vec![features], init: Init::Zeros },
    ]
}
