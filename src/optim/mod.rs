//! Steps over flat vectors: gradient descent and SAM, each one recording without a host in between.
//!
//! Gradient descent: w⁺ = w − η ∇L(w). SAM: w⁺ = w − η ∇L(w + ρ g/(‖g‖ + ε)), g = ∇L(w) (Foret et al. 2021; ε as in the
//! code of Long and Bartlett). ρ = 0 is gradient descent. The vector algebra is written as graphs like everything else;
//! η, ρ and ε are read from a small device buffer, so that changing them recompiles nothing.

mod batches;
mod probe;

use crate::gpu::{Buffer, Gpu, GpuError, Recording};
use crate::graph::Graph;
use crate::objective::Objective;
use crate::objective::vectors::{at, record};

pub use batches::{Batches, Cursor};
pub use probe::Probe;

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
    /// Mean loss before the step, over the examples that the step saw.
    pub loss: f64,
    /// Fraction of them misclassified before the step.
    pub error: f64,
    /// ‖∇L‖ before the step.
    pub grad_norm: f64,
}

/// Recorded steps of a rule on an objective. See the module text.
pub struct Optimizer {
    /// A step without the update: both gradients and the metrics.
    pub probe: Probe,
    /// One update.
    pub step: Recording,
    /// One update that leaves its metrics in the probe's row.
    pub logged_step: Recording,
}

impl Optimizer {
    /// Records the steps that move `w`, a vector of the objective.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn new(objective: &mut Objective, rule: Sam, w: &Buffer) -> Result<Self, GpuError> {
        let probe = Probe::new(objective, rule, w)?;
        let plain = objective.gradient(w, probe.gradient(), None)?;
        let descend = record_descent(objective.gpu(), w, probe.update_gradient(), &probe.settings)?;
        Ok(Self {
            step: plain.then(&probe.climb).then(&descend),
            logged_step: probe.recording.clone().then(&descend),
            probe,
        })
    }

    /// The parameters.
    pub fn params(&self) -> &Buffer {
        self.probe.params()
    }
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
