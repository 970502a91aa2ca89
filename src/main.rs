//! The `edgewalk` program: reads the command line, does what it asks, and turns an error into a message and an exit code.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use edgewalk::cli::{self, Cli};

fn main() -> ExitCode {
    let Err(error) = cli::dispatch(Cli::parse(), std::env::args().collect()) else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {error}");
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.for_each(|cause| eprintln!("  because: {cause}"));
    ExitCode::from(error.exit_code())
}
