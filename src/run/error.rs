//! The errors that end a run early.

use std::path::PathBuf;

use super::divergence::Divergence;
use crate::config::ConfigError;
use crate::curvature::CurvatureError;
use crate::data::DataError;
use crate::device::DeviceError;
use crate::files::FileError;
use crate::folder::RunDirError;
use crate::folder::table::RecordError;
use crate::model::{ModelError, StoreError};
use crate::observer::OutputError;
use crate::results::{PlotError, ResultsError};

/// The errors that end a run early, and those of an analysis or a benchmark, which are set up like a run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The run folder cannot be used.
    #[error(transparent)]
    RunDir(#[from] RunDirError),
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A table cannot be written or read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Its results cannot be shown.
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// The data cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model's sizes are invalid, or parameters do not fit it.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The device failed or cannot do it.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// An eigensolver stopped.
    #[error(transparent)]
    Curvature(#[from] CurvatureError),
    /// A file of parameters cannot be read.
    #[error("cannot read the parameters {}: {cause}; check the path and its permissions", path.display())]
    ReadInit {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        cause: std::io::Error,
    },
    /// The parameters in a file do not fit.
    #[error("parameters {}: {cause}", path.display())]
    Init {
        /// The file.
        path: PathBuf,
        /// The mismatch.
        cause: StoreError,
    },
    /// Parameters cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A number overflowed or was NaN.
    #[error(transparent)]
    Diverged(#[from] Divergence),
    /// A number of an analysis overflowed or was NaN.
    #[error("{what} is not finite at the parameters {}; {advice}", params.display())]
    NotFinite {
        /// The number.
        what: &'static str,
        /// The parameters' file.
        params: PathBuf,
        /// The advice.
        advice: &'static str,
    },
    /// The run does not fit this machine.
    #[error("this run needs {needs}, and there are {has}; {advice}")]
    Memory {
        /// The memory needed, and its kind.
        needs: String,
        /// The memory available.
        has: String,
        /// A configuration that would fit.
        advice: String,
    },
    /// Standard output cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl From<PlotError> for RunError {
    fn from(error: PlotError) -> Self {
        Self::Results(error.into())
    }
}
