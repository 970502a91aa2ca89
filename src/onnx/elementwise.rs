//! Operators on elements: arithmetic, activations, comparisons and choices.

use super::array::Elements;
use super::call::{Call, Done, Value};
use super::fold;
use crate::graph::{Binary, Compare, Graph, NodeId, Unary};

pub(super) const OPS: &[&str] = &[
    "Abs",
    "Add",
    "Cast",
    "Clip",
    "Div",
    "Dropout",
    "Elu",
    "Equal",
    "Exp",
    "Gelu",
    "Greater",
    "GreaterOrEqual",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "Max",
    "Min",
    "Mish",
    "Mul",
    "Neg",
    "PRelu",
    "Pow",
    "Reciprocal",
    "Relu",
    "Selu",
    "Sigmoid",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Sub",
    "Swish",
    "Tanh",
    "Where",
];

/// The result of such an operator; `None` for another one.
pub(super) fn apply(call: &mut Call<'_>) -> Option<Done> {
    let op = call.node.op.as_str();
    if !OPS.contains(&op) {
        return None;
    }
    Some(match op {
        "Identity" => call.value(0).map(|value| vec![value]),
        "Dropout" => dropout(call),
        "Cast" => cast(call),
        "Where" => choice(call),
        "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" => compare(call),
        "Add" | "Sub" | "Mul" | "Div" | "Max" | "Min" | "Pow" | "PRelu" => arithmetic(call),
        _ => call.input(0).and_then(|x| function(call, x)).map(|y| vec![Value::Node(y)]),
    })
}

fn dropout(call: &Call<'_>) -> Done {
    let ratio = if call.len() > 1 { call.number(1)? } else { call.float("ratio", 0.5) };
    let trains = call.get(2).is_some() && call.number(2)? != 0.0;
    match trains && ratio > 0.0 {
        true => Err(format!(
            "it drops a share of {ratio} at random, and then the loss is no function; export with \
             training=TrainingMode.PRESERVE after model.eval()"
        )),
        false => Ok(vec![call.value(0)?]),
    }
}

fn cast(call: &mut Call<'_>) -> Done {
    let to = call.int("to", 1);
    Ok(vec![match (call.value(0)?, to) {
        (Value::Known(array, _), to) => Value::known(fold::cast(&array, to)?),
        (Value::Tokens(id), 2..=7 | 12 | 13) => Value::Tokens(id),
        (Value::Node(id), 1 | 10 | 11 | 16) => Value::Node(id),
        (Value::Mask(id), 9) => Value::Mask(id),
        (value, 1 | 10 | 11 | 16) => Value::Node(call.numbers(value)?),
        _ => return Err("it casts numbers that depend on the examples to whole numbers or truth values".to_owned()),
    }])
}

/// A node repeated to a shape that fits.
pub(super) fn repeated(g: &mut Graph, x: NodeId, shape: &[usize]) -> NodeId {
    let own = g.shape(x).to_vec();
    let before = shape.len() - own.len();
    // Axes of length 1 vanish, and are then repeated.
    let kept: Vec<usize> = (0..own.len()).filter(|&axis| own[axis] == shape[before + axis]).collect();
    let sizes: Vec<usize> = kept.iter().map(|&axis| own[axis]).collect();
    let x = g.reshape(x, &sizes);
    let dims: Vec<usize> = kept.iter().map(|axis| before + axis).collect();
    g.broadcast(x, shape, &dims)
}

/// Two operands of one shape.
pub(super) fn pair(call: &mut Call<'_>, a: usize, b: usize) -> Result<[NodeId; 2], String> {
    let shape = fold::common(&call.shape(a)?, &call.shape(b)?)?;
    let (a, b) = (call.input(a)?, call.input(b)?);
    Ok([repeated(call.g, a, &shape), repeated(call.g, b, &shape)])
}

