//! A small network trained by SAM, its top Hessian eigenvalue printed beside the SAM-edge as it climbs there.
//!
//!     cargo run --release --example sam_edge
//!
//! SAM-edge = (‖g‖/2ρ)(√(1 + 8ρ/(η‖g‖)) − 1): on a quadratic, SAM diverges along an eigenvector whose eigenvalue is
//! larger (Long and Bartlett, arXiv 2309.12488). It depends on ‖g‖, so it moves as training goes on. A step is one
//! recording; the host reads something back only where it measures.

use std::error::Error;
use std::sync::Arc;

use edgewalk::curvature::edge::{gd_edge, sam_edge};
use edgewalk::curvature::{EigenOptions, Track, lanczos};
use edgewalk::data::{self, DataName, Request};
use edgewalk::device::Device;
use edgewalk::model::{Activation, Loss, Mlp, Reduction, initial_params};
use edgewalk::objective::{HessianOperator, Objective};
use edgewalk::optim::{Optimizer, Rule};

const STEPS: u64 = 120;
const MEASURE_EVERY: u64 = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::open(None)?;
    let data = data::load(&Request { train: 300, ..Request::new(DataName::Embedded) })?.train;
    let (inputs, outputs) = (data.dim(), data.classes());
    let model = Arc::new(Mlp { inputs, width: 32, depth: 4, outputs, activation: Activation::Relu });
    let mut objective = Objective::new(&device, model, Loss::Mse(Reduction::Mean), &data, 0)?;

    let w = objective.vector("the parameters")?;
    objective.set_params(&w, &initial_params(objective.layout(), 0))?;
    let rule = Rule::sam(0.5, 0.05);
    let optimizer = Optimizer::new(&mut objective, rule, &w)?;
    let mut hessian = HessianOperator::new(&mut objective, &w)?;

    println!("2/η = {}", gd_edge(rule.lr));
    println!("step     loss      ‖g‖       λ₁  SAM-edge  ratio");
    let mut last: Option<Track> = None;
    for step in 0..=STEPS {
        if step % MEASURE_EVERY == 0 {
            // Loss and ‖g‖ here, without an update.
            device.run([optimizer.probe.recording(step)])?;
            let metrics = optimizer.probe.metrics(&objective, &device.read(optimizer.probe.row())?);
            // The parameters rest: what depends on them alone is computed once. The eigenvectors of ten steps ago are a good
            // start.
            let spectrum = lanczos(&mut hessian.linearise()?, last.as_ref(), &EigenOptions::default())?;
            let sharpness = spectrum.pairs[0].value;
            let edge = sam_edge(rule.lr, rule.rho, metrics.grad_norm);
            println!(
                "{step:4} {:8.5} {:8.5} {sharpness:8.4} {edge:9.4} {:6.3}",
                metrics.loss,
                metrics.grad_norm,
                sharpness / edge
            );
            last = Some(spectrum.track);
        }
        device.run([&*optimizer.step(step)?])?;
    }
    Ok(())
}
