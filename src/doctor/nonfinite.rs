//! Whether a run that diverges is noticed: the loss must not look finite when the numbers under it are not.
//!
//! WGSL lets a compiler assume that there are no NaNs and infinities, and `max(NaN, x)` may be x; the interpreter
//! itself gives relu(NaN) = 0, since NaN > 0 is false. So a comparison that loses a NaN is at most a warning, but sums,
//! products and the loss must pass it on.

use std::sync::Arc;

use super::case::{Case, normal};
use super::definition::{Definition, widen};
use super::{Row, Verdict};
use crate::data::{Examples, Features};
use crate::device::{Device, DeviceError};
use crate::graph::{Graph, NodeId, Unary};
use crate::model::{Activation, Loss, Mlp, Reduction, initial_params};
use crate::objective::Objective;
use crate::optim::{Optimizer, Rule};

/// The replacement of a number.
const STRANGE: [f32; 3] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
const ADVICE: &str = "a diverged run would not be noticed here: update the driver, or choose another --adapter";
const HIDDEN: &str = "a NaN can hide in a hidden layer here: if a run looks dead, look at its parameters";

type Build = fn(&mut Graph, NodeId) -> NodeId;

/// Ops that must pass on non-finite numbers, from a row of four numbers to one or four.
const CARRY: [(&str, Build); 6] = [
    ("x + 1", |g, x| g.offset(x, 1.0)),
    ("2x", |g, x| g.scale(x, 2.0)),
    ("Σx", |g, x| g.sum_all(x)),
    ("Σx²", |g, x| {
        let square = g.mul(x, x);
        g.sum_all(square)
    }),
    ("matmul", |g, x| {
        let shape = [4, 4];
        let column = g.reshape(x, &[4, 1]);
        let wide = g.broadcast(x, &shape, &[1]);
        let product = g.matmul(wide, column);
        g.sum_all(product)
    }),
    ("√x²", |g, x| {
        let square = g.mul(x, x);
        g.unary(Unary::Sqrt, square)
    }),
];

/// Ops that compare or clamp.
const COMPARE: [(&str, Build); 7] = [
    ("relu", |g, x| Activation::Relu.apply(g, x)),
    ("max", |g, x| g.reduce_max(x, &[0])),
    ("tanh", |g, x| g.unary(Unary::Tanh, x)),
    ("exp", |g, x| g.unary(Unary::Exp, x)),
    ("logistic", |g, x| g.unary(Unary::Logistic, x)),
    ("softplus", |g, x| g.unary(Unary::Softplus, x)),
    ("erf", |g, x| g.unary(Unary::Erf, x)),
];

pub(super) fn rows(device: &Device) -> Result<Vec<Row>, DeviceError> {
    Ok(vec![carried(device)?, compared(device)?, parameters(device)?, diverging(device)?])
}

/// The result of an op on four numbers, the second of them non-finite: on the device and by definition.
fn outcome(device: &Device, build: Build, strange: f32) -> Result<[f64; 2], DeviceError> {
    let mut case = Case::new("a strange number");
    let x = case.input(&[4], vec![1.0, strange.into(), 3.0, 4.0]);
    let result = build(&mut case.graph, x);
    case.outputs.push(result);
    let values = [case.run(device)?, case.exact(false)];
    Ok(values.map(|values| if values.len() == 1 { values[0] } else { values[1] }))
}

fn carried(device: &Device) -> Result<Row, DeviceError> {
    let mut hidden = vec![];
    for (name, build) in CARRY {
        for strange in STRANGE {
            let [found, _] = outcome(device, build, strange)?;
            if found.is_finite() {
                hidden.push(format!("{name} of {strange} is {found}"));
            }
        }
    }
    let tried = CARRY.len() * STRANGE.len();
    let found = format!("{} of {tried} stay NaN or infinite", tried - hidden.len());
    let mut row = Row::judged("sums, products, roots", found, "all".to_owned(), hidden.is_empty(), ADVICE);
    row.details.extend((!hidden.is_empty()).then(|| hidden.join(", ")));
    Ok(row)
}

fn compared(device: &Device) -> Result<Row, DeviceError> {
    let (mut values, mut hidden) = (vec![], false);
    for (name, build) in COMPARE {
        let [found, exact] = outcome(device, build, f32::NAN)?;
        hidden |= found.is_finite() && exact.is_nan();
        values.extend(found.is_finite().then(|| format!("{name} {found}")));
    }
    let found = format!("of NaN: {}; the others NaN", values.join(", "));
    let mut row = Row::judged("comparisons", found, "numbers from relu and max only".to_owned(), true, "");
    if hidden {
        (row.verdict, row.advice) = (Verdict::Warn, Some(HIDDEN.to_owned()));
    }
    Ok(row)
}

