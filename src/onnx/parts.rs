//! Operators that take parts of an axis, and reductions over axes.

use super::array::{Array, Elements, sizes};
use super::axes::{joined, reshaped};
use super::call::{Call, Done, Value};
use super::elementwise::absolute;
use super::fold::{self, places, strides};
use crate::graph::{Compare, DotDims, Graph, NodeId, Unary, len};

pub(super) const OPS: &[&str] = &[
    "CumSum",
    "Gather",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Slice",
    "Split",
    "Trilu",
];

/// The most elements that are taken one by one along an axis.
const MOST_TAKEN: usize = 256;

/// The results of one of these operators.
pub(super) fn apply(call: &mut Call<'_>) -> Done {
    let value = match call.node.op.as_str() {
        "Split" => return split(call),
        "Gather" => gather(call),
        "Slice" => slice(call),
        "Trilu" => triangle(call),
        "CumSum" => running_sum(call),
        _ => reduce(call),
    };
    value.map(|value| vec![value])
}

/// Elements `start`, `start + step` … of an axis, `count` of them.
pub(super) fn strided(g: &mut Graph, x: NodeId, axis: usize, start: usize, step: usize, count: usize) -> NodeId {
    let shape = g.shape(x).to_vec();
    let (mut from, mut to) = (vec![0; shape.len()], shape.clone());
    if step == 1 {
        (from[axis], to[axis]) = (start, start + count);
        return g.slice(x, &from, &to);
    }
    // Filled up to whole steps, of which the first element is kept.
    let end = start + count * step;
    let mut high = vec![0; shape.len()];
    high[axis] = end.saturating_sub(shape[axis]);
    let padded = g.pad(x, &vec![0; shape.len()], &high);
    (from[axis], to[axis]) = (start, end);
    let part = g.slice(padded, &from, &to);
    let split: Vec<usize> = [&shape[..axis], &[count, step], &shape[axis + 1..]].concat();
    let part = g.reshape(part, &split);
    let mut limit = split.clone();
    limit[axis + 1] = 1;
    let first = g.slice(part, &vec![0; split.len()], &limit);
    let mut result = shape;
    result[axis] = count;
    g.reshape(first, &result)
}

/// The elements of an axis at these places, in this order; runs of neighbours are taken together.
pub(super) fn taken_at(g: &mut Graph, x: NodeId, axis: usize, places: &[usize]) -> Result<NodeId, String> {
    let runs: Vec<&[usize]> = places.chunk_by(|a, b| *b == a + 1).collect();
    if runs.len() > MOST_TAKEN || runs.is_empty() {
        return Err(format!("it takes {} runs of elements along an axis, and 1 to {MOST_TAKEN} are read", runs.len()));
    }
    let parts: Vec<NodeId> = runs.into_iter().map(|run| strided(g, x, axis, run[0], 1, run.len())).collect();
    Ok(joined(g, &parts, axis))
}

