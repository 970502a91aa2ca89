//! The state of an optimizer besides the parameters: vectors of their length, each with a name. They begin at 0, and are
//! copied, saved and restored in one way.

use super::base::Base;
use super::rule::Rule;
use crate::choice::choice;
use crate::device::{Buffer, DeviceError};
use crate::objective::Objective;

choice! {
    /// A vector of the state, with its name in checkpoints.
    Moment {
        /// The velocity v of a momentum.
        Momentum = "momentum",
        /// m, the running mean of gradients.
        First = "first_moment",
        /// ν, the running mean of their squares.
        Second = "second_moment",
    }
}

impl Moment {
    /// All, in the order of the variants.
    pub const ALL: [Self; 3] = [Self::Momentum, Self::First, Self::Second];
}

impl Rule {
    /// The vectors that updates need besides the parameters.
    pub fn state(&self) -> &'static [Moment] {
        match self.base {
            Base::Sgd if self.momentum > 0.0 => &[Moment::Momentum],
            Base::Sgd | Base::Flow => &[],
            Base::RmsProp { .. } => &[Moment::Second],
            Base::Adam { .. } => &[Moment::First, Moment::Second],
        }
    }
}

/// The vectors on the device.
pub struct State(Vec<(Moment, Buffer)>);

impl State {
    /// Those of a rule, zeros.
    pub(super) fn new(objective: &Objective, rule: &Rule) -> Result<Self, DeviceError> {
        let vector = |&moment: &Moment| Ok((moment, objective.vector(moment.word())?));
        rule.state().iter().map(vector).collect::<Result<_, DeviceError>>().map(Self)
    }

    /// Each with its buffer.
    pub fn iter(&self) -> std::slice::Iter<'_, (Moment, Buffer)> {
        self.0.iter()
    }

    /// Whether the rule has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The buffer of one, if the rule has it.
    pub fn get(&self, moment: Moment) -> Option<&Buffer> {
        self.0.iter().find(|(known, _)| *known == moment).map(|(_, buffer)| buffer)
    }

    /// The place of one that the rule has.
    pub(super) fn position(&self, moment: Moment) -> usize {
        self.0.iter().position(|(known, _)| *known == moment).unwrap_or_default()
    }
}
