//! Sweeps: a run for every combination of several values of some keys, in one folder that can be resumed.
//!
//! The folder is the queue: a job is a process of this program with a run folder of its own, and those folders show the
//! jobs that are left ([`JobState`]). So a killed sweep continues when started again, and jobs on several machines
//! share only the folder. [`Grid`] is a checked sweep, [`SweepDir`] one with a folder.

mod axis;
#[cfg(feature = "plots")]
mod best;
mod board;
mod child;
mod error;
#[cfg(feature = "plots")]
mod figures;
mod folder;
mod grid;
mod memory;
mod queue;
#[cfg(feature = "plots")]
mod report;
mod seeds;
mod share;
mod slurm;
mod state;
mod summary;
#[cfg(feature = "plots")]
mod trajectories;

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::files::lock::LockKind;
use crate::folder::RUNS;
use crate::folder::{RunDir, settled};
use crate::observer::{Observer, OutputError};
use crate::text::{counted, shell_path};
use board::Board;
use seeds::OverSeeds;
use slurm::Places;

pub use axis::Axis;
pub use error::{MAX_JOBS, SweepError};
pub use folder::{Job, SweepDir};
pub use grid::Grid;
pub use memory::{Capacity, capacity};
#[cfg(feature = "plots")]
pub use report::{plot_sweep, sweep_report};
pub use state::JobState;
pub use summary::{SummaryRow, read_summary};

/// The options of a sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobOptions {
    /// The `edgewalk` program, which runs the jobs.
    pub program: PathBuf,
    /// Jobs at once; `None` is as many as suit the cores. Never more than fit into memory.
    pub jobs: Option<usize>,
}

/// Makes the folder of a sweep, in `out` or the next `runs/<name>-sweep-<n>`, and does its jobs.
///
/// # Errors
/// Those of [`capacity`] and [`SweepDir::create`], before anything is made; afterwards as [`resume`].
pub fn start(grid: &Grid, out: Option<&Path>, launch: &JobOptions, observer: &dyn Observer) -> Result<(), SweepError> {
    if let Some(out) = out {
        crate::folder::check(out)?;
    }
    let capacity = capacity(&grid.jobs, grid.adapter.as_deref(), launch.jobs, false)?;
    let sweep = SweepDir::create(grid, out)?;
    let _claim = sweep.claim(LockKind::Alone, observer)?;
    run(&mut Board::look(&sweep), launch, &capacity, observer)
}

/// Does the jobs of a sweep that are left: those that have not begun, were stopped or killed, or failed.
///
/// A request to stop ends it early: the running jobs finish their step and write a checkpoint.
///
/// # Errors
/// [`SweepError::Failed`] if a job failed, when all others have been done; those of [`SweepDir::open`], [`capacity`],
/// and of writing `summary.csv`.
pub fn resume(path: &Path, launch: &JobOptions, observer: &dyn Observer) -> Result<(), SweepError> {
    let sweep = SweepDir::open(path)?;
    check_begun(&sweep)?;
    let _claim = sweep.claim(LockKind::Alone, observer)?;
    let mut board = Board::look(&sweep);
    let left = configs(&sweep, &board.left())?;
    if left.is_empty() {
        board.write()?;
        return finish(&board, observer);
    }
    let capacity = capacity(&left, sweep.adapter.as_deref(), launch.jobs, false)?;
    run(&mut board, launch, &capacity, observer)
}

fn run(
    board: &mut Board<'_>,
    launch: &JobOptions,
    capacity: &Capacity,
    observer: &dyn Observer,
) -> Result<(), SweepError> {
    let (folder, left) = (board.sweep.path.display(), board.left().len());
    let jobs = counted(board.rows.len(), "job");
    say(observer, &format!("{left} of {jobs} to do in {folder}, {capacity}\n"))?;
    board.write()?;
    queue::work(board, board.left(), &launch.program, capacity, observer)?;
    finish(board, observer)
}

/// A description of the work of [`resume`].
///
/// # Errors
/// Those of [`capacity`], and [`SweepError::OtherSettings`].
pub fn what_is_left(sweep: &SweepDir, launch: &JobOptions) -> Result<String, SweepError> {
    check_begun(sweep)?;
    let left = Board::look(sweep).left();
    let capacity = capacity(&configs(sweep, &left)?, sweep.adapter.as_deref(), launch.jobs, false)?;
    let (name, count) = (&sweep.name, counted(sweep.jobs().len(), "job"));
    let names = left.iter().map(|&number| (number, sweep.jobs()[number].name.as_str()));
    Ok(format!("left: {} of {count} of {name}, {capacity}\n{}", left.len(), grid::numbered(names)))
}

