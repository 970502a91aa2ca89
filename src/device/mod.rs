//! The one seam above `gpu` and `cpu`: everything that computes sees a [`Device`] with buffers, programs and
//! recordings, and neither an adapter nor the processor.
//!
//! Each call goes to the arm that the device is. Buffers and programs of one arm are refused by the other.

mod choose;
mod program;
mod recording;

use std::collections::BTreeMap;

use crate::cpu::{self, Cpu};
use crate::gpu::{self, Gpu};
use crate::kernel::{Choices, ShapeClass, Target, Variant};
use crate::plan::Spec;

pub use crate::adapter::{AdapterSummary, DeviceError, DispatchTime, Memory, Peaks, Precision, Value, position, same};
pub use choose::adapters;
pub use program::{Loaded, Program};
pub use recording::Recording;

/// An open device. Cloning is cheap and shares it.
#[derive(Clone)]
pub enum Device {
    /// An adapter of wgpu.
    Gpu(Gpu),
    /// The processor.
    Cpu(Cpu),
}

/// A flat buffer of elements, floats or words of the device's width. Cloning shares it.
#[derive(Clone, Debug)]
pub enum Buffer {
    /// Of an adapter of wgpu.
    Gpu(gpu::Buffer),
    /// Of the processor.
    Cpu(cpu::Buffer),
}

/// What belongs to another device.
fn foreign(what: &str) -> DeviceError {
    DeviceError::Mismatch(format!("{what} of another device; make it on the device that runs"))
}

impl Buffer {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Gpu(buffer) => buffer.len(),
            Self::Cpu(buffer) => buffer.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn gpu(&self) -> Result<&gpu::Buffer, DeviceError> {
        match self {
            Self::Gpu(buffer) => Ok(buffer),
            Self::Cpu(_) => Err(foreign("a buffer")),
        }
    }

    fn cpu(&self) -> Result<&cpu::Buffer, DeviceError> {
        match self {
            Self::Cpu(buffer) => Ok(buffer),
            Self::Gpu(_) => Err(foreign("a buffer")),
        }
    }
}

/// The same call to either arm.
macro_rules! either {
    ($device:expr, $arm:ident => $call:expr) => {
        match $device {
            Device::Gpu($arm) => $call,
            Device::Cpu($arm) => $call,
        }
    };
}

impl Device {
    /// A dry device: it refuses what this one would refuse for its size, and counts the memory of the rest, but nothing
    /// is made or run.
    #[must_use]
    pub fn dry(&self) -> Self {
        match self {
            Self::Gpu(gpu) => Self::Gpu(gpu.dry()),
            Self::Cpu(cpu) => Self::Cpu(cpu.dry()),
        }
    }

    /// This device with an account and intermediate values of its own, for work beside a run whose memory is counted.
    #[must_use]
    pub fn aside(&self) -> Self {
        match self {
            Self::Gpu(gpu) => Self::Gpu(gpu.aside()),
            Self::Cpu(cpu) => Self::Cpu(cpu.aside()),
        }
    }

    /// This device for kernels chosen otherwise; the processor has no variants to choose from.
    #[must_use]
    pub fn with_choices(&self, choices: Choices) -> Self {
        match self {
            Self::Gpu(gpu) => Self::Gpu(gpu.with_choices(choices)),
            Self::Cpu(cpu) => Self::Cpu(cpu.clone()),
        }
    }

    /// The device in words.
    pub fn adapter(&self) -> &AdapterSummary {
        either!(self, arm => arm.adapter())
    }

