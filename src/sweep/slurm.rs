//! A job array for Slurm: each task does one job of the sweep.

use std::path::{Path, PathBuf, absolute};

use super::{SweepDir, SweepError};
use crate::files::text;
use crate::text::{counted, shell_path};

/// Seconds before its time limit at which a task is told to write a checkpoint.
const GRACE_SECS: u32 = 120;

/// The paths of a script, as text.
#[derive(Debug)]
pub(super) struct Places {
    folder: PathBuf,
    here: PathBuf,
    program: PathBuf,
}

impl Places {
    /// The paths of a sweep in `folder`, which need not exist yet.
    ///
    /// # Errors
    /// [`SweepError::Nowhere`] if the current folder is unknown; [`crate::files::FileError::NotText`] and
    /// [`SweepError::Control`] for a path that cannot appear in an `#SBATCH` line.
    pub fn of(folder: &Path, program: &Path) -> Result<Self, SweepError> {
        let whole = |path: &Path| {
            let path = absolute(path).map_err(SweepError::Nowhere)?;
            if text(&path)?.contains(char::is_control) { Err(SweepError::Control { path }) } else { Ok(path) }
        };
        Ok(Self { folder: whole(folder)?, here: whole(Path::new("."))?, program: whole(program)? })
    }

    /// A script for `sbatch` that does the jobs numbered `left`, at most `throttle` at a time.
    pub fn script(&self, sweep: &SweepDir, left: &[usize], throttle: Option<usize>) -> String {
        let Self { folder, here, program } = self;
        let array = ranges(left) + &throttle.map_or_else(String::new, |jobs| format!("%{jobs}"));
        // In file names, Slurm expands fields after a percent sign.
        let output = folder.join("logs").display().to_string().replace('%', "%%") + "/slurm-%a.txt";
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '_' };
        format!(
            "#!/bin/bash
# The rest of the sweep in the folder below ({jobs}). Add what your cluster asks for (account, partition, time,
# memory, GPUs) and submit it with sbatch. Unfinished jobs continue when the same script is submitted again; tasks of
# finished jobs end at once.
#SBATCH --job-name=edgewalk-{name}
#SBATCH --array={array}
#SBATCH --chdir={here}
#SBATCH --output={output}
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:TERM@{GRACE_SECS}

# B: signals only this shell. So exec puts the program in its place, which writes a checkpoint and ends.
exec {program} sweep {folder} --job \"$SLURM_ARRAY_TASK_ID\"
",
            jobs = counted(left.len(), "job"),
            name = sweep.name.chars().map(plain).collect::<String>(),
            here = option(&here.display().to_string()),
            output = option(&output),
            program = shell_path(program),
            folder = shell_path(folder),
        )
    }
}

/// Ascending numbers as Slurm lists them: `0-3,7`.
fn ranges(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|a, b| a + 1 == *b);
    let texts = runs.map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        _ => run[0].to_string(),
    });
    texts.collect::<Vec<_>>().join(",")
}

/// A one-line text as the value of an `#SBATCH` option, which no shell interprets.
fn option(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}
