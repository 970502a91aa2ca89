//! The `edgewalk` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(edgewalk::cli::run(std::env::args_os()))
}
