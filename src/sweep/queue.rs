//! The queue: remaining jobs, a few at a time, until none is left or a request to stop.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::board::Board;
use super::child::{Attempt, Stage, ask_to_stop};
use super::{Capacity, JobState, SweepError};
use crate::observer::{Observer, OutputError, Progress, Unit};
use crate::text::duration;

/// The pause between checks for a request to stop.
const TICK: Duration = Duration::from_millis(100);

/// The reports of the jobs' threads.
enum Event {
    Stage(Stage),
    Ended(Option<String>),
}

/// Runs the jobs of these numbers, as many at a time as `capacity` allows.
///
/// # Errors
/// [`SweepError`] if the summary or standard output cannot be written; the running jobs are then asked to stop. The
/// error of a job goes to its row.
pub(super) fn work(
    board: &mut Board<'_>,
    jobs: Vec<usize>,
    program: &Path,
    capacity: &Capacity,
    observer: &dyn Observer,
) -> Result<(), SweepError> {
    let mut running = BTreeMap::new();
    let worked = supervise(board, jobs.into(), program, capacity, observer, &mut running);
    observer.finished();
    if worked.is_err() {
        running.values().for_each(|&stage| stop(stage));
    }
    worked
}

/// [`work`], with the active jobs in `running`.
fn supervise(
    board: &mut Board<'_>,
    mut waiting: VecDeque<usize>,
    program: &Path,
    capacity: &Capacity,
    observer: &dyn Observer,
    running: &mut BTreeMap<usize, Stage>,
) -> Result<(), SweepError> {
    let (events, reports) = channel();
    let sweep = board.sweep;
    let mut line = JobsLine::new(observer, waiting.len());
    let mut stopping = false;
    let stopped = Arc::new(AtomicBool::new(false));
    loop {
        if observer.is_stopped() && !stopping {
            stopping = true;
            stopped.store(true, Ordering::Relaxed);
            line.say("stopping: the running jobs finish their step and write a checkpoint")?;
            running.values().for_each(|&stage| stop(stage));
        }
        if stopping {
            // Other processes were not started here, and continue.
            running.retain(|_, stage| *stage != Stage::WaitingForAnother);
        }
        while !stopping
            && running.len() < capacity.parallel
            && let Some(job) = waiting.pop_front()
        {
            let attempt = Attempt::new(sweep, &sweep.jobs()[job], program, capacity.threads, Arc::clone(&stopped));
            let events = events.clone();
            running.insert(job, Stage::Starting);
            // The receiver is gone once the sweep has ended.
            let send = move |event| drop(events.send((job, event)));
            thread::spawn(move || {
                let problem = attempt.run(&|stage| send(Event::Stage(stage)));
                send(Event::Ended(problem));
            });
        }
        if running.is_empty() {
            return Ok(());
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

/// The progress of the sweep, for its observer.
struct JobsLine<'a> {
    observer: &'a dyn Observer,
    began: Instant,
    ended: usize,
    /// Seconds until the last of them ended.
    until: f64,
    to_do: usize,
}

impl<'a> JobsLine<'a> {
    fn new(observer: &'a dyn Observer, to_do: usize) -> Self {
        Self { observer, began: Instant::now(), ended: 0, until: 0.0, to_do }
    }

    fn show(&self, board: &Board<'_>, running: &BTreeMap<usize, Stage>) {
        let names: Vec<&str> = running.keys().map(|&job| board.rows[job].job.as_str()).collect();
        let failed = match board.count(JobState::Failed) {
            0 => String::new(),
            failed => format!("{failed} failed  "),
        };
        let eta = match self.ended {
            0 => String::new(),
            ended => {
                let whole = self.until / ended as f64 * self.to_do as f64;
                format!("ETA {}  ", duration((whole - self.began.elapsed().as_secs_f64()).max(0.0)))
            }
        };
        let (done, total) = (self.ended as u64, self.to_do as u64);
        let text = format!("{failed}{eta}{}", names.join(" "));
        self.observer.progress(&Progress { unit: Unit::Jobs, done, total, text: &text });
    }

    fn ended(&mut self, board: &Board<'_>, job: usize) -> Result<(), SweepError> {
        self.ended += 1;
        self.until = self.began.elapsed().as_secs_f64();
        let text = format!("[{}/{}] {}\n", self.ended, self.to_do, board.line(job));
        Ok(self.observer.milestone(&text).map_err(OutputError)?)
    }

    fn say(&self, text: &str) -> Result<(), SweepError> {
        Ok(self.observer.say(&format!("{text}\n")).map_err(OutputError)?)
    }
}
