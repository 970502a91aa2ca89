//! Steps over flat vectors: gradient descent and SAM, each one recording without a host in between.
//!
//! Gradient descent: w⁺ = w − η ∇L(w). SAM: w⁺ = w − η ∇L(w + ρ g/(‖g‖ + ε)), g = ∇L(w) (Foret et al. 2021; ε as in the
//! code of Long and Bartlett). ρ = 0 is gradient descent. The vector algebra is written as graphs like everything else;
//! η, ρ and ε are read from a small device buffer, so that changing them recompiles nothing.

use crate::gpu::{Buffer, Gpu, GpuError, Recording};
use crate::graph::{Graph, Unary};
use crate::objective::vectors::{at, record};
use crate::objective::{Metrics, Objective};

/// Partial sums of ‖g‖² that the host adds up in f64.
const NORM_PARTIALS: usize = 256;

/// The update rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sam {
    /// Learning rate η.
    pub lr: f64,
    /// Radius ρ of the perturbation; 0 for gradient descent.
    pub rho: f64,
    /// ε of the normaliser.
    pub epsilon: f64,
}

/// What a logged step leaves for the host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepMetrics {
    /// Mean training loss before the step.
    pub loss: f64,
    /// Fraction of training examples misclassified before the step.
    pub error: f64,
    /// ‖∇L‖ before the step.
    pub grad_norm: f64,
}

/// Recorded steps of a rule on an objective. See the module text.
pub struct Optimizer {
    rule: Sam,
    w: Buffer,
    gradient: Buffer,
    update_gradient: Buffer,
    /// Loss and error partials, then those of ‖g‖².
    row: Buffer,
    /// One update.
    pub step: Recording,
    /// One update that leaves its metrics in `row`.
    pub logged_step: Recording,
    /// Gradient, SAM gradient and metrics at `w`, without an update.
    pub probe: Recording,
}

impl Optimizer {
    /// Records the steps that move `w`, a vector of the objective.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn new(objective: &mut Objective, rule: Sam, w: &Buffer) -> Result<Self, GpuError> {
        let gpu = objective.gpu().clone();
        let gradient = objective.vector("the gradient")?;
        let norm = gpu.buffer("partial sums", NORM_PARTIALS)?;
        let row = gpu.buffer("metrics", objective.partials_len() + NORM_PARTIALS)?;
        let settings = gpu.buffer_from("settings", &[rule.lr as f32, rule.rho as f32, rule.epsilon as f32])?;

        let plain = objective.gradient(w, &gradient, None)?;
        let logged = objective.gradient(w, &gradient, Some(&row))?;
        let squares = record_squares(&gpu, &gradient, &norm)?;
        let to_row = Recording::copy(&norm, &row, objective.partials_len());
        let (update_gradient, climb) = if rule.rho > 0.0 {
            let above = objective.vector("the perturbed parameters")?;
            let second = objective.vector("the SAM gradient")?;
            let ascend = record_ascent(&gpu, w, &gradient, &norm, &settings, &above)?;
            let again = objective.gradient(&above, &second, None)?;
            (second, ascend.then(&again))
        } else {
            (gradient.clone(), Recording::default())
        };
        let descend = record_descent(&gpu, w, &update_gradient, &settings)?;
        // Gradient descent needs ‖g‖ only where it is logged.
        let norm_to_climb = if rule.rho > 0.0 { squares.clone() } else { Recording::default() };
        Ok(Self {
            rule,
            w: w.clone(),
            gradient,
            update_gradient,
            row,
            step: plain.then(&norm_to_climb).then(&climb).then(&descend),
            probe: logged.clone().then(&squares).then(&climb).then(&to_row),
            logged_step: logged.then(&squares).then(&climb).then(&descend).then(&to_row),
        })
    }

    /// The rule.
    pub fn rule(&self) -> &Sam {
        &self.rule
    }

    /// The parameters.
    pub fn params(&self) -> &Buffer {
        &self.w
    }

    /// ∇L(w) of the last step or probe.
    pub fn gradient(&self) -> &Buffer {
        &self.gradient
    }

    /// The gradient that the update follows: SAM's at the perturbed point, or ∇L(w) for gradient descent.
    pub fn update_gradient(&self) -> &Buffer {
        &self.update_gradient
    }

    /// Where [`Self::logged_step`] and [`Self::probe`] leave their metrics, see [`Self::metrics`].
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

/// w ← w − η g
fn record_descent(gpu: &Gpu, w: &Buffer, gradient: &Buffer, settings: &Buffer) -> Result<Recording, GpuError> {
    let len = w.len();
    let mut g = Graph::new();
    let (x, dx) = (g.input_f32("w", &[len]), g.input_f32("g", &[len]));
    let lr = g.input_f32("lr", &[]);
    let scale = g.broadcast(lr, &[len], &[]);
    let step = g.mul(dx, scale);
    let next = g.sub(x, step);
    let inputs = [(x, at(0, 0)), (dx, at(1, 0)), (lr, at(2, 0))];
    record(gpu, "descent", &g, &inputs, &[(next, at(0, 0))], &[w, gradient, settings])
}
