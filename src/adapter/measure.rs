//! What is measured of devices: the time of each step, and the limits that these times are judged by (the roofline of
//! Williams, Waterman and Patterson, 2009).

use std::sync::Arc;

use super::DeviceError;

/// Seconds a timed submission should take, so that what submitting costs does not show.
const SUBMISSION_SECS: f64 = 0.01;
/// Most repetitions in one submission, which bounds the memory of its commands.
pub(crate) const MOST_REPETITIONS: usize = 4096;
/// Timed submissions of full length, of which the best counts.
const RUNS: usize = 5;

/// A dispatch and what it takes.
#[derive(Clone, Debug, PartialEq)]
pub struct DispatchTime {
    /// Its kernel: family and sizes.
    pub label: Arc<str>,
    /// Seconds.
    pub secs: f64,
    /// Floating-point operations, estimated from shapes.
    pub flops: f64,
    /// Bytes loaded and stored once each, estimated from shapes.
    pub bytes: f64,
}

/// The limits of an adapter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peaks {
    /// Floating-point operations a second; a multiply-add is two.
    pub flops_per_sec: f64,
    /// Bytes a second read and written together, of buffers that are larger than caches.
    pub bytes_per_sec: f64,
    /// Seconds from one dispatch to the next that needs its result.
    pub launch_secs: f64,
}

impl Peaks {
    /// Least seconds that so much work takes.
    pub fn least_secs(&self, flops: f64, bytes: f64) -> f64 {
        (flops / self.flops_per_sec).max(bytes / self.bytes_per_sec)
    }
}

/// The best time of one repetition. `run` takes a number of repetitions, at most `most`, and returns the seconds of
/// all; it is called until a few runs of full length are done or the budget is spent.
pub(crate) fn best(
    budget_secs: f64,
    most: usize,
    mut run: impl FnMut(usize) -> Result<f64, DeviceError>,
) -> Result<f64, DeviceError> {
    let (mut repetitions, mut best, mut spent, mut full) = (1, f64::INFINITY, 0.0, 0);
    loop {
        let secs = run(repetitions)?;
        spent += secs;
        best = secs.min(best * repetitions as f64) / repetitions as f64;
        // Half the length counts as full: the number of repetitions was a guess.
        let is_full = secs >= 0.5 * SUBMISSION_SECS || repetitions == most;
        full += usize::from(is_full);
        if !is_full {
            repetitions = ((SUBMISSION_SECS / best) as usize).clamp(2 * repetitions, 32 * repetitions).min(most);
        }
        if full >= RUNS || spent + best * repetitions as f64 > budget_secs {
            return Ok(best);
        }
    }
}
