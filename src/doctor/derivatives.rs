//! Gradients and Hessian products of three small networks, against the interpreter and against each other.
//!
//! H·v is judged in three ways: the interpreter differentiates the same graph in f64; u·Hv = v·Hu; and a difference of
//! gradients, whose error falls with the step h as h² until rounding, growing as u/h, takes over: a V with its lowest
//! point near u^⅔ relative to the derivatives. The networks are smooth, so no kink is crossed, and narrow, because a
//! software adapter compiles wide kernels slowly (`kernels` has some).

use std::sync::Arc;

use super::case::normal;
use super::definition::{Definition, widen};
use super::{ROUNDOFF, Row};
use crate::curvature::dot;
use crate::data::{self, DataName, Examples, Features, Request};
use crate::device::{Device, DeviceError};
use crate::model::{Activation, Cnn, Layout, Loss, Mlp, Model, Norm, Pool, Reduction, Transformer, initial_params};
use crate::objective::Objective;

/// Steps of the differences: half-decades from 1 to 1e-4, along a unit vector.
const STEPS: [f64; 9] = [1.0, 3e-1, 1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4];
/// Roundings on the way to an element of a gradient. A contraction adds up at most 256 terms at a time
/// (`passes::split`), whose errors grow like √256 = 16 u as long as they are independent (Higham and Mary, SIAM J. Sci.
/// Comput. 41, 2019); as much again for its elementwise neighbours, all of it forward and in reverse, for up to eight
/// layers.
const GRADIENT: f64 = 16.0 * 2.0 * 2.0 * 8.0;
/// A Hessian product passes through every layer twice as often.
const PRODUCT: f64 = 2.0 * GRADIENT;
/// The lowest point of the V, in units of u^⅔. With third derivatives T along v and rounding uG, both relative to ‖Hv‖,
/// the error is T·h²/6 + uG/h, at best 1.9·(T/6)^⅓·(uG)^⅔; the two factors amount to less than 16 for these networks.
const DIFFERENCE: f64 = 16.0;
/// The least rise of either end of the V above its lowest point: a half-decade of h gives √10 where rounding dominates,
/// and 10 on the other side.
const ARM: f64 = 3.0;

const ACTIVATION: Activation = Activation::Tanh;

pub(super) fn mlp(device: &Device) -> Result<Vec<Row>, DeviceError> {
    let images = data::load(&Request { train: 64, ..Request::new(DataName::Embedded) });
    let images = images.expect("the embedded examples are part of the program").train;
    let (inputs, outputs) = (images.dim(), images.classes());
    let model = Mlp { inputs, width: 16, depth: 3, outputs, activation: ACTIVATION };
    examine(device, "MLP", Arc::new(model), Loss::CrossEntropy, &images)
}

pub(super) fn cnn(device: &Device) -> Result<Vec<Row>, DeviceError> {
    let image = [4, 4, 2];
    let model = Cnn {
        image,
        blocks: 1,
        layers_per_block: 1,
        channels: 8,
        growth: 2,
        stride: 1,
        activation: ACTIVATION,
        norm: Norm::Layer,
        groups: 1,
        pool: Pool::Average,
        outputs: 3,
    };
    let features = normal(200, 16 * 32).into_iter().map(|x| x as f32).collect();
    let labels = (0..16).map(|i| i % 3).collect();
    let pictures = Examples::new(Features::Real(features), image, labels, 3).expect("every picture has its class");
    examine(device, "CNN", Arc::new(model), Loss::Mse(Reduction::HalfSum), &pictures)
}

pub(super) fn transformer(device: &Device) -> Result<Vec<Row>, DeviceError> {
    let (length, vocabulary) = (8, 8);
    let model = Transformer { layers: 1, heads: 2, key_size: 4, model_size: 8, length, vocabulary };
    // Codes from 1; the last two tokens of every third window are padding.
    let code = |i: u32| if i / 8 % 3 == 2 && i % 8 >= 6 { 0 } else { i * i % 7 + 1 };
    let features = Features::Tokens((0..64).map(code).collect());
    let labels = (1..65).map(code).collect();
    let text = Examples::new(features, [length], labels, vocabulary).expect("every token has its label");
    examine(device, "Transformer", Arc::new(model), Loss::CrossEntropy, &text)
}

fn norm(v: &[f64]) -> f64 {
    dot(v, v).sqrt()
}

/// ‖a − b‖/‖b‖
fn off(a: &[f64], b: &[f64]) -> f64 {
    norm(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>()) / norm(b)
}

