//! Operators on elements: arithmetic, activations, comparisons and choices.

use super::array::{Array, Elements, Kind};
use super::call::{Call, Done, Value};
use super::fold;
use crate::graph::{Compare, Graph, NodeId, Unary};
use crate::text::visible;

pub(super) const OPS: &[&str] = &[
    "Abs",
    "Add",
    "Cast",
    "Celu",
    "Clip",
    "Div",
    "Dropout",
    "Elu",
    "Equal",
    "Erf",
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
    "Mean",
    "Min",
    "Mish",
    "Mul",
    "Neg",
    "PRelu",
    "Pow",
    "Reciprocal",
    "Relu",
    "Selu",
    "Shrink",
    "Sigmoid",
    "Sign",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Sub",
    "Sum",
    "Swish",
    "Tanh",
    "ThresholdedRelu",
    "Where",
];

/// The result of one of these operators.
pub(super) fn apply(call: &mut Call<'_>) -> Done {
    let value = match call.node.op.as_str() {
        "Identity" => call.value(0),
        "Dropout" => dropout(call),
        "Cast" => cast(call),
        "Where" => choice(call),
        "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" => compare(call).map(Value::Mask),
        "Add" | "Sub" | "Mul" | "Div" | "PRelu" => arithmetic(call).map(Value::Node),
        "Max" | "Mean" | "Min" | "Sum" => of_many(call).map(Value::Node),
        "Pow" => power(call).map(Value::Node),
        "Clip" => clip(call).map(Value::Node),
        _ => function(call).map(Value::Node),
    };
    value.map(|value| vec![value])
}

fn dropout(call: &Call<'_>) -> Result<Value, String> {
    let ratio = if call.len() > 1 { call.number(1)? } else { call.node.float("ratio", 0.5) };
    let trains = call.get(2).is_some() && call.number(2)? != 0.0;
    match trains && ratio > 0.0 {
        true => Err(format!(
            "it drops a share of {ratio} at random, and then the loss is no function; export with \
             training=TrainingMode.PRESERVE after model.eval()"
        )),
        false => call.value(0),
    }
}