/// A network of two hidden layers.
fn network(activation: Activation) -> Mlp {
    Mlp { inputs: 8, width: 8, depth: 3, outputs: 3, activation }
}

/// 32 random examples for it.
fn examples() -> Examples {
    let features = normal(100, 32 * 8).into_iter().map(|x| x as f32).collect();
    let labels = (0..32).map(|i| i % 3).collect();
    Examples::new(Features::Real(features), [8], labels, 3).expect("every example has its class")
}

/// The loss with NaN or infinity in one parameter tensor after the other, beside the interpreter's.
fn parameters(device: &Device) -> Result<Row, DeviceError> {
    let (mut hidden, mut reach, mut should) = (vec![], 0, 0);
    let mut last_layer = false;
    for (activation, loss) in [(Activation::Tanh, Loss::CrossEntropy), (Activation::Relu, Loss::Mse(Reduction::Mean))] {
        let (model, data) = (network(activation), examples());
        let definition = Definition::new(&model, loss, &data);
        let mut objective = Objective::new(device, Arc::new(model), loss, &data, 0)?;
        let (w, partials) = (objective.vector("w")?, device.buffer("sums", objective.partials_len())?);
        let recording = objective.loss(&w, &partials)?;
        let layout = objective.layout().clone();
        let last = layout.iter().count() - 2;
        for (i, (param, offset)) in layout.iter().enumerate() {
            for strange in STRANGE {
                let mut values = initial_params(&layout, 0);
                values[offset] = strange;
                device.write(&w, &values)?;
                device.run([&recording])?;
                let finite = objective.metrics(&device.read(&partials)?).loss.is_finite();
                // A bounded activation rightly takes ±∞ to ±1, and relu takes NaN to 0.
                let expected = !definition.loss(&widen(&values)).is_finite();
                reach += usize::from(!finite);
                should += usize::from(expected);
                if finite && expected {
                    hidden.push(format!("{strange} in {} ({activation})", param.name));
                    last_layer |= i >= last;
                }
            }
        }
    }
    let (found, limit) = (format!("{reach} of {should} reach the loss"), "as by definition".to_owned());
    let mut row = Row::judged("strange parameters", found, limit, !last_layer, ADVICE);
    if !hidden.is_empty() && !last_layer {
        row.verdict = Verdict::Warn;
        row.advice =
            Some("a NaN can hide in a hidden layer here: if a run looks dead, look at its parameters".to_owned());
    }
    row.details.extend((!hidden.is_empty()).then(|| format!("lost: {}", hidden.join(", "))));
    Ok(row)
}

/// Gradient descent at a far too high rate, whose loss must become non-finite and stay so.
fn diverging(device: &Device) -> Result<Row, DeviceError> {
    const STEPS: usize = 100;
    let mut firsts = vec![];
    let mut silent = vec![];
    for activation in [Activation::Relu, Activation::Tanh] {
        let (model, loss) = (Arc::new(network(activation)), Loss::Mse(Reduction::Mean));
        let mut objective = Objective::new(device, model, loss, &examples(), 0)?;
        let w = objective.vector("w")?;
        device.write(&w, &initial_params(objective.layout(), 0))?;
        let rule = Rule::gd(1e4);
        let optimizer = Optimizer::new(&mut objective, rule, &w)?;
        let mut losses = vec![];
        for _ in 0..STEPS {
            device.run([&*optimizer.logged_step(0)?])?;
            let row = device.read::<f64>(optimizer.probe.row())?;
            losses.push(optimizer.probe.metrics(&objective, &row).loss);
        }
        let first = losses.iter().position(|loss| !loss.is_finite());
        match first {
            Some(first) if losses[first..].iter().all(|loss| !loss.is_finite()) => {
                firsts.push(format!("{activation} {first}"));
            }
            Some(_) => silent.push(format!("{activation}: becomes finite again")),
            None => silent.push(format!("{activation}: still {:.2e} after {STEPS} steps", losses[STEPS - 1])),
        }
    }
    let found =
        if silent.is_empty() { format!("not finite from step: {}", firsts.join(", ")) } else { silent.join(", ") };
    let limit = "the loss stops being finite, for good".to_owned();
    Ok(Row::judged("a diverging run", found, limit, silent.is_empty(), ADVICE))
}
