//! Loss and error on held-out examples.

use crate::device::{Buffer, DeviceError, Recording};
use crate::objective::{Metrics, Objective};

/// The test set on the device.
pub struct TestSet {
    objective: Objective,
    partials: Buffer,
    recording: Recording,
}

impl TestSet {
    /// Records the loss at `w` of an objective of held-out examples.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn new(mut objective: Objective, w: &Buffer) -> Result<Self, DeviceError> {
        let partials = objective.device().buffer("partial sums", objective.partials_len())?;
        objective.device().prepare_read(&partials)?;
        let recording = objective.loss(w, &partials)?;
        Ok(Self { objective, partials, recording })
    }

    /// Loss and error at the present parameters.
    ///
    /// # Errors
    /// Device errors.
    pub fn metrics(&self) -> Result<Metrics, DeviceError> {
        let device = self.objective.device();
        device.run([&self.recording])?;
        Ok(self.objective.metrics(&device.read(&self.partials)?))
    }
}
