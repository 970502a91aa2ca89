//! The paper's convolutional network on CIFAR-10 under SAM: exact products beside differences of gradients.
//!
//!     cargo run --release -- data fetch cifar10
//!     cargo run --release --example cifar_cnn
//!
//! At every check λ₁ is compared with the SAM-edge, and the curvature along v₁ is taken a second time as a difference of
//! two gradients, 10⁻³ apart on either side. Between the two lie kinks of ReLUs and of pooling, at which the loss has no
//! second derivative: the difference counts their jumps, the exact product does not.

use std::error::Error;
use std::sync::Arc;

use edgewalk::curvature::edge::sam_edge;
use edgewalk::curvature::{EigenOptions, Operator, Track, lanczos};
use edgewalk::data::{self, DataName, Request};
use edgewalk::device::Device;
use edgewalk::model::{Cnn, Loss, Reduction, initial_params};
use edgewalk::objective::{DifferenceOperator, HessianOperator, Objective};
use edgewalk::optim::{Optimizer, Rule};

const STEPS: u64 = 120;
const MEASURE_EVERY: u64 = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::open(None)?;
    let data = data::load(&Request { train: 100, ..Request::new(DataName::Cifar10) })?.train;
    let model = Cnn::paper([data.shape()[0], data.shape()[1], data.shape()[2]], 8, data.classes());
    let mut objective = Objective::new(&device, Arc::new(model), Loss::Mse(Reduction::Mean), &data, 0)?;

    let w = objective.vector("the parameters")?;
    objective.set_params(&w, &initial_params(objective.layout(), 0))?;
    let rule = Rule::sam(0.01, 0.02);
    let optimizer = Optimizer::new(&mut objective, rule, &w)?;
    let mut hessian = HessianOperator::new(&mut objective, &w)?;
    let mut differences = DifferenceOperator::new(&mut objective, &w)?;

    println!("step     loss      ‖g‖        λ₁  SAM-edge  ratio  v₁ᵀ(difference along v₁)");
    let mut last: Option<Track> = None;
    for step in 0..=STEPS {
        if step % MEASURE_EVERY == 0 {
            device.run([optimizer.probe.recording(step)])?;
            let metrics = optimizer.probe.metrics(&objective, &device.read(optimizer.probe.row())?);
            let spectrum = lanczos(&mut hessian.linearise()?, last.as_ref(), &EigenOptions::default())?;
            let top = &spectrum.pairs[0];
            let mut along = vec![0.0; top.vector.len()];
            differences.apply(&top.vector, &mut along)?;
            let by_differences: f64 = along.iter().zip(&top.vector).map(|(a, b)| a * b).sum();
            let edge = sam_edge(rule.lr, rule.rho, metrics.grad_norm);
            println!(
                "{step:4} {:8.5} {:8.4} {:9.3} {edge:9.3} {:6.3}  {by_differences:9.3}",
                metrics.loss,
                metrics.grad_norm,
                top.value,
                top.value.abs() / edge
            );
            last = Some(spectrum.track);
        }
        device.run([&*optimizer.step(step)?])?;
    }
    Ok(())
}
