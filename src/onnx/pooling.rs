//! Windows over positions, and the largest or mean value in them.

use super::call::{Call, Done, Value};
use super::elementwise::repeated;
use super::parts::{kept, mean, strided};
use crate::graph::{Compare, Graph, NodeId, Unary, len};
use crate::text::visible;

pub(super) const OPS: &[&str] = &["AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool"];

/// The most positions of a window: each is compared by itself.
const MOST_POSITIONS: usize = 256;

/// The largest kernel, stride, dilation and padding.
const LARGEST: usize = 1 << 20;

/// The windows of an operator, per axis (height, width); sequences have height 1.
pub(super) struct Windows {
    pub input: [usize; 2],
    pub kernel: [usize; 2],
    pub output: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    pub low: [usize; 2],
}

impl Windows {
    /// By the attributes of a node, for values of shape [n, channels, positions…].
    pub fn of(call: &Call<'_>, shape: &[usize], kernel: &[usize]) -> Result<Self, String> {
        let axes = shape.len().saturating_sub(2);
        let is_sound = |size: &usize| (1..=LARGEST).contains(size);
        if !(1..=2).contains(&axes) || kernel.len() != axes || !kernel.iter().all(is_sound) || shape.contains(&0) {
            return Err(format!("its values have shape {shape:?}; one or two axes of positions are read"));
        }
        let list = |name: &str, len: usize, least: usize| -> Result<Vec<usize>, String> {
            let Some(values) = call.node.ints(name) else { return Ok(vec![least; len]) };
            let sizes: Option<Vec<usize>> = values.iter().map(|&value| usize::try_from(value).ok()).collect();
            sizes
                .filter(|it| it.len() == len && it.iter().all(|size| (least..=LARGEST).contains(size)))
                .ok_or_else(|| format!("its `{name}` are {values:?}"))
        };
        let (stride, dilation, pads) =
            (list("strides", axes, 1)?, list("dilations", axes, 1)?, list("pads", 2 * axes, 0)?);
        let pad_mode = call.node.text("auto_pad").unwrap_or_default();
        let is_ceil = call.node.int("ceil_mode", 0) != 0;
        let mut windows =
            Self { input: [1; 2], kernel: [1; 2], output: [1; 2], stride: [1; 2], dilation: [1; 2], low: [0; 2] };
        for axis in 0..axes {
            let at = 2 - axes + axis;
            let (size, reach) = (shape[2 + axis], (kernel[axis] - 1) * dilation[axis] + 1);
            let (output, low) = match pad_mode.as_str() {
                "" | "NOTSET" | "VALID" => {
                    let (low, high) = if pad_mode == "VALID" { (0, 0) } else { (pads[axis], pads[axes + axis]) };
                    let room =
                        (size + low + high).checked_sub(reach).ok_or("its windows are larger than its values")?;
                    let full = room / stride[axis] + 1;
                    // A window must begin within the values or the zeros before them.
                    let more = is_ceil && room % stride[axis] > 0 && full * stride[axis] < size + low;
                    (full + usize::from(more), low)
                }
                "SAME_UPPER" | "SAME_LOWER" => {
                    let output = size.div_ceil(stride[axis]);
                    let zeros = (output.saturating_sub(1) * stride[axis] + reach).saturating_sub(size);
                    (output, if pad_mode == "SAME_UPPER" { zeros / 2 } else { zeros.div_ceil(2) })
                }
                other => return Err(format!("its auto_pad is `{other}`")),
            };
            windows.input[at] = size;
            windows.kernel[at] = kernel[axis];
            windows.output[at] = output;
            windows.stride[at] = stride[axis];
            windows.dilation[at] = dilation[axis];
            windows.low[at] = low;
        }
        Ok(windows)
    }

