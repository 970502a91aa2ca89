//! Whether a run fits: its plan against the memory that there is, before anything of it is made.
//!
//! The memory of a software adapter is that of the machine, which can be asked. WebGPU does not say how much a GPU has: there
//! the driver refuses when the buffers are made, still before the first step, and the plan goes into the message.

use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use super::ExperimentError;
use super::config::Config;
use super::equipment::{MemoryPlan, Parts};
use crate::gpu::{Gpu, GpuError};

/// What the driver and its compiler take of the machine's memory beside a run's buffers (docs/memory.md).
const DRIVER_BYTES: u64 = 300 << 20;

/// Bytes of the machine's memory that a run takes on an adapter.
pub fn machine_bytes(plan: &MemoryPlan, gpu: &Gpu) -> u64 {
    plan.host_bytes + if gpu.target().cpu { plan.device_bytes + DRIVER_BYTES } else { 0 }
}

/// Bytes of the machine's memory, or of this process's share of it, that are free; 0 where the system does not say.
pub fn free_bytes() -> u64 {
    let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let Ok(system) = System::new_with_specifics(memory) else { return 0 };
    let free = system.available_memory();
    system.cgroup_limits().map_or(free, |limits| free.min(limits.free_memory))
}

/// Refuses a plan that does not fit into `has` bytes of the machine's memory; 0 is not known.
///
/// # Errors
/// [`ExperimentError::Memory`], with chunks that would fit, if any would; compilation errors.
pub fn check(parts: &Parts, gpu: &Gpu, plan: &MemoryPlan, has: u64) -> Result<(), ExperimentError> {
    let needs = machine_bytes(plan, gpu);
    if needs <= has || has == 0 {
        return Ok(());
    }
    Err(ExperimentError::Memory {
        needs: format!("{} of the machine's memory", gib(needs)),
        has: format!("{} free", gib(has)),
        advice: match smaller(parts, gpu, has)? {
            Some((chunk, bytes)) => format!("try --set run.chunk={chunk}, which needs {}", gib(bytes)),
            None => "try fewer examples (data.train), a smaller model, or fewer eigenvalues (measure.top)".into(),
        },
    })
}

/// The largest halved chunk with which the run fits, and what it needs then.
fn smaller(parts: &Parts, gpu: &Gpu, has: u64) -> Result<Option<(usize, u64)>, ExperimentError> {
    let Parts { config, data, first, measured, .. } = parts;
    if config.optim.micro_batch > 0 {
        return Ok(None);
    }
    let mut chunk = match config.chunk() {
        0 => first.len(),
        chunk => chunk,
    };
    while chunk > 1 {
        chunk = chunk.div_ceil(2);
        let mut config = Config::clone(config);
        config.run.chunk = chunk;
        let model = parts.model.clone();
        let smaller = Parts { config: &config, model, data, first, measured: *measured };
        let (plan, _) = smaller.plan(gpu)?;
        let needs = machine_bytes(&plan, gpu);
        if needs <= has {
            return Ok(Some((chunk, needs)));
        }
    }
    Ok(None)
}

/// An error of making a run's buffers, with the plan beside it where memory may have run out.
pub(super) fn refused(error: ExperimentError, plan: &MemoryPlan) -> ExperimentError {
    match error {
        ExperimentError::Gpu(GpuError::Device(message)) => ExperimentError::Memory {
            needs: format!("{} of the adapter's memory", gib(plan.device_bytes)),
            has: format!("not as many: it refused ({message})"),
            advice: "try a smaller run.chunk, a smaller model, or another --adapter".into(),
        },
        error => error,
    }
}

/// Bytes for people.
fn gib(bytes: u64) -> String {
    let gib = bytes as f64 / f64::from(1 << 30);
    if gib < 0.1 { format!("{:.0} MiB", 1024.0 * gib) } else { format!("{gib:.1} GiB") }
}
