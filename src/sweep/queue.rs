//! The queue: remaining jobs, a few at a time, until none is left or a request to stop.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::board::Board;
use super::child::{Attempt, Stage, ask_to_stop};
use super::share::Shares;
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
    let line = JobsLine::new(observer, jobs.len());
    let (waiting, running, stopped) = (jobs.into(), BTreeMap::new(), Arc::default());
    let mut queue = Queue { board, program, capacity, line, waiting, running, stopping: false, stopped };
    let worked = queue.work();
    observer.finished();
    if worked.is_err() {
        queue.stop();
    }
    worked
}

struct Queue<'a, 'b> {
    board: &'a mut Board<'b>,
    program: &'a Path,
    capacity: &'a Capacity,
    line: JobsLine<'a>,
    waiting: VecDeque<usize>,
    running: BTreeMap<usize, Stage>,
    stopping: bool,
    /// The same for the jobs' threads.
    stopped: Arc<AtomicBool>,
}

impl Queue<'_, '_> {
    fn work(&mut self) -> Result<(), SweepError> {
        let (events, reports) = channel();
        loop {
            if self.line.observer.is_stopped() && !self.stopping {
                self.stopping = true;
                self.stopped.store(true, Ordering::Relaxed);
                self.line.say("stopping: the running jobs finish their step and write a checkpoint")?;
                self.stop();
            }
            if self.stopping {
                // Other processes were not started here, and continue.
                self.running.retain(|_, stage| *stage != Stage::WaitingForAnother);
            }
            while !self.stopping
                && self.running.len() < self.capacity.parallel
                && let Some(job) = self.waiting.pop_front()
            {
                self.begin(job, events.clone());
            }
            if self.running.is_empty() {
                return Ok(());
            }
            self.line.show(self.board, &self.running, self.waiting.len());
            match reports.recv_timeout(TICK) {
                Ok((job, Event::Stage(stage))) => self.reached(job, stage)?,
                Ok((job, Event::Ended(problem))) => {
                    self.running.remove(&job);
                    self.board.ended(job, problem.as_deref(), self.stopping)?;
                    self.line.ended(self.board, job)?;
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
    }

    /// Begins a job, in a thread that reports what becomes of it.
    fn begin(&mut self, job: usize, events: Sender<(usize, Event)>) {
        let sweep = self.board.sweep;
        let stopped = Arc::clone(&self.stopped);
        let attempt = Attempt::new(sweep, &sweep.jobs()[job], self.program, self.capacity.threads, stopped);
        self.running.insert(job, Stage::Starting);
        let steps = sweep.config_of(&sweep.jobs()[job]).map_or(0, |config| config.run.steps);
        self.line.shares.begin(job, &sweep.jobs()[job], steps);
        // The receiver is gone once the sweep has ended.
        let send = move |event| drop(events.send((job, event)));
        thread::spawn(move || {
            let problem = attempt.run(&|stage| send(Event::Stage(stage)));
            send(Event::Ended(problem));
        });
    }

    fn reached(&mut self, job: usize, stage: Stage) -> Result<(), SweepError> {
        self.running.insert(job, stage);
        match stage {
            Stage::Starting => {}
            Stage::WaitingForAnother => {
                let name = &self.board.sweep.jobs()[job].name;
                self.line.say(&format!("{name}: another process still runs it; waiting for its end"))?;
            }
            Stage::Running { .. } => {
                self.board.begun(job)?;
                if self.stopping {
                    stop(stage);
                }
            }
        }
        Ok(())
    }

    /// Asks the running jobs to stop.
    fn stop(&self) {
        self.running.values().for_each(|&stage| stop(stage));
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
    to_do: usize,
    shares: Shares,
}

impl<'a> JobsLine<'a> {
    fn new(observer: &'a dyn Observer, to_do: usize) -> Self {
        Self { observer, began: Instant::now(), ended: 0, to_do, shares: Shares::new() }
    }

    /// Shows the running jobs with the share of each that is done, and the time left; `waiting` have not begun.
    fn show(&mut self, board: &Board<'_>, running: &BTreeMap<usize, Stage>, waiting: usize) {
        self.shares.look(board.sweep.jobs());
        let job = |&job: &usize| format!("{} {:.0} %", board.rows[job].job, 100.0 * self.shares.of(job));
        let jobs: Vec<String> = running.keys().map(job).collect();
        let failed = match board.count(JobState::Failed) {
            0 => String::new(),
            failed => format!("{failed} failed  "),
        };
        let left = self.shares.left_secs(self.began.elapsed().as_secs_f64(), waiting);
        let eta = left.map_or_else(String::new, |left| format!("ETA {}  ", duration(left.max(1.0))));
        let (done, total) = (self.ended as u64, self.to_do as u64);
        let text = format!("{failed}{eta}{}", jobs.join("  "));
        self.observer.progress(&Progress { unit: Unit::Jobs, done, total, text: &text });
    }

    fn ended(&mut self, board: &Board<'_>, job: usize) -> Result<(), SweepError> {
        self.ended += 1;
        self.shares.end(job);
        let text = format!("[{}/{}] {}\n", self.ended, self.to_do, board.line(job));
        Ok(self.observer.milestone(&text).map_err(OutputError)?)
    }

    fn say(&self, text: &str) -> Result<(), SweepError> {
        Ok(self.observer.say(&format!("{text}\n")).map_err(OutputError)?)
    }
}
