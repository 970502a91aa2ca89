//! Steps over flat vectors: gradient descent, SAM and their relatives, each one recording that needs no host in
//! between.
//!
//! Gradient descent: w⁺ = w − η ∇L(w). SAM: w⁺ = w − η ∇L(w + ρ g/(‖g‖ + ε)), g = ∇L(w) (Foret et al. 2021; ε as in the
//! code of Long and Bartlett). [`Rule`] has the others, with their edges; [`Base`] has the adaptive ones, and
//! [`Schedule`] changes η. A step is a `probe` of the parameters, an `ascent` and a `descent`. Their numbers are read
//! from a small device buffer (`settings`), so that changing them recompiles nothing.

mod ascent;
mod base;
mod batches;
mod climb;
mod descent;
mod flow;
mod probe;
mod rule;
mod schedule;
mod settings;
mod state;
mod update_operator;

use std::borrow::Cow;

use crate::device::{Buffer, Device, DeviceError, Recording};
use crate::objective::Objective;
use descent::Descent;

pub use base::Base;
pub use batches::{Batches, Cursor, MOST_FRESH};
pub use climb::GroupClimb;
pub use probe::Probe;
pub use rule::{Ascent, NoEdge, Rule};
pub use schedule::{Decay, Schedule};
pub use state::{Moment, State};
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
    device: Device,
    state: State,
    /// Updates made before the state began.
    since: u64,
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
        let state = State::new(objective, &rule)?;
        let device = objective.device().clone();
        let descent = Descent { rule: &rule, w, settings: &probe.settings, state: &state };
        let update = match rule.base {
            Base::Flow => flow::step(objective, w, probe.gradient(), &probe.settings)?,
            Base::Sgd | Base::RmsProp { .. } | Base::Adam { .. } => descent.along(&device, probe.gradient())?,
        };
        let plain = probe.plain.clone().then(&update);
        let perturbed = match &probe.perturbed {
            Some(perturbed) => {
                let down = descent.along(&device, &perturbed.gradient)?;
                let [step, logged] = [&perturbed.step, &perturbed.look].map(|slope| slope.clone().then(&down));
                Some(Steps { step, logged })
            }
            None => None,
        };
        Ok(Self { probe, device, state, since: 0, plain, perturbed })
    }

    /// Update `step`, counted from 0, which selects the part of the rule's schedule ([`Rule::at`]). Its metrics are in
    /// the probe's row, except the ‖∇L‖ of m-SAM, which does not compute it: an earlier value stays there.
    ///
    /// # Errors
    /// [`DeviceError::NoMemory`], for a rule whose numbers change from one update to the next.
    pub fn step(&self, step: u64) -> Result<Cow<'_, Recording>, DeviceError> {
        self.numbered(step, self.perturbed_at(step).map_or(&self.plain, |steps| &steps.step))
    }

    /// The same update with all its metrics.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn logged_step(&self, step: u64) -> Result<Cow<'_, Recording>, DeviceError> {
        self.numbered(step, self.perturbed_at(step).map_or(&self.plain, |steps| &steps.logged))
    }

    /// A recording that first sets the numbers of update `step`, where they vary.
    fn numbered<'a>(&self, step: u64, recording: &'a Recording) -> Result<Cow<'a, Recording>, DeviceError> {
        let rule = self.probe.rule();
        if !settings::vary(rule) {
            return Ok(Cow::Borrowed(recording));
        }
        let numbers =
            self.device.buffer_from("the numbers of an update", &settings::numbers(rule, step, self.since))?;
        Ok(Cow::Owned(Recording::copy(&numbers, &self.probe.settings, 0)?.then(recording)))
    }

    fn perturbed_at(&self, step: u64) -> Option<&Steps> {
        self.perturbed.as_ref().filter(|_| self.probe.rule().at(step).perturbs())
    }

    /// The parameters.
    pub fn params(&self) -> &Buffer {
        self.probe.params()
    }

    /// With the parameters and the number of updates made, all of its state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Updates made before the state began at 0, from which the bias of running means is corrected.
    pub fn since(&self) -> u64 {
        self.since
    }

    /// Sets [`Self::since`], which is 0 at first.
    pub fn begin_at(&mut self, step: u64) {
        self.since = step;
    }

    /// The factor of [`Decay::Edge`] in force, for such a schedule.
    pub fn held(&self) -> Option<f64> {
        let decay = self.probe.rule().schedule.decay;
        if let Decay::Edge { factor, .. } = decay { Some(factor) } else { None }
    }

    /// Sets [`Self::held`] of such a schedule; others stay as they are.
    pub fn hold(&mut self, factor: f64) {
        self.probe.hold(factor);
    }

    /// For [`Decay::Edge`], sets the learning rate of the updates that follow so that an update operator whose largest
    /// eigenvalue is `felt` has the schedule's gauge, but at most the rule's; the rule's where no learning rate does.
    pub fn hold_gauge(&mut self, felt: f64) {
        let rule = self.probe.rule();
        if let Decay::Edge { gauge, .. } = rule.schedule.decay {
            let factor = rule.lr_of_gauge(felt, gauge).map_or(1.0, |lr| (lr / rule.lr).min(1.0));
            self.probe.hold(factor);
        }
    }

    /// The diagonal P of update `step` by an adaptive base, right after its probe: w⁺ = w − η P⁻¹m. `None` for
    /// [`Base::Sgd`].
    ///
    /// # Errors
    /// Device errors.
    pub fn preconditioner(&self, objective: &Objective, step: u64) -> Result<Option<Vec<f64>>, DeviceError> {
        let Some(second_moment) = self.state.get(Moment::Second) else { return Ok(None) };
        let vectors = [second_moment, self.probe.update_gradient(step), self.params()];
        let [second_moment, gradient, w] = vectors.map(|buffer| objective.read::<f64>(buffer));
        let age = step.saturating_sub(self.since);
        Ok(self.probe.rule().preconditioner(age, &second_moment?, [&gradient?, &w?]))
    }
}
