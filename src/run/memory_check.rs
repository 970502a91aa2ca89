//! Compares the plan of a run with the available memory, before anything is made. A software adapter uses the machine's
//! memory, whose size is known. WebGPU does not report a GPU's: there the driver refuses buffers, still before the
//! first step, and the plan goes into the message.

use sysinfo::{ProcessesToUpdate, System, get_current_pid};

use super::RunError;
use super::setup::RunSetup;
use crate::config::Config;
use crate::device::{Device, DeviceError};
use crate::folder::manifest::MemoryPlan;
use crate::objective::KEPT_BYTES;

/// Memory of a process outside the plan: the program, the driver, and the compilation of kernels (docs/memory.md).
pub const PROCESS_BYTES: u64 = 300 << 20;

/// Bytes of the machine's memory that a run takes on an adapter: only a discrete GPU has memory of its own.
pub fn machine_bytes(plan: &MemoryPlan, device: &Device) -> u64 {
    let buffers = if device.adapter().kind == "DiscreteGpu" { 0 } else { plan.device_bytes };
    buffers.saturating_add(plan.host_bytes).saturating_add(PROCESS_BYTES)
}

/// Bytes of free memory: of the machine, or of the control group of this process; `u64::MAX` if unknown.
pub fn free_bytes() -> u64 {
    let Ok(mut system) = System::new() else { return u64::MAX };
    system.refresh_memory();
    let confined = get_current_pid().ok().and_then(|own| {
        system.refresh_processes(ProcessesToUpdate::Some(&[own]), false);
        system.process(own)?.cgroup_limits()
    });
    system.available_memory().min(confined.map_or(u64::MAX, |limits| limits.free_memory))
}

/// The most bytes in which products with a matrix may keep values (`run.memory`).
pub fn most_kept(config: &Config, device: &Device) -> u64 {
    let share = config.run.memory;
    match device.adapter().kind.as_str() {
        "DiscreteGpu" if share > 0.0 => KEPT_BYTES,
        _ => (share * free_bytes() as f64) as u64,
    }
}

/// Refuses a plan that does not fit into `has` bytes of the machine's memory.
///
/// # Errors
/// [`RunError::Memory`], with chunks that would fit, if any would; compilation errors.
pub fn check(setup: &RunSetup, device: &Device, plan: &MemoryPlan, has: u64) -> Result<(), RunError> {
    require(device, plan, has, || {
        Ok(match smaller(setup, device, has)? {
            Some((chunk, bytes)) => format!("try --set run.chunk={chunk}, which needs {}", gib(bytes)),
            None => "try fewer examples (data.train), a smaller model, or fewer eigenvalues (measure.top)".into(),
        })
    })
}

/// Refuses a plan that does not fit into `has` bytes of the machine's memory, or into what this process may reserve of
/// it.
pub(crate) fn require(
    device: &Device,
    plan: &MemoryPlan,
    has: u64,
    advice: impl FnOnce() -> Result<String, RunError>,
) -> Result<(), RunError> {
    let needs = machine_bytes(plan, device);
    let has = match usize::try_from(needs).map(|bytes| Vec::<u8>::new().try_reserve_exact(bytes)) {
        _ if needs > has => format!("{} free", gib(has)),
        Ok(Ok(())) => return Ok(()),
        Ok(Err(_)) | Err(_) => "not as many within this process's limits (`ulimit -v`)".to_owned(),
    };
    Err(RunError::Memory { needs: format!("{} of the machine's memory", gib(needs)), has, advice: advice()? })
}

/// The largest halved chunk with which the run fits, and its needs.
fn smaller(setup: &RunSetup, device: &Device, has: u64) -> Result<Option<(usize, u64)>, RunError> {
    let RunSetup { config, data, first, measured, most_kept, .. } = *setup;
    if config.optim.micro_batch > 0 || config.model.mixes_examples() {
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
        let model = setup.model.clone();
        let smaller = RunSetup { config: &config, model, loss: setup.loss, data, first, measured, most_kept };
        let (plan, _) = smaller.plan(device)?;
        let needs = machine_bytes(&plan, device);
        if needs <= has {
            return Ok(Some((chunk, needs)));
        }
    }
    Ok(None)
}

/// Advice for a run whose buffers do not fit the adapter.
pub(crate) const SMALLER_RUN: &str = "try a smaller run.chunk, a smaller model, or another --adapter";

/// An error before the first step, with the plan if memory ran out, for buffers or for uploads; `advice` says what may
/// help.
pub(crate) fn refused(error: impl Into<RunError>, plan: &MemoryPlan, advice: &str) -> RunError {
    match error.into() {
        RunError::Device(DeviceError::NoMemory(message)) => RunError::Memory {
            needs: format!("{} of the adapter's memory", gib(plan.device_bytes)),
            has: format!("not as many: it refused ({message})"),
            advice: advice.to_owned(),
        },
        error => error,
    }
}

/// Bytes for people.
fn gib(bytes: u64) -> String {
    let gib = bytes as f64 / f64::from(1 << 30);
    if gib < 0.1 { format!("{:.0} MiB", 1024.0 * gib) } else { format!("{gib:.1} GiB") }
}