fn slice(call: &mut Call<'_>) -> Result<Value, String> {
    let mut shape = call.shape(0)?;
    let (starts, ends) = (call.list(1, "starts")?.unwrap_or_default(), call.list(2, "ends")?.unwrap_or_default());
    let axes = call.list(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = call.list(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err("its lists differ in length".to_owned());
    }
    let mut value = call.value(0)?;
    for (i, &axis) in axes.iter().enumerate() {
        let axis = Call::axis(axis, shape.len())?;
        let size = shape[axis] as i64;
        let Some(step) = usize::try_from(steps[i]).ok().filter(|&step| step > 0) else {
            let places = backwards(starts[i], ends[i], steps[i], size)?;
            shape[axis] = places.len();
            value = taken_in_order(call, value, axis, &places)?;
            continue;
        };
        let end = |at: i64| (if at < 0 { at.saturating_add(size) } else { at }).clamp(0, size) as usize;
        let (start, stop) = (end(starts[i]), end(ends[i]));
        let count = stop.saturating_sub(start).div_ceil(step);
        value = taken(call, value, axis, start, step, count)?;
        shape[axis] = count;
    }
    Ok(value)
}

/// The places from `start` down to before `end`, by a negative step.
fn backwards(start: i64, end: i64, step: i64, size: i64) -> Result<Vec<usize>, String> {
    let step = usize::try_from(step.unsigned_abs()).ok().filter(|&step| step > 0).ok_or("its step is 0")?;
    let from_start = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
    let (first, last) = (from_start(start).clamp(-1, size - 1), from_start(end).clamp(-1, size - 1));
    Ok((last + 1..=first).rev().step_by(step).filter_map(|at| usize::try_from(at).ok()).collect())
}

/// The elements of an axis at these places, of any value.
fn taken_in_order(call: &mut Call<'_>, value: Value, axis: usize, indices: &[usize]) -> Result<Value, String> {
    if let Value::Known(array, None) = &value {
        let (outer, size, inner) = (len(&array.shape[..axis]), array.shape[axis], len(&array.shape[axis + 1..]));
        let mut result = array.shape.clone();
        result[axis] = indices.len();
        fold::count(&result)?;
        let places: Vec<usize> = (0..outer)
            .flat_map(|i| indices.iter().flat_map(move |&k| (0..inner).map(move |j| (i * size + k) * inner + j)))
            .collect();
        return Ok(Value::known(Array { shape: result, elements: array.elements.at(&places) }));
    }
    let x = call.numbers(value)?;
    taken_at(call.g, x, axis, indices).map(Value::Node)
}

/// [`strided`] of any value.
fn taken(
    call: &mut Call<'_>,
    value: Value,
    axis: usize,
    start: usize,
    step: usize,
    count: usize,
) -> Result<Value, String> {
    Ok(match value {
        Value::Known(array, None) => {
            let mut shape = array.shape.clone();
            shape[axis] = count;
            let mut steps = strides(&array.shape);
            let from = start * steps[axis];
            steps[axis] *= step;
            let elements = array.elements.at(&places(&shape, &steps, from)?);
            Value::known(Array { shape, elements })
        }
        Value::Tokens(id) => Value::Tokens(strided(call.g, id, axis, start, step, count)),
        value => {
            let x = call.numbers(value)?;
            Value::Node(strided(call.g, x, axis, start, step, count))
        }
    })
}

fn split(call: &mut Call<'_>) -> Done {
    let shape = call.shape(0)?;
    let axis = Call::axis(call.node.int("axis", 0), shape.len())?;
    let parts = call.node.outputs.len();
    let lengths = match call.list(1, "split")? {
        Some(lengths) => sizes(&lengths)?,
        None => {
            let each = shape[axis].div_ceil(parts.max(1));
            (0..parts).map(|part| each.min(shape[axis].saturating_sub(part * each))).collect()
        }
    };
    if lengths.iter().fold(0, |sum: usize, &length| sum.saturating_add(length)) != shape[axis] {
        return Err(format!("its parts {lengths:?} are not the {} of axis {axis}", shape[axis]));
    }
    let (value, mut start) = (call.value(0)?, 0);
    let mut results = vec![];
    for length in lengths {
        results.push(taken(call, value.clone(), axis, start, 1, length)?);
        start += length;
    }
    Ok(results)
}

fn gather(call: &mut Call<'_>) -> Result<Value, String> {
    let shape = call.shape(0)?;
    let axis = Call::axis(call.node.int("axis", 0), shape.len())?;
    let size = shape[axis];
    if let Value::Tokens(tokens) = call.value(1)? {
        // Rows of a table, by a contraction with one-hot rows.
        let places = call.g.shape(tokens).to_vec();
        let table = call.input(0)?;
        if axis != 0 {
            return Err("it looks tokens up along an axis other than the first".to_owned());
        }
        let flat = call.g.reshape(tokens, &[len(&places)]);
        let chosen = call.g.one_hot(flat, size);
        let dims = DotDims { lhs_contract: vec![1], rhs_contract: vec![0], ..DotDims::default() };
        let rows = call.g.dot_general(chosen, table, dims);
        return Ok(Value::Node(call.g.reshape(rows, &[&places[..], &shape[1..]].concat())));
    }
    let (indices, index_shape) = (call.whole(1)?, call.shape(1)?);
    let place = |&index: &i64| {
        let place = usize::try_from(if index < 0 { index.saturating_add(size as i64) } else { index }).ok();
        place.filter(|&place| place < size).ok_or_else(|| format!("it takes element {index} of {size}"))
    };
    let indices = indices.iter().map(place).collect::<Result<Vec<_>, _>>()?;
    let result: Vec<usize> = [&shape[..axis], &index_shape[..], &shape[axis + 1..]].concat();
    let value = call.value(0)?;
    let start = *indices.first().ok_or("it takes no element")?;
    let part = match indices.windows(2).all(|pair| pair[1] == pair[0] + 1) {
        true => taken(call, value, axis, start, 1, indices.len())?,
        false => taken_in_order(call, value, axis, &indices)?,
    };
    Ok(reshaped(call, part, result))
}

/// Sums of the elements up to each one: a product with a triangle of ones.
fn running_sum(call: &mut Call<'_>) -> Result<Value, String> {
    let shape = call.shape(0)?;
    let at = call.number(1)?;
    let axis = Call::axis(at as i64, shape.len())?;
    let (excludes, reverses) = (call.node.int("exclusive", 0) != 0, call.node.int("reverse", 0) != 0);
    let size = shape[axis];
    if let Value::Known(array, None) = call.value(0)? {
        let step = strides(&shape)[axis];
        let mut numbers = array.elements.numbers();
        for first in (0..numbers.len()).filter(|at| (at / step).is_multiple_of(size)) {
            let mut sum = 0.0;
            for i in 0..size {
                let at = first + step * if reverses { size - 1 - i } else { i };
                let before = sum;
                sum += numbers[at];
                numbers[at] = if excludes { before } else { sum };
            }
        }
        let elements = Elements::of(array.elements.kind(), numbers.into_iter());
        return Ok(Value::known(Array { shape, elements }));
    }
    let x = call.input(0)?;
    let g = &mut *call.g;
    let [from, to] = [0, 1].map(|axis| {
        let count = g.iota(&[size, size], axis);
        g.to_f32(count)
    });
    let (from, to) = if reverses { (to, from) } else { (from, to) };
    let counts = g.compare(if excludes { Compare::Gt } else { Compare::Ge }, to, from);
    let counts = g.to_f32(counts);
    let dims = DotDims { lhs_contract: vec![axis], rhs_contract: vec![0], ..DotDims::default() };
    let y = g.dot_general(x, counts, dims);
    // The axis came last.
    let perm: Vec<usize> = (0..shape.len())
        .map(|other| match other {
            _ if other == axis => shape.len() - 1,
            _ if other > axis => other - 1,
            _ => other,
        })
        .collect();
    Ok(Value::Node(g.transpose(y, &perm)))
}

/// A known matrix with zeros on one side of a diagonal.
fn triangle(call: &Call<'_>) -> Result<Value, String> {
    let array = call.array(0)?;
    let diagonal = if call.get(1).is_some() { call.number(1)? } else { 0.0 };
    let is_upper = call.node.int("upper", 1) != 0;
    let [.., rows, columns] = array.shape[..] else { return Err("it takes a matrix".to_owned()) };
    let mut elements = array.elements.clone();
    for at in 0..elements.len() {
        let difference = (at % columns) as f64 - (at / columns % rows) as f64;
        if if is_upper { difference < diagonal } else { difference > diagonal } {
            elements.clear(at);
        }
    }
    Ok(Value::known(Array { shape: array.shape.clone(), elements }))
}

/// The axes of a reduction.
fn reduced_axes(call: &Call<'_>, rank: usize) -> Result<Vec<usize>, String> {
    let mut axes = match call.list(1, "axes")? {
        Some(axes) if !axes.is_empty() => Call::axes(&axes, rank)?,
        _ if call.node.int("noop_with_empty_axes", 0) != 0 => vec![],
        _ => (0..rank).collect(),
    };
    axes.sort_unstable();
    axes.dedup();
    Ok(axes)
}

fn sum_of_squares(g: &mut Graph, x: NodeId, axes: &[usize]) -> NodeId {
    let square = g.mul(x, x);
    g.reduce_sum(square, axes)
}

/// The mean over some axes; 0 if they are empty.
pub(super) fn mean(g: &mut Graph, x: NodeId, axes: &[usize]) -> NodeId {
    let shape = g.shape(x);
    let count = axes.iter().fold(1_usize, |count, &axis| count.saturating_mul(shape[axis]));
    let sum = g.reduce_sum(x, axes);
    g.scale(sum, 1.0 / count.max(1) as f64)
}

/// A shape whose reduced axes have length 1.
pub(super) fn kept(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|axis| if axes.contains(&axis) { 1 } else { shape[axis] }).collect()
}

