//! The layers that models share, each a few ops: dense, layer normalisation, pooling, and what softmax is made of.

use super::{Init, Param};
use crate::graph::{Compare, Graph, NodeId, Unary};

/// x·W + b: `[n, in]`, `[in, out]` and `[out]` to `[n, out]`.
pub fn dense(g: &mut Graph, x: NodeId, kernel: NodeId, bias: NodeId) -> NodeId {
    let product = g.matmul(x, kernel);
    add_bias(g, product, bias)
}

/// x + b, b repeated along all axes but the last.
pub fn add_bias(g: &mut Graph, x: NodeId, bias: NodeId) -> NodeId {
    let shape = g.shape(x).to_vec();
    let bias = g.broadcast(bias, &shape, &[shape.len() - 1]);
    g.add(x, bias)
}

/// (x − mean)/√(variance + ε)·scale + bias over the last axis (Ba, Kiros and Hinton 2016).
pub fn layer_norm(g: &mut Graph, x: NodeId, scale: NodeId, bias: NodeId, epsilon: f32) -> NodeId {
    let shape = g.shape(x).to_vec();
    let last = shape.len() - 1;
    let mean_of = |g: &mut Graph, x: NodeId| {
        let sum = g.reduce_sum(x, &[last]);
        g.scale(sum, 1.0 / shape[last] as f32)
    };
    let mean = mean_of(g, x);
    let mean = g.broadcast_over(mean, &shape, &[last]);
    let centred = g.sub(x, mean);
    let square = g.mul(centred, centred);
    let variance = mean_of(g, square);
    let variance = g.offset(variance, epsilon);
    let inverse = g.unary(Unary::Rsqrt, variance);
    let inverse = g.broadcast_over(inverse, &shape, &[last]);
    let normed = g.mul(centred, inverse);
    let scale = g.broadcast(scale, &shape, &[last]);
    let scaled = g.mul(normed, scale);
    add_bias(g, scaled, bias)
}

/// What softmax and its logarithm are made of, over the last axis.
pub(super) struct Exponentials {
    /// x less its maximum.
    pub shifted: NodeId,
    /// e to that: at most 1.
    pub exp: NodeId,
    /// The sums of these over the last axis, which vanishes.
    pub sum: NodeId,
}

/// Exponentials that cannot overflow. The maximum only keeps them in range: neither softmax nor log-sum-exp depends on it,
/// so it needs no derivative.
pub(super) fn exponentials(g: &mut Graph, x: NodeId) -> Exponentials {
    let shape = g.shape(x).to_vec();
    let last = shape.len() - 1;
    let max = g.reduce_max(x, &[last]);
    let max = g.unary(Unary::StopGradient, max);
    let max = g.broadcast_over(max, &shape, &[last]);
    let shifted = g.sub(x, max);
    let exp = g.unary(Unary::Exp, shifted);
    let sum = g.reduce_sum(exp, &[last]);
    Exponentials { shifted, exp, sum }
}

/// `[n, height, width, channels]` as cells of size × size: `[n, rows, size, columns, size, channels]`. Rows and columns
/// that fill no cell are left out.
fn cells(g: &mut Graph, x: NodeId, size: usize) -> NodeId {
    let [n, height, width, channels] = g.shape(x)[..] else { panic!("images have four axes, not {:?}", g.shape(x)) };
    let (rows, columns) = (height / size, width / size);
    let whole = g.slice(x, &[0; 4], &[n, rows * size, columns * size, channels]);
    g.reshape(whole, &[n, rows, size, columns, size, channels])
}

/// The maximum of every cell of size × size: `[n, height, width, channels]` to `[n, height/size, width/size, channels]`.
/// The derivative of a cell flows to its first maximum in row-major order.
///
/// It is the sum over the cell of what a one-hot mask lets through, and the mask has no derivative: so every derivative
/// of it, of any order, is exact too.
pub fn max_pool(g: &mut Graph, x: NodeId, size: usize) -> NodeId {
    let cells = cells(g, x, size);
    let shape = g.shape(cells).to_vec();
    let [n, rows, _, columns, _, channels] = shape[..] else { unreachable!("cells have six axes") };
    let pooled = [n, rows, columns, channels];
    // Which element of its cell is the first maximum: every later one has to be larger.
    let mut best: Option<NodeId> = None;
    let mut which = g.full(0.0, &pooled);
    for (number, (i, j)) in (0..size).flat_map(|i| (0..size).map(move |j| (i, j))).enumerate() {
        let one = g.slice(cells, &[0, 0, i, 0, j, 0], &[n, rows, i + 1, columns, j + 1, channels]);
        let one = g.reshape(one, &pooled);
        let one = g.unary(Unary::StopGradient, one);
        best = Some(match best {
            None => one,
            Some(best) => {
                let larger = g.compare(Compare::Gt, one, best);
                let here = g.full(number as f32, &pooled);
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
    let row = g.scale(row, size as f32);
    let number = g.add(row, column);
    let first = g.compare(Compare::Eq, which, number);
    let zero = g.full(0.0, &shape);
    let through = g.select(first, cells, zero);
    g.reduce_sum(through, &[2, 4])
}

/// The mean of every cell of size × size, see [`max_pool`].
pub fn average_pool(g: &mut Graph, x: NodeId, size: usize) -> NodeId {
    let cells = cells(g, x, size);
    let sum = g.reduce_sum(cells, &[2, 4]);
    g.scale(sum, 1.0 / (size * size) as f32)
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