fn arithmetic(call: &mut Call<'_>) -> Done {
    let op = call.node.op.as_str();
    if matches!(op, "Max" | "Min") && call.len() != 2 {
        return Err("it has other than two operands; export a chain of pairs".to_owned());
    }
    if op == "Pow" {
        return power(call).map(|y| vec![Value::Node(y)]);
    }
    let [a, b] = pair(call, 0, 1)?;
    let g = &mut *call.g;
    let y = match op {
        "Add" => g.add(a, b),
        "Sub" => g.sub(a, b),
        "Mul" => g.mul(a, b),
        "Div" => g.div(a, b),
        "Max" => g.max(a, b),
        "Min" => min(g, a, b),
        // max(x, 0) + slope · min(x, 0)
        _ => {
            let shape = g.shape(a).to_vec();
            let zero = g.full(0.0, &shape);
            let above = g.max(a, zero);
            let below = min(g, a, zero);
            let below = g.mul(below, b);
            g.add(above, below)
        }
    };
    Ok(vec![Value::Node(y)])
}

/// −max(−a, −b)
fn min(g: &mut Graph, a: NodeId, b: NodeId) -> NodeId {
    let (a, b) = (g.neg(a), g.neg(b));
    let max = g.max(a, b);
    g.neg(max)
}

/// x to a known power: products for small whole powers, roots for halves.
fn power(call: &mut Call<'_>) -> Result<NodeId, String> {
    let (x, exponent) = (call.input(0)?, call.number(1)?);
    let g = &mut *call.g;
    let whole = exponent.abs();
    let positive = match whole {
        0.5 => g.unary(Unary::Sqrt, x),
        1.0 => x,
        2.0 | 3.0 | 4.0 => (1..whole as usize).fold(x, |product, _| g.mul(product, x)),
        _ => return Err(format!("it raises to the power {exponent}; 1, 2, 3, 4, a half and their negatives are read")),
    };
    if exponent > 0.0 {
        return Ok(positive);
    }
    let shape = g.shape(positive).to_vec();
    let one = g.full(1.0, &shape);
    Ok(g.div(one, positive))
}

fn compare(call: &mut Call<'_>) -> Done {
    let [a, b] = pair(call, 0, 1)?;
    let g = &mut *call.g;
    Ok(vec![Value::Mask(match call.node.op.as_str() {
        "Equal" => g.compare(Compare::Eq, a, b),
        "Greater" => g.compare(Compare::Gt, a, b),
        "GreaterOrEqual" => g.compare(Compare::Ge, a, b),
        "Less" => g.compare(Compare::Gt, b, a),
        _ => g.compare(Compare::Ge, b, a),
    })])
}

fn choice(call: &mut Call<'_>) -> Done {
    if let Some(known) = call.all_known() {
        let [mask, a, b] = &known[..] else { return Err("it has other than three operands".to_owned()) };
        let shape = fold::common(&fold::common(&mask.shape, &a.shape)?, &b.shape)?;
        let [mask, a, b] = [mask, a, b].map(|array| fold::repeated(array, &shape).map(|array| array.elements));
        let (mask, a, b) = (mask?.numbers(), a?, b?);
        let chosen = |a: &[f64], b: &[f64]| -> Vec<f64> {
            (0..mask.len()).map(|i| if mask[i] == 0.0 { b[i] } else { a[i] }).collect()
        };
        let numbers = chosen(&a.numbers(), &b.numbers());
        let elements = match a {
            Elements::Real(_) => Elements::Real(numbers),
            Elements::Whole(_) => Elements::Whole(numbers.into_iter().map(|number| number as i64).collect()),
            Elements::Flags(_) => Elements::Flags(numbers.into_iter().map(|number| number != 0.0).collect()),
        };
        return Ok(vec![Value::known(super::array::Array { shape, elements })]);
    }
    let shape = fold::common(&fold::common(&call.shape(0)?, &call.shape(1)?)?, &call.shape(2)?)?;
    // Where the mask is known, infinities are what softmax makes of them.
    let (mask, a, b) = (call.mask(0)?, call.input(1)?, call.input(2)?);
    let numbers = call.g.to_f32(mask);
    let numbers = repeated(call.g, numbers, &shape);
    let half = call.g.full(0.5, &shape);
    let mask = call.g.compare(Compare::Gt, numbers, half);
    let (a, b) = (repeated(call.g, a, &shape), repeated(call.g, b, &shape));
    Ok(vec![Value::Node(call.g.select(mask, a, b))])
}

