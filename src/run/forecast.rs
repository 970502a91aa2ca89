//! The output of `--dry-run`: the plan of a run, in words.

use std::time::Instant;

use super::TrainRequest;
use super::measure::Measurer;
use super::setup::Workspace;
use crate::config::{Config, MeasuringSet};
use crate::folder::manifest::MemoryPlan;
use crate::gpu::GpuError;
use crate::objective::{Matrix, Plan};
use crate::text::{counted, duration};

const MIB: f64 = 1024.0 * 1024.0;

/// Buffers, chunks and estimated times of a run that has not begun, on `train` training examples: its workspace on a
/// dry device, the needs of that, and the time of a gradient.
///
/// # Errors
/// Compilation errors.
pub fn plan(
    request: &TrainRequest,
    train: usize,
    workspace: Workspace,
    memory: MemoryPlan,
    gradient_secs: f64,
) -> Result<String, GpuError> {
    let config = &request.config;
    let Workspace { mut objective, mut measurer, .. } = workspace;
    let (plan, adapter) = (objective.plan().clone(), objective.gpu().adapter().clone());
    let gradients = config.optim.gradients();
    let step_secs = gradients as f64 * gradient_secs;
    let vectors = 4 * objective.layout().device_len() as u64;
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / MIB);
    let limit = objective.gpu().max_binding_bytes();
    let mut lines = vec![
        format!("{} on {} ({}, {} tier)", request.name, adapter.name, adapter.backend, adapter.tier),
        format!("  parameters        {} ({} a vector)", plan.parameters, mib(vectors)),
        format!("  examples          {} on the device", mib(plan.data_bytes)),
        format!("  chunks            {} of {}", plan.chunks, counted(plan.rows, "example")),
        format!("  intermediates     {}", mib(plan.intermediate_bytes)),
        format!("  peak memory       {} of device buffers, all programs of the run included", mib(memory.device_bytes)),
        format!("  on the host       at most {} of examples and eigenvectors", mib(memory.host_bytes)),
        format!("  largest buffer    {} of {} that the adapter binds", mib(plan.largest_buffer_bytes), mib(limit)),
        format!(
            "  one gradient      {:.3} GFLOP in {} dispatches, about {}",
            plan.gradient_flops / 1e9,
            plan.gradient_dispatches,
            duration(gradient_secs)
        ),
        format!("  one step          {}, about {}", counted(gradients, "gradient"), duration(step_secs)),
        format!("  {:<17} about {}", counted(config.run.steps, "step"), duration(step_secs * config.run.steps as f64)),
    ];
    if config.optim.batch > 0 {
        let updates = train as f64 / config.optim.batch as f64;
        let line = format!("  minibatches       {} of {train} examples, {updates:.1} an epoch", config.optim.batch);
        lines.insert(2, line);
    }
    if config.measure.is_on() {
        let checks = config.measure.count(config.run.steps);
        let (set, most) = (MeasuringSet::of(config, train), config.measure.max_iterations);
        lines.push(format!(
            "  curvature         {} of at most {}, on {set}",
            counted(checks, "check"),
            counted(most, "product")
        ));
        let own = measurer.as_mut().and_then(Measurer::own);
        let measured = own.unwrap_or(&mut objective);
        let (bytes, stays) = measured.kept_bytes(Matrix::Hessian)?;
        let how =
            if stays { "kept between the products of a check" } else { "too much to keep: computed for every product" };
        lines.push(format!("  for each H·v       {} of what depends on the parameters alone, {how}", mib(bytes)));
    }
    if let Some(own) = measurer.as_mut().and_then(Measurer::own) {
        let Plan { chunks, rows, data_bytes, .. } = own.plan();
        lines.push(format!(
            "  measuring set     {} in {} of {}",
            mib(*data_bytes),
            counted(*chunks, "chunk"),
            counted(*rows, "example")
        ));
    }
    lines.push(String::new());
    Ok(lines.join("\n"))
}

/// The outlook of a run with `steps` left, in two lines: memory, and the measured time of a step.
///
/// # Errors
/// Device errors.
pub(crate) fn ahead(
    config: &Config,
    workspace: &Workspace,
    memory: &MemoryPlan,
    (first, steps): (u64, u64),
) -> Result<String, GpuError> {
    let Workspace { objective, optimizer, measurer, .. } = workspace;
    let gpu = objective.gpu();
    // A probe has the gradients of a step and leaves the parameters alone. The first one compiles and warms up.
    let look = optimizer.probe.recording(first);
    gpu.run([look])?;
    gpu.wait()?;
    let began = Instant::now();
    gpu.run([look])?;
    gpu.wait()?;
    let secs = began.elapsed().as_secs_f64();
    let mib = |bytes: u64| bytes as f64 / MIB;
    let mut lines = format!(
        "{} parameters on {}: {:.1} MiB of device buffers, at most {:.1} MiB of numbers on the host\n\
         a step takes about {}, {} {}",
        objective.layout().len(),
        gpu.adapter().name,
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
