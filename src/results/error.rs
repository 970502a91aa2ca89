//! The errors of showing a run.

use super::official_raw::RawError;
use super::plot::PlotError;
use crate::files::FileError;
use crate::folder::RunDirError;
use crate::folder::table::RecordError;

/// The errors of showing a run. Each message names the file.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// The run folder cannot be used.
    #[error(transparent)]
    RunDir(#[from] RunDirError),
    /// A page cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A table cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A picture cannot be made.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// A raw file of the official code cannot be read.
    #[error(transparent)]
    Raw(#[from] RawError),
}
