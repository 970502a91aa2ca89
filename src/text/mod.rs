//! Text for people: numbers and times, tables, errors with their causes, shell words.

mod columns;
mod date;
mod numbers;
mod shell;

use std::error::Error;

pub(crate) use columns::{HARD_SPACE, in_columns};
#[cfg(feature = "cli")]
pub(crate) use columns::{rows_in_columns, wrapped};
pub(crate) use date::{now, utc};
pub(crate) use numbers::{counted, decimals, digits, duration, three_digits};
pub(crate) use shell::shell_path;
#[cfg(feature = "plots")]
pub(crate) use shell::shell_word;

/// An error with all its causes, in one line; a cause that the error's own message contains is omitted.
pub fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.map(ToString::to_string).fold(error.to_string(), |text, cause| match text.contains(&cause) {
        true => text,
        false => format!("{text}; because: {cause}"),
    })
}

/// A text from a file, without control characters for terminals.
pub(crate) fn visible(text: &str) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}
