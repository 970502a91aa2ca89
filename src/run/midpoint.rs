//! The mean (w₋ + 2w + w₊)/4 of three consecutive iterates, at which curvature can be measured. At the edge of
//! stability iterates jump across a valley, and the top eigenvector with them. In the mean a two-cycle cancels to
//! second order, so eigenvectors found there change slowly and serve the next measurement.

use crate::device::{Buffer, DeviceError, Recording};
use crate::graph::Graph;
use crate::objective::Objective;
use crate::objective::vectors::{at, record};
use crate::optim::Optimizer;

/// Recordings around an optimizer's steps. See the module text.
pub struct Midpoint {
    mean: Buffer,
    before: Buffer,
    /// Copies the parameters before an update.
    remember: Recording,
    /// Copies the optimizer's state, which the next step changes.
    save: Recording,
    /// Computes the mean, then restores the state.
    finish: Recording,
}

impl Midpoint {
    /// Records the mean at the optimizer's parameters.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn new(objective: &Objective, optimizer: &Optimizer) -> Result<Self, DeviceError> {
        let w = optimizer.params();
        let [mean, before, here] =
            [objective.vector("the midpoint")?, objective.vector("the last w")?, objective.vector("this w")?];
        let mut save = Recording::copy(w, &here, 0)?;
        let mut restore = Recording::copy(&here, w, 0)?;
        for (_, vector) in optimizer.state().iter() {
            let saved = objective.vector("this state")?;
            save = save.then(&Recording::copy(vector, &saved, 0)?);
            restore = restore.then(&Recording::copy(&saved, vector, 0)?);
        }
        let mut g = Graph::new();
        let [a, b, c] = ["w-", "w", "w+"].map(|name| g.input_f32(name, &[w.len()]));
        let ends = g.add(a, c);
        let twice = g.add(b, b);
        let sum = g.add(ends, twice);
        let quarter = g.scale(sum, 0.25);
        let inputs = [(a, at(0, 0)), (b, at(1, 0)), (c, at(2, 0))];
        let buffers = [&before, &here, w, &mean];
        let average = record(objective.device(), "a midpoint", &g, &inputs, &[(quarter, at(3, 0))], &buffers)?;
        let remember = Recording::copy(w, &before, 0)?;
        Ok(Self { remember, mean, before, save, finish: average.then(&restore) })
    }

    /// The mean, written by [`Self::find`].
    pub fn params(&self) -> &Buffer {
        &self.mean
    }

    /// The parameters one update earlier.
    pub fn before(&self) -> &Buffer {
        &self.before
    }

    /// Must run before every update, and at the first parameters, which count as their own predecessor.
    pub fn remember(&self) -> &Recording {
        &self.remember
    }

    /// Makes update `step`, takes the mean and undoes the update.
    ///
    /// # Errors
    /// Device errors.
    pub fn find(&self, objective: &Objective, optimizer: &Optimizer, step: u64) -> Result<(), DeviceError> {
        objective.device().run([&self.save, &*optimizer.step(step)?, &self.finish])
    }
}
