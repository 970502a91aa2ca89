//! The mean (w₋ + 2w + w₊)/4 of three consecutive iterates, at which curvature can be measured.
//!
//! At the edge of stability an iterate jumps from one side of a valley to the other, and the top eigenvector with it. In
//! this mean a two-cycle cancels to second order, so that what is left moves slowly and eigenvectors found at one
//! measurement serve the next.

use crate::gpu::{Buffer, GpuError, Recording};
use crate::graph::Graph;
use crate::objective::Objective;
use crate::objective::vectors::{at, record};
use crate::optim::Optimizer;

/// Recordings around an optimizer's steps. See the module text.
pub struct Midpoint {
    mean: Buffer,
    before: Buffer,
    /// Keeps the parameters as those before an update.
    remember: Recording,
    /// Keeps the optimizer's state, which the step ahead changes.
    save: Recording,
    /// The mean, then the state as it was.
    finish: Recording,
}

impl Midpoint {
    /// Records what is needed at the optimizer's parameters.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn new(objective: &Objective, optimizer: &Optimizer) -> Result<Self, GpuError> {
        let w = optimizer.params();
        let [mean, before, here] =
            [objective.vector("the midpoint")?, objective.vector("the last w")?, objective.vector("this w")?];
        let mut save = Recording::copy(w, &here, 0)?;
        let mut restore = Recording::copy(&here, w, 0)?;
        if let Some(velocity) = optimizer.velocity() {
            let saved = objective.vector("this velocity")?;
            save = save.then(&Recording::copy(velocity, &saved, 0)?);
            restore = restore.then(&Recording::copy(&saved, velocity, 0)?);
        }
        let mut g = Graph::new();
        let [a, b, c] = ["w-", "w", "w+"].map(|name| g.input_f32(name, &[w.len()]));
        let ends = g.add(a, c);
        let twice = g.add(b, b);
        let sum = g.add(ends, twice);
        let quarter = g.scale(sum, 0.25);
        let inputs = [(a, at(0, 0)), (b, at(1, 0)), (c, at(2, 0))];
        let buffers = [&before, &here, w, &mean];
        let average = record(objective.gpu(), "a midpoint", &g, &inputs, &[(quarter, at(3, 0))], &buffers)?;
        let remember = Recording::copy(w, &before, 0)?;
        Ok(Self { remember, mean, before, save, finish: average.then(&restore) })
    }

    /// The mean, where [`Self::find`] leaves it.
    pub fn params(&self) -> &Buffer {
        &self.mean
    }

    /// The parameters one update earlier.
    pub fn before(&self) -> &Buffer {
        &self.before
    }

    /// Must run before every update, so that the last one's start is known whenever a run is measured; and at the first
    /// parameters, which are their own past.
    pub fn remember(&self) -> &Recording {
        &self.remember
    }

    /// Makes update `step` to see where it leads, takes the mean and undoes it.
    ///
    /// # Errors
    /// Device errors.
    pub fn find(&self, objective: &Objective, optimizer: &Optimizer, step: u64) -> Result<(), GpuError> {
        objective.gpu().run([&self.save, optimizer.step(step), &self.finish])
    }
}