    /// What kernels are compiled for, where there are kernels.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Self::Gpu(gpu) => Some(gpu.target()),
            Self::Cpu(_) => None,
        }
    }

    /// The kernel variants of the programs loaded so far, see [`Gpu::variants`].
    pub fn variants(&self) -> BTreeMap<ShapeClass, Variant> {
        match self {
            Self::Gpu(gpu) => gpu.variants(),
            Self::Cpu(_) => BTreeMap::new(),
        }
    }

    /// Width of floats.
    pub fn precision(&self) -> Precision {
        match self {
            Self::Gpu(_) => Precision::F32,
            Self::Cpu(cpu) => cpu.precision(),
        }
    }

    /// Largest buffer in bytes.
    pub fn max_binding_bytes(&self) -> u64 {
        either!(self, arm => arm.max_binding_bytes())
    }

    /// Floating-point operations that a step may have so that the device is not silent for long; no limit for the
    /// processor.
    pub(crate) fn most_flops(&self) -> f64 {
        match self {
            Self::Gpu(gpu) => gpu.most_flops(),
            Self::Cpu(_) => f64::INFINITY,
        }
    }

    /// Size in bytes of a buffer of `len` elements; `what` names it in errors.
    ///
    /// # Errors
    /// [`DeviceError::BufferTooLarge`].
    pub fn check_size(&self, what: &str, len: usize) -> Result<u64, DeviceError> {
        either!(self, arm => arm.check_size(what, len))
    }

    /// Makes a zeroed buffer of `len` elements; `what` names it in errors.
    ///
    /// # Errors
    /// [`DeviceError::BufferTooLarge`], or [`DeviceError::NoMemory`].
    pub fn buffer(&self, what: &str, len: usize) -> Result<Buffer, DeviceError> {
        Ok(match self {
            Self::Gpu(gpu) => Buffer::Gpu(gpu.buffer(what, len)?),
            Self::Cpu(cpu) => Buffer::Cpu(cpu.buffer(what, len)?),
        })
    }

    /// Makes a buffer with these elements.
    ///
    /// # Errors
    /// As [`Device::buffer`].
    pub fn buffer_from<V: Value>(&self, what: &str, data: &[V]) -> Result<Buffer, DeviceError> {
        let buffer = self.buffer(what, data.len())?;
        self.write(&buffer, data)?;
        Ok(buffer)
    }

    /// Replaces the first elements of a buffer, ordered with the work before and after.
    ///
    /// # Errors
    /// [`DeviceError::Mismatch`] when `data` is longer than the buffer, and those of [`Device::run`].
    pub fn write<V: Value>(&self, buffer: &Buffer, data: &[V]) -> Result<(), DeviceError> {
        match self {
            Self::Gpu(gpu) => gpu.write(buffer.gpu()?, &data.iter().map(|x| x.bits_32()).collect::<Vec<u32>>()),
            Self::Cpu(cpu) => cpu.write(buffer.cpu()?, data),
        }
    }

    /// Makes room for reading a buffer back.
    ///
    /// # Errors
    /// [`DeviceError::NoMemory`].
    pub fn prepare_read(&self, buffer: &Buffer) -> Result<(), DeviceError> {
        match self {
            Self::Gpu(gpu) => gpu.prepare_read(buffer.gpu()?),
            Self::Cpu(_) => buffer.cpu().map(|_| ()),
        }
    }

    /// Waits for the work so far and returns the buffer's elements; zeros on a dry device.
    ///
    /// # Errors
    /// [`DeviceError::Lost`], [`DeviceError::NoMemory`] or [`DeviceError::Device`].
    pub fn read<V: Value>(&self, buffer: &Buffer) -> Result<Vec<V>, DeviceError> {
        match self {
            Self::Gpu(gpu) => Ok(gpu.read::<u32>(buffer.gpu()?)?.into_iter().map(V::from_bits_32).collect()),
            Self::Cpu(cpu) => cpu.read(buffer.cpu()?),
        }
    }

    /// Bytes of all buffers made through this device.
    pub fn memory(&self) -> Memory {
        either!(self, arm => arm.memory())
    }

    /// Frees what is kept to be used again and nothing uses now.
    pub fn trim(&self) {
        either!(self, arm => arm.trim());
    }

    /// Makes the memory for intermediate values that all programs loaded on a dry device need, at its final size.
    ///
    /// # Errors
    /// As [`Device::buffer`].
    pub fn reserve(&self, dry: &Self) -> Result<(), DeviceError> {
        match (self, dry) {
            (Self::Gpu(gpu), Self::Gpu(dry)) => gpu.reserve(dry),
            (Self::Cpu(cpu), Self::Cpu(dry)) => cpu.reserve(dry),
            (Self::Gpu(_), Self::Cpu(_)) | (Self::Cpu(_), Self::Gpu(_)) => Err(foreign("a plan of memory")),
        }
    }

    /// Compiles a graph for this device, or finds the program. It is plain data: see [`Device::load`].
    ///
    /// # Errors
    /// [`DeviceError::Kernel`].
    pub fn compile(&self, spec: &Spec) -> Result<Program, DeviceError> {
        Ok(match self {
            Self::Gpu(gpu) => Program::Gpu(gpu.compile(spec)?),
            Self::Cpu(cpu) => Program::Cpu(cpu.compile(spec)?),
        })
    }

    /// Makes a program ready to be bound.
    ///
    /// # Errors
    /// [`DeviceError::Kernel`] for invalid kernels, and those of [`Device::buffer`].
    pub fn load(&self, program: impl Into<Program>) -> Result<Loaded, DeviceError> {
        match (self, program.into()) {
            (Self::Gpu(gpu), Program::Gpu(program)) => Ok(Loaded::Gpu(gpu.load(program)?)),
            (Self::Cpu(cpu), Program::Cpu(program)) => Ok(Loaded::Cpu(cpu.load(program)?)),
            (Self::Gpu(_), Program::Cpu(_)) | (Self::Cpu(_), Program::Gpu(_)) => Err(foreign("a program")),
        }
    }

    /// Runs recordings, one after the other. An adapter of wgpu goes on while the caller does other things.
    ///
    /// # Errors
    /// [`DeviceError::Lost`] or [`DeviceError::Device`], possibly for work submitted earlier.
    pub fn run<'a>(&self, recordings: impl IntoIterator<Item = &'a Recording>) -> Result<(), DeviceError> {
        match self {
            Self::Gpu(gpu) => gpu.run(recordings.into_iter().map(|recording| &recording.gpu)),
            Self::Cpu(cpu) => cpu.run(recordings.into_iter().map(|recording| &recording.cpu)),
        }
    }

    /// Waits for everything that runs.
    ///
    /// # Errors
    /// [`DeviceError::Lost`] or [`DeviceError::Device`].
    pub fn wait(&self) -> Result<(), DeviceError> {
        match self {
            Self::Gpu(gpu) => gpu.wait(),
            // It runs only as long as the call.
            Self::Cpu(_) => Ok(()),
        }
    }

    /// The time of each step, see [`Gpu::profile`] and [`Cpu::profile`].
    ///
    /// # Errors
    /// As [`Device::run`].
    pub fn profile(&self, recording: &Recording, budget_secs: f64) -> Result<Vec<DispatchTime>, DeviceError> {
        match self {
            Self::Gpu(gpu) => gpu.profile(&recording.gpu, budget_secs),
            Self::Cpu(cpu) => cpu.profile(&recording.cpu, budget_secs),
        }
    }

    /// Seconds of so many runs of a recording in one go. What it writes is not restored.
    ///
    /// # Errors
    /// As [`Device::run`]; [`DeviceError::Mismatch`] for more repetitions than fit one submission.
    pub fn repeated_secs(&self, recording: &Recording, repetitions: usize) -> Result<f64, DeviceError> {
        match self {
            Self::Gpu(gpu) => gpu.repeated_secs(&recording.gpu, repetitions),
            Self::Cpu(cpu) => cpu.repeated_secs(&recording.cpu, repetitions),
        }
    }

    /// Seconds that one run of a whole recording takes: the best of a few measurements within about `budget_secs`. What
    /// it writes is not restored.
    ///
    /// # Errors
    /// As [`Device::run`].
    pub fn time(&self, recording: &Recording, budget_secs: f64) -> Result<f64, DeviceError> {
        match self {
            Self::Gpu(gpu) => gpu.time(&recording.gpu, budget_secs),
            Self::Cpu(cpu) => cpu.time(&recording.cpu, budget_secs),
        }
    }

    /// Measures the limits of the device, in about a second.
    ///
    /// # Errors
    /// [`DeviceError::NoMemory`] or [`DeviceError::Lost`].
    pub fn peaks(&self) -> Result<Peaks, DeviceError> {
        either!(self, arm => arm.peaks())
    }
}
