//! Steps over flat vectors: gradient descent, SAM and their relatives, each one recording that needs no host in
//! between.
//!
//! Gradient descent: w⁺ = w − η ∇L(w). SAM: w⁺ = w − η ∇L(w + ρ g/(‖g‖ + ε)), g = ∇L(w) (Foret et al. 2021; ε as in the
//! code of Long and Bartlett). [`Rule`] has the others, with their edges. A step is a `probe` of the parameters, an
//! `ascent` and a `descent`. Their numbers are read from a small device buffer (`settings`), so that changing them
//! recompiles nothing.

mod ascent;
mod batches;
mod climb;
mod descent;
mod probe;
mod rule;
mod settings;
mod update_operator;

use crate::device::{Buffer, DeviceError, Recording};
use crate::objective::Objective;
use descent::Descent;

pub use batches::{Batches, Cursor};
pub use climb::GroupClimb;
pub use probe::Probe;
pub use rule::{Ascent, NoEdge, Rule};
pub use update_operator::{UpdateOperator, UpdateProducts};

/// The metrics of a logged step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepMetrics {
    /// Mean loss before the step, over the examples of the step.
    pub loss: f64,
    /// Fraction of them misclassified before the step.
    pub error: f64,
    /// ‖∇L‖ before the step.
    pub grad_norm: f64,
    /// The norm of the gradient that the step follows, at the perturbed parameters if it perturbs.
    pub followed_norm: f64,
}

/// Recorded steps of a rule on an objective. See the module text.
pub struct Optimizer {
    /// A step without the update: both gradients and the metrics.
    pub probe: Probe,
    velocity: Option<Buffer>,
    plain: Recording,
    /// Steps with a perturbation, for a rule that perturbs.
    perturbed: Option<Steps>,
}

/// One update, and one that leaves all its metrics.
struct Steps {
    step: Recording,
    logged: Recording,
}

impl Optimizer {
    /// Records the steps that move `w`, a vector of the objective.
    ///
    /// # Errors
    /// As [`Probe::new`].
    pub fn new(objective: &mut Objective, rule: Rule, w: &Buffer) -> Result<Self, DeviceError> {
        let probe = Probe::new(objective, rule, w)?;
        let velocity = if rule.momentum > 0.0 { Some(objective.vector("the velocity")?) } else { None };
        let device = objective.device();
        let descent = Descent { rule: &rule, w, settings: &probe.settings, velocity: velocity.as_ref() };
        let plain = probe.plain.clone().then(&descent.along(device, probe.gradient())?);
        let perturbed = match &probe.perturbed {
            Some(perturbed) => {
                let down = descent.along(device, &perturbed.gradient)?;
                let [step, logged] = [&perturbed.step, &perturbed.look].map(|slope| slope.clone().then(&down));
                Some(Steps { step, logged })
            }
            None => None,
        };
        Ok(Self { probe, velocity, plain, perturbed })
    }

    /// Update `step`, counted from 0, which selects the part of the rule's schedule ([`Rule::at`]). Its metrics are in
    /// the probe's row, except the ‖∇L‖ of m-SAM, which does not compute it: an earlier value stays there.
    pub fn step(&self, step: u64) -> &Recording {
        self.perturbed_at(step).map_or(&self.plain, |steps| &steps.step)
    }

    /// The same update with all its metrics.
    pub fn logged_step(&self, step: u64) -> &Recording {
        self.perturbed_at(step).map_or(&self.plain, |steps| &steps.logged)
    }

    fn perturbed_at(&self, step: u64) -> Option<&Steps> {
        self.perturbed.as_ref().filter(|_| self.probe.rule().at(step).perturbs())
    }

    /// The parameters.
    pub fn params(&self) -> &Buffer {
        self.probe.params()
    }

    /// The velocity v of a rule with momentum: with the parameters and the number of updates made, all of its state.
    pub fn velocity(&self) -> Option<&Buffer> {
        self.velocity.as_ref()
    }
}