/// A function of one argument.
fn function(call: &mut Call<'_>, x: NodeId) -> Result<NodeId, String> {
    let op = call.node.op.as_str();
    let (alpha, beta) = match op {
        "LeakyRelu" => (call.float("alpha", 0.01), 0.0),
        "Elu" => (call.float("alpha", 1.0), 0.0),
        "Selu" => (call.float("alpha", 1.673_263_192_176_818_8), call.float("gamma", 1.050_701_022_148_132_3)),
        "HardSigmoid" => (call.float("alpha", 0.2), call.float("beta", 0.5)),
        "HardSwish" => (1.0 / 6.0, 0.5),
        _ => (call.float("alpha", 1.0), 0.0),
    };
    let limits = |call: &Call<'_>, at: usize, name: &str| -> Result<Option<f64>, String> {
        match call.get(at) {
            Some(_) => call.number(at).map(Some),
            None => Ok(call.node.attributes.iter().find(|it| it.name == name).map(|it| it.float.into())),
        }
    };
    let is_tanh = call.text("approximate").as_deref() == Some("tanh");
    let clip = if op == "Clip" { [limits(call, 1, "min")?, limits(call, 2, "max")?] } else { [None; 2] };
    let g = &mut *call.g;
    let shape = g.shape(x).to_vec();
    let zero = g.full(0.0, &shape);
    let one = g.full(1.0, &shape);
    Ok(match op {
        "Neg" => g.neg(x),
        "Exp" => g.unary(Unary::Exp, x),
        "Log" => g.unary(Unary::Log, x),
        "Sqrt" => g.unary(Unary::Sqrt, x),
        "Tanh" => g.unary(Unary::Tanh, x),
        "Sigmoid" => g.unary(Unary::Logistic, x),
        "Softplus" => g.unary(Unary::Softplus, x),
        "Reciprocal" => g.div(one, x),
        "Relu" => g.max(x, zero),
        "Abs" | "Softsign" => {
            let minus = g.neg(x);
            let size = g.max(x, minus);
            if op == "Abs" {
                return Ok(size);
            }
            let below = g.add(one, size);
            g.div(x, below)
        }
        "LeakyRelu" => {
            let above = g.max(x, zero);
            let below = min(g, x, zero);
            let below = g.scale(below, alpha);
            g.add(above, below)
        }
        "Elu" | "Selu" => {
            let gamma = if op == "Selu" { beta } else { 1.0 };
            let positive = g.compare(Compare::Gt, x, zero);
            // exp gets only arguments whose result is used, so it cannot overflow.
            let negative = g.select(positive, zero, x);
            let negative = g.unary(Unary::Expm1, negative);
            let negative = g.scale(negative, alpha);
            let y = g.select(positive, x, negative);
            g.scale(y, gamma)
        }
        "HardSigmoid" | "HardSwish" => {
            let line = g.scale(x, alpha);
            let line = g.offset(line, beta);
            let line = g.max(line, zero);
            let gate = min(g, line, one);
            if op == "HardSwish" { g.mul(x, gate) } else { gate }
        }
        "Swish" => {
            let inner = g.scale(x, alpha);
            let gate = g.unary(Unary::Logistic, inner);
            g.mul(x, gate)
        }
        "Mish" => {
            let soft = g.unary(Unary::Softplus, x);
            let gate = g.unary(Unary::Tanh, soft);
            g.mul(x, gate)
        }
        // x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³)))
        "Gelu" if is_tanh => {
            let square = g.mul(x, x);
            let cube = g.mul(square, x);
            let cube = g.scale(cube, 0.044_715);
            let inner = g.add(x, cube);
            let inner = g.scale(inner, (2.0 / std::f64::consts::PI).sqrt());
            let tanh = g.unary(Unary::Tanh, inner);
            let gate = g.add(tanh, one);
            let half = g.scale(x, 0.5);
            g.mul(half, gate)
        }
        "Gelu" => return Err("it uses the error function; export with GELU(approximate=\"tanh\")".to_owned()),
        "Clip" => {
            let mut y = x;
            if let Some(low) = clip[0] {
                let low = g.full(low, &shape);
                y = g.binary(Binary::Max, y, low);
            }
            if let Some(high) = clip[1] {
                let high = g.full(high, &shape);
                y = min(g, y, high);
            }
            y
        }
        _ => return Err("this operator is not read".to_owned()),
    })
}
