//! Tiny work is done on one thread where a software adapter would do it.
//!
//! lavapipe hands every dispatch to worker threads, and waking them takes some 30 µs: longer than a small network's kernels
//! themselves. It reads the number of its threads from the environment when it starts, so the program starts itself again with
//! that set. Other drivers do not look at it, results do not depend on it, and who has set it is left alone.

use crate::config::Config;
use crate::config::workload::flops_per_contraction;

/// [`settle`] for the work of a configuration, where that is known.
pub fn settle_for(config: &Config) {
    if let Some(flops) = flops_per_contraction(config) {
        settle(flops);
    }
}

/// Goes on without worker threads if a contraction's share of the work is small. Returns if it is not, or if nothing can be
/// changed, which costs nothing but time.
#[cfg(target_os = "linux")]
pub fn settle(flops_per_contraction: f64) {
    use std::os::unix::process::CommandExt;

    use crate::config::workload::{THREADS_VARIABLE, is_tiny};

    if is_tiny(flops_per_contraction)
        && std::env::var_os(THREADS_VARIABLE).is_none()
        && let Ok(program) = std::env::current_exe()
    {
        let _not_replaced =
            std::process::Command::new(program).args(std::env::args_os().skip(1)).env(THREADS_VARIABLE, "0").exec();
    }
}

/// Elsewhere there is no lavapipe.
#[cfg(not(target_os = "linux"))]
pub fn settle(_flops_per_contraction: f64) {}
