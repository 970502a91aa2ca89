//! `edgewalk report`: one HTML file that shows a run or a sweep.

use std::path::PathBuf;

use clap::Args;

use super::Error;
use crate::folder::RunDir;
use crate::results::report::run_report;
use crate::sweep::{SweepDir, sweep_report};

/// The arguments of `edgewalk report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Run folders, and folders of sweeps
    #[arg(required = true, value_name = "RUN|SWEEP")]
    folders: Vec<PathBuf>,
}

/// Writes the reports and prints their paths.
///
/// # Errors
/// [`Error`].
pub fn run(args: &ReportArgs) -> Result<(), Error> {
    for path in &args.folders {
        // The folder of a sweep has a configuration too: the base of its jobs.
        let report = if SweepDir::is_one(path) {
            sweep_report(&SweepDir::open(path)?)?
        } else {
            run_report(&RunDir::open(path)?)?
        };
        super::print(&format!("{}\n", report.display()))?;
    }
    Ok(())
}
