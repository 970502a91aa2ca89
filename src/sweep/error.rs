//! The errors of a sweep, with advice.

use std::path::{Path, PathBuf};

use crate::files::lock::Holder;
use crate::run::RunError;
use crate::text::{counted, with_causes};

/// The most jobs of a sweep. Each is a folder and a process.
pub const MAX_JOBS: usize = 10_000;

/// The errors of a sweep. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// No key has several values.
    #[error("there is nothing to sweep; give a key several values, for example --set lr=0.03,0.1")]
    NoAxis,
    /// A key with several values is there twice.
    #[error("`{key}` is set twice; write all its values in one --set")]
    KeyTwice {
        /// The key.
        key: String,
    },
    /// A value is there twice.
    #[error("`{key}` has the value {value} twice; leave one out")]
    ValueTwice {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// Too many combinations.
    #[error("the sweep has more than {MAX_JOBS} jobs; sweep fewer values, or make several sweeps")]
    TooMany,
    /// Combinations that are refused.
    #[error("{bad} of {} cannot be done:{problems}", counted(*count, "job"))]
    Senseless {
        /// The refused combinations.
        bad: usize,
        /// All combinations.
        count: usize,
        /// The reasons, one a line, each with its first job.
        problems: String,
    },
    /// Two jobs are the same run.
    #[error(
        "the jobs {first} and {second} are the same run (what they differ in has no effect there); leave one of the \
         values out, or make two sweeps"
    )]
    SameRun {
        /// The first job.
        first: String,
        /// The second.
        second: String,
    },
    /// A job that the adapter or the model refuses.
    #[error("the job {job} cannot run: {}", with_causes(cause))]
    Job {
        /// The job.
        job: String,
        /// The reason.
        cause: Box<RunError>,
    },
    /// A column that the summary has not.
    #[error("the summary of a sweep has no column `{column}`; it has {known}")]
    NoColumn {
        /// The column.
        column: String,
        /// Those that it has.
        known: String,
    },
    /// The folder is no sweep's.
    #[error(
        "{} is not a sweep folder: it has no sweep.toml; give the folder that `edgewalk sweep` named",
        path.display()
    )]
    NotASweep {
        /// The folder.
        path: PathBuf,
    },
    /// An error that runs have too.
    #[error(transparent)]
    Run(RunError),
    /// A path with a line break or the like, in a script for Slurm.
    #[error("{path:?} has control characters, which no option of sbatch can hold; give the folder another name")]
    Control {
        /// The path.
        path: PathBuf,
    },
    /// The folder was removed while its jobs ran.
    #[error(
        "the sweep folder {} was removed or renamed while its jobs ran; go on with it where it is now",
        path.display()
    )]
    Removed {
        /// Its former path.
        path: PathBuf,
    },
    /// A job began with other settings than the sweep gives it now.
    #[error(
        "{} began with other settings ({differences}); put back config.toml and the folders of the sweep, or begin \
         another one",
        run.display()
    )]
    OtherSettings {
        /// The run folder of the job.
        run: PathBuf,
        /// The settings, in words.
        differences: String,
    },
    /// `sweep.toml` cannot be read.
    #[error("cannot read {}: {problem}; correct it, or start the sweep again in another folder", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The fault.
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
    /// No job is left for a script.
    #[error("all jobs of the sweep {} have ended; there is nothing left for Slurm", path.display())]
    NothingLeft {
        /// The sweep folder.
        path: PathBuf,
    },
    /// Jobs failed.
    #[error("{}: {message}{}", which(*count, first), pointer(message, log))]
    Failed {
        /// Their number.
        count: usize,
        /// The first of them.
        first: String,
        /// Its message.
        message: String,
        /// Its log.
        log: PathBuf,
    },
    /// Options that a sweep with a folder does not take.
    #[error("the sweep {} goes on as it began; leave out {options}", path.display())]
    Settled {
        /// The sweep folder.
        path: PathBuf,
        /// The options that were given.
        options: String,
    },
    /// `--job` without the folder of a sweep.
    #[error("--job {number} needs the folder of a sweep; write edgewalk sweep SWEEP --job {number}")]
    JobOfNothing {
        /// The number asked for.
        number: usize,
    },
    /// The path of this program is unknown.
    #[error("cannot find the program that is to do the jobs: {0}; start it by its full path")]
    NoProgram(std::io::Error),
    /// The current folder is unknown.
    #[error("cannot find out the current folder: {0}; go to one that exists")]
    Nowhere(std::io::Error),
}

impl SweepError {
    /// Refuses those options for the sweep in a folder that were given; each comes with whether it was.
    ///
    /// # Errors
    /// [`SweepError::Settled`].
    pub fn check_settled<const N: usize>(path: &Path, options: [(&str, bool); N]) -> Result<(), Self> {
        let given: Vec<&str> = options.into_iter().filter_map(|(option, given)| given.then_some(option)).collect();
        if given.is_empty() { Ok(()) } else { Err(Self::Settled { path: path.into(), options: given.join(" and ") }) }
    }
}

/// The jobs that failed.
fn which(count: usize, first: &str) -> String {
    if count == 1 { format!("the job {first} failed") } else { format!("{count} jobs failed, the first being {first}") }
}

/// A pointer to the log, unless the message has one.
fn pointer(message: &str, log: &Path) -> String {
    let log = log.display().to_string();
    if message.contains(&log) { String::new() } else { format!("; see {log}") }
}

/// An error that runs have too.
impl<E: Into<RunError>> From<E> for SweepError {
    fn from(error: E) -> Self {
        Self::Run(error.into())
    }
}
