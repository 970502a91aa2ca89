//! How long steps take, and what the processor can do at best.

use std::sync::Arc;
use std::time::Instant;

use super::element::Element;
use super::memory::{Matrix, multiply};
use super::{Buffer, Cpu, Precision, Recording, lock};
use crate::adapter::{DeviceError, DispatchTime, MOST_REPETITIONS, Peaks, best};

/// Seconds to measure each limit.
const BUDGET_SECS: f64 = 0.3;
/// Side of the square matrices that the most operations a second are measured with.
const SIDE: usize = 1024;
/// Elements of the vectors that the most bytes a second are measured with: beyond the caches.
const COPIED: usize = 1 << 25;

impl Cpu {
    /// The time of each step, in the order of the recording; copies have none. About `budget_secs` are spent, shared by
    /// the steps, and at least one timed run of each.
    ///
    /// The steps are run out of turn and many times over. What they write is not restored.
    ///
    /// # Errors
    /// As [`Cpu::run`].
    pub fn profile(&self, recording: &Recording, budget_secs: f64) -> Result<Vec<DispatchTime>, DeviceError> {
        let share = budget_secs / recording.dispatches().max(1) as f64;
        let mut rows = vec![];
        for bound in &recording.steps {
            let Some((program, step)) = bound.step() else { continue };
            let step = &program.steps[step];
            let alone = recording.of(bound);
            let secs = best(share, MOST_REPETITIONS, |repetitions| self.repeated_secs(&alone, repetitions))?;
            rows.push(DispatchTime { label: Arc::from(&*step.label), secs, flops: step.flops, bytes: step.bytes });
        }
        Ok(rows)
    }

    /// Seconds that so many runs of a recording take. What it writes is not restored.
    ///
    /// # Errors
    /// As [`Cpu::run`].
    pub fn repeated_secs(&self, recording: &Recording, repetitions: usize) -> Result<f64, DeviceError> {
        let start = Instant::now();
        self.run(std::iter::repeat_n(recording, repetitions))?;
        Ok(start.elapsed().as_secs_f64())
    }

    /// Seconds that one run of a whole recording takes: the best of a few measurements within about `budget_secs`. What
    /// it writes is not restored.
    ///
    /// # Errors
    /// As [`Cpu::run`].
    pub fn time(&self, recording: &Recording, budget_secs: f64) -> Result<f64, DeviceError> {
        self.repeated_secs(recording, 1)?;
        best(budget_secs, MOST_REPETITIONS, |repetitions| self.repeated_secs(recording, repetitions))
    }

    /// Measures the limits of the processor, in about a second: multiply-adds by a product of square matrices, bytes by
    /// a copy.
    ///
    /// # Errors
    /// [`DeviceError::NoMemory`].
    pub fn peaks(&self) -> Result<Peaks, DeviceError> {
        match self.0.precision {
            Precision::F32 => self.peaks_of::<f32>(),
            Precision::F64 => self.peaks_of::<f64>(),
        }
    }

    fn peaks_of<T: Element>(&self) -> Result<Peaks, DeviceError> {
        let aside = self.aside();
        let matrix = |buffer: &Buffer| {
            let view = buffer.checked(&self.0.threads)?.view();
            Ok::<_, DeviceError>(Matrix::<T> { view, at: 0, strides: [SIDE, 1] })
        };
        let [a, b, c] = ["A", "B", "C"].map(|name| aside.buffer(name, SIDE * SIDE));
        let (a, b, c) = (a?, b?, c?);
        let operands = [matrix(&a)?, matrix(&b)?, matrix(&c)?];
        let of_product = timed(|| {
            let _alone = lock(&self.0.threads.running);
            self.on_threads(|| multiply([SIDE; 3], operands, false, true));
            Ok(())
        })?;
        let of_copy = |len: usize| {
            let [from, to] = [aside.buffer("a copy's source", len)?, aside.buffer("a copy", len)?];
            let copy = Recording::copy(&from, &to, 0)?;
            timed(|| self.run([&copy]))
        };
        let bytes = 2.0 * (COPIED * self.0.precision.bytes()) as f64;
        Ok(Peaks {
            flops_per_sec: 2.0 * (SIDE as f64).powi(3) / of_product,
            bytes_per_sec: bytes / of_copy(COPIED)?,
            launch_secs: of_copy(1)?,
        })
    }
}

/// Seconds of one run.
fn timed(run: impl Fn() -> Result<(), DeviceError>) -> Result<f64, DeviceError> {
    best(BUDGET_SECS, MOST_REPETITIONS, |repetitions| {
        let start = Instant::now();
        (0..repetitions).try_for_each(|_| run())?;
        Ok(start.elapsed().as_secs_f64())
    })
}
