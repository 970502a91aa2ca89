//! Ctrl-C and SIGTERM (`run/steps.rs` ends the run, `run/interruptible.rs` a measurement): a run finishes its step,
//! postpones a measurement, and ends with a checkpoint. A second signal ends the program at once, unless it follows so
//! closely that it is part of the first: batch systems may signal a process and its group.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The time of the first signal.
static REQUESTED: OnceLock<Instant> = OnceLock::new();

/// A signal within this time of the first belongs to it.
const TOGETHER: Duration = Duration::from_secs(1);

/// Installs the handler, also if a background shell told its children to ignore Ctrl-C.
#[expect(clippy::disallowed_methods, reason = "a second signal asks for the end at once, not for an orderly one")]
pub fn listen() {
    static LISTENING: OnceLock<()> = OnceLock::new();
    LISTENING.get_or_init(|| {
        let handler = ctrlc::set_handler(|| {
            if REQUESTED.get_or_init(Instant::now).elapsed() > TOGETHER {
                std::process::exit(130);
            }
        });
        // Without a handler, signals end the program.
        drop(handler);
    });
}

/// Whether to stop.
pub fn requested() -> bool {
    REQUESTED.get().is_some()
}