    /// Those of a transposed convolution: the values are the outputs of windows over the result.
    pub fn of_spread(call: &Call<'_>, shape: &[usize], kernel: &[usize]) -> Result<Self, String> {
        let axes = shape.len().saturating_sub(2);
        let is_sound = |size: &usize| (1..=LARGEST).contains(size);
        if !(1..=2).contains(&axes) || kernel.len() != axes || !kernel.iter().chain(&shape[2..]).all(is_sound) {
            return Err(format!("its values have shape {shape:?}; one or two axes of positions are read"));
        }
        let list = |name: &str, usual: usize, least: usize, len: usize| -> Result<Vec<usize>, String> {
            let Some(values) = call.node.ints(name) else { return Ok(vec![usual; len]) };
            let sizes: Option<Vec<usize>> = values.iter().map(|&value| usize::try_from(value).ok()).collect();
            sizes
                .filter(|it| it.len() == len && it.iter().all(|size| (least..=LARGEST).contains(size)))
                .ok_or_else(|| format!("its `{name}` are {values:?}"))
        };
        let (stride, dilation) = (list("strides", 1, 1, axes)?, list("dilations", 1, 1, axes)?);
        let (more, pads) = (list("output_padding", 0, 0, axes)?, list("pads", 0, 0, 2 * axes)?);
        let wanted = call.node.ints("output_shape").filter(|sizes| !sizes.is_empty());
        let wanted = wanted.map(|_| list("output_shape", 1, 1, axes)).transpose()?;
        let mode = call.node.text("auto_pad").unwrap_or_default();
        let mut windows =
            Self { input: [1; 2], kernel: [1; 2], output: [1; 2], stride: [1; 2], dilation: [1; 2], low: [0; 2] };
        for axis in 0..axes {
            let at = 2 - axes + axis;
            let full = stride[axis] * (shape[2 + axis] - 1) + more[axis] + (kernel[axis] - 1) * dilation[axis] + 1;
            let by_size = |size: usize, at_start: bool| {
                let zeros = full.saturating_sub(size);
                (size, if at_start { zeros / 2 } else { zeros.div_ceil(2) })
            };
            let (size, low) = match (mode.as_str(), &wanted) {
                (_, Some(sizes)) => by_size(sizes[axis], mode == "SAME_UPPER"),
                ("" | "NOTSET", None) => {
                    let size = full.checked_sub(pads[axis] + pads[axes + axis]).filter(|&size| size > 0);
                    (size.ok_or("its pads leave nothing")?, pads[axis])
                }
                ("VALID", None) => (full, 0),
                ("SAME_UPPER" | "SAME_LOWER", None) => {
                    by_size(shape[2 + axis].saturating_mul(stride[axis]), mode == "SAME_UPPER")
                }
                (other, None) => return Err(format!("its auto_pad is `{}`", visible(other))),
            };
            windows.input[at] = size;
            windows.kernel[at] = kernel[axis];
            windows.output[at] = shape[2 + axis];
            windows.stride[at] = stride[axis];
            windows.dilation[at] = dilation[axis];
            windows.low[at] = low;
        }
        Ok(windows)
    }

    /// Rows and columns between the first zero and the end of the last window.
    fn reach(&self) -> [usize; 2] {
        std::array::from_fn(|at| {
            (self.output[at] - 1) * self.stride[at] + (self.kernel[at] - 1) * self.dilation[at] + 1
        })
    }

    /// 1 at each position, `[1, 1, height, width]`.
    fn ones(&self, g: &mut Graph) -> NodeId {
        g.full(1.0, &[1, 1, self.input[0], self.input[1]])
    }

    /// `[n, channels, height, width]` with zeros around, as far as windows reach.
    fn padded(&self, g: &mut Graph, x: NodeId) -> NodeId {
        let reach = self.reach();
        let high: [usize; 2] = std::array::from_fn(|at| reach[at].saturating_sub(self.input[at] + self.low[at]));
        g.pad(x, &[0, 0, self.low[0], self.low[1]], &[0, 0, high[0], high[1]])
    }

    /// For each position of the window, the values there: `[n, channels, height', width']`.
    fn views(&self, g: &mut Graph, padded: NodeId) -> Vec<NodeId> {
        let mut views = vec![];
        for row in 0..self.kernel[0] {
            let rows = strided(g, padded, 2, row * self.dilation[0], self.stride[0], self.output[0]);
            for column in 0..self.kernel[1] {
                views.push(strided(g, rows, 3, column * self.dilation[1], self.stride[1], self.output[1]));
            }
        }
        views
    }
}

/// The result of one of these operators.
pub(super) fn apply(call: &mut Call<'_>) -> Done {
    let y = match call.node.op.as_str() {
        "AveragePool" | "MaxPool" => pool(call),
        _ => global(call),
    };
    y.map(|y| vec![Value::Node(y)])
}

