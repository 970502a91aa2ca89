//! `edgewalk resume`: continues a run from its last checkpoint, or a sweep with its remaining jobs.

use std::path::PathBuf;

use clap::Args;

use super::Error;
use super::terminal::Terminal;
use crate::run::{self, ResumeRequest};
use crate::sweep::{self, SweepDir, SweepError};

/// The arguments of `edgewalk resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The folder of a run or a sweep
    #[arg(value_name = "DIR")]
    path: PathBuf,
    /// Change when the run ends or is saved: run.steps, until, time_limit, checkpoint_every, keep, memory; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Another adapter than the run had: native, gpu, cpu, part of its name, or its number in `edgewalk info`
    #[arg(long, value_name = "NAME|INDEX")]
    adapter: Option<String>,
    /// Write every logged row to standard output as a line of JSON, and all else to standard error
    #[arg(long)]
    json: bool,
}

/// Continues.
///
/// # Errors
/// [`Error`].
pub fn run(args: ResumeArgs, command_line: Vec<String>) -> Result<(), Error> {
    let ResumeArgs { path, sets, adapter, json } = args;
    if SweepDir::is_one(&path) {
        let options = [("--set", !sets.is_empty()), ("--adapter", adapter.is_some()), ("--json", json)];
        SweepError::check_settled(&path, options)?;
        return Ok(sweep::resume(&path, &super::sweep::launch(None)?, &Terminal::default())?);
    }
    Ok(run::resume(&ResumeRequest { path, sets, command_line, adapter }, &Terminal::new(json))?)
}
