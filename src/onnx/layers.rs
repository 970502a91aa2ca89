//! Products, convolutions, normalisations and softmax.

use super::call::{Call, Done, Value};
use super::elementwise::repeated;
use super::fold;
use super::parts::mean;
use super::pooling::Windows;
use crate::graph::{ConvSide, DotDims, Graph, NodeId, Op, Unary, Window, len};

pub(super) const OPS: &[&str] = &[
    "BatchNormalization",
    "Conv",
    "ConvTranspose",
    "Gemm",
    "GroupNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "LogSoftmax",
    "MatMul",
    "RMSNormalization",
    "Softmax",
];

/// The result of one of these operators.
pub(super) fn apply(call: &mut Call<'_>) -> Done {
    let y = match call.node.op.as_str() {
        "BatchNormalization" => batch_norm(call),
        "Conv" => conv(call),
        "ConvTranspose" => conv_transpose(call),
        "Gemm" => general_product(call),
        "GroupNormalization" => group_norm(call),
        "InstanceNormalization" => instance_norm(call),
        "LayerNormalization" => layer_norm(call),
        "RMSNormalization" => rms_norm(call),
        "MatMul" => matmul(call),
        _ => softmax(call),
    };
    y.map(|y| vec![Value::Node(y)])
}

/// α·A·B + β·C, with A and B transposed if the attributes ask for it.
fn general_product(call: &mut Call<'_>) -> Result<NodeId, String> {
    let (a, b) = (call.input(0)?, call.input(1)?);
    let [rows, columns] = [a, b].map(|x| call.g.shape(x).to_vec());
    let turned = |name: &str| usize::from(call.node.int(name, 0) != 0);
    let (of_a, of_b) = (1 - turned("transA"), turned("transB"));
    if rows.len() != 2 || columns.len() != 2 || rows[of_a] != columns[of_b] {
        return Err(format!("{rows:?} and {columns:?} cannot be multiplied"));
    }
    let (alpha, beta) = (call.node.float("alpha", 1.0), call.node.float("beta", 1.0));
    let dims = DotDims { lhs_contract: vec![of_a], rhs_contract: vec![of_b], ..DotDims::default() };
    let mut y = call.g.dot_general(a, b, dims);
    if alpha != 1.0 {
        y = call.g.scale(y, alpha);
    }
    if call.get(2).is_none() {
        return Ok(y);
    }
    let mut c = call.input(2)?;
    let shape = call.g.shape(y).to_vec();
    if fold::common(call.g.shape(c), &shape)? != shape {
        return Err(format!("{:?} cannot be added to {shape:?}", call.g.shape(c)));
    }
    if beta != 1.0 {
        c = call.g.scale(c, beta);
    }
    let c = repeated(call.g, c, &shape);
    Ok(call.g.add(y, c))
}

/// Products over the last two axes; the others are repeated by the rules of numpy.
fn matmul(call: &mut Call<'_>) -> Result<NodeId, String> {
    let (a, b) = (call.input(0)?, call.input(1)?);
    let g = &mut *call.g;
    let (mut rows, mut columns) = (g.shape(a).to_vec(), g.shape(b).to_vec());
    if rows.is_empty() || columns.is_empty() {
        return Err("it multiplies a single number".to_owned());
    }
    let (is_row, is_column) = (rows.len() == 1, columns.len() == 1);
    if is_row {
        rows.insert(0, 1);
    }
    if is_column {
        columns.push(1);
    }
    let (a, b) = (g.reshape(a, &rows), g.reshape(b, &columns));
    let inner = rows[rows.len() - 1];
    if inner != columns[columns.len() - 2] {
        return Err(format!("{rows:?} and {columns:?} cannot be multiplied"));
    }
    let (outer, width) = (rows[..rows.len() - 1].to_vec(), columns[columns.len() - 1]);
    let y = match columns.len() {
        // One matrix for all: a single product.
        2 => {
            let flat = g.reshape(a, &[len(&outer), inner]);
            let y = g.matmul(flat, b);
            g.reshape(y, &[&outer[..], &[width]].concat())
        }
        _ => {
            let batch = fold::common(&rows[..rows.len() - 2], &columns[..columns.len() - 2])?;
            let a = repeated(g, a, &[&batch[..], &rows[rows.len() - 2..]].concat());
            let b = repeated(g, b, &[&batch[..], &columns[columns.len() - 2..]].concat());
            let axes: Vec<usize> = (0..batch.len()).collect();
            let dims = DotDims {
                lhs_batch: axes.clone(),
                rhs_batch: axes,
                lhs_contract: vec![batch.len() + 1],
                rhs_contract: vec![batch.len()],
            };
            g.dot_general(a, b, dims)
        }
    };
    let mut shape = g.shape(y).to_vec();
    if is_column {
        shape.pop();
    }
    if is_row {
        shape.remove(shape.len() - 1 - usize::from(!is_column));
    }
    Ok(g.reshape(y, &shape))
}

