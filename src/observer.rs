//! Progress of long work for its caller, and requests to stop.

use std::io;

/// Receives the events of a run, a sweep, an analysis or a download. Default methods ignore events, so `()` is a silent
/// observer.
pub trait Observer: Sync {
    /// A text for people, with its final newline.
    ///
    /// # Errors
    /// The text cannot be written; this ends the work.
    fn say(&self, _text: &str) -> io::Result<()> {
        Ok(())
    }

    /// The same at the end of a part, for observers without other progress.
    ///
    /// # Errors
    /// As [`Self::say`].
    fn milestone(&self, _text: &str) -> io::Result<()> {
        Ok(())
    }

    /// A one-line note without newline; most begin with `warning: `.
    fn note(&self, _text: &str) {}

    /// A row was written to a table.
    ///
    /// # Errors
    /// As [`Self::say`].
    fn row(&self, _row: Logged<'_>) -> io::Result<()> {
        Ok(())
    }

    /// The progress of the work.
    fn progress(&self, _progress: &Progress<'_>) {}

    /// The work with progress has ended, successfully or not.
    fn finished(&self) {}

    /// The width, in characters, that tables must keep to; none if lines may be as long as they like.
    fn width(&self) -> Option<usize> {
        None
    }

    /// Whether the work must stop as soon as it can, keeping everything.
    fn is_stopped(&self) -> bool {
        false
    }
}

impl Observer for () {}

/// The progress of long work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The unit of the counts.
    pub unit: Unit,
    /// The number done.
    pub done: u64,
    /// The total; 0 if unknown.
    pub total: u64,
    /// A line about it, without a newline.
    pub text: &'a str,
}

/// The unit of progress.
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
    /// Parts of an examination.
    Parts,
}

/// One line of a table, with the names of its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logged<'a> {
    /// The table: `metrics`, `curvature` or `oscillation`.
    pub table: &'a str,
    /// The columns' names.
    pub columns: &'a [String],
    /// Their cells, as written to the table.
    pub cells: &'a [String],
}

/// The caller cannot receive output, for example because the disk is full.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}; check where it leads")]
pub struct OutputError(#[from] pub io::Error);
