//! A loss of one's own, cross-entropy with smoothed labels, trained with SAM beside plain cross-entropy.
//!
//!     cargo run --release --example custom_loss
//!
//! A loss is a function from outputs and labels to one value per label, in graph ops; gradients and curvature products follow.
//! Cross-entropy flattens as a network grows sure of its answers: its Hessian is small where every probability is near 0
//! or 1, and so the sharpness falls far below the edge. Smoothed labels forbid certainty, and it stays there.

use std::error::Error;
use std::sync::Arc;

use edgewalk::curvature::edge::sam_edge;
use edgewalk::curvature::{EigenOptions, lanczos};
use edgewalk::data::{self, DataName, Request};
use edgewalk::device::Device;
use edgewalk::graph::{Graph, NodeId};
use edgewalk::model::{Activation, Loss, Mlp, initial_params};
use edgewalk::objective::{HessianOperator, Objective};
use edgewalk::optim::{Optimizer, Rule};

/// The probability that is spread evenly over all classes.
pub const SMOOTHING: f32 = 0.1;

/// −Σ q log softmax(outputs) with q = SMOOTHING/classes, and 1 − SMOOTHING more for the label: cross-entropy, plus SMOOTHING
/// times how far the label's output is above the mean of all outputs.
pub fn smoothed(g: &mut Graph, outputs: NodeId, labels: NodeId) -> NodeId {
    let classes = g.shape(outputs)[1];
    let hit = g.one_hot(labels, classes);
    let own = g.mul(hit, outputs);
    let own = g.reduce_sum(own, &[1]);
    let sum = g.reduce_sum(outputs, &[1]);
    let mean = g.scale(sum, 1.0 / classes as f32);
    let above = g.sub(own, mean);
    let above = g.scale(above, SMOOTHING);
    let cross_entropy = Loss::CrossEntropy.per_label(g, outputs, labels);
    g.add(cross_entropy, above)
}

/// What was measured at a step.
pub struct Row {
    /// Updates made.
    pub step: u64,
    /// The mean loss of an example.
    pub loss: f64,
    /// The top eigenvalue of the Hessian.
    pub lambda_1: f64,
    /// λ₁ divided by the SAM-edge.
    pub edge_ratio: f64,
}

/// Trains a small network with SAM, measuring λ₁ and its ratio to the SAM-edge on the way.
///
/// # Errors
/// Whatever the device says.
pub fn train(loss: Loss) -> Result<Vec<Row>, Box<dyn Error>> {
    let device = Device::open(None)?;
    let data = data::load(&Request { train: 100, ..Request::new(DataName::Embedded) })?.train;
    let (inputs, outputs) = (data.dim(), data.classes());
    let model = Arc::new(Mlp { inputs, width: 16, depth: 3, outputs, activation: Activation::Tanh });
    let mut objective = Objective::new(&device, model, loss, &data, 0)?;
    let w = objective.vector("the parameters")?;
    objective.set_params(&w, &initial_params(objective.layout(), 0))?;
    let rule = Rule::sam(1.0, 0.05);
    let optimizer = Optimizer::new(&mut objective, rule, &w)?;
    let mut hessian = HessianOperator::new(&mut objective, &w)?;

    let mut rows = vec![];
    for step in 0..=600 {
        if step % 100 == 0 {
            device.run([optimizer.probe.recording(step)])?;
            let metrics = optimizer.probe.metrics(&objective, &device.read(optimizer.probe.row())?);
            let lambda_1 = lanczos(&mut hessian.linearise()?, None, &EigenOptions::default())?.pairs[0].value;
            let edge_ratio = lambda_1 / sam_edge(rule.lr, rule.rho, metrics.grad_norm);
            rows.push(Row { step, loss: metrics.loss, lambda_1, edge_ratio });
        }
        device.run([&*optimizer.step(step)?])?;
    }
    Ok(rows)
}

fn main() -> Result<(), Box<dyn Error>> {
    for (name, loss) in [("cross-entropy", Loss::CrossEntropy), ("smoothed labels", Loss::Custom(smoothed))] {
        println!("{name}\nstep      loss       λ₁  λ₁ ÷ SAM-edge");
        for row in train(loss)? {
            println!("{:4} {:9.5} {:8.4} {:14.3}", row.step, row.loss, row.lambda_1, row.edge_ratio);
        }
    }
    Ok(())
}
