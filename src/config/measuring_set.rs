//! The examples for measuring the curvature, and their names in files and messages.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Config, MeasureOn};
use crate::data::Examples;
use crate::text::counted;

/// The examples of one measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasuringSet {
    /// The choice of examples.
    pub on: MeasureOn,
    /// The number of examples.
    pub examples: usize,
}

impl MeasuringSet {
    /// The configured set, of `train` training examples.
    pub fn of(config: &Config, train: usize) -> Self {
        let or_all = |count: usize| if count == 0 { train } else { count.min(train) };
        let examples = match config.measure.on {
            MeasureOn::Fixed => or_all(config.measure.examples),
            MeasureOn::Train => train,
            MeasureOn::Batch => or_all(config.optim.batch),
        };
        Self { on: config.measure.on, examples }
    }

    /// The examples on the device for this set alone; none if the trained objective has them.
    pub fn own<'a>(self, config: &Config, train: &'a Examples) -> Option<Cow<'a, Examples>> {
        let is_all = self.examples == train.len();
        match self.on {
            MeasureOn::Batch => None,
            MeasureOn::Fixed | MeasureOn::Train if is_all && config.optim.batch == 0 => None,
            MeasureOn::Fixed | MeasureOn::Train if is_all => Some(Cow::Borrowed(train)),
            MeasureOn::Fixed | MeasureOn::Train => Some(Cow::Owned(train.first(self.examples))),
        }
    }
}

impl fmt::Display for MeasuringSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |what| counted(self.examples, what);
        match self.on {
            MeasureOn::Fixed => write!(f, "the first {}", counted("training example")),
            MeasureOn::Train => write!(f, "all {}", counted("training example")),
            MeasureOn::Batch => write!(f, "the {} of the step", counted("example")),
        }
    }
}
