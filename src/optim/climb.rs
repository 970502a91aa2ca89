//! The norms that an ascent meets, followed on the host in f64 with gradients from the device.

use std::ops::Range;

use super::rule::{Ascent, Rule};
use crate::curvature::edge::AscentSteps;
use crate::device::{Buffer, DeviceError, Recording};
use crate::objective::Objective;

/// The ascent of a group of examples.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupClimb {
    /// The group's share in all examples.
    pub share: f64,
    /// Its steps.
    pub steps: Vec<AscentSteps>,
}

/// An ascent of every group of examples. See the module text.
pub(super) struct Climb {
    rule: Rule,
    above: Buffer,
    gradient: Buffer,
    groups: Vec<Group>,
    /// Where the T of ASAM is |w| + eta rather than 1.
    scaled: Vec<bool>,
}

/// The share of a group in all examples, and its share of the gradient at `above`.
struct Group {
    share: f64,
    gradient: Recording,
}

impl Climb {
    /// Records the gradients of these groups of chunks.
    pub fn new(objective: &mut Objective, rule: Rule, groups: &[Range<usize>]) -> Result<Self, DeviceError> {
        let [above, gradient] = [objective.vector("a climb")?, objective.vector("a climb's gradient")?];
        objective.device().prepare_read(&gradient)?;
        let examples = objective.examples() as f64;
        let mut recorded = vec![];
        for chunks in groups {
            let mut recording = Recording::default();
            for chunk in chunks.clone() {
                let accumulate = chunk > chunks.start;
                recording = recording.then(&objective.chunk_gradient(chunk, &above, &gradient, accumulate, None)?);
            }
            let share = objective.examples_of(chunks.clone()) as f64 / examples;
            recorded.push(Group { share, gradient: recording });
        }
        let scaled = rule.ascent.scaled(objective.layout());
        Ok(Self { rule, above, gradient, groups: recorded, scaled })
    }

    /// T² of ASAM at the parameters `w`; `None` for other rules.
    pub fn metric(&self, w: &[f64]) -> Option<Vec<f64>> {
        let Ascent::Asam { eta, .. } = self.rule.ascent else { return None };
        let t = |(&w, &scaled): (&f64, &bool)| if scaled { w.abs() + eta } else { 1.0 };
        Some(w.iter().zip(&self.scaled).map(t).map(|t| t * t).collect())
    }

    /// The ascents of all groups from the parameters `w`.
    pub fn climbs(&self, objective: &Objective, w: &[f64]) -> Result<Vec<GroupClimb>, DeviceError> {
        let of = |group: &Group| Ok(GroupClimb { share: group.share, steps: self.steps_of(group, objective, w)? });
        self.groups.iter().map(of).collect()
    }

    fn steps_of(&self, group: &Group, objective: &Objective, w: &[f64]) -> Result<Vec<AscentSteps>, DeviceError> {
        let device = objective.device();
        if self.rule.ascent == Ascent::Usam {
            return Ok(self.rule.climb(&[]));
        }
        let (mut at, mut steps) = (w.to_vec(), vec![]);
        let first = Rule { ascent_steps: 1, rho: self.rule.rho / self.rule.ascent_steps as f64, ..self.rule };
        for step in 0..self.rule.ascent_steps {
            device.write(&self.above, &at)?;
            device.run([&group.gradient])?;
            let gradient = objective.read::<f64>(&self.gradient)?;
            let gradient: Vec<f64> = gradient.into_iter().map(|x| x / group.share).collect();
            let metric = self.metric(&at);
            let scale = |i: usize| metric.as_ref().map_or(1.0, |metric| metric[i]);
            let square: f64 = gradient.iter().enumerate().map(|(i, g)| scale(i) * g * g).sum();
            let climbed = first.climb(&[square.sqrt()]);
            if step + 1 < self.rule.ascent_steps {
                let factor = climbed[0].factor;
                at.iter_mut().zip(&gradient).enumerate().for_each(|(i, (x, g))| *x += factor * scale(i) * g);
            }
            steps.extend(climbed);
        }
        Ok(steps)
    }
}
