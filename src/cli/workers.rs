//! Runs tiny work on one thread of a software adapter. lavapipe passes every dispatch to worker threads, and waking
//! them takes some 30 µs, longer than a small network's kernels. It reads their number from the environment at start,
//! so the program restarts itself with that set, unless the user has set it. Other drivers ignore it, and results do
//! not depend on it.

use crate::config::Config;
use crate::config::workload::flops_per_contraction;

/// [`settle`] for the work of a configuration, if known.
pub fn settle_for(config: &Config) {
    if let Some(flops) = flops_per_contraction(config) {
        settle(flops);
    }
}

/// Restarts without worker threads if contractions are small. Returns if they are not, or if a restart fails, which
/// costs only time.
#[cfg(target_os = "linux")]
pub fn settle(flops_per_contraction: f64) {
    use std::os::unix::process::CommandExt;

    use crate::config::workload::{THREADS_VARIABLE, is_tiny};
    use crate::environment::variable;

    if is_tiny(flops_per_contraction)
        && variable(THREADS_VARIABLE).is_none()
        && let Ok(program) = std::env::current_exe()
    {
        let _not_replaced =
            std::process::Command::new(program).args(std::env::args_os().skip(1)).env(THREADS_VARIABLE, "0").exec();
    }
}

/// Other systems have no lavapipe.
#[cfg(not(target_os = "linux"))]
pub fn settle(_flops_per_contraction: f64) {}
