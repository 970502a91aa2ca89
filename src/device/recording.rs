//! Recordings of either arm.

use super::{Buffer, DeviceError};
use crate::{cpu, gpu};

/// Steps with everything bound, for one device or, where there are none, for any. Recordings are joined with
/// [`Recording::then`].
#[derive(Clone, Debug, Default)]
pub struct Recording {
    pub(super) gpu: gpu::Recording,
    pub(super) cpu: cpu::Recording,
}

impl Recording {
    /// This recording, then another of the same device.
    #[must_use]
    pub fn then(self, next: &Self) -> Self {
        Self { gpu: self.gpu.then(&next.gpu), cpu: self.cpu.then(&next.cpu) }
    }

    /// A copy of all of `from` to element `at` of `to`.
    ///
    /// # Errors
    /// [`DeviceError::Mismatch`] when it does not fit, or the buffers belong to different devices.
    pub fn copy(from: &Buffer, to: &Buffer, at: usize) -> Result<Self, DeviceError> {
        Ok(match from {
            Buffer::Gpu(from) => Self { gpu: gpu::Recording::copy(from, to.gpu()?, at)?, ..Self::default() },
            Buffer::Cpu(from) => Self { cpu: cpu::Recording::copy(from, to.cpu()?, at)?, ..Self::default() },
        })
    }

    /// Number of steps.
    pub fn dispatches(&self) -> usize {
        self.gpu.dispatches() + self.cpu.dispatches()
    }

    /// Floating-point operations, estimated from shapes.
    pub fn flops(&self) -> f64 {
        self.gpu.flops() + self.cpu.flops()
    }
}
