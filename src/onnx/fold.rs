//! Operators on known arrays: the arithmetic of shapes, and constants.

use super::array::{Array, Elements, Kind};
use crate::graph::len;

/// Operators that are read on known arrays alone.
pub(super) const OPS: &[&str] = &["And", "Ceil", "Cos", "Floor", "Mod", "Not", "Or", "Round", "Sin", "Xor"];

/// The most elements of an array that is computed here.
const MOST: usize = 1 << 20;

/// The number of elements of a shape, if an array here may have so many.
pub(super) fn count(shape: &[usize]) -> Result<usize, String> {
    let count = shape.iter().try_fold(1_usize, |count, &size| count.checked_mul(size));
    count.filter(|&count| count <= MOST).ok_or_else(|| format!("a constant of shape {shape:?} is too large"))
}

/// The shape to which two shapes are repeated by the rules of numpy.
pub(super) fn common(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |axis| shape[axis]);
    let both = |axis: usize| match (size(a, axis), size(b, axis)) {
        (a, b) if a == b => Ok(a),
        (1, b) => Ok(b),
        (a, 1) => Ok(a),
        _ => Err(format!("the shapes {a:?} and {b:?} do not fit together")),
    };
    (0..rank).map(both).collect()
}

/// The row-major steps of a shape.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|axis| len(&shape[axis + 1..])).collect()
}

/// For each index of `shape`, `from` plus the sum of its digits times `steps`.
pub(super) fn places(shape: &[usize], steps: &[usize], from: usize) -> Result<Vec<usize>, String> {
    let all = count(shape)?;
    let place = |number: usize| {
        let (mut rest, mut place) = (number, from);
        for (&size, &step) in shape.iter().zip(steps).rev() {
            place += rest % size * step;
            rest /= size;
        }
        place
    };
    Ok((0..all).map(place).collect())
}

/// An array repeated to a shape that fits.
pub(super) fn repeated(array: &Array, shape: &[usize]) -> Result<Array, String> {
    if common(&array.shape, shape)? != shape {
        return Err(format!("the shape {:?} cannot be repeated to {shape:?}", array.shape));
    }
    let own = strides(&array.shape);
    let before = shape.len() - array.shape.len();
    let step = |axis: usize| match axis.checked_sub(before) {
        Some(axis) if array.shape[axis] > 1 => own[axis],
        _ => 0,
    };
    let steps: Vec<usize> = (0..shape.len()).map(step).collect();
    Ok(Array { shape: shape.to_vec(), elements: array.elements.at(&places(shape, &steps, 0)?) })
}

/// Operators on two arrays, element by element.
const BINARY: &[&str] = &[
    "Add",
    "And",
    "Div",
    "Equal",
    "Fmod",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Max",
    "Min",
    "Mod",
    "Mul",
    "Or",
    "Pow",
    "Sub",
    "Xor",
];

/// An operator on two arrays, element by element; `None` if it is none of these.
pub(super) fn binary(op: &str, a: &Array, b: &Array) -> Result<Option<Array>, String> {
    // Others have operands of any shapes.
    if !BINARY.contains(&op) {
        return Ok(None);
    }
    let shape = common(&a.shape, &b.shape)?;
    let (a, b) = (repeated(a, &shape)?.elements, repeated(b, &shape)?.elements);
    let (x, y) = (a.numbers(), b.numbers());
    let pairs = || x.iter().copied().zip(y.iter().copied());
    let flags = |f: fn(f64, f64) -> bool| Elements::Flags(pairs().map(|(x, y)| f(x, y)).collect());
    let elements = match op {
        "Equal" => flags(|x, y| x == y),
        "Less" => flags(|x, y| x < y),
        "LessOrEqual" => flags(|x, y| x <= y),
        "Greater" => flags(|x, y| x > y),
        "GreaterOrEqual" => flags(|x, y| x >= y),
        "And" => flags(|x, y| x != 0.0 && y != 0.0),
        "Or" => flags(|x, y| x != 0.0 || y != 0.0),
        "Xor" => flags(|x, y| (x != 0.0) != (y != 0.0)),
        _ => match (&a, &b) {
            (Elements::Whole(x), Elements::Whole(y)) => {
                let value: fn(i64, i64) -> Option<i64> = match op {
                    "Add" => i64::checked_add,
                    "Sub" => i64::checked_sub,
                    "Mul" => i64::checked_mul,
                    "Div" => i64::checked_div,
                    // Of the sign of the divisor, as in Python.
                    "Mod" => |x, y| {
                        x.checked_rem(y).map(|rest| if rest != 0 && (rest < 0) != (y < 0) { rest + y } else { rest })
                    },
                    "Fmod" => i64::checked_rem,
                    "Min" => |x: i64, y: i64| Some(x.min(y)),
                    "Max" => |x: i64, y: i64| Some(x.max(y)),
                    "Pow" => |x: i64, y: i64| u32::try_from(y).ok().and_then(|y| x.checked_pow(y)),
                    _ => return Ok(None),
                };
                let values = x.iter().zip(y).map(|(&x, &y)| value(x, y)).collect::<Option<Vec<i64>>>();
                Elements::Whole(values.ok_or("its whole numbers overflow, or are divided by 0")?)
            }
            _ => {
                let value: fn(f64, f64) -> f64 = match op {
                    "Add" => |x, y| x + y,
                    "Sub" => |x, y| x - y,
                    "Mul" => |x, y| x * y,
                    "Div" => |x, y| x / y,
                    "Min" => f64::min,
                    "Max" => f64::max,
                    "Pow" => f64::powf,
                    "Fmod" => |x, y| x % y,
                    _ => return Ok(None),
                };
                Elements::Real(pairs().map(|(x, y)| value(x, y)).collect())
            }
        },
    };
    Ok(Some(Array { shape, elements }))
}

/// An operator on one array, element by element; `None` if it is none of these.
pub(super) fn unary(op: &str, x: &Array) -> Option<Array> {
    let value: fn(f64) -> f64 = match op {
        "Neg" => |x| -x,
        "Abs" => f64::abs,
        "Sqrt" => f64::sqrt,
        "Exp" => f64::exp,
        "Log" => f64::ln,
        "Floor" => f64::floor,
        "Ceil" => f64::ceil,
        "Round" => f64::round_ties_even,
        "Sin" => f64::sin,
        "Cos" => f64::cos,
        "Reciprocal" => |x| 1.0 / x,
        "Not" => |x| f64::from(u8::from(x == 0.0)),
        _ => return None,
    };
    let numbers = x.elements.numbers().into_iter().map(value);
    Some(Array { shape: x.shape.clone(), elements: Elements::of(x.elements.kind(), numbers) })
}

/// The elements as another type of ONNX.
pub(super) fn cast(x: &Array, to: i64) -> Result<Array, String> {
    let kind = Kind::of(to).ok_or_else(|| format!("it casts to the type {to}, which is not read"))?;
    // A detour by f64 would round large whole numbers.
    let is_same = kind == x.elements.kind();
    let elements = if is_same { x.elements.clone() } else { Elements::of(kind, x.elements.numbers().into_iter()) };
    Ok(Array { shape: x.shape.clone(), elements })
}
