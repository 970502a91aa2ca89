//! Words for a shell.

use std::borrow::Cow;
use std::path::Path;

/// A text as one word of a shell command.
pub fn shell_word(text: &str) -> String {
    // NUL, which no word can hold, cannot come from a command line or a path.
    shlex::try_quote(text).map_or_else(|_| shell_word(&text.replace('\0', "")), Cow::into_owned)
}

/// The same for a path, so that no program takes it for an option.
pub fn shell_path(path: &Path) -> String {
    let text = path.to_string_lossy();
    if text.starts_with('-') { shell_word(&format!("./{text}")) } else { shell_word(&text) }
}
