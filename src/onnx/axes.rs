//! Operators on shapes and on the order of axes.

use std::sync::Arc;

use super::array::{Array, Elements, Kind, sizes};
use super::call::{Call, Done, Value};
use super::elementwise::repeated;
use super::fold::{self, places, strides};
use crate::graph::{Graph, NodeId, len};

pub(super) const OPS: &[&str] = &[
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Expand",
    "Flatten",
    "Range",
    "Reshape",
    "Shape",
    "Size",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
];

/// The result of one of these operators.
pub(super) fn apply(call: &mut Call<'_>) -> Done {
    let value = match call.node.op.as_str() {
        "Concat" => concat(call),
        "Constant" => constant(call),
        "ConstantOfShape" => filled(call),
        "Expand" => expand(call),
        "Range" => range(call),
        "Shape" | "Size" => shape_of(call),
        "Transpose" => transpose(call),
        _ => reshape(call),
    };
    value.map(|value| vec![value])
}

/// A value under another shape of as many elements.
pub(super) fn reshaped(call: &mut Call<'_>, value: Value, shape: Vec<usize>) -> Value {
    match value {
        Value::Known(array, node) => {
            let node = node.map(|id| call.g.reshape(id, &shape));
            Value::Known(Arc::new(Array { shape, elements: array.elements.clone() }), node)
        }
        Value::Node(id) => Value::Node(call.g.reshape(id, &shape)),
        Value::Tokens(id) => Value::Tokens(call.g.reshape(id, &shape)),
        Value::Mask(id) => Value::Mask(call.g.reshape(id, &shape)),
    }
}

/// Reshape, Flatten, Squeeze and Unsqueeze.
fn reshape(call: &mut Call<'_>) -> Result<Value, String> {
    let (value, own) = (call.value(0)?, call.shape(0)?);
    let rank = own.len();
    let shape: Vec<usize> = match call.node.op.as_str() {
        "Flatten" => {
            let axis = call.node.int("axis", 1);
            let axis = if axis == rank as i64 { rank } else { Call::axis(axis, rank)? };
            vec![len(&own[..axis]), len(&own[axis..])]
        }
        "Squeeze" => {
            let axes = match call.list(1, "axes")? {
                Some(axes) => Call::axes(&axes, rank)?,
                None => (0..rank).filter(|&axis| own[axis] == 1).collect(),
            };
            (0..rank).filter(|axis| !axes.contains(axis)).map(|axis| own[axis]).collect()
        }
        "Unsqueeze" => {
            let axes = call.list(1, "axes")?.ok_or("its axes are missing")?;
            let rank = rank + axes.len();
            let axes = Call::axes(&axes, rank)?;
            let mut own = own.iter().copied();
            (0..rank).map(|axis| if axes.contains(&axis) { 1 } else { own.next().unwrap_or(1) }).collect()
        }
        _ => {
            let wanted = call.whole(1)?;
            let keeps_zeros = call.node.int("allowzero", 0) != 0;
            let size = |(axis, &size): (usize, &i64)| match size {
                0 if !keeps_zeros => {
                    own.get(axis).copied().ok_or_else(|| format!("it copies axis {axis}, which is not there"))
                }
                // To be divided out.
                -1 => Ok(1),
                size => usize::try_from(size).map_err(|_| format!("its shape is {wanted:?}")),
            };
            let mut shape = wanted.iter().enumerate().map(size).collect::<Result<Vec<usize>, _>>()?;
            if let Some(open) = wanted.iter().position(|&size| size == -1) {
                let rest = fold::count(&shape)?.max(1);
                shape[open] = len(&own) / rest;
            }
            shape
        }
    };
    if len(&own) != len(&shape) {
        return Err(format!("{own:?} cannot be reshaped to {shape:?}; export with a free batch axis (dynamic_axes)"));
    }
    Ok(reshaped(call, value, shape))
}