/// A vector of length 1, each element an f32 number.
fn unit(v: &[f64]) -> Vec<f64> {
    let length = norm(v);
    v.iter().map(|x| f64::from((x / length) as f32)).collect()
}

/// Matrices of Glorot's scale, all else a little off its initial value: no derivative is 0 by symmetry, and layer
/// normalisation gets numbers of ordinary size, which bounds the third derivatives.
fn parameters(layout: &Layout) -> Vec<f32> {
    let mut w = initial_params(layout, 0);
    let noise = normal(400, w.len());
    for (param, offset) in layout.iter() {
        let scale = match param.shape[..] {
            [rows, columns] => (2.0 / (rows + columns) as f64).sqrt(),
            _ => 0.1,
        };
        let matrix = param.shape.len() == 2;
        for i in offset..offset + param.shape.iter().product::<usize>() {
            let start = if matrix { 0.0 } else { f64::from(w[i]) };
            w[i] = (start + scale * noise[i]) as f32;
        }
    }
    w
}

/// All four rows of one network.
fn examine(
    device: &Device,
    name: &str,
    model: Arc<dyn Model>,
    loss: Loss,
    data: &Examples,
) -> Result<Vec<Row>, DeviceError> {
    let definition = Definition::new(&*model, loss, data);
    let mut objective = Objective::new(device, model, loss, data, 0)?;
    let layout = objective.layout().clone();
    let w = parameters(&layout);
    let [at, along, result] = [objective.vector("w")?, objective.vector("v")?, objective.vector("a derivative")?];
    let recordings = (objective.gradient(&at, &result, None)?, objective.hvp(&at, &along, &result)?);
    let run = |recording| {
        device.run([recording])?;
        objective.read(&result).map(|values| widen(&values))
    };
    let gradient = |w: &[f32]| {
        device.write(&at, w)?;
        run(&recordings.0)
    };
    let product = |v: &[f64]| {
        device.write(&along, &v.iter().map(|&x| x as f32).collect::<Vec<_>>())?;
        run(&recordings.1)
    };
    let here = gradient(&w)?;
    let u = unit(&normal(300, layout.len()));
    let hu = product(&u)?;
    // A direction in which the loss curves, so that differences of gradients are not zero.
    let v = unit(&hu);
    let hv = product(&v)?;
    let exact = definition.derivatives(&widen(&w), &v);

    let advice = "training and curvature will be wrong: update the driver, or choose another --adapter";
    let row = |what: &str, error: f64, roundoffs: f64| Row::error(&format!("{name}: {what}"), error, roundoffs, advice);
    let asymmetry = (dot(&u, &hv) - dot(&v, &hu)).abs() / norm(&hv);
    let mut rows = vec![
        row("gradient", off(&here, &exact.gradient), GRADIENT),
        row("H·v", off(&hv, &exact.product), PRODUCT),
        row("u·Hv = v·Hu", asymmetry, PRODUCT),
    ];
    let mut errors = vec![];
    for h in STEPS {
        let moved =
            |sign: f64| w.iter().zip(&v).map(|(w, v)| (f64::from(*w) + sign * h * v) as f32).collect::<Vec<_>>();
        let (ahead, behind) = (gradient(&moved(1.0))?, gradient(&moved(-1.0))?);
        let quotient: Vec<f64> = ahead.iter().zip(&behind).map(|(a, b)| (a - b) / (2.0 * h)).collect();
        errors.push(off(&quotient, &hv));
    }
    rows.push(v_shape(name, &errors, advice));
    Ok(rows)
}

/// The error of differences must fall with the step and rise again, and be small in between.
fn v_shape(name: &str, errors: &[f64], advice: &str) -> Row {
    let (mut lowest, mut least) = (0, f64::INFINITY);
    for (i, &error) in errors.iter().enumerate() {
        if error < least {
            (lowest, least) = (i, error);
        }
    }
    let limit = DIFFERENCE * ROUNDOFF.powf(2.0 / 3.0);
    let arms = [errors[0], errors[errors.len() - 1]].iter().all(|&end| end > ARM * least);
    let shape = if arms { "a V" } else { "no V" };
    let found = format!("{shape}, lowest {least:.1e} at h = {:.0e}", STEPS[lowest]);
    let text = format!("a V, lowest below {limit:.1e} = {DIFFERENCE:.0} u^⅔");
    let mut row = Row::judged(&format!("{name}: differences"), found, text, arms && least <= limit, advice);
    let each = STEPS.iter().zip(errors).map(|(h, error)| format!("{h:.0e}: {error:.1e}"));
    row.details.push(format!("error at h = {}", each.collect::<Vec<_>>().join("  ")));
    row
}
