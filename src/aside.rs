//! Standard error, whose reader may go away at any time.

use std::io::{self, Write};

/// Writes to standard error. Nothing that goes there is worth ending a run for, and there is nowhere else to say that it failed.
pub(crate) fn aside(text: &str) {
    let _lost = io::stderr().lock().write_all(text.as_bytes());
}
