//! What long work tells its caller while it goes on, and how the caller stops it.

use std::io;

/// Hears of a run, a sweep, an analysis or a download. Every method has a default that ignores what it is told, so `()` is the
/// observer of work that goes on in silence.
pub trait Observer: Sync {
    /// A text for people, with its final newline.
    ///
    /// # Errors
    /// The text cannot be passed on; this ends the work.
    fn say(&self, _text: &str) -> io::Result<()> {
        Ok(())
    }

    /// The same of a part that has ended, for observers that do not show progress otherwise.
    ///
    /// # Errors
    /// As [`Self::say`].
    fn milestone(&self, _text: &str) -> io::Result<()> {
        Ok(())
    }

    /// A note of one line that changes nothing, without its newline; most begin with `warning: `.
    fn note(&self, _text: &str) {}

    /// A row was written to a table.
    ///
    /// # Errors
    /// As [`Self::say`].
    fn row(&self, _row: Logged<'_>) -> io::Result<()> {
        Ok(())
    }

    /// How far the work is.
    fn progress(&self, _progress: &Progress<'_>) {}

    /// The work that had progress is over, well or not.
    fn finished(&self) {}

    /// Whether the work is to stop, keeping everything, as soon as it can.
    fn is_stopped(&self) -> bool {
        false
    }
}

impl Observer for () {}

/// How far long work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// What is counted.
    pub unit: Unit,
    /// How many are done.
    pub done: u64,
    /// Of how many; 0 is not known.
    pub total: u64,
    /// What is known of it, without a newline.
    pub text: &'a str,
}

/// What the progress of long work is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Updates of a run.
    Steps,
    /// Jobs of a sweep.
    Jobs,
    /// Products of an analysis with a matrix.
    Products,
    /// Bytes of a download.
    Bytes,
}

/// One line of a table, with the names of its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logged<'a> {
    /// The table: `metrics`, `curvature` or `oscillation`.
    pub table: &'a str,
    /// The columns' names.
    pub columns: &'a [String],
    /// Their cells, as many, as they are written to the table.
    pub cells: &'a [String],
}

/// The caller cannot be told, such as where standard output leads to a full disk.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}; check where it leads")]
pub struct OutputError(#[from] pub io::Error);
