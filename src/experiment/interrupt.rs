//! Ctrl-C and SIGTERM: a run finishes its step, keeps everything and ends; a second one ends the program at once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Starts listening, also where a shell in the background has told its children to ignore Ctrl-C.
#[expect(clippy::disallowed_methods, reason = "whoever asks twice wants the program gone, not an orderly end")]
pub fn listen() {
    static LISTENING: OnceLock<()> = OnceLock::new();
    LISTENING.get_or_init(|| {
        let handler = ctrlc::set_handler(|| {
            if REQUESTED.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        });
        // Without a handler, signals end the program as they always did.
        drop(handler);
    });
}

/// Whether to stop.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}
