//! The `edgewalk` program: reads the command line, does what it asks, and turns an error into a message and an exit code.

use std::process::ExitCode;

use clap::Parser;
use edgewalk::cli::{self, Cli};
use edgewalk::experiment::with_causes;

fn main() -> ExitCode {
    let Err(error) = cli::dispatch(Cli::parse(), std::env::args().collect()) else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {}", with_causes(&error));
    ExitCode::from(error.exit_code())
}
