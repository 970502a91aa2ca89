//! `edgewalk plot`: the tables of runs and sweeps as pictures or for TensorBoard, once or as rows arrive.

use std::path::{Path, PathBuf};

use clap::Args;

use super::look::LookArgs;
use super::terminal::Terminal;
use super::{Error, print};
use crate::folder::RunDir;
use crate::folder::manifest::Ended;
use crate::results::live::tensorboard::TensorBoard;
use crate::results::live::watch::{Redrawn, live_page, watch};
use crate::results::look::Look;
use crate::results::plot;
use crate::sweep::{SweepDir, plot_sweep};

/// The arguments of `edgewalk plot`.
#[derive(Debug, Args)]
pub struct PlotArgs {
    /// Folders of runs and sweeps
    #[arg(required = true, value_name = "RUN|SWEEP")]
    runs: Vec<PathBuf>,
    /// Draw this column of the summary of a sweep too, such as test_loss: a heat map or a curve over its values, means
    /// over seeds; may be repeated
    #[arg(long = "column", value_name = "NAME", conflicts_with_all = ["watch", "tensorboard"])]
    columns: Vec<String>,
    #[command(flatten)]
    look: LookArgs,
    /// Draw again whenever rows arrive, with a page plots/live.html for a browser, until the runs end or Ctrl-C
    #[arg(long)]
    watch: bool,
    /// Write an event file for TensorBoard into RUN/tensorboard instead
    #[arg(long, conflicts_with_all = ["watch", "format", "size", "font_size", "x_log", "y_log", "x_range", "y_range"])]
    tensorboard: bool,
}

/// Draws or converts, and prints the paths.
///
/// # Errors
/// [`Error`].
pub fn run(args: PlotArgs) -> Result<(), Error> {
    let say = |path: &PathBuf| print(&format!("{}\n", path.display()));
    let look = Look::from(args.look);
    let mut runs = vec![];
    for path in &args.runs {
        // Only the summary of a sweep has columns.
        if args.columns.is_empty() && !SweepDir::is_one(path) {
            runs.push(RunDir::open(path)?);
        } else if args.watch || args.tensorboard {
            // Those of its jobs that have begun.
            runs.extend(SweepDir::open(path)?.jobs().iter().filter_map(|job| RunDir::open(&job.run).ok()));
        } else {
            plot_sweep(&SweepDir::open(path)?, &args.columns, look.clone())?.iter().try_for_each(say)?;
        }
    }
    if args.watch {
        for run in &runs {
            print(&format!("{} shows the pictures in a browser; Ctrl-C ends this\n", live_page(run).display()))?;
        }
        return watch(&runs, look, &Terminal::default(), told);
    }
    for run in &runs {
        if args.tensorboard {
            print(&format!("{}\n", TensorBoard::of_tables(run)?.path().display()))?;
        } else {
            plot::plot_run(run, look.clone())?.iter().try_for_each(say)?;
        }
    }
    Ok(())
}

/// Prints the paths of the drawings.
fn told(news: &Redrawn) -> Result<(), Error> {
    let names = news.pictures.iter().filter_map(|path| Path::file_name(path)?.to_str());
    let names = names.collect::<Vec<_>>().join(", ");
    let ended = match &news.ended {
        Ended::Running => String::new(),
        ended => format!("; the run has ended: {ended}"),
    };
    print(&format!("{}, step {}: {names}{ended}\n", news.run.display(), news.step))
}
