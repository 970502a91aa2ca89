//! The runs below a folder, those of sweeps included, with how far each is. A folder that holds two of the files of a
//! run is listed even if it cannot be read, with the reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::choice::choice;
use crate::config;
use crate::files::{lock, shown};
use crate::folder::manifest::Ended;
use crate::folder::{RunDir, RunDirError, SWEEP_RUNS, lock_file};
use crate::results::readout::Readout;
use crate::sweep::{JobState, SweepDir, read_summary};
use crate::text::{now, with_causes};

choice! {
    /// The state of a run, as its manifest has it, except for runs whose process was killed or has not begun.
    RunState {
        /// A job of a sweep that has not begun.
        Waiting = "waiting",
        /// A process works on it.
        Running = "running",
        /// Its process ended without recording why.
        Killed = "killed",
        /// The user stopped it.
        Interrupted = "interrupted",
        /// `run.time_limit` was over.
        TimeLimit = "time limit",
        /// All steps were made.
        Done = "done",
        /// A row met `run.until`.
        Reached = "reached",
        /// Its numbers were no longer finite.
        Diverged = "diverged",
        /// An error ended it.
        Failed = "failed",
        /// Its folder cannot be read.
        Damaged = "damaged",
    }
}

/// A run in the list. What is not known or was not measured is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedRun {
    /// Its folder: the folder that was searched, and the way from there.
    pub path: PathBuf,
    /// The folder of its sweep.
    pub sweep: Option<PathBuf>,
    /// Its state.
    pub state: RunState,
    /// Updates made before the last logged row.
    pub step: Option<u64>,
    /// The updates that the configuration asks for.
    pub steps: Option<u64>,
    /// The loss of the last logged row.
    pub loss: Option<f64>,
    /// λ_max divided by the edge of the rule: the median over the second half.
    pub edge_ratio: Option<f64>,
    /// The gauge of the update, 1 at the edge: the median over the second half.
    pub gauge: Option<f64>,
    /// Seconds since its files changed last.
    pub age_secs: Option<f64>,
    /// A remark about the state, such as an error.
    pub note: String,
}

/// The runs below a folder, and what could not be searched.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Listing {
    /// The runs, by path.
    pub runs: Vec<ListedRun>,
    /// Folders that the system does not show, with the reason.
    pub unread: Vec<String>,
}

/// Lists the runs below a folder, which may be a run or a sweep itself. Links are followed; hidden folders are not
/// searched.
///
/// # Errors
/// [`RunDirError::NotThere`], or [`RunDirError::NotARun`] if it is no folder.
pub fn list(folder: &Path) -> Result<Listing, RunDirError> {
    if !folder.exists() {
        return Err(RunDirError::NotThere { path: folder.into() });
    }
    if !folder.is_dir() {
        return Err(RunDirError::NotARun { path: folder.into(), missing: "config.toml" });
    }
    let mut search = Search { listing: Listing::default(), seen: BTreeSet::new() };
    search.look(folder, None);
    let mut listing = search.listing;
    listing.runs.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(listing)
}

/// The folders of a run that hold no others.
const OWN: [&str; 4] = ["checkpoints", "plots", "analysis", "tensorboard"];

/// A search under way.
struct Search {
    listing: Listing,
    /// The real paths of what was searched, because links may lead in circles.
    seen: BTreeSet<PathBuf>,
}

impl Search {
    fn look(&mut self, folder: &Path, sweep: Option<&Path>) {
        if !self.seen.insert(folder.canonicalize().unwrap_or_else(|_| folder.into())) {
            return;
        }
        if SweepDir::is_one(folder) {
            self.waiting(folder);
            let runs = folder.join(SWEEP_RUNS);
            if runs.is_dir() {
                self.below(&runs, Some(folder));
            }
            return;
        }
        if is_run(folder) {
            self.listing.runs.push(ListedRun::of(folder, sweep));
        }
        self.below(folder, sweep);
    }

