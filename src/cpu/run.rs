//! Programs on the processor: memory for their intermediate values, and recordings that can be run again and again.

use std::sync::Arc;

use super::element::Element;
use super::memory::{Memory, View};
use super::program::{Program, Step};
use super::{Buffer, Cpu, Pools, Precision, Threads, lock};
use crate::adapter::{DeviceError, check_copy};
use crate::plan::{Access, BufferRef};

/// A program with its own buffers, ready to be bound to a caller's buffers.
#[derive(Clone, Debug)]
pub struct Loaded {
    program: Arc<Program>,
    temps: Vec<Buffer>,
    is_dry: bool,
}

/// Steps with everything bound. Recordings are joined with [`Recording::then`].
#[derive(Clone, Debug, Default)]
pub struct Recording {
    pub(super) steps: Vec<Bound>,
    /// What the steps are bound to, so that it counts as long as they hold it.
    held: Vec<Arc<[Buffer]>>,
    /// Whether any step is for all threads.
    is_shared: bool,
    /// Those of the devices whose memory the steps use.
    owner: Option<Arc<Threads>>,
    /// Whether parts of it are of different devices, so that none can run it.
    is_mixed: bool,
}

/// One thing to do.
#[derive(Clone, Debug)]
pub(super) enum Bound {
    /// A step of a program.
    F32(Arc<Program>, usize, Arc<[View<f32>]>),
    /// The same in the other precision.
    F64(Arc<Program>, usize, Arc<[View<f64>]>),
    /// All elements of one buffer to an element offset of another.
    Copy { from: Buffer, to: Buffer, at: usize },
}

impl Recording {
    /// This recording, then another.
    #[must_use]
    pub fn then(mut self, next: &Self) -> Self {
        self.steps.extend(next.steps.iter().cloned());
        self.held.extend(next.held.iter().cloned());
        self.is_shared |= next.is_shared;
        let differs = |own: &Arc<Threads>, next: &Arc<Threads>| !Arc::ptr_eq(own, next);
        self.is_mixed |=
            next.is_mixed || self.owner.as_ref().zip(next.owner.as_ref()).is_some_and(|(a, b)| differs(a, b));
        self.owner = self.owner.or_else(|| next.owner.clone());
        self
    }

    /// A copy of all of `from` to element `at` of `to`.
    ///
    /// # Errors
    /// [`DeviceError::Mismatch`] when it does not fit.
    pub fn copy(from: &Buffer, to: &Buffer, at: usize) -> Result<Self, DeviceError> {
        check_copy(from.len(), to.len(), at)?;
        let held = vec![Arc::from([from.clone(), to.clone()])];
        if from.memory.is_none() && to.memory.is_none() {
            return Ok(Self { held, ..Self::default() });
        }
        if Arc::ptr_eq(from.real()?, to.real()?) {
            return Err(DeviceError::Mismatch("a copy needs two buffers; make another one".to_owned()));
        }
        let steps = vec![Bound::Copy { from: from.clone(), to: to.clone(), at }];
        Ok(Self { steps, held, ..Self::default() })
    }

    /// One of its steps by itself.
    pub(super) fn of(&self, step: &Bound) -> Self {
        Self { steps: vec![step.clone()], ..self.clone() }
    }

    /// Number of steps.
    pub fn dispatches(&self) -> usize {
        self.steps.iter().filter(|step| !matches!(step, Bound::Copy { .. })).count()
    }

    /// Floating-point operations, estimated from shapes.
    pub fn flops(&self) -> f64 {
        self.steps.iter().filter_map(Bound::step).map(|(program, step)| program.steps[step].flops).sum()
    }
}

impl Bound {
    /// The step of a program, if it is one.
    pub fn step(&self) -> Option<(&Arc<Program>, usize)> {
        match self {
            Self::F32(program, step, _) | Self::F64(program, step, _) => Some((program, *step)),
            Self::Copy { .. } => None,
        }
    }
}

impl Loaded {
    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Whether these buffers match the program's slots.
    fn check_slots(&self, slots: &[&Buffer]) -> Result<(), DeviceError> {
        let Program { name, slots: lens, .. } = &*self.program;
        if slots.len() != lens.len() {
            let (given, needed) = (slots.len(), lens.len());
            return Err(DeviceError::Mismatch(format!(
                "`{name}` was given {given} buffers and takes {needed}, one per slot"
            )));
        }
        match slots.iter().zip(lens).position(|(buffer, &len)| buffer.len() < len) {
            None => Ok(()),
            Some(slot) => {
                let (given, len) = (slots[slot].len(), lens[slot]);
                let problem = format!("slot {slot} of `{name}` needs {len} elements and was given a buffer of {given}");
                Err(DeviceError::Mismatch(problem))
            }
        }
    }

