//! Exact Hessian-vector products of a network, checked twice, and the top of its spectrum.
//!
//!     cargo run --release --example hvp
//!
//! A Hessian is symmetric, so u·Hv = v·Hu; and H·v is the derivative of the gradient along v, so a central difference of
//! gradients must come close. The network is smooth (tanh): across the kinks of a ReLU network a difference of gradients
//! measures something else.

use std::error::Error;
use std::sync::Arc;

use edgewalk::curvature::{EigenOptions, Operator, lanczos};
use edgewalk::data::{self, DataName, Request};
use edgewalk::device::{Buffer, Device};
use edgewalk::model::{Activation, Loss, Mlp, Reduction, initial_params};
use edgewalk::objective::{HessianOperator, Objective};

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::open(None)?;
    let data = data::load(&Request { train: 500, ..Request::new(DataName::Embedded) })?.train;
    let (inputs, outputs) = (data.dim(), data.classes());
    let model = Arc::new(Mlp { inputs, width: 32, depth: 3, outputs, activation: Activation::Tanh });
    let mut objective = Objective::new(&device, model, Loss::Mse(Reduction::Mean), &data, 0)?;

    let params = initial_params(objective.layout(), 0);
    let w = objective.vector("the parameters")?;
    objective.set_params(&w, &params)?;
    let mut hessian = HessianOperator::new(&mut objective, &w)?;
    println!("{} parameters on {}", hessian.dim(), device.adapter().name);

    let top = lanczos(&mut hessian.linearise()?, None, &EigenOptions { top: 3, ..EigenOptions::default() })?;
    for pair in &top.pairs {
        println!("λ = {:9.6} ± {:.1e}", pair.value, pair.residual);
    }
    println!("from {} products", top.products);

    let (u, v) = (&top.pairs[0].vector, direction(params.len()));
    let (hu, hv) = (product(&mut hessian, u)?, product(&mut hessian, &v)?);
    println!("u·Hv = {:.9e}, v·Hu = {:.9e}", dot(u, &hv), dot(&v, &hu));

    let h = 0.01;
    let ahead = gradient(&mut objective, &w, &moved(&params, &v, h))?;
    let behind = gradient(&mut objective, &w, &moved(&params, &v, -h))?;
    let difference: Vec<f64> = ahead.iter().zip(&behind).map(|(a, b)| (a - b) / (2.0 * h)).collect();
    let gap: Vec<f64> = difference.iter().zip(&hv).map(|(a, b)| a - b).collect();
    println!("difference of gradients: {:.1e} from H·v, relative in norm", (dot(&gap, &gap) / dot(&hv, &hv)).sqrt());
    Ok(())
}

/// A unit vector with entries of many sizes.
fn direction(len: usize) -> Vec<f64> {
    let v: Vec<f64> = (0..len).map(|i| (i as f64 * 0.7).sin()).collect();
    let length = dot(&v, &v).sqrt();
    v.into_iter().map(|x| x / length).collect()
}

/// w + h v
fn moved(w: &[f32], v: &[f64], h: f64) -> Vec<f32> {
    w.iter().zip(v).map(|(w, v)| (f64::from(*w) + h * v) as f32).collect()
}

fn product(operator: &mut dyn Operator, v: &[f64]) -> Result<Vec<f64>, Box<dyn Error>> {
    let mut out = vec![0.0; v.len()];
    operator.apply(v, &mut out)?;
    Ok(out)
}

/// ∇L at `params`, which are written to `w`.
fn gradient(objective: &mut Objective, w: &Buffer, params: &[f32]) -> Result<Vec<f64>, Box<dyn Error>> {
    let gradient = objective.vector("the gradient")?;
    let recording = objective.gradient(w, &gradient, None)?;
    objective.set_params(w, params)?;
    objective.device().run([&recording])?;
    Ok(objective.read(&gradient)?)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
