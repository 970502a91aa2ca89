//! How long each dispatch of a recording takes by itself.
//!
//! One dispatch is too short to time: a submission costs as much as several of them. So the same dispatch is encoded many
//! times into one submission, which is timed from submit to done. What it reads is then as warm in the caches as they allow,
//! so the times of a recording's dispatches add up to a little less than the recording takes.

use std::sync::Arc;
use std::time::Instant;

use super::Gpu;
use super::program::{Pipeline, Recording, Step};
use crate::adapter::{DeviceError, DispatchTime, MOST_REPETITIONS, best};

impl Gpu {
    /// The time of each dispatch, in the order of the recording; copies have none. Dispatches of one kernel are timed once,
    /// since they do the same work. About `budget_secs` are spent, shared by the kernels, beside what compiling them takes,
    /// and at least one timed run of each.
    ///
    /// The dispatches are run out of turn and many times over. What they write is not restored, and where they add to their
    /// output it grows without bound; so profile on vectors that nobody needs any more.
    ///
    /// # Errors
    /// [`DeviceError::Lost`] or [`DeviceError::Device`].
    pub fn profile(&self, recording: &Recording, budget_secs: f64) -> Result<Vec<DispatchTime>, DeviceError> {
        // Each kernel's first dispatch; a recording has many dispatches of few kernels.
        let mut first: Vec<(&Arc<Pipeline>, &Step, f64)> = vec![];
        for step in &recording.steps {
            if let Step::Dispatch { pipeline, .. } = step
                && first.iter().all(|(known, ..)| !Arc::ptr_eq(known, pipeline))
            {
                first.push((pipeline, step, 0.0));
            }
        }
        let share = budget_secs / first.len().max(1) as f64;
        for (_, step, secs) in &mut first {
            // The first run compiles.
            self.submission_secs(step, 1)?;
            *secs = best(share, MOST_REPETITIONS, |repetitions| self.submission_secs(step, repetitions))?;
        }
        let row = |step: &Step| match step {
            Step::Dispatch { pipeline, label, flops, bytes, .. } => {
                let (.., secs) = first.iter().find(|(known, ..)| Arc::ptr_eq(known, pipeline))?;
                Some(DispatchTime { label: Arc::clone(label), secs: *secs, flops: *flops, bytes: *bytes })
            }
            Step::Copy { .. } => None,
        };
        Ok(recording.steps.iter().filter_map(row).collect())
    }

    /// Seconds from submit to done of one submission that repeats a recording. The first one of a recording compiles. What it
    /// writes is not restored.
    ///
    /// # Errors
    /// [`DeviceError::Lost`] or [`DeviceError::Device`]; [`DeviceError::Mismatch`] for more repetitions than fit one submission.
    pub fn repeated_secs(&self, recording: &Recording, repetitions: usize) -> Result<f64, DeviceError> {
        if repetitions > MOST_REPETITIONS {
            let problem =
                format!("{repetitions} repetitions do not fit one submission; ask for {MOST_REPETITIONS} at most");
            return Err(DeviceError::Mismatch(problem));
        }
        self.steps_secs(&std::iter::repeat_n(&recording.steps, repetitions).flatten().collect::<Vec<_>>())
    }

    fn submission_secs(&self, step: &Step, repetitions: usize) -> Result<f64, DeviceError> {
        self.steps_secs(&vec![step; repetitions])
    }

    /// Seconds from submit to done of a submission of these steps.
    fn steps_secs(&self, steps: &[&Step]) -> Result<f64, DeviceError> {
        self.wait()?;
        let commands = self.encode(steps);
        let start = Instant::now();
        self.0.queue.submit([commands]);
        self.wait()?;
        Ok(start.elapsed().as_secs_f64())
    }

    /// Seconds that one run of a whole recording takes, the host's part included: the best of a few measurements within
    /// about `budget_secs`, after a run that compiles. Short recordings are run many times in a row, so that a wait for the
    /// host does not count. What it writes is not restored.
    ///
    /// # Errors
    /// [`DeviceError::Lost`] or [`DeviceError::Device`].
    pub fn time(&self, recording: &Recording, budget_secs: f64) -> Result<f64, DeviceError> {
        let secs = |repetitions: usize| {
            let start = Instant::now();
            self.run(std::iter::repeat_n(recording, repetitions))?;
            self.wait()?;
            Ok(start.elapsed().as_secs_f64())
        };
        secs(1)?;
        best(budget_secs, MOST_REPETITIONS.div_ceil(recording.dispatches().max(1)), secs)
    }
}