/// A convolution along one or two axes, channels first, with groups and dilations: images `[n, in, positions…]` and
/// kernels `[out, in/groups, …]`.
fn conv(call: &mut Call<'_>) -> Result<NodeId, String> {
    let (image, kernel, groups) = convolved(call)?;
    let windows = Windows::of(call, &image, kernel.get(2..).unwrap_or_default())?;
    if kernel.len() != image.len()
        || Some(image[1]) != kernel[1].checked_mul(groups)
        || !kernel[0].is_multiple_of(groups)
    {
        return Err(format!("images {image:?} and kernels {kernel:?} in {groups} groups do not fit together"));
    }
    side(call, ConvSide::Output, groups, &windows)
}

/// The derivative of a convolution by its input: values `[n, in, positions…]` spread by kernels `[in, out/groups, …]`.
fn conv_transpose(call: &mut Call<'_>) -> Result<NodeId, String> {
    let (image, kernel, groups) = convolved(call)?;
    let windows = Windows::of_spread(call, &image, kernel.get(2..).unwrap_or_default())?;
    if kernel.len() != image.len() || image[1] != kernel[0] || !image[1].is_multiple_of(groups) {
        return Err(format!("values {image:?} and kernels {kernel:?} in {groups} groups do not fit together"));
    }
    side(call, ConvSide::Input, groups, &windows)
}

/// The shapes of the operands of a convolution, and its groups.
fn convolved(call: &mut Call<'_>) -> Result<(Vec<usize>, Vec<usize>, usize), String> {
    let (x, w) = (call.input(0)?, call.input(1)?);
    let groups = usize::try_from(call.node.int("group", 1)).ok().filter(|&groups| groups > 0);
    Ok((call.g.shape(x).to_vec(), call.g.shape(w).to_vec(), groups.ok_or("its groups are none")?))
}

/// The output of a convolution from its input, or the input from its output, channels first, whose operands fit; with a
/// bias if there is one.
fn side(call: &mut Call<'_>, of: ConvSide, groups: usize, windows: &Windows) -> Result<NodeId, String> {
    let (x, w) = (call.input(0)?, call.input(1)?);
    let g = &mut *call.g;
    let (image, kernel) = (g.shape(x).to_vec(), g.shape(w).to_vec());
    // Of a kernel [groups · a, b, height, width], a are the channels of the output, and b those of the input.
    let (n, a, b) = (image[0], kernel[0] / groups, kernel[1]);
    let is_output = of == ConvSide::Output;
    let ([height, width], [high, wide]) =
        if is_output { (windows.input, windows.output) } else { (windows.output, windows.input) };
    let (channels, results) = if is_output { (b, a) } else { (a, b) };
    // [n, groups · channels, height, width] to [groups, n, height, width, channels].
    let x = g.reshape(x, &[n, groups, channels, height, width]);
    let x = g.transpose(x, &[1, 0, 3, 4, 2]);
    // [groups · a, b, height, width] to [groups, height, width, b, a].
    let [rows, columns] = windows.kernel;
    let w = g.reshape(w, &[groups, a, b, rows, columns]);
    let w = g.transpose(w, &[0, 3, 4, 2, 1]);
    let (w, size) = dilated(g, w, windows.dilation);
    let &Windows { input, output, stride, low, .. } = windows;
    let window = Window { input, kernel: size, output, stride, low };
    // A single group needs no axis of its own.
    let strip = |g: &mut Graph, x: NodeId| {
        let shape = g.shape(x).to_vec();
        if groups == 1 { g.reshape(x, &shape[1..]) } else { x }
    };
    let (x, w) = (strip(g, x), strip(g, w));
    let operands = if is_output { [x, w] } else { [w, x] };
    let y = g.push(Op::Conv { of, window }, &operands);
    let y = g.reshape(y, &[groups, n, high, wide, results]);
    let y = g.transpose(y, &[1, 0, 4, 2, 3]);
    let mut shape = vec![n, groups * results, high, wide];
    if image.len() == 3 {
        shape.remove(2);
    }
    let y = g.reshape(y, &shape);
    if call.get(2).is_none() {
        return Ok(y);
    }
    let bias = call.input(2)?;
    per_channel(call.g, bias, &shape).map(|bias| call.g.add(y, bias))
}