/// A reduction of a known array, or `None` if it is not one of whole numbers.
fn folded(call: &Call<'_>) -> Result<Option<Value>, String> {
    let Value::Known(array, None) = call.value(0)? else { return Ok(None) };
    let Elements::Whole(values) = &array.elements else { return Ok(None) };
    let f: fn(i64, i64) -> Option<i64> = match call.node.op.as_str() {
        "ReduceSum" => i64::checked_add,
        "ReduceProd" => i64::checked_mul,
        "ReduceMax" => |a, b| Some(a.max(b)),
        "ReduceMin" => |a, b| Some(a.min(b)),
        _ => return Ok(None),
    };
    let shape = &array.shape;
    let axes = reduced_axes(call, shape.len())?;
    if axes.iter().any(|&axis| shape[axis] == 0) {
        return Err("it reduces an empty axis".to_owned());
    }
    let to = kept(shape, &axes);
    let steps: Vec<usize> =
        strides(&to).into_iter().enumerate().map(|(axis, step)| if axes.contains(&axis) { 0 } else { step }).collect();
    let mut result: Vec<Option<i64>> = vec![None; len(&to)];
    for (&value, place) in values.iter().zip(places(shape, &steps, 0)?) {
        let folded = result[place].map_or(Some(value), |so_far| f(so_far, value));
        result[place] = Some(folded.ok_or("its whole numbers overflow")?);
    }
    let elements = Elements::Whole(result.into_iter().flatten().collect());
    let keeps = call.node.int("keepdims", 1) != 0;
    let shape =
        if keeps { to } else { (0..shape.len()).filter(|axis| !axes.contains(axis)).map(|axis| shape[axis]).collect() };
    Ok(Some(Value::known(Array { shape, elements })))
}

