//! Sweeps: a run for every combination of several values of some keys, in one folder that can be resumed.
//!
//! One idea: the folder is the queue. A job is a process of this same program with a run folder of its own, and what is left to
//! do is what those folders say is left ([`State`]). So a sweep that was killed goes on by being started again, and jobs on
//! many machines need to share nothing but the folder.
//!
//! [`Grid`] is a sweep that is known to make sense, [`SweepDir`] one that has a folder.

mod axis;
mod child;
mod folder;
mod memory;
mod queue;
mod slurm;
mod state;
mod summary;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::config::{self, Config};
use super::{ExperimentError, interrupt};
use crate::cli::print;

pub use axis::{Axis, Combination, MAX_JOBS};
pub use folder::{Job, SweepDir};
pub use memory::{Capacity, capacity};
pub use state::State;
pub use summary::{SummaryRow, read_summary};

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
    #[error("{bad} of {count} jobs make no sense:{problems}")]
    Senseless {
        /// How many.
        bad: usize,
        /// Of how many.
        count: usize,
        /// What is wrong, once each with the first job: a line for each.
        problems: String,
    },
    /// Values that look different and are not.
    #[error("the jobs {first} and {second} are the same run; leave one of the values out")]
    SameRun {
        /// A job.
        first: String,
        /// Another.
        second: String,
    },
    /// A job that the adapter or the model refuses.
    #[error("the job {job} cannot run: {cause}")]
    Job {
        /// The job.
        job: String,
        /// Why.
        cause: Box<ExperimentError>,
    },
    /// A job that memory cannot hold.
    #[error(
        "the job {job} needs {needs_mib:.0} MiB of memory and this machine has {has_mib:.0} MiB free; try a smaller model, \
         data.train or run.chunk, or end other programs"
    )]
    TooLarge {
        /// The job.
        job: String,
        /// What it needs.
        needs_mib: f64,
        /// What there is.
        has_mib: f64,
    },
    /// The folder is no sweep's.
    #[error("{} is not a sweep folder: it has no sweep.toml; give the folder that `edgewalk sweep` named", path.display())]
    NotASweep {
        /// The folder.
        path: PathBuf,
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
    #[error("another process works on the sweep {}; wait for it, or stop it with Ctrl-C", path.display())]
    Busy {
        /// The sweep folder.
        path: PathBuf,
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
    #[error("{count} of the jobs failed, the first being {first}: {message}; see {}", log.display())]
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
    /// Options that a sweep with a folder has already.
    #[error("the settings, adapter and folder of the sweep {} are settled; leave out --set, --adapter and --out", path.display())]
    Settled {
        /// The sweep folder.
        path: PathBuf,
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
    /// The program's exit code: 2 for what the user asked wrongly, 1 for the rest.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoAxis | Self::KeyTwice { .. } | Self::ValueTwice { .. } | Self::TooMany => 2,
            Self::Settled { .. } | Self::JobOfNothing { .. } => 2,
            Self::Senseless { .. } | Self::SameRun { .. } | Self::NoSuchJob { .. } => 2,
            Self::Job { cause, .. } => cause.exit_code(),
            Self::TooLarge { .. } | Self::NotASweep { .. } | Self::Unreadable { .. } | Self::Busy { .. } => 1,
            Self::NothingLeft { .. } | Self::Failed { .. } | Self::Nowhere(_) | Self::NoProgram(_) => 1,
        }
    }
}

/// A sweep that makes sense and has no folder yet: every job's configuration is complete and valid.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// The preset's name, or the file's without `.toml`.
    pub name: String,
    /// The adapter that the jobs ask for, as `--adapter` takes it.
    pub adapter: Option<String>,
    /// What is swept.
    pub axes: Vec<Axis>,
    /// Every job's name and configuration, the last axis changing fastest; at least two.
    pub jobs: Vec<(String, Config)>,
}

/// How a sweep is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The `edgewalk` program, which the jobs are processes of.
    pub program: PathBuf,
    /// Jobs at once; none is as many as the cores are good for. Never more than fit into memory.
    pub jobs: Option<usize>,
}

