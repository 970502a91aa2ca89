//! How the learning rate depends on the step: a warm-up, and a decay after it.

use std::f64::consts::PI;

/// The course of the learning rate after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decay {
    /// It stays.
    Constant,
    /// Half a cosine, to the last factor.
    Cosine,
    /// A straight line, to the last factor.
    Linear,
    /// `factor` times as much after every `every` updates.
    Step {
        /// Updates between two changes, at least 1.
        every: u64,
        /// From 0 to 1.
        factor: f64,
    },
    /// √(s/t) for update t = 1, 2 …, with s the updates of the warm-up, or 1.
    InverseSqrt,
    /// Set by each measurement so that the update operator measured has this gauge, but at most 1
    /// ([`Optimizer::hold_gauge`](super::Optimizer::hold_gauge)); Roulet et al. 2024 (arXiv 2407.06183) study such rules.
    Edge {
        /// The gauge, above 0; 1 is the edge.
        gauge: f64,
        /// The factor since the latest measurement, from 0 to 1; 1 before the first.
        factor: f64,
    },
}

/// Factors of the learning rate, by step. See the module text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Updates of the warm-up: update t, counted from 0, has the factor (t + 1)/warmup.
    pub warmup: u64,
    /// What follows.
    pub decay: Decay,
    /// The update, counted from 0, with which [`Decay::Cosine`] and [`Decay::Linear`] have reached their last factor.
    pub until: u64,
    /// That factor, from 0 to 1.
    pub last: f64,
}

impl Schedule {
    /// The factor 1 throughout.
    pub const CONSTANT: Self = Self { warmup: 0, decay: Decay::Constant, until: 0, last: 0.0 };

    /// The factor of update `step`, counted from 0.
    pub fn factor(&self, step: u64) -> f64 {
        let held = if let Decay::Edge { factor, .. } = self.decay { factor } else { 1.0 };
        if step < self.warmup {
            return held * (step as f64 + 1.0) / self.warmup as f64;
        }
        let since = (step - self.warmup) as f64;
        // From 0 to 1 over the decay.
        let part = (since / (self.until.saturating_sub(self.warmup).max(1)) as f64).min(1.0);
        let between = |left: f64| self.last + (1.0 - self.last) * left;
        match self.decay {
            Decay::Constant | Decay::Edge { .. } => held,
            Decay::Cosine => between((1.0 + (PI * part).cos()) / 2.0),
            Decay::Linear => between(1.0 - part),
            Decay::Step { every, factor } => factor.powf((since / every as f64).floor()),
            Decay::InverseSqrt => (self.warmup.max(1) as f64 / (step as f64 + 1.0)).sqrt(),
        }
    }

    /// Refuses numbers outside of their ranges.
    pub(super) fn check(&self) -> Result<(), String> {
        let factors = match self.decay {
            Decay::Step { every: 0, .. } => {
                return Err("Decay::Step.every = 0 is out of range; it must be at least 1".to_owned());
            }
            Decay::Edge { gauge, .. } if !(gauge > 0.0 && gauge.is_finite()) => {
                return Err(format!("Decay::Edge.gauge = {gauge:?} is out of range; it must be above 0 and finite"));
            }
            Decay::Step { factor, .. } | Decay::Edge { factor, .. } => [factor, self.last],
            Decay::Constant | Decay::Cosine | Decay::Linear | Decay::InverseSqrt => [self.last; 2],
        };
        match factors.into_iter().find(|factor| !(0.0..=1.0).contains(factor)) {
            Some(factor) => Err(format!("a schedule's factor of {factor:?} is out of range; it must be from 0 to 1")),
            None => Ok(()),
        }
    }
}
