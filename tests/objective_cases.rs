//! Networks on real images, on the adapter and in float64: what the tests of `objective` and `training` start from.
//!
//! A ReLU whose input lies within rounding of 0 may open in f32 and stay shut in f64, which changes the gradient by
//! that unit's whole share: no tolerance covers it. [`Case::new`] therefore draws parameters until no pre-activation
//! comes that close to a kink.

use std::sync::Arc;

use edgewalk::data::{self, DataName, Examples, Features, Request};
use edgewalk::device::{Buffer, Device, Recording};
use edgewalk::model::{Activation, Layout, Loss, Mlp, Model, Reduction};
use edgewalk::objective::{Metrics, Objective};
use edgewalk::optim::Rule;
use nalgebra::{DMatrix, DVector};

use super::device::{relative_error, the_device};
use super::interpreted::distance_to_kink;
use super::reference_mlp::{self, pseudo_normal};

/// The first `n` training images of MNIST.
pub fn mnist(n: usize) -> Examples {
    data::load(&Request { train: n, ..Request::new(DataName::Embedded) }).unwrap().train
}

/// Parameters of Glorot's scale, biases included, so that no derivative is 0 by symmetry; each is an f32 number.
pub fn some_params(model: &dyn Model, seed: u64) -> Vec<f32> {
    let layout = Layout::of(model).unwrap();
    let mut params: Vec<f32> = pseudo_normal(layout.len(), seed).iter().map(|&x| x as f32).collect();
    for (param, offset) in layout.iter() {
        let scale = match param.shape[..] {
            [fan_in, fan_out] => (2.0 / (fan_in + fan_out) as f32).sqrt(),
            _ => 0.1,
        };
        params[offset..][..param.shape.iter().product()].iter_mut().for_each(|x| *x *= scale);
    }
    params
}

/// The numbers that a network reads of its examples.
pub fn real(data: &Examples) -> &[f32] {
    match data.features() {
        Features::Real(values) => values,
        Features::Tokens(_) => panic!("these examples are tokens"),
    }
}

pub fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| x.into()).collect()
}

