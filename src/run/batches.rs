//! The examples of the trained objective: all of them at once, or a minibatch for each step.

use crate::data::{DataError, Examples};
use crate::objective::Objective;
use crate::optim::{Batches, Cursor};

use super::RunError;
use crate::config::{Config, ConfigError};

/// Gathers minibatches on the host for the trained objective.
pub struct BatchLoader<'a> {
    examples: &'a Examples,
    batches: Batches,
}

impl<'a> BatchLoader<'a> {
    /// The minibatches of a run; `None` if every update uses all examples.
    ///
    /// # Errors
    /// [`ConfigError::Conflict`] if a minibatch is larger than the training set.
    pub fn new(config: &Config, examples: &'a Examples) -> Result<Option<Self>, RunError> {
        let batch = config.optim.batch;
        if batch > examples.len() {
            return Err(ConfigError::Conflict {
                problem: format!("`optim.batch = {batch}` is more than the {} training examples", examples.len()),
                remedy: "lower optim.batch (0 is the full training set), or raise data.train",
            }
            .into());
        }
        let batches = (batch > 0).then(|| Batches::new(examples.len(), batch, config.run.seed)).transpose()?;
        Ok(batches.map(|batches| Self { examples, batches }))
    }

    /// The examples of a step.
    ///
    /// # Errors
    /// None for the batches of these examples.
    pub fn batch(&mut self, step: u64) -> Result<Examples, DataError> {
        Ok(self.examples.select(&self.batches.indices(step))?)
    }

    /// Writes the examples of a step to the objective, after the work submitted so far.
    ///
    /// # Errors
    /// Device errors.
    pub fn load(&mut self, objective: &Objective, step: u64) -> Result<(), RunError> {
        Ok(objective.replace(&self.batch(step)?)?)
    }

    /// The beginning of a step's batch in the data.
    pub fn cursor(&self, step: u64) -> Cursor {
        self.batches.cursor(step)
    }
}
