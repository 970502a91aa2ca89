//! What can end a run early.

use std::path::PathBuf;

use super::divergence::Divergence;
use crate::config::ConfigError;
use crate::curvature::CurvatureError;
use crate::data::DataError;
use crate::files::FileError;
use crate::folder::RunDirError;
use crate::folder::table::RecordError;
use crate::gpu::GpuError;
use crate::model::{ModelError, StoreError};
use crate::observer::OutputError;
use crate::results::PlotError;
use crate::results::ResultsError;

/// What can end a run early, or an analysis or a benchmark, which are set up as a run is.
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
    /// What came of it cannot be shown.
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// The data cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model's sizes make no network, or parameters do not fit it.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The device cannot do it.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// An eigensolver stopped.
    #[error(transparent)]
    Curvature(#[from] CurvatureError),
    /// A file of parameters cannot be read.
    #[error("cannot read the parameters {}: {cause}; check the path and its permissions", path.display())]
    ReadInit {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The parameters in a file do not fit.
    #[error("parameters {}: {cause}", path.display())]
    Init {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        cause: StoreError,
    },
    /// Parameters cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A number overflowed, or was none.
    #[error(transparent)]
    Diverged(#[from] Divergence),
    /// The run does not fit this machine.
    #[error("this run needs {needs}, and there are {has}; {advice}")]
    Memory {
        /// How much of which memory.
        needs: String,
        /// How much there is.
        has: String,
        /// What would fit.
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