pub fn norm(v: &[f64]) -> f64 {
    v.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// A unit vector of f32 numbers (to their rounding).
pub fn direction(len: usize, seed: u64) -> Vec<f64> {
    let v = pseudo_normal(len, seed).normalize();
    v.iter().map(|&x| f64::from(x as f32)).collect()
}

/// A network, a loss, examples and parameters.
pub struct Case {
    pub mlp: Mlp,
    pub loss: Loss,
    pub data: Examples,
    pub w: Vec<f32>,
}

impl Case {
    /// Depth 4, with parameters whose kinks are farther than `margin` from every pre-activation.
    pub fn new(width: usize, examples: usize, activation: Activation, loss: Loss) -> Self {
        let mlp = Mlp { inputs: 784, width, depth: 4, outputs: 10, activation };
        let data = mnist(examples);
        // Pre-activations are of order 1 and wrong by some 1e-7.
        let margin = if activation == Activation::Relu { 2e-6 } else { 0.0 };
        let seeds = (1..20).map(|seed| Self { w: some_params(&mlp, seed), mlp: mlp.clone(), loss, data: data.clone() });
        let mut fit = seeds.filter(|case| distance_to_kink(&case.mlp, &case.data, &case.w64()).0 >= margin);
        fit.next().expect("one of twenty draws keeps its distance")
    }

    pub fn w64(&self) -> Vec<f64> {
        widen(&self.w)
    }

    pub fn reference(&self) -> reference_mlp::Mlp {
        reference(&self.mlp, self.loss, &self.data)
    }

    pub fn objective(&self, chunk: usize) -> Objective {
        self.objective_on(the_device(), chunk)
    }

    pub fn objective_on(&self, device: &Device, chunk: usize) -> Objective {
        Objective::new(device, Arc::new(self.mlp.clone()), self.loss, &self.data, chunk).unwrap()
    }

    pub fn on_device(&self, chunk: usize) -> OnDevice {
        OnDevice::new(self.objective(chunk), &self.w)
    }
}

/// The independent network for the same task.
pub fn reference(mlp: &Mlp, loss: Loss, data: &Examples) -> reference_mlp::Mlp {
    let mut widths = vec![mlp.width; mlp.depth + 1];
    (widths[0], widths[mlp.depth]) = (mlp.inputs, mlp.outputs);
    reference_mlp::Mlp {
        widths,
        activation: match mlp.activation {
            Activation::Relu => reference_mlp::Activation::Relu,
            Activation::Tanh => reference_mlp::Activation::Tanh,
            Activation::Gelu => reference_mlp::Activation::Gelu,
            Activation::Elu => reference_mlp::Activation::Elu,
            Activation::Softplus => reference_mlp::Activation::Softplus,
        },
        loss: match loss {
            Loss::Mse(Reduction::Mean) => reference_mlp::Loss::MseMean,
            Loss::Mse(Reduction::HalfSum) => reference_mlp::Loss::MseHalfSum,
            Loss::CrossEntropy => reference_mlp::Loss::CrossEntropy,
            Loss::Smoothed(_) | Loss::BinaryCrossEntropy | Loss::Custom(_) | Loss::Output => {
                panic!("the reference has its own losses")
            }
        },
        x: DMatrix::from_row_slice(data.len(), data.dim(), &widen(real(data))),
        y: DMatrix::from_fn(data.len(), data.classes(), |i, j| f64::from(data.labels()[i] as usize == j)),
    }
}

/// An objective with its parameters and room for a direction and a result.
pub struct OnDevice {
    pub objective: Objective,
    pub w: Buffer,
    v: Buffer,
    result: Buffer,
}

impl OnDevice {
    pub fn new(objective: Objective, w: &[f32]) -> Self {
        let [at, v, result] = ["w", "v", "result"].map(|what| objective.vector(what).unwrap());
        objective.device().write(&at, w).unwrap();
        Self { objective, w: at, v, result }
    }

    fn run(&self, recording: &Recording) -> Vec<f64> {
        self.objective.device().run([recording]).unwrap();
        widen(&self.objective.read(&self.result).unwrap())
    }

    pub fn gradient(&mut self) -> Vec<f64> {
        let recording = self.objective.gradient(&self.w, &self.result, None).unwrap();
        self.run(&recording)
    }

    pub fn product(&mut self, product: Product, v: &[f64]) -> Vec<f64> {
        let v: Vec<f32> = v.iter().map(|&x| x as f32).collect();
        self.objective.device().write(&self.v, &v).unwrap();
        let recording = match product {
            Product::Hessian => self.objective.hvp(&self.w, &self.v, &self.result),
            Product::GaussNewton => self.objective.ggn(&self.w, &self.v, &self.result),
            Product::CurvatureGrad => self.objective.curvature_grad(&self.w, &self.v, &self.result),
        };
        self.run(&recording.unwrap())
    }

    pub fn metrics(&mut self) -> Metrics {
        let device = self.objective.device().clone();
        let partials = device.buffer("partial sums", self.objective.partials_len()).unwrap();
        let recording = self.objective.loss(&self.w, &partials).unwrap();
        device.run([&recording]).unwrap();
        self.objective.metrics(&device.read(&partials).unwrap())
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Product {
    Hessian,
    GaussNewton,
    CurvatureGrad,
}

/// w − η ∇L(w + ρ g/(‖g‖ + ε)) by the reference.
pub fn sam_step(mlp: &reference_mlp::Mlp, w: &DVector<f64>, rule: Rule) -> DVector<f64> {
    let g = mlp.at(w.as_slice()).gradient;
    let above = w + &g * (rule.rho / (g.norm() + rule.epsilon));
    w - mlp.at(above.as_slice()).gradient * rule.lr
}

/// Compares, prints the error for `--nocapture`, and fails above `tolerance`.
pub fn close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    let error = relative_error(found, expected);
    println!("{what}: {error:.2e} (at most {tolerance:.0e})");
    assert!(error <= tolerance, "{what}: relative error {error:e} above {tolerance:e}");
}
