//! The errors of a sweep, with advice.

use std::path::PathBuf;

use super::MAX_JOBS;
use crate::files::lock::Holder;
use crate::run::RunError;
use crate::text::with_causes;

/// The errors of a sweep. Each message has advice.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// No key has several values.
    #[error("there is nothing to sweep; give a key several values, for example --set lr=0.03,0.1")]
    NoAxis,
    /// A key with several values appears twice.
    #[error("`{key}` is set twice; write all its values in one --set")]
    KeyTwice {
        /// The key.
        key: String,
    },
    /// A value appears twice.
    #[error("`{key}` has the value {value} twice; leave one out")]
    ValueTwice {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// Too many combinations.
    #[error("these are more than {MAX_JOBS} jobs; sweep fewer values, or make several sweeps")]
    TooMany,
    /// Contradictory combinations.
    #[error("{bad} of {count} jobs make no sense:{problems}")]
    Senseless {
        /// How many.
        bad: usize,
        /// The number of all combinations.
        count: usize,
        /// Each fault with the first job that has it, a line each.
        problems: String,
    },
    /// Values with equal meaning.
    #[error("the jobs {first} and {second} are the same run; leave one of the values out")]
    SameRun {
        /// A job.
        first: String,
        /// Another.
        second: String,
    },
    /// A job that the adapter or the model refuses.
    #[error("the job {job} cannot run: {}", with_causes(cause))]
    Job {
        /// The job.
        job: String,
        /// Why.
        cause: Box<RunError>,
    },
    /// The folder is not that of a sweep.
    #[error("{} is not a sweep folder: it has no sweep.toml; give the folder that `edgewalk sweep` named", path.display())]
    NotASweep {
        /// The folder.
        path: PathBuf,
    },
    /// The errors that a run shares.
    #[error(transparent)]
    Run(RunError),
    /// A path with a line break or the like, in a script for Slurm.
    #[error("{path:?} has control characters, which no option of sbatch can hold; give the folder another name")]
    Control {
        /// The path.
        path: PathBuf,
    },
    /// The folder was removed while its jobs ran.
    #[error("the sweep folder {} was removed or renamed while its jobs ran; go on with it where it is now", path.display())]
    Removed {
        /// Its path.
        path: PathBuf,
    },
    /// `sweep.toml` cannot be read.
    #[error("cannot read {}: {problem}; correct it, or start the sweep again in another folder", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Its fault.
        problem: String,
    },
    /// Another process works on the sweep.
    #[error("another process works on the sweep {}{by}; wait for it, or stop it with Ctrl-C", path.display())]
    Busy {
        /// The sweep folder.
        path: PathBuf,
        /// The process, if known.
        by: Holder,
    },
    /// There is no job of this number.
    #[error("there is no job {number}: the sweep has jobs 0 to {last}")]
    NoSuchJob {
        /// The number asked for.
        number: usize,
        /// The highest there is.
        last: usize,
    },
    /// A requested script has nothing to do.
    #[error("all jobs of the sweep {} have ended; there is nothing left for Slurm", path.display())]
    NothingLeft {
        /// The sweep folder.
        path: PathBuf,
    },
    /// Jobs failed.
    #[error("{count} of the jobs failed, the first being {first}: {message}; see {}", log.display())]
    Failed {
        /// How many.
        count: usize,
        /// The first of them.
        first: String,
        /// Its message.
        message: String,
        /// Its log.
        log: PathBuf,
    },
    /// Options that a sweep with a folder has already.
    #[error("the settings, adapter and folder of the sweep {} are settled; leave out --set, --adapter, --out and --json", path.display())]
    Settled {
        /// The sweep folder.
        path: PathBuf,
    },
    /// A job of a missing sweep.
    #[error("--job {number} needs the folder of a sweep; write edgewalk sweep SWEEP --job {number}")]
    JobOfNothing {
        /// The number asked for.
        number: usize,
    },
    /// The path of the program is unknown.
    #[error("cannot find the program that is to do the jobs: {0}; start it by its full path")]
    NoProgram(std::io::Error),
    /// The current folder is unknown.
    #[error("cannot find out the current folder: {0}; go to one that exists")]
    Nowhere(std::io::Error),
}

/// The errors that a run shares.
impl<E: Into<RunError>> From<E> for SweepError {
    fn from(error: E) -> Self {
        Self::Run(error.into())
    }
}
