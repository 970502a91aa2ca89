//! A look at the present parameters: loss, error, ∇L(w), and the gradient that an update would follow.
//!
//! A step is a probe and a descent, so what is logged is what the step used. A probe of another objective shows the same
//! parameters on other examples.

use crate::gpu::{Buffer, Gpu, GpuError, Recording};
use crate::graph::{Graph, Unary};
use crate::objective::vectors::{at, record};
use crate::objective::{Metrics, Objective};

use super::{Sam, StepMetrics};

/// Partial sums of ‖g‖² that the host adds up in f64.
const NORM_PARTIALS: usize = 256;

/// A recorded look at parameters. See the module text.
pub struct Probe {
    rule: Sam,
    w: Buffer,
    gradient: Buffer,
    update_gradient: Buffer,
    /// Loss and error partials, then those of ‖g‖².
    row: Buffer,
    /// η, ρ and ε.
    pub(super) settings: Buffer,
    /// From ∇L(w) to the gradient that the update follows; nothing for gradient descent.
    pub(super) climb: Recording,
    /// Both gradients and the metrics at `w`.
    pub recording: Recording,
}

impl Probe {
    /// Records a look at `w`, a vector of the objective, as a step of `rule` would take it.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn new(objective: &mut Objective, rule: Sam, w: &Buffer) -> Result<Self, GpuError> {
        let gpu = objective.gpu().clone();
        let gradient = objective.vector("the gradient")?;
        let norm = gpu.buffer("partial sums", NORM_PARTIALS)?;
        let row = gpu.buffer("metrics", objective.partials_len() + NORM_PARTIALS)?;
        let settings = gpu.buffer_from("settings", &[rule.lr as f32, rule.rho as f32, rule.epsilon as f32])?;

        let logged = objective.gradient(w, &gradient, Some(&row))?;
        let squares = record_squares(&gpu, &gradient, &norm)?;
        let to_row = Recording::copy(&norm, &row, objective.partials_len());
        let (update_gradient, climb) = if rule.rho > 0.0 {
            let above = objective.vector("the perturbed parameters")?;
            let second = objective.vector("the SAM gradient")?;
            let ascend = record_ascent(&gpu, w, &gradient, &norm, &settings, &above)?;
            let again = objective.gradient(&above, &second, None)?;
            (second, squares.clone().then(&ascend).then(&again))
        } else {
            (gradient.clone(), Recording::default())
        };
        // Gradient descent needs ‖g‖ only where it is logged.
        let to_update = if rule.rho > 0.0 { &climb } else { &squares };
        let recording = logged.then(to_update).then(&to_row);
        Ok(Self { rule, w: w.clone(), gradient, update_gradient, row, settings, climb, recording })
    }

    /// The rule.
    pub fn rule(&self) -> &Sam {
        &self.rule
    }

    /// The parameters.
    pub fn params(&self) -> &Buffer {
        &self.w
    }

    /// ∇L(w), as left by the recording.
    pub fn gradient(&self) -> &Buffer {
        &self.gradient
    }

    /// The gradient that the update follows: SAM's at the perturbed point, or ∇L(w) for gradient descent.
    pub fn update_gradient(&self) -> &Buffer {
        &self.update_gradient
    }

    /// Where the recording leaves its metrics, see [`Self::metrics`].
    pub fn row(&self) -> &Buffer {
        &self.row
    }

    /// Metrics from a row, finished in f64.
    pub fn metrics(&self, objective: &Objective, row: &[f32]) -> StepMetrics {
        let (partials, norm) = row.split_at(objective.partials_len());
        let Metrics { loss, error } = objective.metrics(partials);
        let grad_norm = norm.iter().map(|&x| f64::from(x)).sum::<f64>().sqrt();
        StepMetrics { loss, error, grad_norm }
    }
}

/// partials = sums of g²
fn record_squares(gpu: &Gpu, gradient: &Buffer, partials: &Buffer) -> Result<Recording, GpuError> {
    let len = gradient.len();
    let mut g = Graph::new();
    let x = g.input_f32("g", &[len]);
    let square = g.mul(x, x);
    let table = g.reshape(square, &[len / NORM_PARTIALS, NORM_PARTIALS]);
    let sums = g.reduce_sum(table, &[0]);
    record(gpu, "squares of the gradient", &g, &[(x, at(0, 0))], &[(sums, at(1, 0))], &[gradient, partials])
}

/// above = w + ρ g/(‖g‖ + ε)
fn record_ascent(
    gpu: &Gpu,
    w: &Buffer,
    gradient: &Buffer,
    partials: &Buffer,
    settings: &Buffer,
    above: &Buffer,
) -> Result<Recording, GpuError> {
    let len = w.len();
    let mut g = Graph::new();
    let (x, dx) = (g.input_f32("w", &[len]), g.input_f32("g", &[len]));
    let partial = g.input_f32("partials", &[NORM_PARTIALS]);
    let (rho, epsilon) = (g.input_f32("rho", &[]), g.input_f32("epsilon", &[]));
    let sum = g.sum_all(partial);
    let norm = g.unary(Unary::Sqrt, sum);
    let norm = g.add(norm, epsilon);
    let scale = g.div(rho, norm);
    let scale = g.broadcast(scale, &[len], &[]);
    let climb = g.mul(dx, scale);
    let sum = g.add(x, climb);
    let inputs = [(x, at(0, 0)), (dx, at(1, 0)), (partial, at(2, 0)), (rho, at(3, 1)), (epsilon, at(3, 2))];
    record(gpu, "ascent", &g, &inputs, &[(sum, at(4, 0))], &[w, gradient, partials, settings, above])
}