fn reduce(call: &mut Call<'_>) -> Result<Value, String> {
    if let Some(known) = folded(call)? {
        return Ok(known);
    }
    let x = call.input(0)?;
    let shape = call.g.shape(x).to_vec();
    let axes = reduced_axes(call, shape.len())?;
    if axes.iter().any(|&axis| shape[axis] == 0) {
        return Err("it reduces an empty axis".to_owned());
    }
    let keeps = call.node.int("keepdims", 1) != 0;
    let g = &mut *call.g;
    let y = match call.node.op.as_str() {
        "ReduceMax" => g.reduce_max(x, &axes),
        "ReduceMean" => mean(g, x, &axes),
        "ReduceMin" => {
            let minus = g.neg(x);
            let max = g.reduce_max(minus, &axes);
            g.neg(max)
        }
        "ReduceL1" => {
            let size = absolute(g, x);
            g.reduce_sum(size, &axes)
        }
        "ReduceSumSquare" => sum_of_squares(g, x, &axes),
        "ReduceL2" => {
            let sum = sum_of_squares(g, x, &axes);
            g.unary(Unary::Sqrt, sum)
        }
        "ReduceLogSum" => {
            let sum = g.reduce_sum(x, &axes);
            g.unary(Unary::Log, sum)
        }
        "ReduceLogSumExp" => {
            // The maximum only keeps the exponentials in range, and needs no derivative.
            let max = g.reduce_max(x, &axes);
            let max = g.unary(Unary::StopGradient, max);
            let repeated = g.broadcast_over(max, &shape, &axes);
            let shifted = g.sub(x, repeated);
            let exp = g.unary(Unary::Exp, shifted);
            let sum = g.reduce_sum(exp, &axes);
            let log = g.unary(Unary::Log, sum);
            g.add(log, max)
        }
        "ReduceSum" => g.reduce_sum(x, &axes),
        _ => return Err("it depends on the examples or the parameters, and is read on constants alone".to_owned()),
    };
    Ok(Value::Node(if keeps { g.reshape(y, &kept(&shape, &axes)) } else { y }))
}
