//! An experiment, from its configuration to its pictures: config → run → measure → record → plot.
//!
//! [`config`] says what to do, [`run`] does it, [`record`] and [`rundir`] keep what came of it, [`summary`] and
//! [`plot`] show it. Everything here is about files and words; the mathematics is in the stages before.

pub mod analysis;
pub mod bench;
pub mod checkpoint;
mod choice;
pub mod compare;
pub mod config;
mod conflicts;
mod digits;
mod divergence;
mod effect;
pub mod equipment;
mod feed;
mod figure;
mod forecast;
mod ground;
mod interrupt;
pub mod kernel_cache;
pub mod kernels;
mod keys;
pub mod live;
pub mod manifest;
mod measure;
pub mod measuring;
mod midpoint;
mod network;
pub mod official_raw;
pub mod oscillation;
pub(crate) mod output;
pub mod plot;
pub mod preset;
pub mod progress;
mod readout;
pub mod record;
pub mod report;
mod ring;
pub mod room;
pub mod run;
pub mod rundir;
mod schedule;
pub(crate) mod settled;
pub mod state;
mod suggest;
pub mod summary;
pub mod sweep;
pub mod swings;
mod table;
mod test_set;
mod until;
pub mod work;

use std::error::Error;
use std::path::PathBuf;

use crate::curvature::CurvatureError;
use crate::data::DataError;
use crate::data::download::FetchError;
use crate::gpu::GpuError;
use crate::model::{ModelError, StoreError};
use crate::theory::TheoryError;
pub use divergence::Divergence;
pub use figure::Format;
pub use run::{ResumeRequest, TrainRequest};

/// Everything that can end an experiment early.
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] config::ConfigError),
    /// The run folder cannot be used.
    #[error(transparent)]
    RunDir(#[from] rundir::RunDirError),
    /// A table cannot be written or read.
    #[error(transparent)]
    Record(#[from] record::RecordError),
    /// A picture cannot be made.
    #[error(transparent)]
    Plot(#[from] plot::PlotError),
    /// A raw file of the official code cannot be read.
    #[error(transparent)]
    Raw(#[from] official_raw::RawError),
    /// The data cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Data cannot be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The model's sizes make no network, or parameters do not fit it.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The device cannot do it.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// An eigensolver stopped.
    #[error(transparent)]
    Curvature(#[from] CurvatureError),
    /// A prediction of theory failed, or could not be put to the test.
    #[error(transparent)]
    Theory(#[from] TheoryError),
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
    /// A sweep cannot be made, or not all of it came to an end.
    #[error(transparent)]
    Sweep(#[from] sweep::SweepError),
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
    /// `edgewalk doctor` found something wrong.
    #[error("this adapter failed {failed} of the checks above; do not trust what it computes")]
    Untrustworthy {
        /// How many checks.
        failed: usize,
    },
    /// Standard output cannot be written.
    #[error("cannot write to standard output: {0}; check where it leads")]
    Output(std::io::Error),
}

/// An error with all its causes, in one line; a cause that the error has said itself is not said again.
pub fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.map(ToString::to_string).fold(error.to_string(), |text, cause| match text.contains(&cause) {
        true => text,
        false => format!("{text}; because: {cause}"),
    })
}

impl ExperimentError {
    /// The program's exit code: 2 for what the user asked wrongly, 1 for the rest.
    pub fn exit_code(&self) -> u8 {
        match self {
            // Options of the eigensolvers come from the command line; those of a configuration have been checked.
            Self::Config(_) | Self::Model(_) | Self::Curvature(CurvatureError::Option { .. }) => 2,
            Self::RunDir(rundir::RunDirError::NotText { .. }) => 2,
            Self::Sweep(error) => error.exit_code(),
            Self::RunDir(_) | Self::Record(_) | Self::Plot(_) | Self::Raw(_) | Self::Output(_) => 1,
            Self::Data(_) | Self::Fetch(_) | Self::Gpu(_) | Self::Curvature(_) | Self::Diverged(_) => 1,
            Self::ReadInit { .. } | Self::Init { .. } | Self::Store(_) => 1,
            Self::Theory(_) | Self::Untrustworthy { .. } | Self::Memory { .. } => 1,
        }
    }
}

impl From<config::Resolved> for TrainRequest {
    /// A run of this configuration in the next folder of its name, on the preferred adapter.
    fn from(config::Resolved { name, config }: config::Resolved) -> Self {
        Self { config, name, command_line: vec![], out: None, adapter: None, json: false }
    }
}