impl Grid {
    /// Every combination of the values in `sets`, arguments `key=value` or `key=value,value,…`, over the preset or file
    /// `target`, as [`config::resolve`] takes it.
    ///
    /// # Errors
    /// [`config::ConfigError`] for an unknown target or key and for a value that is not acceptable by itself; [`SweepError`] for what is
    /// wrong with the combinations, all of which are looked at.
    pub fn new(target: Option<&str>, sets: &[String], adapter: Option<String>) -> Result<Self, ExperimentError> {
        let name = config::resolve(target, &[])?.name;
        let (fixed, axes) = axis::divide(sets)?;
        let combinations = axis::combinations(&axes)?;
        let mut jobs = vec![];
        let mut problems = vec![];
        let mut bad = 0;
        let count = combinations.len();
        for combination in combinations {
            let own = axes.iter().zip(&combination.values).map(|(axis, value)| format!("{}={value}", axis.key));
            let sets: Vec<String> = fixed.iter().cloned().chain(own).collect();
            match config::resolve(target, &sets) {
                Ok(resolved) => jobs.push((combination.name, resolved.config)),
                Err(error) => {
                    bad += 1;
                    let text = error.to_string();
                    if !problems.iter().any(|(_, known)| *known == text) {
                        problems.push((combination.name, text));
                    }
                }
            }
        }
        if bad > 0 {
            let problems = problems.iter().map(|(job, text)| format!("\n  {job}: {text}")).collect();
            return Err(SweepError::Senseless { bad, count, problems }.into());
        }
        let mut known = HashMap::new();
        for (job, config) in &jobs {
            if let Some(first) = known.insert(config.to_toml(), job.clone()) {
                return Err(SweepError::SameRun { first, second: job.clone() }.into());
            }
        }
        Ok(Self { name, adapter, axes, jobs })
    }

    /// The configuration that the jobs change: the first job's own, since what all have in common need not make sense.
    pub fn base(&self) -> &Config {
        &self.jobs[0].1
    }

    /// What would be done, in words.
    ///
    /// # Errors
    /// Those of [`capacity`].
    pub fn plan(&self, jobs: Option<usize>) -> Result<String, ExperimentError> {
        let capacity = capacity(&self.jobs, self.adapter.as_deref(), jobs)?;
        let names = self.jobs.iter().map(|(job, _)| job.as_str()).enumerate();
        Ok(format!("{} jobs of {}, {capacity}\n{}", self.jobs.len(), self.name, numbered(names)))
    }
}

/// Jobs with their numbers, a line each.
fn numbered<'a>(jobs: impl Iterator<Item = (usize, &'a str)>) -> String {
    jobs.map(|(number, job)| format!("  {number:4}  {job}\n")).collect()
}

/// Makes the folder of a sweep, in `out` or the next `runs/<name>-sweep-<n>`, and does its jobs.
///
/// # Errors
/// Those of [`capacity`] and [`SweepDir::create`], before anything is made; afterwards as [`resume`].
pub fn start(grid: &Grid, out: Option<&Path>, launch: &Launch) -> Result<(), ExperimentError> {
    if let Some(out) = out {
        super::rundir::check(out)?;
    }
    let capacity = capacity(&grid.jobs, grid.adapter.as_deref(), launch.jobs)?;
    let sweep = SweepDir::create(grid, out)?;
    let _claim = sweep.claim(false)?;
    run(&mut queue::Board::look(&sweep), launch, &capacity)
}

/// Does the jobs of a sweep that are left: those that have not begun, were stopped or killed, or failed.
///
/// A signal ends it early and well: the running jobs finish their step and write a checkpoint.
///
/// # Errors
/// [`SweepError::Failed`] if a job failed, when all others have been done; those of [`SweepDir::open`], [`capacity`], and of
/// writing `summary.csv`.
pub fn resume(path: &Path, launch: &Launch) -> Result<(), ExperimentError> {
    let sweep = SweepDir::open(path)?;
    let _claim = sweep.claim(false)?;
    let mut board = queue::Board::look(&sweep);
    let left = configs(&sweep, &board.left())?;
    if left.is_empty() {
        board.write()?;
        return finish(&board);
    }
    let capacity = capacity(&left, sweep.adapter.as_deref(), launch.jobs)?;
    run(&mut board, launch, &capacity)
}

