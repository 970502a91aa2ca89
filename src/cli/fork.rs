//! `edgewalk fork`: a new run that begins with a checkpoint of another one.

use std::path::PathBuf;

use clap::Args;

use super::Error;
use super::terminal::Terminal;
use crate::run::{self, ForkRequest};

/// The arguments of `edgewalk fork`.
#[derive(Debug, Args)]
pub struct ForkArgs {
    /// The folder of a run (its last checkpoint) or of one of its checkpoints
    #[arg(value_name = "RUN|CHECKPOINT")]
    path: PathBuf,
    /// Change a setting of [optim], [measure] or [run]; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// The folder of the new run, new or empty [default: the next free runs/RUN-NUMBER]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Another adapter than the run had: native, gpu, cpu, part of its name, or its number in `edgewalk info`
    #[arg(long, value_name = "NAME|INDEX")]
    adapter: Option<String>,
    /// Write every logged row to standard output as a line of JSON, and all else to standard error
    #[arg(long)]
    json: bool,
}

/// Branches off, and trains.
///
/// # Errors
/// [`Error`].
pub fn run(args: ForkArgs, command_line: Vec<String>) -> Result<(), Error> {
    let ForkArgs { path, sets, out, adapter, json } = args;
    let request = ForkRequest { path, sets, command_line, out, adapter };
    Ok(run::fork(&request, &Terminal::new(json)).map(|_| ())?)
}
