//! Tiny work is done on one thread where a software adapter would do it.
//!
//! lavapipe hands every dispatch to worker threads, and waking them takes some 30 µs: longer than a small network's kernels
//! themselves. It reads the number of its threads from the environment when it starts, so the program starts itself again with
//! that set. Other drivers do not look at it, results do not depend on it, and who has set it is left alone.

use crate::experiment::config::Config;
use crate::experiment::work::flops_per_contraction;

/// What lavapipe reads.
const VARIABLE: &str = "LP_NUM_THREADS";

/// Work of a contraction, in floating-point operations, up to which two threads are slower than one: some 30 µs of it at 20
/// GFLOP/s a core, twice, since half of the dispatches of a step are no contractions (docs/performance.md).
const WORTH_WAKING: f64 = 1.5e6;

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

    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as f64;
    // With more cores there is less to gain from staying on one.
    let is_small = cores == 1.0 || flops_per_contraction * (1.0 - 1.0 / cores) < WORTH_WAKING;
    if is_small
        && std::env::var_os(VARIABLE).is_none()
        && let Ok(program) = std::env::current_exe()
    {
        let _not_replaced =
            std::process::Command::new(program).args(std::env::args_os().skip(1)).env(VARIABLE, "0").exec();
    }
}

/// Elsewhere there is no lavapipe.
#[cfg(not(target_os = "linux"))]
pub fn settle(_flops_per_contraction: f64) {}
