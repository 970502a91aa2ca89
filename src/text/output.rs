//! Standard output, whose reader may go away at any time, and words for a shell.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;

/// Standard output cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}; check where it leads")]
pub struct OutputError(io::Error);

/// Writes to standard output. A reader that has gone away wanted no more: that is success.
///
/// # Errors
/// [`OutputError`] for any other trouble, such as a full disk.
pub fn print(text: &str) -> Result<(), OutputError> {
    let mut stdout = io::stdout().lock();
    written(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// What [`print`] says of a write to standard output.
///
/// # Errors
/// As [`print`].
pub fn written(result: io::Result<()>) -> Result<(), OutputError> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(OutputError(error)),
        _ => Ok(()),
    }
}

/// A text as one word of a command for a shell.
pub fn shell_word(text: &str) -> String {
    // NUL, which no word can hold, has come from no command line and no path.
    shlex::try_quote(text).map_or_else(|_| shell_word(&text.replace('\0', "")), Cow::into_owned)
}

/// The same of a path, so that no program takes it for an option.
pub fn shell_path(path: &Path) -> String {
    let text = path.to_string_lossy();
    if text.starts_with('-') { shell_word(&format!("./{text}")) } else { shell_word(&text) }
}
