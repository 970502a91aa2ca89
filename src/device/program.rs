//! Programs of either arm.

use std::sync::Arc;

use super::{Buffer, Device, DeviceError, Recording, foreign};
use crate::{cpu, gpu, kernel};

/// A compiled graph, as plain data.
#[derive(Clone, Debug)]
pub enum Program {
    /// Kernels.
    Gpu(Arc<kernel::Program>),
    /// Tapes and contractions.
    Cpu(Arc<cpu::Program>),
}

impl From<kernel::Program> for Program {
    fn from(program: kernel::Program) -> Self {
        Self::Gpu(Arc::new(program))
    }
}

impl Program {
    /// Length in elements of the caller's buffers.
    pub fn slots(&self) -> &[usize] {
        match self {
            Self::Gpu(program) => &program.slots,
            Self::Cpu(program) => &program.slots,
        }
    }

    /// Length in elements of its own buffers.
    pub fn temps(&self) -> &[usize] {
        match self {
            Self::Gpu(program) => &program.temps,
            Self::Cpu(program) => &program.temps,
        }
    }

    /// Floating-point operations of each step, estimated.
    pub fn flops(&self) -> Vec<f64> {
        match self {
            Self::Gpu(program) => program.dispatches.iter().map(|dispatch| dispatch.flops).collect(),
            Self::Cpu(program) => program.steps.iter().map(|step| step.flops).collect(),
        }
    }

    /// The kernels of contractions by name, each once; none where there is nothing to choose.
    pub fn kernel_choices(&self) -> Vec<String> {
        let Self::Gpu(program) = self else { return vec![] };
        let chosen = program.kernels.iter().filter(|kernel| kernel.variant.is_some());
        let mut labels: Vec<String> = chosen.map(|kernel| kernel.label.clone()).collect();
        labels.sort_unstable();
        labels.dedup();
        labels
    }
}

/// A program on a device, ready to be bound to a caller's buffers.
#[derive(Clone, Debug)]
pub enum Loaded {
    /// On an adapter of wgpu.
    Gpu(gpu::Loaded),
    /// On the processor.
    Cpu(cpu::Loaded),
}

impl Loaded {
    /// Length in elements of the caller's buffers.
    pub fn slots(&self) -> &[usize] {
        match self {
            Self::Gpu(loaded) => &loaded.program().slots,
            Self::Cpu(loaded) => &loaded.program().slots,
        }
    }

    /// Binds the caller's buffers, one per slot.
    ///
    /// # Errors
    /// [`DeviceError::Mismatch`] when the buffers do not match the program's slots or belong to another device.
    pub fn bind(&self, device: &Device, slots: &[&Buffer]) -> Result<Recording, DeviceError> {
        match (self, device) {
            (Self::Gpu(loaded), Device::Gpu(gpu)) => {
                let slots = slots.iter().map(|buffer| buffer.gpu()).collect::<Result<Vec<_>, _>>()?;
                Ok(Recording { gpu: loaded.bind(gpu, &slots)?, ..Recording::default() })
            }
            (Self::Cpu(loaded), Device::Cpu(cpu)) => {
                let slots = slots.iter().map(|buffer| buffer.cpu()).collect::<Result<Vec<_>, _>>()?;
                Ok(Recording { cpu: loaded.bind(cpu, &slots)?, ..Recording::default() })
            }
            (Self::Gpu(_), Device::Cpu(_)) | (Self::Cpu(_), Device::Gpu(_)) => Err(foreign("a program")),
        }
    }
}