fn global(call: &mut Call<'_>) -> Result<NodeId, String> {
    let x = call.input(0)?;
    let shape = call.g.shape(x).to_vec();
    let axes: Vec<usize> = (2..shape.len()).collect();
    if axes.is_empty() || axes.iter().any(|&axis| shape[axis] == 0) {
        return Err(format!("its values have shape {shape:?}"));
    }
    let g = &mut *call.g;
    let y = if call.node.op == "GlobalMaxPool" { g.reduce_max(x, &axes) } else { mean(g, x, &axes) };
    Ok(g.reshape(y, &kept(&shape, &axes)))
}

fn pool(call: &mut Call<'_>) -> Result<NodeId, String> {
    if call.node.outputs.len() > 1 {
        return Err("it returns the places of the maxima too, which are not read".to_owned());
    }
    let x = call.input(0)?;
    let shape = call.g.shape(x).to_vec();
    let kernel = call.node.ints("kernel_shape").ok_or("its kernel_shape is missing")?;
    let kernel: Option<Vec<usize>> = kernel.iter().map(|&size| usize::try_from(size).ok()).collect();
    let kernel = kernel.ok_or("its kernel_shape is negative")?;
    let windows = Windows::of(call, &shape, &kernel)?;
    if len(&windows.kernel) > MOST_POSITIONS {
        return Err(format!("its windows have more than {MOST_POSITIONS} positions"));
    }
    let counts_zeros = call.node.int("count_include_pad", 0) != 0;
    let is_max = call.node.op == "MaxPool";
    let g = &mut *call.g;
    let [height, width] = windows.input;
    let x = g.reshape(x, &[shape[0], shape[1], height, width]);
    let y = if is_max { maxima(g, &windows, x) } else { means(g, &windows, x, counts_zeros) };
    let mut result = vec![shape[0], shape[1], windows.output[0], windows.output[1]];
    if shape.len() == 3 {
        result.remove(2);
    }
    Ok(g.reshape(y, &result))
}

/// The sum over the window under a one-hot mask of its first maximum, which has no derivative.
fn maxima(g: &mut Graph, windows: &Windows, x: NodeId) -> NodeId {
    let padded = windows.padded(g, x);
    let all = windows.views(g, padded);
    // 1 at positions of values and 0 at the zeros around them.
    let ones = windows.ones(g);
    let mask = windows.padded(g, ones);
    let there = windows.views(g, mask);
    let shape = g.shape(all[0]).to_vec();
    let zero = g.full(0.0, &shape);
    // Below every value that is not a zero around the image.
    let lowest = g.full(f64::from(f32::MIN), &shape);
    let candidate = |g: &mut Graph, view: NodeId, there: NodeId| {
        let there = repeated(g, there, &shape);
        let is_there = g.compare(Compare::Gt, there, zero);
        let view = g.unary(Unary::StopGradient, view);
        g.select(is_there, view, lowest)
    };
    let mut best = lowest;
    let mut which = g.full(-1.0, &shape);
    for (number, (&view, &there)) in all.iter().zip(&there).enumerate() {
        let value = candidate(g, view, there);
        let larger = g.compare(Compare::Gt, value, best);
        let here = g.full(number as f64, &shape);
        which = g.select(larger, here, which);
        best = g.select(larger, value, best);
    }
    all.iter().enumerate().fold(zero, |sum, (number, &view)| {
        let here = g.full(number as f64, &shape);
        let chosen = g.compare(Compare::Eq, which, here);
        let part = g.select(chosen, view, zero);
        g.add(sum, part)
    })
}

fn means(g: &mut Graph, windows: &Windows, x: NodeId, counts_zeros: bool) -> NodeId {
    let sum = |g: &mut Graph, x: NodeId| {
        let padded = windows.padded(g, x);
        let views = windows.views(g, padded);
        let first = views[0];
        views[1..].iter().fold(first, |sum, &view| g.add(sum, view))
    };
    let total = sum(g, x);
    let shape = g.shape(total).to_vec();
    if counts_zeros || windows.low == [0, 0] && (0..2).all(|at| windows.reach()[at] <= windows.input[at]) {
        return g.scale(total, 1.0 / len(&windows.kernel) as f64);
    }
    let ones = windows.ones(g);
    let counts = sum(g, ones);
    let counts = repeated(g, counts, &shape);
    g.div(total, counts)
}
