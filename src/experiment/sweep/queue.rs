//! The queue: jobs that are left, a few at a time, until none is left or someone stops it.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::child::{Attempt, Stage, ask_to_stop, verdict};
use super::summary::{SummaryRow, read_summary, write_summary};
use super::{State, SweepDir};
use crate::cli::print;
use crate::experiment::forecast::duration;
use crate::experiment::{ExperimentError, interrupt};

/// How often it is seen whether someone wants to stop.
const TICK: Duration = Duration::from_millis(100);

/// The rows of all jobs, as they are in `summary.csv`.
pub(super) struct Board<'a> {
    pub sweep: &'a SweepDir,
    pub rows: Vec<SummaryRow>,
}

impl<'a> Board<'a> {
    /// Looks at every job's folder.
    pub fn look(sweep: &'a SweepDir) -> Self {
        let before = read_summary(&sweep.summary()).unwrap_or_default();
        let before: BTreeMap<&str, &SummaryRow> = before.iter().map(|row| (row.job.as_str(), row)).collect();
        let row = |job: &super::Job| SummaryRow::of(job, before.get(job.name.as_str()).copied());
        Self { sweep, rows: sweep.jobs().iter().map(row).collect() }
    }

    /// Takes the word of `summary.csv`; looks where there is none, or one of other jobs.
    pub fn read(sweep: &'a SweepDir) -> Self {
        let same = |rows: &Vec<SummaryRow>| rows.iter().map(|row| &row.job).eq(sweep.jobs().iter().map(|job| &job.name));
        match read_summary(&sweep.summary()).ok().filter(same) {
            Some(rows) => Self { sweep, rows },
            None => Self::look(sweep),
        }
    }

    /// The numbers of the jobs without a result.
    pub fn left(&self) -> Vec<usize> {
        (0..self.rows.len()).filter(|&job| !self.rows[job].state.has_result()).collect()
    }

    pub fn count(&self, state: State) -> usize {
        self.rows.iter().filter(|row| row.state == state).count()
    }

    /// Notes that a job's process runs.
    pub fn begun(&mut self, job: usize) -> Result<(), ExperimentError> {
        (self.rows[job].state, self.rows[job].message) = (State::Running, String::new());
        self.write()
    }

    /// Notes how the attempt at a job ended, which was the attempt of a sweep that is `stopping`.
    pub fn ended(&mut self, job: usize, problem: Option<&str>, stopping: bool) -> Result<(), ExperimentError> {
        let mut row = SummaryRow::of(&self.sweep.jobs()[job], None);
        let state = verdict(row.state, problem, stopping);
        match problem {
            Some(problem) if state != row.state => row.message = problem.to_owned(),
            // All steps are made, and something failed after them.
            Some(problem) if state == State::Done => row.note(problem),
            _ => {}
        }
        row.state = state;
        self.rows[job] = row;
        self.write()
    }

    pub fn write(&mut self) -> Result<(), ExperimentError> {
        write_summary(self.sweep, &mut self.rows)
    }

    /// One line about a job.
    pub fn line(&self, job: usize) -> String {
        let row = &self.rows[job];
        let loss = row.loss.map_or_else(String::new, |loss| format!(", loss {loss:.4e}"));
        let ratio = row.edge_ratio.map_or_else(String::new, |ratio| format!(", edge ratio {ratio:.3}"));
        let secs = row.wall_secs.map_or_else(String::new, |secs| format!(", {}", duration(secs)));
        let message = if row.message.is_empty() { String::new() } else { format!(" ({})", row.message) };
        format!("{}: {}{loss}{ratio}{secs}{message}", row.job, row.state)
    }
}

/// What the threads of the jobs report.
enum Event {
    Stage(Stage),
    Ended(Option<String>),
}

