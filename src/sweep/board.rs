//! The table of results, shared by processes: read, changed and written under a lock.

use std::collections::BTreeMap;

use super::summary::{SummaryRow, read_summary, write_summary};
use super::{Job, JobState, SweepDir, SweepError};
use crate::text::duration;

/// The rows of all jobs, as in `summary.csv`.
pub(super) struct Board<'a> {
    pub sweep: &'a SweepDir,
    pub rows: Vec<SummaryRow>,
}

impl<'a> Board<'a> {
    /// Reads every job's folder.
    pub fn look(sweep: &'a SweepDir) -> Self {
        let before = read_summary(&sweep.summary()).unwrap_or_default();
        let before: BTreeMap<&str, &SummaryRow> = before.iter().map(|row| (row.job.as_str(), row)).collect();
        let row = |job: &Job| SummaryRow::of(job, before.get(job.name.as_str()).copied());
        Self { sweep, rows: sweep.jobs().iter().map(row).collect() }
    }

    /// Uses `summary.csv`; reads the folders if it is missing or of other jobs.
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

    /// Records the end of a job's attempt; `stopping` if the sweep was asked to stop.
    pub fn ended(&mut self, job: usize, problem: Option<&str>, stopping: bool) -> Result<(), SweepError> {
        let mut row = SummaryRow::of(&self.sweep.jobs()[job], None);
        match (row.state, problem) {
            // It left no trace; a job told to stop may not have handled signals yet.
            (JobState::Waiting | JobState::Interrupted, Some(problem)) if !stopping => {
                (row.state, row.message) = (JobState::Failed, problem.to_owned());
            }
            // All steps are made, and a later part failed.
            (JobState::Done, Some(problem)) => row.note(problem),
            _ => {}
        }
        self.change(|board| board.rows[job] = row)
    }

    /// Changes the current table, since other processes may have changed it.
    fn change(&mut self, change: impl FnOnce(&mut Self)) -> Result<(), SweepError> {
        // Otherwise files would be made again in a removed folder.
        if !SweepDir::is_one(&self.sweep.path) {
            return Err(SweepError::Removed { path: self.sweep.path.clone() });
        }
        let _lock = self.sweep.lock_summary()?;
        *self = Self::read(self.sweep);
        change(self);
        self.write()
    }

    pub fn write(&mut self) -> Result<(), SweepError> {
        write_summary(self.sweep, &mut self.rows)
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
