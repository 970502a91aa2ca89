//! Gradients and Hessian products of three small networks: against the interpreter, against each other.
//!
//! The one idea: H·v can be judged in three ways that share little. The interpreter differentiates the same graph in f64;
//! u·Hv = v·Hu needs no other computation; and a difference of gradients needs no second derivative, but its error falls
//! with the step h as h² only until rounding, which grows as u/h, takes over: a V whose lowest point is near u^⅔ relative to
//! the size of the derivatives. All networks are smooth, so no kink is crossed.

use std::sync::Arc;

use super::case::normal;
use super::{ROUNDOFF, Row};
use crate::autodiff;
use crate::curvature::{CurvatureError, Operator};
use crate::data::{self, DataName, Examples, Features, Request};
use crate::gpu::{Gpu, GpuError};
use crate::graph::{DType, Graph, NodeId, Tensor, eval};
use crate::model::{Activation, Cnn, Layout, Loss, Mlp, Model, Norm, Pool, Reduction, Transformer, initial_params};
use crate::objective::{HessianOperator, Objective};

/// Steps of the differences: half-decades from 1 to 1e-4, along a unit vector.
const STEPS: [f64; 9] = [1.0, 3e-1, 1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4];
/// Roundings on the way to an element of a gradient. A contraction adds up at most 256 terms at a time
/// (`passes::split`), whose errors grow like 16 u if they are independent (Higham and Mary, SIAM J. Sci. Comput. 41, 2019);
/// with its elementwise neighbours, and twice that for safety, a layer has 64 forward and 64 in reverse. Eight layers.
const GRADIENT: f64 = 1024.0;
/// A Hessian product passes through every layer twice as often.
const PRODUCT: f64 = 2.0 * GRADIENT;
/// The lowest point of the V, in units of u^⅔: the factor is that of the gradient to the product, ‖g‖/‖Hv‖, and of the
/// third derivatives, which for these networks and directions is below 100.
const DIFFERENCE: f64 = 100.0;

/// A network with its loss and examples.
struct Subject {
    name: &'static str,
    model: Arc<dyn Model>,
    loss: Loss,
    data: Examples,
}

fn subjects() -> Vec<Subject> {
    let images = data::load(&Request { train: 64, ..Request::new(DataName::Embedded) });
    let images = images.expect("the embedded examples are part of the program").train;
    let (inputs, outputs, activation) = (images.dim(), images.classes, Activation::Tanh);
    let mlp = Mlp { inputs, width: 32, depth: 3, outputs, activation };
    let image = [8, 8, 2];
    let cnn = Cnn {
        image,
        blocks: 2,
        layers_per_block: 1,
        channels: 4,
        growth: 2,
        stride: 1,
        activation,
        norm: Norm::Layer,
        pool: Pool::Average,
        outputs: 3,
    };
    let pictures = Examples {
        features: Features::Real(normal(200, 16 * 128).into_iter().map(|x| x as f32).collect()),
        shape: image.to_vec(),
        labels: (0..16).map(|i| i % 3).collect(),
        classes: 3,
    };
    let (length, vocabulary) = (8, 12);
    let transformer = Transformer { layers: 1, heads: 2, key_size: 4, model_size: 8, length, vocabulary };
    // Codes from 1; the last two tokens of every third window are padding.
    let code = |i: u32| if i / 8 % 3 == 2 && i % 8 >= 6 { 0 } else { i * i % 11 + 1 };
    let text = Examples {
        features: Features::Tokens((0..64).map(code).collect()),
        shape: vec![length],
        labels: (1..65).map(code).collect(),
        classes: vocabulary,
    };
    vec![
        Subject { name: "MLP", model: Arc::new(mlp), loss: Loss::CrossEntropy, data: images },
        Subject { name: "CNN", model: Arc::new(cnn), loss: Loss::Mse(Reduction::HalfSum), data: pictures },
        Subject { name: "Transformer", model: Arc::new(transformer), loss: Loss::CrossEntropy, data: text },
    ]
}

pub(super) fn rows(gpu: &Gpu) -> Result<Vec<Row>, GpuError> {
    let mut rows = vec![];
    for subject in subjects() {
        rows.extend(examine(gpu, &subject)?);
    }
    Ok(rows)
}

fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| x.into()).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
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