/// Tries the jobs that are left, `parallel` at a time.
///
/// # Errors
/// [`ExperimentError`] if the summary or standard output cannot be written; what a job does wrong is noted in its row.
pub(super) fn work(board: &mut Board<'_>, program: &Path, parallel: usize) -> Result<(), ExperimentError> {
    let (events, reports) = channel();
    let sweep = board.sweep;
    let mut waiting = VecDeque::from(board.left());
    let mut running = BTreeMap::new();
    let mut line = ProgressLine::new(board, waiting.len());
    let mut stopping = false;
    loop {
        if interrupt::requested() && !stopping {
            stopping = true;
            line.say("stopping: the running jobs finish their step and write a checkpoint")?;
            running.values().for_each(|&stage| stop(stage));
        }
        if stopping {
            // Other processes were not started here, and go on.
            running.retain(|_, stage| *stage != Stage::WaitingForAnother);
        }
        while !stopping
            && running.len() < parallel
            && let Some(job) = waiting.pop_front()
        {
            let (events, attempt) = (events.clone(), Attempt::new(sweep, &sweep.jobs()[job], program));
            running.insert(job, Stage::Starting);
            // Nobody listens once the sweep is over.
            let send = move |event| drop(events.send((job, event)));
            thread::spawn(move || {
                let problem = attempt.run(&|stage| send(Event::Stage(stage)));
                send(Event::Ended(problem));
            });
        }
        if running.is_empty() {
            return line.finish();
        }
        line.show(board, &running);
        match reports.recv_timeout(TICK) {
            Ok((job, Event::Stage(stage))) => {
                running.insert(job, stage);
                match stage {
                    Stage::Starting => {}
                    Stage::WaitingForAnother => {
                        let name = &sweep.jobs()[job].name;
                        line.say(&format!("{name}: another process is still at it; waiting for that to end"))?;
                    }
                    Stage::Running { .. } => {
                        board.begun(job)?;
                        if stopping {
                            stop(stage);
                        }
                    }
                }
            }
            Ok((job, Event::Ended(problem))) => {
                running.remove(&job);
                board.ended(job, problem.as_deref(), stopping)?;
                line.ended(board, job)?;
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }
}

/// Tries one job, with `summary.csv` up to date whenever no other process is changing it. Returns its row.
///
/// # Errors
/// As [`work`].
pub(super) fn one(sweep: &SweepDir, job: usize, program: &Path) -> Result<SummaryRow, ExperimentError> {
    let (events, reports) = channel();
    let attempt = Attempt::new(sweep, &sweep.jobs()[job], program);
    thread::spawn(move || {
        let problem = attempt.run(&|stage| drop(events.send(Event::Stage(stage))));
        drop(events.send(Event::Ended(problem)));
    });
    let (mut stage, mut stopping) = (Stage::Starting, false);
    loop {
        if interrupt::requested() && !stopping {
            stopping = true;
            stop(stage);
        }
        if stopping && stage == Stage::WaitingForAnother {
            return Ok(SummaryRow::of(&sweep.jobs()[job], None));
        }
        let name = &sweep.jobs()[job].name;
        match reports.recv_timeout(TICK) {
            Ok(Event::Stage(now)) => {
                stage = now;
                match stage {
                    Stage::Starting => {}
                    Stage::WaitingForAnother => print(&format!("{name}: another process is still at it\n"))?,
                    Stage::Running { .. } => {
                        let _lock = sweep.lock_summary()?;
                        Board::read(sweep).begun(job)?;
                        if stopping {
                            stop(stage);
                        }
                    }
                }
            }
            Ok(Event::Ended(problem)) => {
                let _lock = sweep.lock_summary()?;
                let mut board = Board::read(sweep);
                board.ended(job, problem.as_deref(), stopping)?;
                print(&format!("{}\n", board.line(job)))?;
                return Ok(board.rows.swap_remove(job));
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }
}

fn stop(stage: Stage) {
    if let Stage::Running { pid } = stage {
        ask_to_stop(pid);
    }
}

/// The line that moves on a terminal; elsewhere, one line for every job that ends.
struct ProgressLine {
    bar: ProgressBar,
    ended: usize,
    to_do: usize,
}

impl ProgressLine {
    fn new(board: &Board<'_>, to_do: usize) -> Self {
        let bar = ProgressBar::new(board.rows.len() as u64);
        // The template is a constant; should it ever be wrong, the plain style still informs.
        let style = ProgressStyle::with_template("{pos}/{len} {bar:16} {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_secs(1));
        Self { bar, ended: 0, to_do }
    }

    fn show(&self, board: &Board<'_>, running: &BTreeMap<usize, Stage>) {
        let names: Vec<&str> = running.keys().map(|&job| board.rows[job].job.as_str()).collect();
        let failed = match board.count(State::Failed) {
            0 => String::new(),
            failed => format!("{failed} failed  "),
        };
        let eta = match self.ended {
            0 => String::new(),
            ended => {
                let each = self.bar.elapsed().as_secs_f64() / ended as f64;
                format!("ETA {}  ", duration(each * (self.to_do - ended) as f64))
            }
        };
        self.bar.set_position((board.rows.len() - self.to_do + self.ended) as u64);
        self.bar.set_message(format!("{failed}{eta}{}", names.join(" ")));
    }

    fn ended(&mut self, board: &Board<'_>, job: usize) -> Result<(), ExperimentError> {
        self.ended += 1;
        if !self.bar.is_hidden() {
            return Ok(());
        }
        print(&format!("[{}/{}] {}\n", self.ended, self.to_do, board.line(job)))
    }

    fn say(&self, text: &str) -> Result<(), ExperimentError> {
        if self.bar.is_hidden() {
            return print(&format!("{text}\n"));
        }
        self.bar.println(text);
        Ok(())
    }

    fn finish(&self) -> Result<(), ExperimentError> {
        self.bar.finish_and_clear();
        Ok(())
    }
}
