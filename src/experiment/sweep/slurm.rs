//! A job array for Slurm: each task does one job of the sweep, on whatever node it is given.

use std::io;
use std::path::{Path, absolute};

use super::SweepDir;

/// Seconds before its time limit at which a task is told to write a checkpoint.
const GRACE_SECS: u32 = 120;

/// A script for `sbatch` that does the jobs numbered `left`, at most `throttle` at a time, with `program`.
///
/// # Errors
/// What the system says where it does not know the current folder.
pub(super) fn script(sweep: &SweepDir, left: &[usize], program: &Path, throttle: Option<usize>) -> io::Result<String> {
    let (folder, here) = (absolute(&sweep.path)?, std::env::current_dir()?);
    let array = ranges(left) + &throttle.map_or_else(String::new, |jobs| format!("%{jobs}"));
    // In file names, Slurm takes what follows a percent sign for a field.
    let output = folder.join("logs").display().to_string().replace('%', "%%") + "/slurm-%a.txt";
    Ok(format!(
        "#!/bin/bash
# The {count} jobs that are left of the sweep of {name} in the folder below. Add what your cluster asks for (account,
# partition, time, memory, GPUs) and hand it to sbatch. Whatever has not come to its end by then goes on when the same script is
# handed in again; tasks without anything left to do end at once.
#SBATCH --job-name={job_name}
#SBATCH --array={array}
#SBATCH --chdir={here}
#SBATCH --output={output}
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:TERM@{GRACE_SECS}

# exec: B: signals the shell alone, and so it must be the program itself that is in its place. It writes a checkpoint and ends.
exec {program} sweep {folder} --job \"$SLURM_ARRAY_TASK_ID\"
",
        count = left.len(),
        name = sweep.name.replace(char::is_control, " "),
        job_name = option(&format!("edgewalk-{}", sweep.name)),
        here = option(&here.display().to_string()),
        output = option(&output),
        program = word(&absolute(program)?.display().to_string()),
        folder = word(&folder.display().to_string()),
    ))
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

/// A text as one word of a shell.
fn word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A text as the value of an `#SBATCH` option, which no shell reads.
fn option(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}
