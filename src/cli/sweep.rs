//! `edgewalk sweep`: a run for every combination of several values.

use std::path::{Path, PathBuf};

use clap::Args;

use super::terminal::Terminal;
use super::{Error, print};
use crate::sweep::{self, Grid, JobOptions, SweepDir, SweepError};

/// The arguments of `edgewalk sweep`.
#[derive(Debug, Args)]
pub struct SweepArgs {
    /// A preset or a TOML file [default: quickstart], or the folder of an earlier sweep to continue
    #[arg(value_name = "PRESET|FILE.toml|SWEEP")]
    target: Option<String>,
    /// Change a setting, as for `edgewalk train`, or sweep it over several values (lr=0.03,0.1 or seed=0..4); may be
    /// repeated
    #[arg(long = "set", value_name = "KEY=VALUE[,VALUE…]")]
    sets: Vec<String>,
    /// The sweep folder, new or empty [default: the next `runs/PRESET-sweep-NUMBER`]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Jobs at once [default: one for each core, or one on a GPU]; never more than fit into memory
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// The adapter: native, gpu, cpu, part of its name, or its number in `edgewalk info`
    #[arg(long, value_name = "NAME|INDEX")]
    adapter: Option<String>,
    /// Make the folder, run nothing, and print a script for Slurm that runs the jobs, --jobs at a time
    #[arg(long, conflicts_with_all = ["dry_run", "job"])]
    slurm: bool,
    /// List the jobs; run nothing and write nothing
    #[arg(long, conflicts_with = "job")]
    dry_run: bool,
    /// Run only the job with this number; needs the folder of a sweep
    #[arg(long, value_name = "NUMBER", conflicts_with = "jobs")]
    job: Option<usize>,
}

/// Makes or opens the sweep, and runs it.
///
/// # Errors
/// [`Error`].
pub fn run(args: &SweepArgs) -> Result<(), Error> {
    let launch = launch(args.jobs.map(usize::from))?;
    let target = args.target.as_deref();
    if let Some(folder) = target.map(Path::new).filter(|path| path.is_dir()) {
        return go_on(args, folder, &launch);
    }
    if let Some(number) = args.job {
        return Err(SweepError::JobOfNothing { number }.into());
    }
    let grid = Grid::new(target, &args.sets, args.adapter.clone())?;
    let out = args.out.as_deref();
    if args.dry_run {
        return print(&grid.plan(launch.jobs)?);
    }
    if args.slurm {
        return print(&sweep::slurm_start(&grid, out, &launch)?);
    }
    Ok(sweep::start(&grid, out, &launch, &Terminal::default())?)
}

/// Jobs as processes of this program, this many at once.
pub(super) fn launch(jobs: Option<usize>) -> Result<JobOptions, SweepError> {
    let program = std::env::current_exe().map_err(SweepError::NoProgram)?;
    Ok(JobOptions { program, jobs })
}

/// Continues the sweep in a folder.
fn go_on(args: &SweepArgs, folder: &Path, launch: &JobOptions) -> Result<(), Error> {
    let sweep = SweepDir::open(folder)?;
    let SweepArgs { sets, out, adapter, .. } = args;
    let options = [("--set", !sets.is_empty()), ("--out", out.is_some()), ("--adapter", adapter.is_some())];
    SweepError::check_settled(folder, options)?;
    match args.job {
        _ if args.slurm => print(&sweep::slurm_script(&sweep, launch)?),
        _ if args.dry_run => print(&sweep::what_is_left(&sweep, launch)?),
        Some(number) => Ok(sweep::run_job(folder, number, launch, &Terminal::default())?),
        None => Ok(sweep::resume(folder, launch, &Terminal::default())?),
    }
}