fn examine(gpu: &Gpu, subject: &Subject) -> Result<Vec<Row>, GpuError> {
    let Subject { name, model, loss, data } = subject;
    let mut objective = Objective::new(gpu, Arc::clone(model), *loss, data, 0)?;
    let layout = objective.layout().clone();
    let w = initial_params(&layout, 0);
    let (at, g) = (objective.vector("w")?, objective.vector("the gradient")?);
    let recording = objective.gradient(&at, &g, None)?;
    let gradient = |w: &[f32]| -> Result<Vec<f64>, GpuError> {
        gpu.write(&at, w);
        gpu.run([&recording])?;
        let mut values = gpu.read::<f32>(&g)?;
        values.truncate(layout.len());
        Ok(widen(&values))
    };
    let here = gradient(&w)?;
    let mut hessian = HessianOperator::new(&mut objective, &at)?;
    let mut product = |v: &[f64]| -> Result<Vec<f64>, GpuError> {
        let mut out = vec![0.0; v.len()];
        hessian.apply(v, &mut out).map_err(device)?;
        Ok(out)
    };
    let u = unit(&normal(300, layout.len()));
    let hu = product(&u)?;
    // A direction in which the loss curves, so that differences of gradients have something to show.
    let v = unit(&hu);
    let hv = product(&v)?;
    let exact = interpret(&**model, *loss, data, &widen(&w), &v);

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
        let moved = |sign: f64| w.iter().zip(&v).map(|(w, v)| (f64::from(*w) + sign * h * v) as f32).collect::<Vec<_>>();
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
    // Ten times the lowest on either side: h² and u/h give far more over the decades that are left there.
    let arms = [errors[0], errors[errors.len() - 1]].iter().all(|&end| end > 10.0 * least);
    let shape = if arms { "a V" } else { "no V" };
    let found = format!("{shape}, lowest {least:.1e} at h = {:.0e}", STEPS[lowest]);
    let text = format!("a V, lowest below {limit:.1e} = {DIFFERENCE:.0} u^⅔");
    let mut row = Row::judged(&format!("{name}: differences"), found, text, arms && least <= limit, advice);
    let each = STEPS.iter().zip(errors).map(|(h, error)| format!("{h:.0e}: {error:.1e}"));
    row.details.push(format!("error at h = {}", each.collect::<Vec<_>>().join("  ")));
    row
}

/// A product fails only by the device.
fn device(error: CurvatureError) -> GpuError {
    GpuError::Device(error.to_string())
}

/// ∇L and H·v by definition.
struct Exact {
    gradient: Vec<f64>,
    product: Vec<f64>,
}

/// What the interpreter makes of an objective's loss: the graph that `objective` compiles, in f64.
fn interpret(model: &dyn Model, loss: Loss, data: &Examples, w: &[f64], v: &[f64]) -> Exact {
    let (mut g, mut inputs) = (Graph::new(), vec![]);
    let layout = Layout::of(model);
    let mut vector = |g: &mut Graph, values: &[f64]| -> Vec<NodeId> {
        let tensors = layout.iter().map(|(param, offset)| {
            let (id, shape) = (g.input_f32(&param.name, &param.shape), param.shape.clone());
            let data = values[offset..][..shape.iter().product()].to_vec();
            inputs.push((id, Tensor { shape, data }));
            id
        });
        tensors.collect()
    };
    let (w, v) = (vector(&mut g, w), vector(&mut g, v));
    let integers = |values: &[u32]| values.iter().map(|&x| x.into()).collect::<Vec<f64>>();
    let (dtype, features) = match &data.features {
        Features::Real(values) => (DType::F32, widen(values)),
        Features::Tokens(codes) => (DType::U32, integers(codes)),
    };
    let (shape, count) = (vec![data.len(), data.dim()], vec![data.labels.len()]);
    let (x, labels) = (g.input("x", &shape, dtype), g.input("labels", &count, DType::U32));
    let weights = g.input_f32("weights", &count);
    let equal = || vec![1.0 / data.labels.len() as f64; data.labels.len()];
    let weighing = data.label_weights().map_or_else(equal, |weights| widen(&weights));
    inputs.push((x, Tensor { shape, data: features }));
    inputs.push((labels, Tensor { shape: count.clone(), data: integers(&data.labels) }));
    inputs.push((weights, Tensor { shape: count, data: weighing }));
    let outputs = model.forward(&mut g, &w, x);
    let losses = loss.per_label(&mut g, outputs, labels);
    let weighted = g.mul(losses, weights);
    let mean = g.sum_all(weighted);
    let mut wanted = autodiff::grad(&mut g, mean, &w);
    wanted.extend(autodiff::hvp(&mut g, mean, &w, &v));
    let values = eval(&g, &wanted, &inputs).expect("every input of the network has its value");
    let flat = |tensors: &[Tensor]| tensors.iter().flat_map(|tensor| tensor.data.clone()).collect();
    let (gradient, product) = values.split_at(w.len());
    Exact { gradient: flat(gradient), product: flat(product) }
}
