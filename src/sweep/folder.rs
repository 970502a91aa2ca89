//! The folder of a sweep: `sweep.toml`, one run folder for each job, their logs, and the table of results.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::axis::{self, Axis, Combination, combinations};
use super::{Grid, SweepError};
use crate::config::{self, Config};
use crate::files::lock::{self, Lock, LockError, LockKind};
use crate::files::{make_folder, read_text, text, write_error, write_file};
use crate::folder::{RunDir, SWEEP, SWEEP_RUNS};
use crate::observer::Observer;

/// The longest wait for processes that change `summary.csv`, each of which takes a moment.
const PATIENCE: Duration = Duration::from_secs(300);

/// The content of `sweep.toml`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SweepToml {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    adapter: Option<String>,
    axis: Vec<Axis>,
}

/// An existing sweep folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepDir {
    /// The folder.
    pub path: PathBuf,
    /// The preset's name, or the file's without `.toml`.
    pub name: String,
    /// The adapter of the jobs, as for `--adapter`.
    pub adapter: Option<String>,
    /// The axes.
    pub axes: Vec<Axis>,
    jobs: Vec<Job>,
}

/// One combination of values and its run folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The name of its run folder, such as `lr=0.03,rho=0`.
    pub name: String,
    /// Its values, one an axis.
    pub values: Vec<String>,
    /// Its run folder, which may not exist yet.
    pub run: PathBuf,
}

impl SweepDir {
    /// Whether this is the folder of a sweep.
    pub fn is_one(path: &Path) -> bool {
        path.join(SWEEP).is_file()
    }

    /// Makes the folder of a new sweep, in `out` or the next `runs/<name>-sweep-<n>`.
    ///
    /// # Errors
    /// [`crate::folder::RunDirError`] if the folder is taken or the system refuses.
    pub fn create(grid: &Grid, out: Option<&Path>) -> Result<Self, SweepError> {
        let folder = RunDir::create(out, &format!("{}-sweep", grid.name))?;
        folder.write_config(grid.base())?;
        let toml = SweepToml { name: grid.name.clone(), adapter: grid.adapter.clone(), axis: grid.axes.clone() };
        let logs = folder.path().join("logs");
        make_folder(&logs).map_err(write_error(&logs))?;
        let content = toml::to_string(&toml).expect("words and lists of words have a TOML form");
        // Last: this file marks the folder of a sweep.
        write_file(&folder.path().join(SWEEP), content.as_bytes())?;
        Self::open(folder.path())
    }

    /// Opens the folder of an earlier sweep.
    ///
    /// # Errors
    /// [`SweepError::NotASweep`] without a `sweep.toml`, [`SweepError::Unreadable`] if it is invalid, and
    /// [`SweepError::TooMany`].
    pub fn open(path: &Path) -> Result<Self, SweepError> {
        if !Self::is_one(path) {
            return Err(SweepError::NotASweep { path: path.into() });
        }
        text(path)?;
        let file = path.join(SWEEP);
        let unreadable = |problem: String| SweepError::Unreadable { path: file.clone(), problem };
        let content = read_text(&file).map_err(|error| unreadable(error.to_string()))?;
        let SweepToml { name, adapter, axis: axes } =
            toml::from_str(&content).map_err(|error| unreadable(error.to_string().trim_end().into()))?;
        for axis in &axes {
            axis.check_distinct().map_err(|error| unreadable(error.to_string()))?;
        }
        if let Some(problem) = axis::problem(&axes) {
            return Err(unreadable(problem));
        }
        let job = |it: Combination| Job { run: path.join(SWEEP_RUNS).join(&it.name), name: it.name, values: it.values };
        let jobs = combinations(&axes)?.into_iter().map(job).collect();
        Ok(Self { path: path.into(), name, adapter, axes, jobs })
    }

    /// Every job, the last axis changing fastest.
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// The changes of a job to the base configuration: `key=value`, one for each axis.
    pub fn sets(&self, job: &Job) -> Vec<String> {
        self.axes.iter().zip(&job.values).map(|(axis, value)| format!("{}={value}", axis.key)).collect()
    }

    /// The complete configuration of a job.
    ///
    /// # Errors
    /// [`config::ConfigError`] if a change of `config.toml` or `sweep.toml` made it invalid.
    pub fn config_of(&self, job: &Job) -> Result<Config, SweepError> {
        let base = self.config().to_string_lossy().into_owned();
        Ok(config::resolve(Some(&base), &self.sets(job))?.config)
    }

    /// The base configuration, that of the first job.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// The log of a job's process.
    pub fn log(&self, job: &Job) -> PathBuf {
        self.path.join("logs").join(format!("{}.txt", job.name))
    }

    /// The table of results: [`crate::sweep::read_summary`].
    pub fn summary(&self) -> PathBuf {
        self.path.join("summary.csv")
    }

    /// Locks the sweep until the returned lock is dropped: for this process alone, or shared among those that do one
    /// job each.
    ///
    /// # Errors
    /// [`SweepError::Busy`] if another process has locked it, [`crate::files::FileError::Write`].
    pub(super) fn claim(&self, kind: LockKind, observer: &dyn Observer) -> Result<Lock, SweepError> {
        let path = self.path.join(".lock");
        let lock = self.locked(lock::try_lock(&path, kind), &path)?;
        if let Some(warning) = lock.warning() {
            observer.note(warning);
        }
        Ok(lock)
    }

    /// Waits until no other process changes `summary.csv`, and excludes them until the returned lock is dropped.
    ///
    /// # Errors
    /// [`SweepError::Busy`] if one does for minutes, [`crate::files::FileError::Write`].
    pub(super) fn lock_summary(&self) -> Result<Lock, SweepError> {
        let path = self.path.join(".summary.lock");
        self.locked(lock::lock(&path, PATIENCE), &path)
    }

    fn locked(&self, locked: Result<Lock, LockError>, path: &Path) -> Result<Lock, SweepError> {
        locked.map_err(|error| match error {
            LockError::Held(by) => SweepError::Busy { path: self.path.clone(), by },
            LockError::File(cause) => write_error(path)(cause).into(),
        })
    }
}
