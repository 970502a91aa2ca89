//! The state of a job, from its run folder alone.

use std::path::Path;

use super::Job;
use crate::choice::choice;
use crate::files::lock;
use crate::folder::manifest::Ended;
use crate::folder::{RunDir, lock_file};
use crate::text::with_causes;

choice! {
    /// The state of a job.
    JobState {
        /// It has not begun.
        Waiting = "waiting",
        /// A process works on it.
        Running = "running",
        /// It was stopped or killed, and can continue.
        Interrupted = "interrupted",
        /// All its steps are made, or a stop rule ended it.
        Done = "done",
        /// Its numbers overflowed: a result.
        Diverged = "diverged",
        /// An error ended it, or its process crashed.
        Failed = "failed",
    }
}

impl JobState {
    /// Whether the job is complete.
    pub fn has_result(self) -> bool {
        matches!(self, Self::Done | Self::Diverged)
    }
}

/// The state of a job by its folder alone, with a remark.
pub(super) fn judge(job: &Job) -> (JobState, String) {
    let run = match RunDir::open(&job.run) {
        Ok(run) if run.manifest().is_file() => run,
        // A process that was killed before its manifest has done nothing yet.
        Ok(_) | Err(_) => return (JobState::Waiting, String::new()),
    };
    match run.read_manifest().map(|manifest| manifest.ended) {
        Ok(Ended::Done) => (JobState::Done, String::new()),
        Ok(Ended::Reached { until }) => (JobState::Done, format!("at {until}")),
        Ok(Ended::TimeLimit) => (JobState::Interrupted, "its time limit was over".into()),
        Ok(Ended::Diverged { step }) => (JobState::Diverged, format!("at step {step}")),
        Ok(Ended::Interrupted) => (JobState::Interrupted, String::new()),
        Ok(Ended::Running) if is_held(&job.run) => (JobState::Running, String::new()),
        Ok(Ended::Running) => (JobState::Interrupted, "its process was killed".into()),
        Ok(Ended::Failed { error }) => (JobState::Failed, error),
        Err(error) => (JobState::Failed, with_causes(&error)),
    }
}

/// Whether a process works on this run.
pub(super) fn is_held(run: &Path) -> bool {
    lock::holder(&lock_file(run)).is_some()
}
