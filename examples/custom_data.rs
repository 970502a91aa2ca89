//! Data of one's own, two spirals made in memory: trained with SAM, measured, and what was learnt drawn in letters.
//!
//!     cargo run --release --example custom_data
//!
//! A data set is a value of `Examples`: a row of numbers and a label for each example. Where they come from is nobody's
//! business. The drawing comes from `graph::eval`, which computes the same model on the host in float64.

use std::error::Error;
use std::f32::consts::PI;
use std::sync::Arc;

use edgewalk::curvature::edge::sam_edge;
use edgewalk::curvature::{EigenOptions, lanczos};
use edgewalk::data::{Examples, ExamplesError, Features};
use edgewalk::device::Device;
use edgewalk::graph::{Graph, NodeId, Tensor, eval};
use edgewalk::model::{Activation, Layout, Loss, Mlp, Model, initial_params};
use edgewalk::objective::{HessianOperator, Objective};
use edgewalk::optim::{Optimizer, Rule};

/// Points of each spiral.
const POINTS: usize = 60;

/// Two spirals of a turn and a quarter around the origin, in the square from −1 to 1; the second is the first, upside down.
///
/// # Errors
/// None: every point is finite and has its class.
pub fn spirals() -> Result<Examples, ExamplesError> {
    let point = |i: usize, spiral: usize| {
        let t = (i + 1) as f32 / POINTS as f32;
        let angle = 2.5 * PI * t + PI * spiral as f32;
        [t * angle.cos(), t * angle.sin()]
    };
    let points = (0..2).flat_map(|spiral| (0..POINTS).flat_map(move |i| point(i, spiral)));
    let labels = (0..2 * POINTS).map(|i| (i / POINTS) as u32).collect();
    Examples::new(Features::Real(points.collect()), [2], labels, 2)
}

/// What came of training.
pub struct Learnt {
    /// A line for each measurement.
    pub lines: Vec<String>,
    /// The share of points on the wrong side in the end.
    pub error: f64,
    /// The square with its two sides as letters, and the points of the spirals.
    pub drawing: String,
}

/// Trains a small network on the spirals.
///
/// # Errors
/// Whatever the device says.
pub fn learn() -> Result<Learnt, Box<dyn Error>> {
    let device = Device::open(None)?;
    let model = Arc::new(Mlp { inputs: 2, width: 32, depth: 3, outputs: 2, activation: Activation::Tanh });
    let mut objective = Objective::new(&device, model.clone(), Loss::CrossEntropy, &spirals()?, 0)?;
    let w = objective.vector("the parameters")?;
    objective.set_params(&w, &initial_params(objective.layout(), 1))?;
    let rule = Rule::sam(0.5, 0.02);
    let optimizer = Optimizer::new(&mut objective, rule, &w)?;
    let mut hessian = HessianOperator::new(&mut objective, &w)?;

    let (mut lines, mut error) = (vec![], f64::NAN);
    for step in 0..=2500 {
        if step % 250 == 0 {
            device.run([optimizer.probe.recording(step)])?;
            let metrics = optimizer.probe.metrics(&objective, &device.read(optimizer.probe.row())?);
            let lambda_1 = lanczos(&mut hessian.linearise()?, None, &EigenOptions::default())?.pairs[0].value;
            let ratio = lambda_1 / sam_edge(rule.lr, rule.rho, metrics.grad_norm);
            error = metrics.error;
            lines.push(format!("{step:4} {:9.5} {:9.1} % {lambda_1:9.3} {ratio:14.3}", metrics.loss, 100.0 * error));
        }
        device.run([&*optimizer.step(step)?])?;
    }
    let drawing = drawing(&*model, objective.layout(), &objective.read(&w)?)?;
    Ok(Learnt { lines, error, drawing })
}

/// What the network makes of a grid of points, row by row from the top.
fn drawing(model: &dyn Model, layout: &Layout, w: &[f32]) -> Result<String, Box<dyn Error>> {
    let (wide, high) = (56, 28);
    let at = |i: usize, count: usize| 2.2 * ((i as f64 + 0.5) / count as f64 - 0.5);
    let grid = (0..high).flat_map(|y| (0..wide).flat_map(move |x| [at(x, wide), -at(y, high)]));
    let grid = Tensor { shape: vec![wide * high, 2], data: grid.collect() };

    // The model as a graph, and a value for each of its inputs.
    let mut g = Graph::new();
    let nodes: Vec<NodeId> = layout.iter().map(|(param, _)| g.input_f32(&param.name, &param.shape)).collect();
    let x = g.input_f32("x", &grid.shape);
    let outputs = model.forward(&mut g, &nodes, x);
    let tensor = |shape: &[usize], start: usize| {
        let len: usize = shape.iter().product();
        Tensor { shape: shape.into(), data: w[start..start + len].iter().map(|&w| f64::from(w)).collect() }
    };
    let values = layout.iter().zip(&nodes).map(|((param, start), &node)| (node, tensor(&param.shape, start)));
    let values: Vec<(NodeId, Tensor)> = values.chain([(x, grid)]).collect();
    let outputs = eval(&g, &[outputs], &values)?.remove(0);

    let side = |scores: &[f64]| if scores[0] > scores[1] { '·' } else { ' ' };
    let mut cells: Vec<char> = outputs.data.chunks(2).map(side).collect();
    if let Features::Real(points) = spirals()?.features() {
        let cell = |x: f32, count: usize| ((f64::from(x) / 2.2 + 0.5) * count as f64) as usize;
        for (i, point) in points.chunks(2).enumerate() {
            cells[cell(-point[1], high) * wide + cell(point[0], wide)] = if i < POINTS { 'o' } else { 'x' };
        }
    }
    Ok(cells.chunks(wide).map(|row| String::from_iter(row) + "\n").collect())
}

fn main() -> Result<(), Box<dyn Error>> {
    let learnt = learn()?;
    println!("step      loss   misclassified    λ₁  λ₁ ÷ SAM-edge\n{}\n\n{}", learnt.lines.join("\n"), learnt.drawing);
    Ok(())
}