fn shape_of(call: &Call<'_>) -> Result<Value, String> {
    let shape: Vec<i64> = call.shape(0)?.into_iter().map(|size| size as i64).collect();
    if call.node.op == "Size" {
        let size = shape.iter().try_fold(1_i64, |size, &axis| size.checked_mul(axis));
        let size = size.ok_or("its value has too many elements to count")?;
        return Ok(Value::known(Array { shape: vec![], elements: Elements::Whole(vec![size]) }));
    }
    let rank = shape.len() as i64;
    let end = |name: &str, usual: i64| {
        let at = call.node.int(name, usual);
        (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize
    };
    let (start, end) = (end("start", 0), end("end", rank));
    Ok(Value::known(Array::whole(shape.get(start..end).unwrap_or_default().to_vec())))
}

fn constant(call: &Call<'_>) -> Result<Value, String> {
    // Tensors are read with the file.
    let node = call.node;
    let array = if let Some(it) = node.attribute("value_float") {
        Array { shape: vec![], elements: Elements::Real(vec![it.float.into()]) }
    } else if let Some(it) = node.attribute("value_floats") {
        let values: Vec<f64> = it.floats.iter().map(|&value| value.into()).collect();
        Array { shape: vec![values.len()], elements: Elements::Real(values) }
    } else if let Some(it) = node.attribute("value_int") {
        Array { shape: vec![], elements: Elements::Whole(vec![it.int]) }
    } else if let Some(it) = node.attribute("value_ints") {
        Array::whole(it.ints.clone())
    } else {
        return Err("its value is of a kind that is not read".to_owned());
    };
    Ok(Value::known(array))
}

fn filled(call: &Call<'_>) -> Result<Value, String> {
    let shape = sizes(&call.whole(0)?)?;
    let count = fold::count(&shape)?;
    let elements = match call.node.value() {
        None => Elements::Real(vec![0.0]),
        Some(tensor) => super::array::read(tensor, None).map_err(|error| error.to_string())?.elements,
    };
    if elements.len() != 1 {
        return Err("its value is no single number".to_owned());
    }
    Ok(Value::known(Array { shape, elements: elements.at(&vec![0; count]) }))
}

fn range(call: &Call<'_>) -> Result<Value, String> {
    let [start, limit, step] = [call.number(0)?, call.number(1)?, call.number(2)?];
    let count = ((limit - start) / step).ceil().max(0.0);
    if !(count.is_finite() && count <= 1e6) {
        return Err("its range is too long".to_owned());
    }
    let values = (0..count as usize).map(|i| start + i as f64 * step);
    let is_whole = call.array(0)?.elements.kind() == Kind::Whole;
    let elements = Elements::of(if is_whole { Kind::Whole } else { Kind::Real }, values);
    Ok(Value::known(Array { shape: vec![count as usize], elements }))
}

fn expand(call: &mut Call<'_>) -> Result<Value, String> {
    let wanted = sizes(&call.whole(1)?)?;
    let shape = fold::common(&call.shape(0)?, &wanted)?;
    Ok(match call.value(0)? {
        Value::Known(array, None) => Value::known(fold::repeated(&array, &shape)?),
        value => {
            let x = call.numbers(value)?;
            Value::Node(repeated(call.g, x, &shape))
        }
    })
}

fn transpose(call: &mut Call<'_>) -> Result<Value, String> {
    let shape = call.shape(0)?;
    let rank = shape.len();
    let perm = match call.node.ints("perm") {
        Some(perm) => Call::axes(&perm, rank)?,
        None => (0..rank).rev().collect(),
    };
    if (0..rank).any(|axis| !perm.contains(&axis)) || perm.len() != rank {
        return Err(format!("its order of axes is {perm:?} for {rank} axes"));
    }
    Ok(match call.value(0)? {
        Value::Known(array, None) => {
            let own = strides(&shape);
            let to: Vec<usize> = perm.iter().map(|&axis| shape[axis]).collect();
            let steps: Vec<usize> = perm.iter().map(|&axis| own[axis]).collect();
            let elements = array.elements.at(&places(&to, &steps, 0)?);
            Value::known(Array { shape: to, elements })
        }
        Value::Tokens(id) => Value::Tokens(call.g.transpose(id, &perm)),
        value => {
            let x = call.numbers(value)?;
            Value::Node(call.g.transpose(x, &perm))
        }
    })
}

fn concat(call: &mut Call<'_>) -> Result<Value, String> {
    let first = call.shape(0)?;
    let axis = Call::axis(call.node.int("axis", 0), first.len())?;
    let shapes = (0..call.len()).map(|at| call.shape(at)).collect::<Result<Vec<_>, _>>()?;
    let alike = |shape: &Vec<usize>| {
        shape.len() == first.len() && (0..first.len()).all(|other| other == axis || shape[other] == first[other])
    };
    if let Some(other) = shapes.iter().find(|shape| !alike(shape)) {
        return Err(format!("{first:?} and {other:?} cannot be joined along axis {axis}"));
    }
    let mut shape = first.clone();
    shape[axis] = shapes.iter().map(|shape| shape[axis]).sum();
    if let Some(known) = call.all_known() {
        let blocks: Vec<(Vec<f64>, usize)> =
            known.iter().map(|array| (array.elements.numbers(), len(&array.shape[axis..]))).collect();
        let join = |i: usize| blocks.iter().flat_map(move |(numbers, block)| &numbers[i * block..(i + 1) * block]);
        let numbers = (0..len(&first[..axis])).flat_map(join).copied();
        let is_whole = known.iter().all(|array| array.elements.kind() == Kind::Whole);
        let elements = Elements::of(if is_whole { Kind::Whole } else { Kind::Real }, numbers);
        return Ok(Value::known(Array { shape, elements }));
    }
    let parts = (0..call.len()).map(|at| call.input(at)).collect::<Result<Vec<_>, _>>()?;
    Ok(Value::Node(joined(call.g, &parts, axis)))
}

/// Values, at least one, one after the other along an axis: each among zeros, and the sum.
pub(super) fn joined(g: &mut Graph, parts: &[NodeId], axis: usize) -> NodeId {
    let lengths: Vec<usize> = parts.iter().map(|&part| g.shape(part)[axis]).collect();
    let (all, mut before, mut sum) = (lengths.iter().sum::<usize>(), 0, None);
    for (&part, length) in parts.iter().zip(lengths) {
        let rank = g.shape(part).len();
        let (mut low, mut high) = (vec![0; rank], vec![0; rank]);
        (low[axis], high[axis]) = (before, all - before - length);
        before += length;
        let padded = g.pad(part, &low, &high);
        sum = Some(sum.map_or(padded, |sum| g.add(sum, padded)));
    }
    sum.expect("there is a part")
}
