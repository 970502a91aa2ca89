//! The errors of the commands, with their exit codes: 2 for wrong usage, 1 for the rest. `cli/mod.rs` returns 2 for a
//! command line that cannot be parsed and 0 for success; `interrupt.rs` ends with 130 at a second Ctrl-C.

use crate::curvature::CurvatureError;
use crate::data::download::FetchError;
use crate::files::FileError;
use crate::folder::RunDirError;
use crate::results::ResultsError;
use crate::run::RunError;
use crate::sweep::SweepError;
use crate::theory::TheoryError;

/// The error of any command.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Of a run, an analysis or a benchmark.
    #[error(transparent)]
    Run(RunError),
    /// A sweep cannot be made, or did not finish.
    #[error(transparent)]
    Sweep(#[from] SweepError),
    /// Data cannot be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A prediction of theory failed or was not tested.
    #[error(transparent)]
    Theory(#[from] TheoryError),
    /// `edgewalk doctor` found a fault.
    #[error("this adapter failed {failed} of the checks above; do not trust what it computes")]
    Untrustworthy {
        /// The number of failed checks.
        failed: usize,
    },
}

/// The errors that a run shares.
impl<E: Into<RunError>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Run(error.into())
    }
}

impl Error {
    /// The exit code: 2 for wrong usage, 1 for the rest.
    pub fn exit_code(&self) -> u8 {
        let is_usage = match self {
            Self::Run(error) => is_usage(error),
            Self::Sweep(error) => match error {
                SweepError::NoAxis
                | SweepError::KeyTwice { .. }
                | SweepError::ValueTwice { .. }
                | SweepError::TooMany
                | SweepError::Settled { .. }
                | SweepError::JobOfNothing { .. }
                | SweepError::Control { .. }
                | SweepError::Senseless { .. }
                | SweepError::SameRun { .. }
                | SweepError::NoColumn { .. }
                | SweepError::NoSuchJob { .. } => true,
                SweepError::Job { cause, .. } => is_usage(cause),
                SweepError::Run(cause) => is_usage(cause),
                SweepError::NotASweep { .. }
                | SweepError::OtherSettings { .. }
                | SweepError::Unreadable { .. }
                | SweepError::Busy { .. }
                | SweepError::Removed { .. }
                | SweepError::NothingLeft { .. }
                | SweepError::Failed { .. }
                | SweepError::Nowhere(_)
                | SweepError::NoProgram(_) => false,
            },
            Self::Fetch(_) | Self::Theory(_) | Self::Untrustworthy { .. } => false,
        };
        if is_usage { 2 } else { 1 }
    }
}

/// Whether the error is wrong usage.
fn is_usage(error: &RunError) -> bool {
    match error {
        // Options of the eigensolvers come from the command line; those of a configuration have been checked.
        RunError::Config(_) | RunError::Model(_) | RunError::Curvature(CurvatureError::Option { .. }) => true,
        RunError::File(error) | RunError::RunDir(RunDirError::File(error)) => {
            matches!(error, FileError::NotText { .. })
        }
        RunError::Results(ResultsError::Config(_)) => true,
        RunError::RunDir(_) | RunError::Record(_) | RunError::Results(_) | RunError::Output(_) => false,
        RunError::Data(_) | RunError::Device(_) | RunError::Curvature(_) => false,
        RunError::Diverged(_) | RunError::NotFinite { .. } => false,
        RunError::ReadInit { .. } | RunError::Init { .. } | RunError::Store(_) | RunError::Memory { .. } => false,
    }
}
