//! Operators that add, repeat, move or interpolate positions along axes: Pad, Tile, Resize, and blocks to and from
//! channels.

use super::array::sizes;
use super::call::{Call, Done, Value};
use super::fold::{places, strides};
use super::parts::{strided, taken_at};
use crate::graph::{Compare, DotDims, Graph, NodeId};
use crate::text::visible;

pub(super) const OPS: &[&str] = &["DepthToSpace", "Pad", "Resize", "SpaceToDepth", "Tile", "Upsample"];

/// The longest axis of a result.
const LONGEST: usize = 1 << 24;

/// The result of one of these operators.
pub(super) fn apply(call: &mut Call<'_>) -> Done {
    let value = match call.node.op.as_str() {
        "Pad" => pad(call).map(Value::Node),
        "Tile" => tile(call),
        "Resize" | "Upsample" => resize(call).map(Value::Node),
        _ => blocks(call).map(Value::Node),
    };
    value.map(|value| vec![value])
}

fn pad(call: &mut Call<'_>) -> Result<NodeId, String> {
    let mut x = call.input(0)?;
    let mut shape = call.g.shape(x).to_vec();
    let pads = call.list(1, "pads")?.ok_or("its pads are missing")?;
    let axes = match call.get(3) {
        Some(_) => Call::axes(&call.whole(3)?, shape.len())?,
        None => (0..shape.len()).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(format!("its pads are {pads:?} for {} axes", axes.len()));
    }
    let value = if call.get(2).is_some() { call.number(2)? } else { call.node.float("value", 0.0) };
    let mode = call.node.text("mode").unwrap_or_else(|| "constant".to_owned());
    for (i, &axis) in axes.iter().enumerate() {
        let (size, ends) = (shape[axis] as i64, [pads[i], pads[axes.len() + i]]);
        let sum = ends.iter().fold(size, |sum, &end| sum.saturating_add(end));
        if !(0..=LONGEST as i64).contains(&sum) || ends.iter().any(|&end| end.saturating_add(size) < 0) {
            return Err(format!("its pads are {pads:?} for values of shape {shape:?}"));
        }
        x = match mode.as_str() {
            "constant" => with_constant(call.g, x, axis, ends, value),
            "reflect" | "edge" | "wrap" if size == 0 => return Err("it pads an empty axis".to_owned()),
            "reflect" | "edge" | "wrap" => {
                let period = (2 * (size - 1)).max(1);
                let place = |at: i64| match mode.as_str() {
                    "edge" => at.clamp(0, size - 1),
                    "wrap" => at.rem_euclid(size),
                    _ => size - 1 - (at.rem_euclid(period) - (size - 1)).abs(),
                };
                let places: Vec<usize> = (-ends[0]..size + ends[1]).map(|at| place(at) as usize).collect();
                taken_at(call.g, x, axis, &places)?
            }
            other => return Err(format!("its mode is `{}`", visible(other))),
        };
        shape[axis] = sum as usize;
    }
    Ok(x)
}

/// Elements of one value before and after an axis; negative counts take elements away.
fn with_constant(g: &mut Graph, x: NodeId, axis: usize, ends: [i64; 2], value: f64) -> NodeId {
    let shape = g.shape(x).to_vec();
    let [low, high] = ends.map(|end| end.max(0) as usize);
    let [less_low, less_high] = ends.map(|end| (-end.min(0)) as usize);
    let x = strided(g, x, axis, less_low, 1, shape[axis] - less_low - less_high);
    let zeros = |count: usize| (0..shape.len()).map(|other| if other == axis { count } else { 0 }).collect::<Vec<_>>();
    let padded = g.pad(x, &zeros(low), &zeros(high));
    if value == 0.0 {
        return padded;
    }
    let inner = g.shape(x).to_vec();
    let there = g.full(1.0, &inner);
    let there = g.pad(there, &zeros(low), &zeros(high));
    let full = g.shape(padded).to_vec();
    let half = g.full(0.5, &full);
    let is_there = g.compare(Compare::Gt, there, half);
    let around = g.full(super::call::finite(value), &full);
    g.select(is_there, padded, around)
}

/// Whole copies, one after the other, along every axis.
fn tile(call: &mut Call<'_>) -> Result<Value, String> {
    let (shape, repeats) = (call.shape(0)?, sizes(&call.whole(1)?)?);
    if repeats.len() != shape.len() {
        return Err(format!("its repeats are {repeats:?} for values of shape {shape:?}"));
    }
    let times = |(&size, &count): (&usize, &usize)| size.checked_mul(count).filter(|&size| size <= LONGEST);
    let result: Option<Vec<usize>> = shape.iter().zip(&repeats).map(times).collect();
    let result = result.ok_or("its result is too large")?;
    if let Value::Known(array, None) = call.value(0)? {
        let own = strides(&shape);
        let apart: Vec<usize> = repeats.iter().zip(&shape).flat_map(|(&count, &size)| [count, size]).collect();
        let steps: Vec<usize> = own.iter().flat_map(|&step| [0, step]).collect();
        let elements = array.elements.at(&places(&apart, &steps, 0)?);
        return Ok(Value::known(super::array::Array { shape: result, elements }));
    }
    let x = call.input(0)?;
    let apart: Vec<usize> = repeats.iter().zip(&shape).flat_map(|(&count, &size)| [count, size]).collect();
    let dims: Vec<usize> = (0..shape.len()).map(|axis| 2 * axis + 1).collect();
    let copies = call.g.broadcast(x, &apart, &dims);
    Ok(Value::Node(call.g.reshape(copies, &result)))
}

