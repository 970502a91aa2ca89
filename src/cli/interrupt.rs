//! Ctrl-C and SIGTERM: a run finishes its step, or leaves a measurement for later, keeps everything and ends; a second one ends
//! the program at once, unless it comes with the first: batch systems may signal a process and its group alike.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// When it was asked for first.
static REQUESTED: OnceLock<Instant> = OnceLock::new();

/// What comes so soon after the first signal belongs to it.
const TOGETHER: Duration = Duration::from_secs(1);

/// Starts listening, also where a shell in the background has told its children to ignore Ctrl-C.
#[expect(clippy::disallowed_methods, reason = "whoever asks twice wants the program gone, not an orderly end")]
pub fn listen() {
    static LISTENING: OnceLock<()> = OnceLock::new();
    LISTENING.get_or_init(|| {
        let handler = ctrlc::set_handler(|| {
            if REQUESTED.get_or_init(Instant::now).elapsed() > TOGETHER {
                std::process::exit(130);
            }
        });
        // Without a handler, signals end the program as they always did.
        drop(handler);
    });
}

/// Whether to stop.
pub fn requested() -> bool {
    REQUESTED.get().is_some()
}
