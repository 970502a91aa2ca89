//! Standard output, which a reader may close at any time.

use std::io::{self, Write};

use super::ExperimentError;

/// Writes to standard output. A reader that has gone away wanted no more: that is success.
///
/// # Errors
/// [`ExperimentError::Output`] for any other trouble, such as a full disk.
pub fn print(text: &str) -> Result<(), ExperimentError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(ExperimentError::Output(error)),
        _ => Ok(()),
    }
}
