//! Pictures that follow a run: redrawn when its tables have grown, with a page that shows them in a browser.
//!
//! The size and time of a run's tables are checked every second. The run does not report anything, may be on another
//! machine with a shared disk, and is not disturbed. A missing table is checked again later. Drawing takes at most a
//! tenth of the time, since the run may need this processor.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use std::{fs, thread};

use maud::{DOCTYPE, PreEscaped, html};

use crate::files::write_file;
use crate::folder::manifest::Ended;
use crate::folder::{RunDir, RunDirError};
use crate::observer::Observer;
use crate::results::look::Look;
use crate::results::plot::plot_readout;
use crate::results::readout::Readout;
use crate::results::summary::Summary;
use crate::results::{PlotError, ResultsError};

/// The shortest time between two checks.
const PAUSE: Duration = Duration::from_secs(1);
/// The delay within which Ctrl-C is noticed.
const PATIENCE: Duration = Duration::from_millis(100);

/// The result of a check of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redrawn {
    /// The run folder.
    pub run: PathBuf,
    /// Updates before the last row of `metrics.csv`.
    pub step: u64,
    /// The pictures that were drawn.
    pub pictures: Vec<PathBuf>,
    /// The end of the run; [`Ended::Running`] before it.
    pub ended: Ended,
}

/// Draws the pictures of runs, and `plots/live.html` to show them, as often as rows arrive, until all runs have ended
/// or the observer stops it. `redrawn` is called each time.
///
/// # Errors
/// [`RunDirError::Gone`] if a folder is removed meanwhile, a [`PlotError`] if a table without a writer cannot be read,
/// or a picture cannot be drawn; and the error of `redrawn`.
pub fn watch<E: From<ResultsError>>(
    runs: &[RunDir],
    look: impl Into<Look>,
    observer: &dyn Observer,
    mut redrawn: impl FnMut(&Redrawn) -> Result<(), E>,
) -> Result<(), E> {
    let look = look.into();
    // From here on the observer can stop it.
    observer.is_stopped();
    let mut watched: Vec<WatchedRun<'_>> = runs.iter().map(WatchedRun::new).collect();
    loop {
        let began = Instant::now();
        for run in &mut watched {
            if let Some(news) = run.look(&look)? {
                redrawn(&news)?;
            }
        }
        if watched.iter().all(|run| run.over) {
            return Ok(());
        }
        let next = Instant::now() + PAUSE.max(9 * began.elapsed());
        while Instant::now() < next {
            if observer.is_stopped() {
                return Ok(());
            }
            thread::park_timeout(PATIENCE);
        }
    }
}

/// Size and time of a table, if it exists.
type TableState = Option<(u64, SystemTime)>;

/// A run that is followed.
struct WatchedRun<'a> {
    run: &'a RunDir,
    /// The tables when they were last drawn or found unreadable.
    seen: [TableState; 3],
    /// Their last fault. If nothing has changed at the next check, it is final.
    refused: Option<PlotError>,
    over: bool,
}

impl<'a> WatchedRun<'a> {
    fn new(run: &'a RunDir) -> Self {
        Self { run, seen: [None; 3], refused: None, over: false }
    }

    /// Draws if the tables have changed.
    fn look(&mut self, look: &Look) -> Result<Option<Redrawn>, ResultsError> {
        if self.over {
            return Ok(None);
        }
        if !self.run.config().is_file() {
            return Err(RunDirError::Gone { path: self.run.path().into() }.into());
        }
        // In this order: a run that has ended has written its last row before.
        let ended = self.run.read_manifest().map_or(Ended::Running, |manifest| manifest.ended);
        self.over = ended != Ended::Running;
        let tables = [self.run.metrics(), self.run.curvature(), self.run.oscillation()];
        let now = tables.each_ref().map(|path| state(path));
        if !self.over {
            if now == self.seen {
                return self.refused.take().map_or(Ok(None), |error| Err(error.into()));
            }
            // Every run has the first two.
            if now[..2].contains(&None) {
                return Ok(None);
            }
        }
        self.seen = now;
        match self.draw(look, ended) {
            Err(PlotError::NoRows { .. }) if !self.over => Ok(None),
            Err(error @ PlotError::Record(_)) if !self.over => {
                self.refused = Some(error);
                Ok(None)
            }
            drawn => Ok(Some(drawn?)),
        }
    }

    fn draw(&self, look: &Look, ended: Ended) -> Result<Redrawn, PlotError> {
        let readout = Readout::of(self.run)?;
        let pictures = plot_readout(self.run, &readout, look)?;
        let summary = readout.summary();
        let page = page(self.run, &summary, &pictures, &ended);
        write_file(&live_page(self.run), page.as_bytes())?;
        let step = summary.last.map_or(0, |row| row.step);
        Ok(Redrawn { run: self.run.path().into(), step, pictures, ended })
    }
}

/// The page that shows the pictures of a run while it runs.
pub fn live_page(run: &RunDir) -> PathBuf {
    run.plots().join("live.html")
}

fn state(table: &Path) -> TableState {
    let metadata = fs::metadata(table).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

/// A page with the status and the pictures, which reloads itself while the run continues.
fn page(run: &RunDir, summary: &Summary, pictures: &[PathBuf], ended: &Ended) -> String {
    let name = run.path().file_name().unwrap_or(run.path().as_os_str()).to_string_lossy();
    let step = summary.last.as_ref().map_or(0, |row| row.step);
    let files = pictures.iter().filter_map(|path| path.file_name()?.to_str());
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            meta charset="utf-8";
            @if *ended == Ended::Running { meta http-equiv="refresh" content="2"; }
            title { (name) ": " (step) }
            style { (PreEscaped(STYLE)) }
            h1 { (name) ": " (ended) }
            pre { (summary) }
            // The step in the address makes browsers look at the file again.
            @for file in files { embed src={ (file) "?" (step) }; }
        }
    };
    page.into_string() + "\n"
}

const STYLE: &str = "body { font-family: sans-serif; margin: 1.5em } pre { white-space: pre-wrap; font-size: 1.05em } \
                     embed { width: min(100%, 900px); aspect-ratio: 5 / 3 }";
