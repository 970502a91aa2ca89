//! The queue: jobs that are left, a few at a time, until none is left or someone stops it.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::SweepError;
use super::board::Board;
use super::child::{Attempt, Stage, ask_to_stop};
use super::{Capacity, State};
use crate::interrupt;
use crate::text::duration;
use crate::text::print;

/// How often it is seen whether someone wants to stop.
const TICK: Duration = Duration::from_millis(100);

/// What the threads of the jobs report.
enum Event {
    Stage(Stage),
    Ended(Option<String>),
}

/// Tries the jobs of these numbers, as many at a time as `capacity` allows.
///
/// # Errors
/// [`SweepError`] if the summary or standard output cannot be written; the running jobs are then asked to stop. What a job
/// does wrong is noted in its row.
pub(super) fn work(
    board: &mut Board<'_>,
    jobs: Vec<usize>,
    program: &Path,
    capacity: &Capacity,
) -> Result<(), SweepError> {
    let mut running = BTreeMap::new();
    let worked = supervise(board, jobs.into(), program, capacity, &mut running);
    if worked.is_err() {
        running.values().for_each(|&stage| stop(stage));
    }
    worked
}

/// [`work`], with the jobs that are under way in `running`.
fn supervise(
    board: &mut Board<'_>,
    mut waiting: VecDeque<usize>,
    program: &Path,
    capacity: &Capacity,
    running: &mut BTreeMap<usize, Stage>,
) -> Result<(), SweepError> {
    let (events, reports) = channel();
    let sweep = board.sweep;
    let mut line = ProgressLine::new(waiting.len());
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
            && running.len() < capacity.parallel
            && let Some(job) = waiting.pop_front()
        {
            let attempt = Attempt::new(sweep, &sweep.jobs()[job], program, capacity.threads);
            let events = events.clone();
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
        line.show(board, running);
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

fn stop(stage: Stage) {
    if let Stage::Running { pid } = stage {
        ask_to_stop(pid);
    }
}

/// The line that moves on a terminal; elsewhere, one line for every job that ends.
struct ProgressLine {
    bar: ProgressBar,
    ended: usize,
    /// Seconds until the last of them ended.
    until: f64,
    to_do: usize,
}

impl ProgressLine {
    fn new(to_do: usize) -> Self {
        let bar = ProgressBar::new(to_do as u64);
        // The template is a constant; should it ever be wrong, the plain style still informs.
        let style = ProgressStyle::with_template("{pos}/{len} {bar:16} {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_secs(1));
        Self { bar, ended: 0, until: 0.0, to_do }
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
                let whole = self.until / ended as f64 * self.to_do as f64;
                format!("ETA {}  ", duration((whole - self.bar.elapsed().as_secs_f64()).max(0.0)))
            }
        };
        self.bar.set_position(self.ended as u64);
        self.bar.set_message(format!("{failed}{eta}{}", names.join(" ")));
    }

    fn ended(&mut self, board: &Board<'_>, job: usize) -> Result<(), SweepError> {
        self.ended += 1;
        self.until = self.bar.elapsed().as_secs_f64();
        if !self.bar.is_hidden() {
            return Ok(());
        }
        Ok(print(&format!("[{}/{}] {}\n", self.ended, self.to_do, board.line(job)))?)
    }

    fn say(&self, text: &str) -> Result<(), SweepError> {
        if self.bar.is_hidden() {
            return Ok(print(&format!("{text}\n"))?);
        }
        self.bar.println(text);
        Ok(())
    }

    fn finish(&self) -> Result<(), SweepError> {
        self.bar.finish_and_clear();
        Ok(())
    }
}