    /// Searches what is in a folder.
    fn below(&mut self, folder: &Path, sweep: Option<&Path>) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.listing.unread.push(format!("cannot search {}: {error}", shown(folder))),
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_own = OWN.contains(&&*name) && is_run(folder);
            if !name.starts_with('.') && !is_own && entry.path().is_dir() {
                self.look(&if folder == Path::new(".") { entry.file_name().into() } else { entry.path() }, sweep);
            }
        }
    }

    /// Lists the jobs of a sweep that have no run yet.
    fn waiting(&mut self, folder: &Path) {
        let sweep = match SweepDir::open(folder) {
            Ok(sweep) => sweep,
            Err(error) => {
                let damaged = ListedRun::new(folder, Some(folder), RunState::Damaged, with_causes(&error));
                return self.listing.runs.push(damaged);
            }
        };
        // The folder of a job whose process crashed has no trace of it.
        let table = read_summary(&sweep.summary()).unwrap_or_default();
        for job in sweep.jobs().iter().filter(|job| !is_run(&job.run)) {
            let failed = table.iter().find(|row| row.job == job.name && row.state == JobState::Failed);
            let (state, note) = match failed {
                Some(row) => (RunState::Failed, row.message.clone()),
                None => (RunState::Waiting, String::new()),
            };
            self.listing.runs.push(ListedRun::new(&job.run, Some(folder), state, note));
        }
    }
}

/// Whether a folder holds two of the files of a run; other programs have files of these names too.
fn is_run(folder: &Path) -> bool {
    let run = ["config.toml", "manifest.json", "metrics.csv", "checkpoints", ".lock"];
    run.iter().filter(|name| folder.join(name).exists()).count() > 1
}

impl ListedRun {
    fn new(path: &Path, sweep: Option<&Path>, state: RunState, note: String) -> Self {
        let (path, sweep) = (path.into(), sweep.map(Into::into));
        let (step, steps, loss, edge_ratio, gauge, age_secs) = (None, None, None, None, None, None);
        Self { path, sweep, state, step, steps, loss, edge_ratio, gauge, age_secs, note }
    }

    /// The run in a folder.
    fn of(folder: &Path, sweep: Option<&Path>) -> Self {
        let mut listed = Self::new(folder, sweep, RunState::Damaged, String::new());
        listed.age_secs = age(folder);
        if let Err(problem) = listed.read(folder) {
            // A process that is about to begin has not written everything.
            listed.state = if is_held(folder) { RunState::Running } else { RunState::Damaged };
            listed.note = problem;
        }
        listed
    }

    /// Reads what the folder holds, as far as it can.
    fn read(&mut self, folder: &Path) -> Result<(), String> {
        let run = RunDir::open(folder).map_err(|error| with_causes(&error))?;
        let config = config::resolve(Some(&run.config().to_string_lossy()), &[]);
        self.steps = config.as_ref().ok().map(|resolved| resolved.config.run.steps);
        let readout = Readout::so_far(&run).map_err(|error| with_causes(&error));
        if let Ok(readout) = &readout {
            let summary = readout.summary();
            let last = summary.last.as_ref();
            (self.step, self.loss) = (last.map(|row| row.step), last.map(|row| row.loss));
            self.gauge = summary.edge.as_ref().map(|edge| edge.gauge.median);
            self.edge_ratio = summary.edge.and_then(|edge| edge.ratio).map(|ratio| ratio.median);
        }
        let ended = run.read_manifest().map_err(|error| with_causes(&error))?.ended;
        config.map_err(|error| with_causes(&error))?;
        readout?;
        (self.state, self.note) = match ended {
            Ended::Running if is_held(folder) => (RunState::Running, String::new()),
            Ended::Running => (RunState::Killed, String::new()),
            Ended::Done => (RunState::Done, String::new()),
            Ended::Reached { until } => (RunState::Reached, until),
            Ended::Interrupted => (RunState::Interrupted, String::new()),
            Ended::TimeLimit => (RunState::TimeLimit, String::new()),
            Ended::Diverged { step } => (RunState::Diverged, format!("at step {step}")),
            Ended::Failed { error } => (RunState::Failed, error),
        };
        Ok(())
    }
}

fn is_held(run: &Path) -> bool {
    lock::holder(&lock_file(run)).is_some()
}

/// Seconds since the files of a run changed last.
fn age(folder: &Path) -> Option<f64> {
    let changed = |name| fs::metadata(folder.join(name)).and_then(|metadata| metadata.modified()).ok();
    let last =
        ["config.toml", "manifest.json", "metrics.csv", "curvature.csv"].into_iter().filter_map(changed).max()?;
    // A clock may have been set back.
    Some(now().duration_since(last).unwrap_or_default().as_secs_f64())
}
