//! The table of results, which several processes share: each change reads, changes and writes it under a lock.

use std::collections::BTreeMap;

use super::summary::{SummaryRow, read_summary, write_summary};
use super::{Job, JobState, SweepDir, SweepError};
use crate::text::duration;

/// The rows of all jobs, as they are in `summary.csv`.
pub(super) struct Board<'a> {
    pub sweep: &'a SweepDir,
    pub rows: Vec<SummaryRow>,
}

impl<'a> Board<'a> {
    /// The rows made from the jobs' folders.
    pub fn look(sweep: &'a SweepDir) -> Self {
        let before = read_summary(&sweep.summary()).unwrap_or_default();
        let before: BTreeMap<&str, &SummaryRow> = before.iter().map(|row| (row.job.as_str(), row)).collect();
        let row = |job: &Job| SummaryRow::of(job, before.get(job.name.as_str()).copied());
        Self { sweep, rows: sweep.jobs().iter().map(row).collect() }
    }

    /// The rows of `summary.csv`, or if that is missing or has other jobs, those made from the folders.
    pub fn read(sweep: &'a SweepDir) -> Self {
        let same =
            |rows: &Vec<SummaryRow>| rows.iter().map(|row| &row.job).eq(sweep.jobs().iter().map(|job| &job.name));
        match read_summary(&sweep.summary()).ok().filter(same) {
            Some(rows) => Self { sweep, rows },
            None => Self::look(sweep),
        }
    }

    /// The numbers of the jobs without a result.
    pub fn left(&self) -> Vec<usize> {
        (0..self.rows.len()).filter(|&job| !self.rows[job].state.has_result()).collect()
    }

    pub fn count(&self, state: JobState) -> usize {
        self.rows.iter().filter(|row| row.state == state).count()
    }

    /// Records that a job's process runs.
    ///
    /// # Errors
    /// As [`write_summary`], for this and the next, and [`SweepError::Removed`].
    pub fn begun(&mut self, job: usize) -> Result<(), SweepError> {
        self.change(|board| (board.rows[job].state, board.rows[job].message) = (JobState::Running, String::new()))
    }

    /// Records the end of an attempt at a job; `stopping` says whether the sweep is being stopped.
    pub fn ended(&mut self, job: usize, problem: Option<&str>, stopping: bool) -> Result<(), SweepError> {
        let mut row = SummaryRow::of(&self.sweep.jobs()[job], None);
        match (row.state, problem) {
            // The folder has no error. A process that was told to stop may not have handled signals yet.
            (JobState::Waiting | JobState::Interrupted, Some(problem)) if !stopping => {
                (row.state, row.message) = (JobState::Failed, problem.to_owned());
            }
            // All steps are made, and something failed after them.
            (JobState::Done, Some(problem)) => row.note(problem),
            _ => {}
        }
        self.change(|board| board.rows[job] = row)
    }

    /// Changes the table as it is now: other processes may have done so, if each does a job of its own.
    fn change(&mut self, change: impl FnOnce(&mut Self)) -> Result<(), SweepError> {
        // Writing would make a removed folder again.
        let sweep = self.sweep;
        let removed = || SweepError::Removed { path: sweep.path.clone() };
        if !SweepDir::is_one(&sweep.path) {
            return Err(removed());
        }
        let _lock = sweep.lock_summary()?;
        *self = Self::read(sweep);
        change(self);
        // The folder may have been removed in the meantime.
        self.write().map_err(|error| if SweepDir::is_one(&sweep.path) { error } else { removed() })
    }

    pub fn write(&mut self) -> Result<(), SweepError> {
        write_summary(self.sweep, &self.rows)
    }

    /// One line about a job.
    pub fn line(&self, job: usize) -> String {
        let row = &self.rows[job];
        let loss = row.loss.map_or_else(String::new, |loss| format!(", loss {loss:.4e}"));
        let ratio = row.edge_ratio.map_or_else(String::new, |ratio| format!(", edge ratio {ratio:.3}"));
        let secs = row.wall_secs.map_or_else(String::new, |secs| format!(", {}", duration(secs)));
        let message = if row.message.is_empty() { String::new() } else { format!(" ({})", row.message) };
        format!("{}: {}{loss}{ratio}{secs}{message}", row.job, row.state)
    }
}
