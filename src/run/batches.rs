//! The minibatches of a run, and the groups of m-SAM in an update.

use std::cmp::Ordering;

use super::RunError;
use crate::config::{Config, ConfigError};
use crate::data::{DataError, Examples};
use crate::objective::Objective;
use crate::optim::{Batches, Cursor};
use crate::text::counted;

/// Sets `optim.micro_batch` to 0 if a group of m-SAM has all examples of an update: that is SAM, which has an edge.
/// `train` is the number of training examples.
///
/// # Errors
/// [`ConfigError::Conflict`] for a group of more examples than an update has.
pub(crate) fn settle_groups(config: &mut Config, train: usize) -> Result<(), ConfigError> {
    let all = if config.optim.batch > 0 { config.optim.batch } else { train };
    match config.optim.micro_batch.cmp(&all) {
        Ordering::Less => {}
        Ordering::Equal => config.optim.micro_batch = 0,
        Ordering::Greater => {
            return Err(ConfigError::Conflict {
                problem: format!(
                    "`optim.micro_batch = {}` is more than the {} of an update",
                    config.optim.micro_batch,
                    counted(all, "example")
                ),
                remedy: "lower optim.micro_batch (0 is one perturbation for all of them)",
            });
        }
    }
    Ok(())
}

/// Refuses a minibatch of more than the `train` training examples.
///
/// # Errors
/// [`ConfigError::Conflict`].
pub(crate) fn check(config: &Config, train: usize) -> Result<(), ConfigError> {
    let batch = config.optim.batch;
    if batch <= train {
        return Ok(());
    }
    Err(ConfigError::Conflict {
        problem: format!("`optim.batch = {batch}` is more than the {}", counted(train, "training example")),
        remedy: "lower optim.batch (0 is the full training set), or raise data.train",
    })
}

/// Gathers minibatches on the host and uploads them to the trained objective.
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
        check(config, examples.len())?;
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

    /// The examples of a minibatch drawn for a measurement at `step`, see [`Batches::fresh`].
    ///
    /// # Errors
    /// None for the batches of these examples.
    pub fn fresh(&self, step: u64, number: u64) -> Result<Examples, DataError> {
        Ok(self.examples.select(&self.batches.fresh(step, number))?)
    }

    /// Uploads the examples of a step, ordered behind the work submitted so far.
    ///
    /// # Errors
    /// Device errors.
    pub fn load(&mut self, objective: &Objective, step: u64) -> Result<(), RunError> {
        Ok(objective.replace(&self.batch(step)?)?)
    }

    /// The position in the data at which the batch of a step begins.
    pub fn cursor(&self, step: u64) -> Cursor {
        self.batches.cursor(step)
    }
}