/// Kernels `[groups, height, width, in, out]` with zeros between their positions, and their new size.
fn dilated(g: &mut Graph, w: NodeId, dilation: [usize; 2]) -> (NodeId, [usize; 2]) {
    let shape = g.shape(w).to_vec();
    if dilation == [1, 1] {
        return (w, [shape[1], shape[2]]);
    }
    let [rows, columns] = dilation;
    let apart = g.reshape(w, &[shape[0], shape[1], 1, shape[2], 1, shape[3], shape[4]]);
    let padded = g.pad(apart, &[0; 7], &[0, 0, rows - 1, 0, columns - 1, 0, 0]);
    let full = g.reshape(padded, &[shape[0], shape[1] * rows, shape[2] * columns, shape[3], shape[4]]);
    let size = [(shape[1] - 1) * rows + 1, (shape[2] - 1) * columns + 1];
    (g.slice(full, &[0; 5], &[shape[0], size[0], size[1], shape[3], shape[4]]), size)
}

/// One number for each channel, axis 1 of `shape`, repeated along all others.
fn per_channel(g: &mut Graph, x: NodeId, shape: &[usize]) -> Result<NodeId, String> {
    match g.shape(x) {
        &[channels] if shape.get(1) == Some(&channels) => Ok(g.broadcast(x, shape, &[1])),
        other => Err(format!("its channels have shape {other:?} for values of shape {shape:?}")),
    }
}

/// (x − mean)/√(variance + ε) over the given axes.
fn normalised(g: &mut Graph, x: NodeId, axes: &[usize], epsilon: f64) -> NodeId {
    let shape = g.shape(x).to_vec();
    let centre = mean(g, x, axes);
    let centre = g.broadcast_over(centre, &shape, axes);
    let centred = g.sub(x, centre);
    let square = g.mul(centred, centred);
    let variance = mean(g, square, axes);
    let variance = g.offset(variance, epsilon);
    let inverse = g.unary(Unary::Rsqrt, variance);
    let inverse = g.broadcast_over(inverse, &shape, axes);
    g.mul(centred, inverse)
}

/// Scale and bias by channel, axis 1 of `shape`.
fn affine(g: &mut Graph, x: NodeId, scale: NodeId, bias: NodeId, shape: &[usize]) -> Result<NodeId, String> {
    let (scale, bias) = (per_channel(g, scale, shape)?, per_channel(g, bias, shape)?);
    let scaled = g.mul(x, scale);
    Ok(g.add(scaled, bias))
}

/// Batch normalisation with the statistics of the file.
fn batch_norm(call: &mut Call<'_>) -> Result<NodeId, String> {
    if call.node.int("training_mode", 0) != 0 || call.node.outputs.len() > 1 || call.node.int("spatial", 1) == 0 {
        return Err("it takes the statistics of the batch, and then the loss is no mean over examples; export with \
                    training=TrainingMode.PRESERVE after model.eval()"
            .to_owned());
    }
    let epsilon = call.node.float("epsilon", 1e-5);
    let (x, scale, bias) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let (mean, variance) = (call.input(3)?, call.input(4)?);
    let g = &mut *call.g;
    let shape = g.shape(x).to_vec();
    let variance = g.offset(variance, epsilon);
    let inverse = g.unary(Unary::Rsqrt, variance);
    let (mean, inverse) = (per_channel(g, mean, &shape)?, per_channel(g, inverse, &shape)?);
    let centred = g.sub(x, mean);
    let normed = g.mul(centred, inverse);
    affine(g, normed, scale, bias, &shape)
}

fn instance_norm(call: &mut Call<'_>) -> Result<NodeId, String> {
    let epsilon = call.node.float("epsilon", 1e-5);
    let (x, scale, bias) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let shape = call.g.shape(x).to_vec();
    let axes: Vec<usize> = (2..shape.len()).collect();
    let normed = normalised(call.g, x, &axes, epsilon);
    affine(call.g, normed, scale, bias, &shape)
}

