//! Divergence: the first number of a step, parameter or curvature that is not finite, with advice.

use crate::optim::{Ascent, NoEdge, Rule, StepMetrics};

const LOWER_LR: &str = "lower lr";
const LOWER_LR_OR_RHO: &str = "lower lr or rho";
const LOWER_ASAM_ETA: &str = "lower asam_eta, rho or lr: the perturbation of a weight grows with |w| + asam_eta";
const LOWER_DECAY: &str =
    "lower weight_decay or lr: with their product beyond the edge, the decay alone makes the weights grow";
const EARLIER: &str = "take the parameters of an earlier step, or smaller ones";
const BEFORE_ANY: &str = "no update was made yet: the initial weights or the data are too large";
const EPSILON: &str =
    "optim.epsilon = 0 divides by the norm of the gradient, which is 0 there: set it above 0, such as 1e-5";

/// The first number of a run that is not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the run diverged at step {step}: {what} is not finite; {advice}")]
pub struct Divergence {
    /// Updates made before.
    pub step: u64,
    /// The number.
    pub what: &'static str,
    /// The advice.
    pub advice: &'static str,
}

impl Divergence {
    /// A number that is not finite after `step` updates of `rule`.
    pub(crate) fn of(rule: &Rule, what: &'static str, step: u64) -> Self {
        let advice = step.checked_sub(1).map_or(BEFORE_ANY, |last| lower(&rule.at(last)));
        Self { step, what, advice }
    }

    /// Refuses the metrics of a step of `rule` that are not finite.
    pub(crate) fn check(rule: &Rule, step: u64, metrics: &StepMetrics) -> Result<(), Self> {
        let StepMetrics { loss, grad_norm, followed_norm, .. } = *metrics;
        if !loss.is_finite() {
            return Err(Self::of(rule, "the loss", step));
        }
        if !grad_norm.is_finite() {
            return Err(Self::of(rule, "the gradient", step));
        }
        if !followed_norm.is_finite() {
            let advice = if divides_by_zero(rule, grad_norm) { EPSILON } else { lower(&rule.at(step)) };
            return Err(Self { step, what: "the perturbed gradient", advice });
        }
        Ok(())
    }

    /// Refuses numbers that are not finite, after `step` updates of `rule`.
    pub(crate) fn check_all(rule: &Rule, what: &'static str, step: u64, numbers: &[f64]) -> Result<(), Self> {
        if numbers.iter().all(|x| x.is_finite()) { Ok(()) } else { Err(Self::of(rule, what, step)) }
    }

    /// The advice where parameters are only looked at: no smaller update helps.
    pub(crate) fn advice_at_rest(&self) -> &'static str {
        if self.advice == EPSILON { EPSILON } else { EARLIER }
    }
}

/// The settings of a rule to lower after a divergence, the one that is out of scale first.
pub(super) fn lower(rule: &Rule) -> &'static str {
    match rule.ascent {
        _ if rule.unperturbed().no_edge(&[]) == Some(NoEdge::Decay) => LOWER_DECAY,
        _ if !rule.perturbs() => LOWER_LR,
        // Initial weights are below 1, so that asam_eta is most of the sum.
        Ascent::Asam { eta, .. } if eta > 1.0 => LOWER_ASAM_ETA,
        Ascent::Sam | Ascent::Usam | Ascent::Asam { .. } => LOWER_LR_OR_RHO,
    }
}

/// Whether the perturbation may have been g/0. Only ‖∇L‖ is known, not further norms or that of ASAM's Tg.
fn divides_by_zero(rule: &Rule, grad_norm: f64) -> bool {
    let is_first = rule.ascent_steps == 1 && rule.micro_batch == 0 && rule.ascent == Ascent::Sam;
    let normalised = rule.ascent != Ascent::Usam;
    normalised && rule.epsilon as f32 == 0.0 && (grad_norm == 0.0 || !is_first)
}