/// Does or continues one job of a sweep, given by its number; for tasks of a job array.
///
/// Such processes may be many at once, also on several machines that share the folder.
///
/// # Errors
/// [`SweepError::NoSuchJob`]; [`SweepError::Failed`] if this job failed; otherwise as [`resume`].
pub fn run_job(path: &Path, number: usize, launch: &JobOptions, observer: &dyn Observer) -> Result<(), SweepError> {
    let sweep = SweepDir::open(path)?;
    let Some(job) = sweep.jobs().get(number) else {
        return Err(SweepError::NoSuchJob { number, last: sweep.jobs().len() - 1 });
    };
    check_job(&sweep, job)?;
    let _claim = sweep.claim(LockKind::Shared, observer)?;
    let mut board = Board::read(&sweep);
    if state::judge(job).0.has_result() {
        board.ended(number, None, false)?;
        return say(observer, &format!("{}\n", board.line(number)));
    }
    let capacity = capacity(&configs(&sweep, &[number])?, sweep.adapter.as_deref(), Some(1), false)?;
    queue::work(&mut board, vec![number], &launch.program, &capacity, observer)?;
    let row = &board.rows[number];
    if row.state == JobState::Failed {
        return Err(failed(&sweep, 1, &job.name, &row.message));
    }
    Ok(())
}

/// Makes the folder of a sweep as [`start`] does, and returns the script of [`slurm_script`].
///
/// # Errors
/// Those of [`slurm_script`], before anything is made, and of [`SweepDir::create`].
pub fn slurm_start(grid: &Grid, out: Option<&Path>, launch: &JobOptions) -> Result<String, SweepError> {
    Places::of(out.unwrap_or(&Path::new(RUNS).join(&grid.name)), &launch.program)?;
    slurm_script(&SweepDir::create(grid, out)?, launch)
}

/// The script for Slurm that does the jobs of a sweep that are left, at most `launch.jobs` at a time.
///
/// # Errors
/// [`SweepError::NothingLeft`], [`SweepError::OtherSettings`], and if a path cannot appear in the script:
/// [`SweepError::Nowhere`], [`SweepError::Control`].
pub fn slurm_script(sweep: &SweepDir, launch: &JobOptions) -> Result<String, SweepError> {
    check_begun(sweep)?;
    let left = Board::look(sweep).left();
    if left.is_empty() {
        return Err(SweepError::NothingLeft { path: sweep.path.clone() });
    }
    Ok(Places::of(&sweep.path, &launch.program)?.script(sweep, &left, launch.jobs))
}

/// Refuses jobs that began with other settings than those that the sweep gives them now, as after an edit of its
/// `config.toml` or an exchange of folders: one table or picture would show both.
fn check_begun(sweep: &SweepDir) -> Result<(), SweepError> {
    sweep.jobs().iter().try_for_each(|job| check_job(sweep, job))
}

/// The same for one job.
fn check_job(sweep: &SweepDir, job: &Job) -> Result<(), SweepError> {
    let Ok(manifest) = RunDir::open(&job.run).and_then(|run| run.read_manifest()) else { return Ok(()) };
    let differences = settled::differences(&manifest, &sweep.config_of(job)?);
    if differences.is_empty() {
        return Ok(());
    }
    Err(SweepError::OtherSettings { run: job.run.clone(), differences: differences.join(", ") })
}

fn configs(sweep: &SweepDir, numbers: &[usize]) -> Result<Vec<(String, Config)>, SweepError> {
    let config = |&number: &usize| {
        let job = &sweep.jobs()[number];
        Ok((job.name.clone(), sweep.config_of(job)?))
    };
    numbers.iter().map(config).collect()
}

/// The closing text of a sweep that ended or was stopped: the table of results, and the outcome.
fn finish(board: &Board<'_>, observer: &dyn Observer) -> Result<(), SweepError> {
    let sweep = board.sweep;
    let count = board.rows.len();
    let ended = board.rows.iter().filter(|row| row.state.has_result()).count();
    #[cfg(feature = "plots")]
    let report = format!("report in {}, ", sweep_report(sweep)?.display());
    #[cfg(not(feature = "plots"))]
    let report = "";
    let width = observer.width();
    let means = OverSeeds::of(&sweep.axes, &board.rows).map_or_else(String::new, |over| over.in_columns(width));
    say(
        observer,
        &format!(
            "{}{means}{ended} of {} ended; table in {}, {report}runs in {}\n",
            summary::in_columns(sweep, &board.rows, width),
            counted(count, "job"),
            sweep.summary().display(),
            sweep.path.join("runs").display()
        ),
    )?;
    let stopped = count - ended - board.count(JobState::Failed);
    if stopped > 0 {
        let folder = shell_path(&sweep.path);
        let left = if stopped == 1 { "1 job is".to_owned() } else { format!("{stopped} jobs are") };
        say(observer, &format!("{left} left; `edgewalk resume {folder}` goes on\n"))?;
    }
    match board.rows.iter().find(|row| row.state == JobState::Failed) {
        Some(row) => Err(failed(sweep, board.count(JobState::Failed), &row.job, &row.message)),
        None => Ok(()),
    }
}

/// Sends a text to the observer.
fn say(observer: &dyn Observer, text: &str) -> Result<(), SweepError> {
    Ok(observer.say(text).map_err(OutputError)?)
}

fn failed(sweep: &SweepDir, count: usize, first: &str, message: &str) -> SweepError {
    let log = sweep.jobs().iter().find(|job| job.name == first).map(|job| sweep.log(job)).unwrap_or_default();
    SweepError::Failed { count, first: first.to_owned(), message: message.to_owned(), log }
}
