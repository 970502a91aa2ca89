//! Positions of a rule's numbers in its small device buffer: changing them compiles nothing.

use super::rule::{Ascent, Rule};
use crate::device::{Buffer, Device, DeviceError};

pub(super) const LR: usize = 0;
/// ρ of one step of the ascent.
pub(super) const RHO: usize = 1;
pub(super) const EPSILON: usize = 2;
pub(super) const MOMENTUM: usize = 3;
pub(super) const DECAY: usize = 4;
/// ASAM's eta.
pub(super) const ETA: usize = 5;

pub(super) fn buffer(device: &Device, rule: &Rule) -> Result<Buffer, DeviceError> {
    let eta = match rule.ascent {
        Ascent::Asam { eta, .. } => eta,
        Ascent::Sam | Ascent::Usam => 0.0,
    };
    let rho = rule.rho / rule.ascent_steps as f64;
    let numbers = [rule.lr, rho, rule.epsilon, rule.momentum, rule.weight_decay, eta];
    device.buffer_from("settings", &numbers)
}