/// Blocks of positions as channels, or the reverse.
fn blocks(call: &mut Call<'_>) -> Result<NodeId, String> {
    let shape = call.shape(0)?;
    let &[n, channels, height, width] = &shape[..] else {
        return Err(format!("its values have shape {shape:?}; four axes are read"));
    };
    let block = usize::try_from(call.node.int("blocksize", 0)).unwrap_or(0);
    let area = block.checked_mul(block).filter(|&area| area > 0 && area <= LONGEST);
    let area = area.ok_or_else(|| format!("its blocks have the size {block}"))?;
    let x = call.input(0)?;
    let g = &mut *call.g;
    if call.node.op == "SpaceToDepth" {
        if !height.is_multiple_of(block) || !width.is_multiple_of(block) {
            return Err(format!("blocks of {block} do not fit values of shape {shape:?}"));
        }
        let (rows, columns) = (height / block, width / block);
        let apart = g.reshape(x, &[n, channels, rows, block, columns, block]);
        let turned = g.transpose(apart, &[0, 3, 5, 1, 2, 4]);
        return Ok(g.reshape(turned, &[n, channels * area, rows, columns]));
    }
    if !channels.is_multiple_of(area) {
        return Err(format!("blocks of {block} do not fit values of shape {shape:?}"));
    }
    let depth = channels / area;
    let turned = match call.node.text("mode").as_deref() {
        Some("CRD") => {
            let apart = g.reshape(x, &[n, depth, block, block, height, width]);
            g.transpose(apart, &[0, 1, 4, 2, 5, 3])
        }
        None | Some("DCR") => {
            let apart = g.reshape(x, &[n, block, block, depth, height, width]);
            g.transpose(apart, &[0, 3, 4, 1, 5, 2])
        }
        Some(other) => return Err(format!("its mode is `{}`", visible(other))),
    };
    Ok(g.reshape(turned, &[n, depth, height * block, width * block]))
}

/// Where an axis of a resized value is read.
struct Resampled<'a> {
    size: usize,
    result: usize,
    scale: f64,
    /// The rule from places of the result to those of the operand.
    rule: &'a str,
}

impl Resampled<'_> {
    /// The place that element `at` of the result has in the operand, as factor and offset of `at`.
    fn line(&self) -> Result<[f64; 2], String> {
        let (size, result) = (self.size as f64, self.result as f64);
        Ok(match self.rule {
            "asymmetric" => [1.0 / self.scale, 0.0],
            "align_corners" if self.result > 1 => [(size - 1.0) / (result - 1.0), 0.0],
            "align_corners" => [0.0, 0.0],
            "pytorch_half_pixel" if self.result <= 1 => [0.0, 0.0],
            "half_pixel" | "pytorch_half_pixel" => [1.0 / self.scale, 0.5 / self.scale - 0.5],
            "half_pixel_symmetric" => {
                let adjusted = (1.0 - result / (self.scale * size)) * size / 2.0;
                [1.0 / self.scale, 0.5 / self.scale - 0.5 + adjusted]
            }
            other => return Err(format!("its coordinate_transformation_mode is `{}`", visible(other))),
        })
    }

    fn nearest(&self, g: &mut Graph, x: NodeId, axis: usize, rounding: &str) -> Result<NodeId, String> {
        let [factor, offset] = self.line()?;
        let place = |at: usize| {
            let place = factor * at as f64 + offset;
            // Within rounding of a whole number or a half, it is meant to be one.
            let place = (place * 1e9).round() / 1e9;
            let place = match rounding {
                "floor" => place.floor(),
                "ceil" => place.ceil(),
                "round_prefer_ceil" => (place + 0.5).floor(),
                _ => (place - 0.5).ceil(),
            };
            place.clamp(0.0, self.size as f64 - 1.0) as usize
        };
        let places: Vec<usize> = (0..self.result).map(place).collect();
        let (shape, times) = (g.shape(x).to_vec(), self.result / self.size);
        if self.result == times * self.size && places.iter().enumerate().all(|(at, &place)| place == at / times) {
            // Every element, so many times.
            let dims: Vec<usize> = (0..shape.len()).map(|other| other + usize::from(other > axis)).collect();
            let apart = [&shape[..=axis], &[times], &shape[axis + 1..]].concat();
            let copies = g.broadcast(x, &apart, &dims);
            return Ok(g.reshape(copies, &[&shape[..axis], &[self.result], &shape[axis + 1..]].concat()));
        }
        let step = if places.len() > 1 { places[1].saturating_sub(places[0]) } else { 1 };
        if step > 0 && places.windows(2).all(|pair| pair[0] + step == pair[1]) {
            return Ok(strided(g, x, axis, places[0], step, self.result));
        }
        taken_at(g, x, axis, &places)
    }

    /// A product with the matrix max(0, 1 − |place − i|), in which each place has the weights of its two neighbours.
    fn linear(&self, g: &mut Graph, x: NodeId, axis: usize) -> Result<NodeId, String> {
        let [factor, offset] = self.line()?;
        let (rank, table) = (g.shape(x).len(), [self.size, self.result]);
        let [row, column] = [0, 1].map(|axis| {
            let count = g.iota(&table, axis);
            g.to_f32(count)
        });
        let place = g.scale(column, factor);
        let place = g.offset(place, offset);
        let [first, last] = [0.0, self.size as f64 - 1.0].map(|end| g.full(end, &table));
        let place = g.max(place, first);
        let beyond = g.compare(Compare::Gt, place, last);
        let place = g.select(beyond, last, place);
        let [forth, back] = [g.sub(place, row), g.sub(row, place)];
        let distance = g.max(forth, back);
        let minus = g.neg(distance);
        let weight = g.offset(minus, 1.0);
        let zero = g.full(0.0, &table);
        let weight = g.max(weight, zero);
        let dims = DotDims { lhs_contract: vec![axis], rhs_contract: vec![0], ..DotDims::default() };
        // The axis comes last.
        let y = g.dot_general(x, weight, dims);
        let perm: Vec<usize> = (0..rank)
            .map(|other| match other {
                _ if other == axis => rank - 1,
                _ if other > axis => other - 1,
                _ => other,
            })
            .collect();
        Ok(g.transpose(y, &perm))
    }
}