fn run(board: &mut queue::Board<'_>, launch: &Launch, capacity: &Capacity) -> Result<(), ExperimentError> {
    interrupt::listen();
    let (folder, left) = (board.sweep.path.display(), board.left().len());
    print(&format!("{left} of {} jobs to do in {folder}, {capacity}\n", board.rows.len()))?;
    board.write()?;
    queue::work(board, &launch.program, capacity.parallel)?;
    finish(board)
}

/// What [`resume`] would do, in words.
///
/// # Errors
/// Those of [`capacity`].
pub fn what_is_left(sweep: &SweepDir, launch: &Launch) -> Result<String, ExperimentError> {
    let left = queue::Board::look(sweep).left();
    let capacity = capacity(&configs(sweep, &left)?, sweep.adapter.as_deref(), launch.jobs)?;
    let (name, count) = (&sweep.name, sweep.jobs().len());
    let names = left.iter().map(|&number| (number, sweep.jobs()[number].name.as_str()));
    Ok(format!("{} of {count} jobs of {name} are left, {capacity}\n{}", left.len(), numbered(names)))
}

/// Does one job of a sweep, given by its number, or goes on with it; what a task of a job array calls.
///
/// Such processes may be many at once, also on several machines that share the folder.
///
/// # Errors
/// [`SweepError::NoSuchJob`]; [`SweepError::Failed`] if this job failed; otherwise as [`resume`].
pub fn run_job(path: &Path, number: usize, launch: &Launch) -> Result<(), ExperimentError> {
    let sweep = SweepDir::open(path)?;
    let Some(job) = sweep.jobs().get(number) else {
        return Err(SweepError::NoSuchJob { number, last: sweep.jobs().len() - 1 }.into());
    };
    let _claim = sweep.claim(true)?;
    capacity(&configs(&sweep, &[number])?, sweep.adapter.as_deref(), Some(1))?;
    interrupt::listen();
    let row = queue::one(&sweep, number, &launch.program)?;
    if row.state == State::Failed {
        return Err(failed(&sweep, 1, &job.name, &row.message));
    }
    Ok(())
}

/// The script for Slurm that does the jobs of a sweep that are left, at most `launch.jobs` at a time.
///
/// # Errors
/// [`SweepError::NothingLeft`] and [`SweepError::Nowhere`].
pub fn slurm_script(sweep: &SweepDir, launch: &Launch) -> Result<String, ExperimentError> {
    let left = queue::Board::look(sweep).left();
    if left.is_empty() {
        return Err(SweepError::NothingLeft { path: sweep.path.clone() }.into());
    }
    let script = slurm::script(sweep, &left, &launch.program, launch.jobs);
    script.map_err(|error| SweepError::Nowhere(error).into())
}

fn configs(sweep: &SweepDir, numbers: &[usize]) -> Result<Vec<(String, Config)>, ExperimentError> {
    let config = |&number: &usize| {
        let job = &sweep.jobs()[number];
        Ok((job.name.clone(), sweep.config_of(job)?))
    };
    numbers.iter().map(config).collect()
}

/// What a sweep closes with, when its jobs have ended or it was stopped: the table of results, and then what became of it.
/// This is the place for the report of the whole sweep.
fn finish(board: &queue::Board<'_>) -> Result<(), ExperimentError> {
    let (sweep, folder) = (board.sweep, board.sweep.path.display());
    let count = board.rows.len();
    let ended = board.rows.iter().filter(|row| row.state.has_result()).count();
    print(&format!(
        "{}{ended} of {count} jobs ended; table in {}, runs in {}\n",
        summary::in_columns(sweep, &board.rows),
        sweep.summary().display(),
        sweep.path.join("runs").display()
    ))?;
    let stopped = count - ended - board.count(State::Failed);
    if stopped > 0 {
        print(&format!("{stopped} jobs are left; `edgewalk sweep {folder}` goes on with them\n"))?;
    }
    match board.rows.iter().find(|row| row.state == State::Failed) {
        Some(row) => Err(failed(sweep, board.count(State::Failed), &row.job, &row.message)),
        None => Ok(()),
    }
}

fn failed(sweep: &SweepDir, count: usize, first: &str, message: &str) -> ExperimentError {
    let log = sweep.jobs().iter().find(|job| job.name == first).map(|job| sweep.log(job)).unwrap_or_default();
    SweepError::Failed { count, first: first.to_owned(), message: message.to_owned(), log }.into()
}
