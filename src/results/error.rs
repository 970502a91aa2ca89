//! The errors of showing a run.

use std::path::PathBuf;

use super::official_raw::RawError;
use crate::config::ConfigError;
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
    /// There is no such setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is nothing to compare.
    #[error("there is no run to compare; name run folders, or a sweep with a job that has begun")]
    NoRuns,
    /// A run has no value of the setting that groups the runs.
    #[error("{run} has no value of {key}: {why}")]
    NoValue {
        /// The run.
        run: String,
        /// The setting.
        key: String,
        /// Why, and what to do.
        why: &'static str,
    },
    /// A raw file of the official code cannot be read.
    #[error(transparent)]
    Raw(#[from] RawError),
}

/// The errors of a run's pictures.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// A table cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A picture cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The run logged nothing.
    #[error("{} has no rows to plot; let the run make at least one step", path.display())]
    NoRows {
        /// The table that is empty.
        path: PathBuf,
    },
    /// The plotting library failed.
    #[error("cannot draw {}: {message}", path.display())]
    Draw {
        /// The picture.
        path: PathBuf,
        /// Why, and what to do.
        message: String,
    },
}