/// Normalisation of groups of channels. Scale and bias are by channel from version 21 on, and by group before it.
fn group_norm(call: &mut Call<'_>) -> Result<NodeId, String> {
    let epsilon = call.node.float("epsilon", 1e-5);
    let (x, scale, bias) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let shape = call.g.shape(x).to_vec();
    let groups = usize::try_from(call.node.int("num_groups", 0)).unwrap_or(0);
    if groups == 0 || shape.len() < 3 || !shape[1].is_multiple_of(groups) {
        return Err(format!("it has {groups} groups for values of shape {shape:?}"));
    }
    let grouped: Vec<usize> = [&[shape[0], groups, shape[1] / groups], &shape[2..]].concat();
    let apart = call.g.reshape(x, &grouped);
    let axes: Vec<usize> = (2..grouped.len()).collect();
    let normed = normalised(call.g, apart, &axes, epsilon);
    let of_groups = call.g.shape(scale) == [groups] && call.opset < 21;
    let to = if of_groups { &grouped } else { &shape };
    let normed = call.g.reshape(normed, to);
    let y = affine(call.g, normed, scale, bias, to)?;
    Ok(call.g.reshape(y, &shape))
}

fn layer_norm(call: &mut Call<'_>) -> Result<NodeId, String> {
    let epsilon = call.node.float("epsilon", 1e-5);
    let (x, scale) = (call.input(0)?, call.input(1)?);
    let shape = call.g.shape(x).to_vec();
    let axis = Call::axis(call.node.int("axis", -1), shape.len())?;
    let axes: Vec<usize> = (axis..shape.len()).collect();
    let normed = normalised(call.g, x, &axes, epsilon);
    let bias = if call.get(2).is_some() { Some(call.input(2)?) } else { None };
    let fits = |x: NodeId| fold::common(call.g.shape(x), &shape).is_ok_and(|common| common == shape);
    if !fits(scale) || bias.is_some_and(|bias| !fits(bias)) {
        return Err(format!("its scale or bias does not fit values of shape {shape:?}"));
    }
    let scale = repeated(call.g, scale, &shape);
    let scaled = call.g.mul(normed, scale);
    Ok(match bias {
        Some(bias) => {
            let bias = repeated(call.g, bias, &shape);
            call.g.add(scaled, bias)
        }
        None => scaled,
    })
}

/// x/√(mean of x² + ε) over the last axes, times a scale.
fn rms_norm(call: &mut Call<'_>) -> Result<NodeId, String> {
    let epsilon = call.node.float("epsilon", 1e-5);
    let (x, scale) = (call.input(0)?, call.input(1)?);
    let g = &mut *call.g;
    let shape = g.shape(x).to_vec();
    let axis = Call::axis(call.node.int("axis", -1), shape.len())?;
    let axes: Vec<usize> = (axis..shape.len()).collect();
    if !fold::common(g.shape(scale), &shape).is_ok_and(|common| common == shape) {
        return Err(format!("its scale does not fit values of shape {shape:?}"));
    }
    let square = g.mul(x, x);
    let power = mean(g, square, &axes);
    let power = g.offset(power, epsilon);
    let inverse = g.unary(Unary::Rsqrt, power);
    let inverse = g.broadcast_over(inverse, &shape, &axes);
    let normed = g.mul(x, inverse);
    let scale = repeated(g, scale, &shape);
    Ok(g.mul(normed, scale))
}

/// Softmax or its logarithm over one axis; before version 13 over all axes from this one on.
fn softmax(call: &mut Call<'_>) -> Result<NodeId, String> {
    let x = call.input(0)?;
    let shape = call.g.shape(x).to_vec();
    let is_old = call.opset < 13;
    let axis = Call::axis(call.node.int("axis", if is_old { 1 } else { -1 }), shape.len())?;
    let axes: Vec<usize> = if is_old { (axis..shape.len()).collect() } else { vec![axis] };
    if axes.iter().any(|&axis| shape[axis] == 0) {
        return Err("it has an empty axis".to_owned());
    }
    let is_log = call.node.op == "LogSoftmax";
    let g = &mut *call.g;
    // The maximum only keeps the exponentials in range, and needs no derivative.
    let max = g.reduce_max(x, &axes);
    let max = g.unary(Unary::StopGradient, max);
    let max = g.broadcast_over(max, &shape, &axes);
    let shifted = g.sub(x, max);
    let exp = g.unary(Unary::Exp, shifted);
    let sum = g.reduce_sum(exp, &axes);
    Ok(if is_log {
        let log = g.unary(Unary::Log, sum);
        let log = g.broadcast_over(log, &shape, &axes);
        g.sub(shifted, log)
    } else {
        let sum = g.broadcast_over(sum, &shape, &axes);
        g.div(exp, sum)
    })
}
