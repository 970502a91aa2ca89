//! Running recordings: submissions bounded in time, and few of them in flight.
//!
//! Drivers reset a GPU that stays silent for seconds, and a host that races ahead fills memory with commands. So a
//! recording is cut into submissions of about [`SUBMISSION_SECS`], by an estimate of the adapter's speed that is
//! corrected by what finished submissions took; at most [`IN_FLIGHT`] of them are outstanding. Steps of tiny networks, on the
//! other hand, share submissions while the device is busy. None of this can change a result.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::time::Instant;

use super::Gpu;
use super::program::{Recording, Step};
use crate::adapter::{DeviceError, lock};

/// Time one submission should take.
const SUBMISSION_SECS: f64 = 0.2;
/// Time that steps should take to be worth a submission while others are under way: steps of tiny networks go by the dozen.
const WORTH_SECS: f64 = 0.002;
/// Submissions the host may be ahead.
const IN_FLIGHT: usize = 3;
/// Cost of a dispatch beside its work.
const DISPATCH_SECS: f64 = 15e-6;

/// Submissions under way and what is known of the adapter's speed.
pub(super) struct Flight {
    /// Steps that have not been submitted yet, and their estimated seconds at unit speed.
    pending: Vec<Step>,
    pending_secs: f64,
    /// Index, estimated seconds at unit speed.
    under_way: VecDeque<(wgpu::SubmissionIndex, f64)>,
    last_finished: Instant,
    /// Actual over estimated time of the submissions so far.
    slowdown: f64,
    flops_per_sec: f64,
    bytes_per_sec: f64,
}

impl Flight {
    /// For an adapter of this kind, software if `cpu`.
    pub fn new(cpu: bool, kind: &str) -> Self {
        // Starting points; `slowdown` corrects them after the first submissions.
        let (flops_per_sec, bytes_per_sec) = presumed_speed(cpu, kind);
        let (pending, pending_secs) = (vec![], 0.0);
        Self {
            pending,
            pending_secs,
            under_way: VecDeque::new(),
            last_finished: Instant::now(),
            slowdown: 1.0,
            flops_per_sec,
            bytes_per_sec,
        }
    }

    /// Seconds a step takes at unit slowdown.
    fn estimate(&self, step: &Step) -> f64 {
        let (flops, bytes) = match step {
            Step::Dispatch { flops, bytes, .. } => (*flops, *bytes),
            Step::Copy { from, .. } => (0.0, 8.0 * from.len() as f64),
        };
        DISPATCH_SECS + (flops / self.flops_per_sec).max(bytes / self.bytes_per_sec)
    }
}

/// Operations and bytes a second of the slow adapters of a kind: what is presumed before anything has been timed, since a driver
/// may reset a device that is silent for two seconds.
fn presumed_speed(cpu: bool, kind: &str) -> (f64, f64) {
    match kind {
        _ if cpu => (1e10, 2e9),
        "DiscreteGpu" => (1e12, 1e11),
        _ => (1e11, 1e10),
    }
}

impl Gpu {
    /// Floating-point operations that a dispatch may have so that it takes about as long as a submission should, on the slow
    /// adapters of this one's kind.
    pub(crate) fn most_flops(&self) -> f64 {
        SUBMISSION_SECS * presumed_speed(self.target().cpu, &self.adapter().kind).0
    }

