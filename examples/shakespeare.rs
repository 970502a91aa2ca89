//! A small Transformer on tiny_shakespeare under minibatch SAM: the curvature of a minibatch beside that of a fixed set.
//!
//!     cargo run --release -- data fetch shakespeare
//!     cargo run --release --example shakespeare
//!
//! The top eigenvalue is measured exactly, through softmax and layer normalisation, and with its sign: in a fresh network
//! the largest in magnitude may well be negative. Of a minibatch it is noisy, which is why `edgewalk train` measures on a
//! fixed set unless it is told otherwise.

use std::error::Error;
use std::sync::Arc;

use edgewalk::curvature::{EigenOptions, lanczos};
use edgewalk::data::{self, DataName, Request};
use edgewalk::device::Device;
use edgewalk::model::{Loss, Model, Transformer, initial_params};
use edgewalk::objective::{HessianOperator, Objective};
use edgewalk::optim::{Batches, Optimizer, Rule};

const STEPS: u64 = 60;
const MEASURE_EVERY: u64 = 15;
const LENGTH: usize = 32;

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::open(None)?;
    let request = Request { train: 1000, seq_len: LENGTH, ..Request::new(DataName::Shakespeare) };
    let data = data::load(&request)?.train;
    let vocabulary = data.classes();
    let model: Arc<dyn Model> =
        Arc::new(Transformer { layers: 2, heads: 4, key_size: 8, model_size: 32, length: LENGTH, vocabulary });

    // One objective whose examples change with every step, and one that stays.
    let mut batches = Batches::new(data.len(), 16, 0)?;
    let first = data.select(&batches.indices(0))?;
    let fixed = data.select(&(0..64).collect::<Vec<_>>())?;
    let mut trained = Objective::new(&device, Arc::clone(&model), Loss::CrossEntropy, &first, 0)?;
    let mut measured = Objective::new(&device, model, Loss::CrossEntropy, &fixed, 0)?;

    let w = trained.vector("the parameters")?;
    trained.set_params(&w, &initial_params(trained.layout(), 0))?;
    let optimizer = Optimizer::new(&mut trained, Rule::sam(0.1, 0.05), &w)?;
    let mut of_batch = HessianOperator::new(&mut trained, &w)?;
    let mut of_fixed = HessianOperator::new(&mut measured, &w)?;

    println!("step  loss of batch  λ₁ of 64 fixed windows  λ₁ of the batch's 16");
    for step in 0..=STEPS {
        trained.replace(&data.select(&batches.indices(step))?)?;
        if step % MEASURE_EVERY == 0 {
            device.run([optimizer.probe.recording(step)])?;
            let metrics = optimizer.probe.metrics(&trained, &device.read(optimizer.probe.row())?);
            let options = EigenOptions::default();
            let fixed = &lanczos(&mut of_fixed.linearise()?, None, &options)?.pairs[0];
            let batch = &lanczos(&mut of_batch.linearise()?, None, &options)?.pairs[0];
            println!(
                "{step:4} {:14.4} {:13.4} ± {:.0e} {:17.4} ± {:.0e}",
                metrics.loss, fixed.value, fixed.residual, batch.value, batch.residual
            );
        }
        device.run([&*optimizer.step(step)?])?;
    }
    Ok(())
}
