//! Programs compiled on a device, each once whoever asks for it: the planner and the run that it planned, or two objectives
//! with chunks of one size.

use std::sync::Arc;

use super::Gpu;
use crate::adapter::Cache;
use crate::kernel::{Choices, KernelError, Program, compile};
use crate::plan::{Spec, SpecKey};

/// The programs so far, by what they compute and the choice of kernels.
pub(super) type Compiled = Cache<(SpecKey, Arc<Choices>), Program>;

/// Programs that are kept when nothing uses them: those of a few objectives.
pub(super) const MOST_PROGRAMS: usize = 64;

impl Gpu {
    /// Compiles a graph for this device, or finds the program. It is plain data: see [`Gpu::load`].
    ///
    /// # Errors
    /// As [`compile`].
    pub fn compile(&self, spec: &Spec) -> Result<Arc<Program>, KernelError> {
        let key = (spec.key(), Arc::clone(&self.target().choices));
        self.0.compiled.get(key, || compile(spec, self.target()))
    }
}