    /// Binds the caller's buffers, one per slot.
    ///
    /// # Errors
    /// [`DeviceError::Mismatch`] when the buffers do not match the program's slots, or a step would write a buffer that
    /// it is bound to as another one too.
    pub fn bind(&self, cpu: &Cpu, slots: &[&Buffer]) -> Result<Recording, DeviceError> {
        self.check_slots(slots)?;
        let held = slots.iter().copied().chain(&self.temps).cloned().collect();
        if cpu.0.dry {
            return Ok(Recording { held: vec![held], ..Recording::default() });
        }
        if self.is_dry {
            let name = &self.program.name;
            let problem = format!("`{name}` was loaded on a dry device; load it on the one that runs");
            return Err(DeviceError::Mismatch(problem));
        }
        let mut steps = vec![];
        for (number, step) in self.program.steps.iter().enumerate() {
            let memory = |(buffer, access): &(BufferRef, Access)| {
                let bound = match *buffer {
                    BufferRef::Slot(slot) => slots[slot],
                    BufferRef::Temp(temp) => &self.temps[temp],
                };
                Ok((bound.checked(&cpu.0.threads)?, *buffer, *access))
            };
            let all: Vec<(&Arc<Memory>, BufferRef, Access)> =
                step.buffers.iter().map(memory).collect::<Result<_, DeviceError>>()?;
            let is_shared = |(memory, buffer, access): &(&Arc<Memory>, BufferRef, Access)| {
                let same =
                    |(other, of, _): &&(&Arc<Memory>, BufferRef, Access)| Arc::ptr_eq(memory, other) && of != buffer;
                *access != Access::Read && all.iter().any(|other| same(&other))
            };
            if all.iter().any(is_shared) {
                let problem = format!(
                    "{} of `{}` writes a buffer that is bound to another slot too; bind different ones",
                    step.label, self.program.name
                );
                return Err(DeviceError::Mismatch(problem));
            }
            let program = Arc::clone(&self.program);
            steps.push(match cpu.0.precision {
                Precision::F32 => Bound::F32(program, number, views(&all)),
                Precision::F64 => Bound::F64(program, number, views(&all)),
            });
        }
        let is_shared = self.program.steps.iter().any(Step::is_shared);
        let owner = Some(Arc::clone(&cpu.0.threads));
        Ok(Recording { steps, held: vec![held], is_shared, owner, is_mixed: false })
    }
}

fn views<T: Element>(all: &[(&Arc<Memory>, BufferRef, Access)]) -> Arc<[View<T>]> {
    all.iter().map(|(memory, ..)| memory.view()).collect()
}

impl Cpu {
    /// Makes a program's buffers, or finds them.
    ///
    /// # Errors
    /// As [`Cpu::buffer`].
    pub fn load(&self, program: impl Into<Arc<Program>>) -> Result<Loaded, DeviceError> {
        let program = program.into();
        let temps = self.scratch(&program.name, &program.temps)?;
        self.need(program.needs);
        Ok(Loaded { program, temps, is_dry: self.0.dry })
    }

    /// Runs recordings, one after the other.
    ///
    /// # Errors
    /// [`DeviceError::Mismatch`] for a recording of another device.
    pub fn run<'a>(&self, recordings: impl IntoIterator<Item = &'a Recording>) -> Result<(), DeviceError> {
        if self.0.dry {
            return Ok(());
        }
        let _alone = lock(&self.0.threads.running);
        recordings.into_iter().try_for_each(|recording| self.steps(recording))
    }

    /// Runs the steps of a recording; the caller has the threads for itself. If any step is for all threads, the others
    /// run there too.
    fn steps(&self, recording: &Recording) -> Result<(), DeviceError> {
        let is_own = recording.owner.as_ref().is_none_or(|owner| Arc::ptr_eq(owner, &self.0.threads));
        if recording.is_mixed || !is_own {
            return Err(DeviceError::Mismatch(
                "a recording of another device; record it on the one that runs".to_owned(),
            ));
        }
        let work = || recording.steps.iter().try_for_each(|step| self.step(step));
        if recording.is_shared { self.on_threads(work) } else { work() }
    }

    /// Runs `work` on one of the threads.
    pub(super) fn on_threads<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.0.threads.pools {
            Pools::F32(pool) => pool.enter(work),
            Pools::F64(pool) => pool.enter(work),
        }
    }

    /// Runs one step; the caller has the threads for itself.
    fn step(&self, step: &Bound) -> Result<(), DeviceError> {
        match (step, &self.0.threads.pools) {
            (Bound::F32(program, step, views), Pools::F32(pool)) => program.steps[*step].run(pool, views),
            (Bound::F64(program, step, views), Pools::F64(pool)) => program.steps[*step].run(pool, views),
            (Bound::Copy { from, to, at }, Pools::F32(_)) => copy::<f32>(&self.0.threads, from, to, *at)?,
            (Bound::Copy { from, to, at }, Pools::F64(_)) => copy::<f64>(&self.0.threads, from, to, *at)?,
            (Bound::F32(..), Pools::F64(_)) | (Bound::F64(..), Pools::F32(_)) => {
                unreachable!("a device has one precision, and `steps` refuses what others have recorded")
            }
        }
        Ok(())
    }
}

fn copy<T: Element>(threads: &Arc<Threads>, from: &Buffer, to: &Buffer, at: usize) -> Result<(), DeviceError> {
    let [source, target] = [from, to].map(|buffer| buffer.checked(threads).map(|memory| memory.view::<T>()));
    source?.copy(&target?, at, from.len());
    Ok(())
}