fn cast(call: &mut Call<'_>) -> Result<Value, String> {
    let to = call.node.int("to", 1);
    Ok(match (call.value(0)?, Kind::of(to)) {
        (Value::Known(array, _), _) => Value::known(fold::cast(&array, to)?),
        (Value::Tokens(id), Some(Kind::Whole)) => Value::Tokens(id),
        (Value::Mask(id), Some(Kind::Flags)) => Value::Mask(id),
        (value, Some(Kind::Real)) => Value::Node(call.numbers(value)?),
        _ => return Err("it casts numbers that depend on the examples to whole numbers or truth values".to_owned()),
    })
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

/// The first two operands, of one shape.
fn pair(call: &mut Call<'_>) -> Result<[NodeId; 2], String> {
    let shape = fold::common(&call.shape(0)?, &call.shape(1)?)?;
    let (a, b) = (call.input(0)?, call.input(1)?);
    Ok([repeated(call.g, a, &shape), repeated(call.g, b, &shape)])
}

fn arithmetic(call: &mut Call<'_>) -> Result<NodeId, String> {
    let op = call.node.op.as_str();
    let [a, b] = pair(call)?;
    let g = &mut *call.g;
    Ok(match op {
        "Add" => g.add(a, b),
        "Sub" => g.sub(a, b),
        "Mul" => g.mul(a, b),
        "Div" => g.div(a, b),
        _ => leaky_relu(g, a, b),
    })
}

/// The largest, smallest, sum or mean of any number of operands.
fn of_many(call: &mut Call<'_>) -> Result<NodeId, String> {
    let shapes = (0..call.len()).map(|at| call.shape(at)).collect::<Result<Vec<_>, _>>()?;
    let shape = shapes.iter().try_fold(vec![], |shape, other| fold::common(&shape, other))?;
    let mut result = None;
    for at in 0..call.len() {
        let x = call.input(at)?;
        let x = repeated(call.g, x, &shape);
        let g = &mut *call.g;
        result = Some(match (result, call.node.op.as_str()) {
            (None, _) => x,
            (Some(so_far), "Max") => g.max(so_far, x),
            (Some(so_far), "Min") => min(g, so_far, x),
            (Some(so_far), _) => g.add(so_far, x),
        });
    }
    let result = result.ok_or("it has no operand")?;
    Ok(if call.node.op == "Mean" { call.g.scale(result, 1.0 / call.len() as f64) } else { result })
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

fn compare(call: &mut Call<'_>) -> Result<NodeId, String> {
    let [a, b] = pair(call)?;
    let g = &mut *call.g;
    Ok(match call.node.op.as_str() {
        "Equal" => g.compare(Compare::Eq, a, b),
        "Greater" => g.compare(Compare::Gt, a, b),
        "GreaterOrEqual" => g.compare(Compare::Ge, a, b),
        "Less" => g.compare(Compare::Gt, b, a),
        _ => g.compare(Compare::Ge, b, a),
    })
}

fn choice(call: &mut Call<'_>) -> Result<Value, String> {
    if let Some(known) = call.all_known() {
        let [mask, a, b] = &known[..] else { return Err("it has other than three operands".to_owned()) };
        let shape = fold::common(&fold::common(&mask.shape, &a.shape)?, &b.shape)?;
        let [mask, a, b] = [mask, a, b].map(|array| fold::repeated(array, &shape).map(|array| array.elements));
        let (mask, a, b) = (mask?.numbers(), a?, b?);
        let pairs = a.numbers().into_iter().zip(b.numbers());
        let chosen = mask.into_iter().zip(pairs).map(|(mask, (a, b))| if mask == 0.0 { b } else { a });
        return Ok(Value::known(Array { shape, elements: Elements::of(a.kind(), chosen) }));
    }
    let shape = fold::common(&fold::common(&call.shape(0)?, &call.shape(1)?)?, &call.shape(2)?)?;
    let operands = [call.input(0)?, call.input(1)?, call.input(2)?];
    let [mask, a, b] = operands.map(|operand| repeated(call.g, operand, &shape));
    let half = call.g.full(0.5, &shape);
    let mask = call.g.compare(Compare::Gt, mask, half);
    Ok(Value::Node(call.g.select(mask, a, b)))
}

fn clip(call: &mut Call<'_>) -> Result<NodeId, String> {
    // Limits are attributes in early versions.
    let limit = |call: &Call<'_>, at: usize, name: &str| -> Result<Option<f64>, String> {
        match call.get(at) {
            Some(_) => call.number(at).map(Some),
            None => Ok(call.node.attribute(name).map(|it| it.float.into())),
        }
    };
    let mut y = call.input(0)?;
    let (low, high) = (limit(call, 1, "min")?, limit(call, 2, "max")?);
    let g = &mut *call.g;
    let shape = g.shape(y).to_vec();
    if let Some(low) = low {
        let low = g.full(low, &shape);
        y = g.max(y, low);
    }
    if let Some(high) = high {
        let high = g.full(high, &shape);
        y = min(g, y, high);
    }
    Ok(y)
}

/// max(x, 0) + slope·min(x, 0)
fn leaky_relu(g: &mut Graph, x: NodeId, slope: NodeId) -> NodeId {
    let shape = g.shape(x).to_vec();
    let zero = g.full(0.0, &shape);
    let above = g.max(x, zero);
    let below = min(g, x, zero);
    let below = g.mul(below, slope);
    g.add(above, below)
}

/// x for x > 0, α·(eˣ − 1) otherwise.
fn elu(g: &mut Graph, x: NodeId, alpha: f64) -> NodeId {
    let shape = g.shape(x).to_vec();
    let zero = g.full(0.0, &shape);
    let positive = g.compare(Compare::Gt, x, zero);
    // exp gets only arguments whose result is used, so it cannot overflow.
    let negative = g.select(positive, zero, x);
    let negative = g.unary(Unary::Expm1, negative);
    let negative = g.scale(negative, alpha);
    g.select(positive, x, negative)
}

/// min(max(α·x + β, 0), 1)
fn hard_sigmoid(g: &mut Graph, x: NodeId, alpha: f64, beta: f64) -> NodeId {
    let shape = g.shape(x).to_vec();
    let [zero, one] = [0.0, 1.0].map(|value| g.full(value, &shape));
    let line = g.scale(x, alpha);
    let line = g.offset(line, beta);
    let line = g.max(line, zero);
    min(g, line, one)
}

/// max(x, −x)
pub(super) fn absolute(g: &mut Graph, x: NodeId) -> NodeId {
    let minus = g.neg(x);
    g.max(x, minus)
}

/// x/2·(1 + erf(x/√2)), or its approximation x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³)))
fn gelu(g: &mut Graph, x: NodeId, approximation: Option<&str>) -> Result<NodeId, String> {
    let inner = match approximation {
        None | Some("none") => {
            let inner = g.scale(x, std::f64::consts::FRAC_1_SQRT_2);
            g.unary(Unary::Erf, inner)
        }
        Some("tanh") => {
            let square = g.mul(x, x);
            let cube = g.mul(square, x);
            let cube = g.scale(cube, 0.044_715);
            let inner = g.add(x, cube);
            let inner = g.scale(inner, (2.0 / std::f64::consts::PI).sqrt());
            g.unary(Unary::Tanh, inner)
        }
        Some(other) => return Err(format!("its approximation is `{}`", visible(other))),
    };
    let gate = g.offset(inner, 1.0);
    let half = g.scale(x, 0.5);
    Ok(g.mul(half, gate))
}

/// A function of one argument.
fn function(call: &mut Call<'_>) -> Result<NodeId, String> {
    let x = call.input(0)?;
    let (node, g) = (call.node, &mut *call.g);
    let shape = g.shape(x).to_vec();
    let [zero, one] = [0.0, 1.0].map(|value| g.full(value, &shape));
    Ok(match node.op.as_str() {
        "Abs" => absolute(g, x),
        "Neg" => g.neg(x),
        "Exp" => g.unary(Unary::Exp, x),
        "Log" => g.unary(Unary::Log, x),
        "Sqrt" => g.unary(Unary::Sqrt, x),
        "Tanh" => g.unary(Unary::Tanh, x),
        "Sigmoid" => g.unary(Unary::Logistic, x),
        "Softplus" => g.unary(Unary::Softplus, x),
        "Erf" => g.unary(Unary::Erf, x),
        "Reciprocal" => g.div(one, x),
        "Relu" => g.max(x, zero),
        "Softsign" => {
            let size = absolute(g, x);
            let below = g.add(one, size);
            g.div(x, below)
        }
        "LeakyRelu" => {
            let slope = g.full(node.float("alpha", 0.01), &shape);
            leaky_relu(g, x, slope)
        }
        "Elu" => elu(g, x, node.float("alpha", 1.0)),
        "Selu" => {
            let y = elu(g, x, node.float("alpha", 1.673_263_192_176_818_8));
            g.scale(y, node.float("gamma", 1.050_701_022_148_132_3))
        }
        "Celu" => {
            // α·(e^(x/α) − 1) below 0.
            let alpha = node.float("alpha", 1.0);
            let scaled = g.scale(x, 1.0 / alpha);
            let y = elu(g, scaled, 1.0);
            g.scale(y, alpha)
        }
        "ThresholdedRelu" => {
            let limit = g.full(node.float("alpha", 1.0), &shape);
            let is_above = g.compare(Compare::Gt, x, limit);
            g.select(is_above, x, zero)
        }
        "Shrink" => {
            let (limit, bias) = (node.float("lambd", 0.5), node.float("bias", 0.0));
            let [high, low] = [limit, -limit].map(|limit| g.full(limit, &shape));
            let (is_above, is_below) = (g.compare(Compare::Gt, x, high), g.compare(Compare::Gt, low, x));
            let [less, more] = [-bias, bias].map(|bias| g.offset(x, bias));
            let below = g.select(is_below, more, zero);
            g.select(is_above, less, below)
        }
        "Sign" => {
            let [is_above, is_below] = [g.compare(Compare::Gt, x, zero), g.compare(Compare::Gt, zero, x)];
            let minus = g.full(-1.0, &shape);
            let below = g.select(is_below, minus, zero);
            g.select(is_above, one, below)
        }
        "HardSigmoid" => hard_sigmoid(g, x, node.float("alpha", 0.2), node.float("beta", 0.5)),
        "HardSwish" => {
            let gate = hard_sigmoid(g, x, 1.0 / 6.0, 0.5);
            g.mul(x, gate)
        }
        "Swish" => {
            let inner = g.scale(x, node.float("alpha", 1.0));
            let gate = g.unary(Unary::Logistic, inner);
            g.mul(x, gate)
        }
        "Mish" => {
            let soft = g.unary(Unary::Softplus, x);
            let gate = g.unary(Unary::Tanh, soft);
            g.mul(x, gate)
        }
        "Gelu" => gelu(g, x, node.text("approximate").as_deref())?,
        _ => return Err("this operator is not read".to_owned()),
    })
}
