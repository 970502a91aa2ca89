//! The output of `--dry-run`: the plan of a run, in words.

use std::time::Instant;

use super::TrainRequest;
use super::measure::Measurer;
use super::setup::Workspace;
use crate::config::{Config, MeasuringSet};
use crate::device::DeviceError;
use crate::folder::manifest::MemoryPlan;
use crate::objective::{Matrix, Plan};
use crate::text::{counted, duration};

/// A run that has not begun.
pub(crate) struct Forecast<'a> {
    pub request: &'a TrainRequest,
    /// The number of training examples.
    pub train: usize,
    /// On a dry device.
    pub workspace: Workspace,
    pub memory: MemoryPlan,
    /// The time of a gradient.
    pub gradient_secs: f64,
}

impl Forecast<'_> {
    /// Its buffers, chunks and estimated times.
    ///
    /// # Errors
    /// Compilation errors.
    pub fn text(mut self) -> Result<String, DeviceError> {
        let Self { request, train, workspace: Workspace { ref objective, .. }, memory, gradient_secs } = self;
        let Config { optim, run, .. } = &request.config;
        let MemoryPlan { device_bytes, host_bytes } = memory;
        let (plan, adapter) = (objective.plan(), objective.device().adapter());
        let gradients = optim.gradients();
        let step_secs = gradients as f64 * gradient_secs;
        let vectors = 4 * objective.layout().device_len() as u64;
        let limit = objective.device().max_binding_bytes();
        let mut lines = vec![
            format!("{} on {} ({}, {} tier)", request.name, adapter.words(), adapter.backend, adapter.tier),
            format!("  parameters        {} ({} a vector)", plan.parameters, mib(vectors)),
            format!("  examples          {} on the device", mib(plan.data_bytes)),
            format!("  chunks            {} of {}", plan.chunks, counted(plan.rows, "example")),
            format!("  intermediates     {}", mib(plan.intermediate_bytes)),
            format!("  peak memory       {} of device buffers, all programs of the run included", mib(device_bytes)),
            format!("  on the host       at most {} of examples and eigenvectors", mib(host_bytes)),
            format!("  largest buffer    {} of {} that the adapter binds", mib(plan.largest_buffer_bytes), mib(limit)),
            format!(
                "  one gradient      {:.3} GFLOP in {} dispatches, about {}",
                plan.gradient_flops / 1e9,
                plan.gradient_dispatches,
                duration(gradient_secs)
            ),
            format!("  one step          {}, about {}", counted(gradients, "gradient"), duration(step_secs)),
            format!("  {:<17} about {}", counted(run.steps, "step"), duration(step_secs * run.steps as f64)),
        ];
        if optim.batch > 0 {
            let updates = train as f64 / optim.batch as f64;
            let all = counted(train, "example");
            lines.insert(2, format!("  minibatches       {} of {all}, {updates:.1} an epoch", optim.batch));
        }
        self.measurements(&mut lines)?;
        lines.push(String::new());
        Ok(lines.join("\n"))
    }

    fn measurements(&mut self, lines: &mut Vec<String>) -> Result<(), DeviceError> {
        let Config { measure, run, .. } = &self.request.config;
        if !measure.is_on() {
            return Ok(());
        }
        let set = MeasuringSet::of(&self.request.config, self.train);
        lines.push(format!(
            "  curvature         {} of at most {}, on {set}",
            counted(measure.count(run.steps), "check"),
            counted(measure.max_iterations, "product")
        ));
        let Workspace { objective, measurer, .. } = &mut self.workspace;
        let mut own = measurer.as_mut().and_then(Measurer::own);
        let measured = own.as_deref_mut().unwrap_or(objective);
        let (bytes, stays) = measured.kept_bytes(Matrix::Hessian)?;
        let how =
            if stays { "kept between the products of a check" } else { "too much to keep: computed for every product" };
        lines.push(format!("  for each H·v       {} of what depends on the parameters alone, {how}", mib(bytes)));
        if let Some(own) = own {
            let Plan { chunks, rows, data_bytes, .. } = own.plan();
            lines.push(format!(
                "  measuring set     {} in {} of {}",
                mib(*data_bytes),
                counted(*chunks, "chunk"),
                counted(*rows, "example")
            ));
        }
        Ok(())
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
}

/// The outlook of a run from a step on, in two lines: memory, and the measured time of a step.
///
/// # Errors
/// Device errors.
pub(crate) fn ahead(
    config: &Config,
    workspace: &Workspace,
    memory: &MemoryPlan,
    first: u64,
) -> Result<String, DeviceError> {
    let steps = config.run.steps.saturating_sub(first);
    let Workspace { objective, optimizer, measurer, .. } = workspace;
    let device = objective.device();
    // A probe has the gradients of a step and leaves the parameters alone. The first one compiles and warms up.
    let look = optimizer.probe.recording(first);
    device.run([look])?;
    device.wait()?;
    let began = Instant::now();
    device.run([look])?;
    device.wait()?;
    let secs = began.elapsed().as_secs_f64();
    let mut lines = format!(
        "{} on {}: {} of device buffers, at most {} of numbers on the host\n\
         a step takes about {}, {} {}",
        counted(objective.layout().len(), "parameter"),
        device.adapter().words(),
        mib(memory.device_bytes),
        mib(memory.host_bytes),
        duration(secs),
        counted(steps, "step"),
        duration(secs * steps as f64)
    );
    if measurer.is_some() {
        // Each count includes the end of the run.
        let checks = config.measure.count(first + steps) - config.measure.count(first) + 1;
        let most = config.measure.max_iterations;
        lines += &format!(
            "; {} of the curvature besides, each of at most {} H·v",
            counted(checks, "check"),
            counted(most, "product")
        );
    }
    Ok(lines + "\n")
}
