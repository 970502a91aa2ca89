//! What can go wrong with a sweep, in words that say what to do.

use std::path::{Path, PathBuf};

use crate::files::lock::Holder;
use crate::run::RunError;
use crate::text::{counted, with_causes};

/// The most jobs of a sweep. Each is a folder and a process.
pub const MAX_JOBS: usize = 10_000;

/// What can go wrong with a sweep. Each message says what to do.
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
    #[error("these are more than {MAX_JOBS} jobs; sweep fewer values, or make several sweeps")]
    TooMany,
    /// Combinations that make no sense.
    #[error("{bad} of {} cannot be done:{problems}", counted(*count, "job"))]
    Senseless {
        /// How many.
        bad: usize,
        /// Of how many.
        count: usize,
        /// What is wrong, once each with the first job: a line for each.
        problems: String,
    },
    /// Values that look different and are not, or have no effect.
    #[error(
        "the jobs {first} and {second} are the same run (what they differ in has no effect there); leave one of the values out, or \
         make two sweeps"
    )]
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
    /// The folder is no sweep's.
    #[error("{} is not a sweep folder: it has no sweep.toml; give the folder that `edgewalk sweep` named", path.display())]
    NotASweep {
        /// The folder.
        path: PathBuf,
    },
    /// What a run can fail by too.
    #[error(transparent)]
    Run(RunError),
    /// A path with a line break or the like, in a script for Slurm.
    #[error("{path:?} has control characters, which no option of sbatch can hold; give the folder another name")]
    Control {
        /// The path.
        path: PathBuf,
    },
    /// The folder went away while its jobs ran.
    #[error("the sweep folder {} was removed or renamed while its jobs ran; go on with it where it is now", path.display())]
    Removed {
        /// Where it was.
        path: PathBuf,
    },
    /// A job began with other settings than the sweep gives it now.
    #[error(
        "{} began with other settings ({differences}); put back config.toml and the folders of the sweep, or begin another one",
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
        /// What is wrong with it.
        problem: String,
    },
    /// Another process works on the sweep.
    #[error("another process works on the sweep {}{by}; wait for it, or stop it with Ctrl-C", path.display())]
    Busy {
        /// The sweep folder.
        path: PathBuf,
        /// Which process, where that is known.
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
    /// A script was asked for and there is nothing that it could do.
    #[error("all jobs of the sweep {} have ended; there is nothing left for Slurm", path.display())]
    NothingLeft {
        /// The sweep folder.
        path: PathBuf,
    },
    /// Jobs failed.
    #[error("{}: {message}{}", which(*count, first), pointer(message, log))]
    Failed {
        /// How many.
        count: usize,
        /// The first of them.
        first: String,
        /// What it said.
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
    /// A job of a sweep that is not there.
    #[error("--job {number} needs the folder of a sweep; write edgewalk sweep SWEEP --job {number}")]
    JobOfNothing {
        /// The number asked for.
        number: usize,
    },
    /// The program does not find itself.
    #[error("cannot find the program that is to do the jobs: {0}; start it by its full path")]
    NoProgram(std::io::Error),
    /// The system does not say where this is.
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

/// What a run can fail by too.
impl<E: Into<RunError>> From<E> for SweepError {
    fn from(error: E) -> Self {
        Self::Run(error.into())
    }
}