    /// Queues recordings, one after the other, and submits them as soon as that is worth it, at the latest when something is
    /// written, read or waited for.
    ///
    /// # Errors
    /// [`DeviceError::Lost`] or [`DeviceError::Device`], possibly for work submitted earlier.
    pub fn run<'a>(&self, recordings: impl IntoIterator<Item = &'a Recording>) -> Result<(), DeviceError> {
        if self.0.dry {
            return Ok(());
        }
        let mut flight = lock(&self.0.flight);
        for step in recordings.into_iter().flat_map(|recording| &recording.steps) {
            let estimate = flight.estimate(step);
            if (flight.pending_secs + estimate) * flight.slowdown > SUBMISSION_SECS {
                self.submit(&mut flight)?;
            }
            flight.pending.push(step.clone());
            flight.pending_secs += estimate;
        }
        // A device that has nothing to do starts at once.
        if flight.under_way.is_empty() || flight.pending_secs * flight.slowdown >= WORTH_SECS {
            self.submit(&mut flight)?;
        }
        self.check()
    }

    /// Submits what is queued.
    ///
    /// # Errors
    /// As [`Gpu::run`].
    pub(super) fn flush(&self) -> Result<(), DeviceError> {
        self.submit(&mut lock(&self.0.flight))
    }

    fn submit(&self, flight: &mut Flight) -> Result<(), DeviceError> {
        if flight.pending.is_empty() {
            return Ok(());
        }
        if flight.under_way.is_empty() {
            flight.last_finished = Instant::now();
        }
        let index = self.0.queue.submit([self.encode(&flight.pending)]);
        flight.under_way.push_back((index, flight.pending_secs));
        flight.pending.clear();
        flight.pending_secs = 0.0;
        while flight.under_way.len() > IN_FLIGHT {
            self.finish_oldest(flight)?;
        }
        Ok(())
    }

    /// One command buffer; consecutive dispatches share a pass.
    pub(super) fn encode(&self, steps: &[impl Borrow<Step>]) -> wgpu::CommandBuffer {
        let mut encoder = self.0.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let is_copy = |step: &Step| matches!(step, Step::Copy { .. });
        for group in steps.chunk_by(|a, b| is_copy(a.borrow()) == is_copy(b.borrow())) {
            let mut pass = None;
            for step in group {
                match step.borrow() {
                    Step::Copy { from, to, at } => {
                        let len = from.len() as u64 * 4;
                        encoder.copy_buffer_to_buffer(from.raw(), 0, to.raw(), *at as u64 * 4, len);
                    }
                    Step::Dispatch { pipeline, bind_group, grid, .. } => {
                        let pass = pass.get_or_insert_with(|| {
                            encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()).forget_lifetime()
                        });
                        pass.set_pipeline(&pipeline.inner);
                        pass.set_bind_group(0, bind_group, &[]);
                        pass.dispatch_workgroups(grid[0], grid[1], grid[2]);
                    }
                }
            }
        }
        encoder.finish()
    }

    /// Waits for everything queued so far.
    ///
    /// # Errors
    /// [`DeviceError::Lost`] or [`DeviceError::Device`].
    pub fn wait(&self) -> Result<(), DeviceError> {
        let mut flight = lock(&self.0.flight);
        self.submit(&mut flight)?;
        while !flight.under_way.is_empty() {
            self.finish_oldest(&mut flight)?;
        }
        self.poll(wgpu::PollType::wait_indefinitely())
    }

    fn finish_oldest(&self, flight: &mut Flight) -> Result<(), DeviceError> {
        let Some((index, estimate)) = flight.under_way.pop_front() else { return Ok(()) };
        self.poll(wgpu::PollType::Wait { submission_index: Some(index), timeout: None })?;
        let now = Instant::now();
        let took = now.duration_since(flight.last_finished).as_secs_f64();
        flight.last_finished = now;
        // A geometric mean over about eight submissions: robust against one slow compilation.
        let ratio = (took / estimate).clamp(1e-3, 1e3);
        flight.slowdown *= (ratio / flight.slowdown).powf(0.125);
        Ok(())
    }

    fn poll(&self, how: wgpu::PollType) -> Result<(), DeviceError> {
        let polled = self.0.device.poll(how);
        self.check()?;
        polled.map(|_| ()).map_err(|error| DeviceError::Lost(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_submissions_are_short_on_a_slow_gpu() {
        // An integrated GPU of some years ago, and the slowest discrete ones.
        for (kind, flops_per_sec) in
            [("IntegratedGpu", 5e10), ("VirtualGpu", 5e10), ("Other", 5e10), ("DiscreteGpu", 3e11)]
        {
            let flight = Flight::new(false, kind);
            let secs = SUBMISSION_SECS * flight.flops_per_sec / flops_per_sec;
            assert!(secs < 1.0, "{kind}: {secs}");
        }
    }
}
