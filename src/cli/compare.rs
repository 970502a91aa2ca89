//! `edgewalk compare`: runs beside each other.

use std::path::PathBuf;

use clap::Args;

use super::Error;
use super::look::LookArgs;
use crate::results::compare::{CompareRequest, compare};
use crate::sweep::SweepDir;

/// The arguments of `edgewalk compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Run folders, folders of sweeps (all jobs that have begun), and raw data files of the official code of Long and
    /// Bartlett; the others are compared with the first
    #[arg(required = true, value_name = "RUN|SWEEP|RAW.txt")]
    paths: Vec<PathBuf>,
    /// Group the runs by their value of this key, such as optim.rho or rho: one colour a value, the mean of its runs with
    /// a band of one standard deviation; may be repeated
    #[arg(long, value_name = "KEY")]
    by: Vec<String>,
    /// The folder for the pictures and the page compare.html; earlier ones there are replaced
    #[arg(long, value_name = "DIR", default_value = "compare")]
    out: PathBuf,
    #[command(flatten)]
    look: LookArgs,
}

/// Compares, prints the differences and the paths of the page and the pictures.
///
/// # Errors
/// [`Error`].
pub fn run(args: CompareArgs) -> Result<(), Error> {
    let CompareArgs { paths: named, by, out, look } = args;
    let mut paths = vec![];
    for path in named {
        if SweepDir::is_one(&path) {
            let sweep = SweepDir::open(&path)?;
            paths
                .extend(sweep.jobs().iter().map(|job| job.run.clone()).filter(|run| run.join("metrics.csv").is_file()));
        } else {
            paths.push(path);
        }
    }
    let comparison = compare(&CompareRequest { paths, by, out, look: look.into() })?;
    super::terminal::show(&format!("{comparison}\n"))
}