fn resize(call: &mut Call<'_>) -> Result<NodeId, String> {
    let mut x = call.input(0)?;
    let shape = call.g.shape(x).to_vec();
    let is_new = call.node.op == "Resize" && call.opset >= 11;
    let axes = match call.node.ints("axes") {
        Some(axes) => Call::axes(&axes, shape.len())?,
        None => (0..shape.len()).collect(),
    };
    if call.node.text("keep_aspect_ratio_policy").is_some_and(|policy| policy != "stretch")
        || call.node.int("antialias", 0) != 0
    {
        return Err("it keeps an aspect ratio or filters, which is not read".to_owned());
    }
    let given = |call: &Call<'_>, at: usize| -> Result<Option<Vec<f64>>, String> {
        let Some(_) = call.get(at) else { return Ok(None) };
        Ok(Some(call.array(at)?.elements.numbers()).filter(|numbers| !numbers.is_empty()))
    };
    let scales = match (given(call, if is_new { 2 } else { 1 })?, call.node.attribute("scales")) {
        (None, Some(it)) => Some(it.floats.iter().map(|&scale| scale.into()).collect()),
        (scales, _) => scales,
    };
    let wanted = if is_new { given(call, 3)? } else { None };
    let count = scales.as_ref().or(wanted.as_ref()).map(Vec::len);
    if count != Some(axes.len()) {
        return Err(format!("it has {count:?} scales or sizes for {} axes", axes.len()));
    }
    let mode = call.node.text("mode").unwrap_or_else(|| "nearest".to_owned());
    let usual = if is_new { ["half_pixel", "round_prefer_floor"] } else { ["asymmetric", "floor"] };
    let rule = call.node.text("coordinate_transformation_mode").unwrap_or_else(|| usual[0].to_owned());
    let rounding = call.node.text("nearest_mode").unwrap_or_else(|| usual[1].to_owned());
    if !["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"].contains(&rounding.as_str()) {
        return Err(format!("its nearest_mode is `{}`", visible(&rounding)));
    }
    for (i, &axis) in axes.iter().enumerate() {
        let size = shape[axis];
        let (scale, result) = match (&scales, &wanted) {
            (Some(scales), _) => (scales[i], (size as f64 * scales[i]).floor()),
            (None, Some(sizes)) => (sizes[i] / size as f64, sizes[i]),
            (None, None) => (1.0, size as f64),
        };
        if size == 0 || !(1.0..=LONGEST as f64).contains(&result) || !scale.is_finite() {
            return Err(format!("it makes {result} elements of axis {axis} of {shape:?}"));
        }
        let it = Resampled { size, result: result as usize, scale, rule: &rule };
        if it.result == size && scale == 1.0 {
            continue;
        }
        x = match mode.as_str() {
            "nearest" => it.nearest(call.g, x, axis, &rounding)?,
            "linear" | "bilinear" => it.linear(call.g, x, axis)?,
            other => return Err(format!("its mode is `{}`; nearest and linear are read", visible(other))),
        };
    }
    Ok(x)
}
