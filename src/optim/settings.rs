//! Positions of a rule's numbers in its small device buffer: changing them, from one update to the next as well, compiles
//! nothing.

use super::base::Base;
use super::rule::{Ascent, Rule};
use super::schedule::Schedule;

pub(super) const LR: usize = 0;
/// ρ of one step of the ascent.
pub(super) const RHO: usize = 1;
pub(super) const EPSILON: usize = 2;
pub(super) const MOMENTUM: usize = 3;
pub(super) const DECAY: usize = 4;
/// ASAM's eta.
pub(super) const ETA: usize = 5;
/// 1 − β₁, which rounded by itself has more digits than the difference of rounded numbers; so has the next.
pub(super) const NEW1: usize = 6;
/// 1 − β₂.
pub(super) const NEW2: usize = 7;
/// The ε of an adaptive base.
pub(super) const BASE_EPSILON: usize = 8;
/// 1/(1 − β₁ᵗ)
pub(super) const CORRECTION1: usize = 9;
/// 1/(1 − β₂ᵗ)
pub(super) const CORRECTION2: usize = 10;
/// ηc
pub(super) const SHRINK: usize = 11;

/// The numbers of update `step`, for running means that began at 0 with update `since`.
pub(super) fn numbers(rule: &Rule, step: u64, since: u64) -> [f64; 12] {
    let Rule { lr, epsilon, momentum, weight_decay, base, .. } = rule.at(step);
    let eta = match rule.ascent {
        Ascent::Asam { eta, .. } => eta,
        Ascent::Sam | Ascent::Usam => 0.0,
    };
    let rho = rule.rho / rule.ascent_steps as f64;
    let [beta1, beta2, base_epsilon] = base.numbers();
    let [correction1, correction2] = base.corrections(step.saturating_sub(since)).map(f64::recip);
    let (new1, new2, shrink) = (1.0 - beta1, 1.0 - beta2, lr * weight_decay);
    [lr, rho, epsilon, momentum, weight_decay, eta, new1, new2, base_epsilon, correction1, correction2, shrink]
}

/// Whether they differ from one update to the next.
pub(super) fn vary(rule: &Rule) -> bool {
    matches!(rule.base, Base::Adam { .. }) || rule.schedule != Schedule::CONSTANT
}
