//! The progress of long work: one live line on a terminal. Elsewhere a line within seconds, and then one a minute, so
//! that the log of a job shows how far it is.

use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{DecimalBytes, ProgressBar, ProgressState, ProgressStyle};

use crate::observer::{Progress, Unit};
use crate::text::{duration, three_digits};

/// The time from the first progress to the first line of a log.
const FIRST: Duration = Duration::from_secs(2);
/// The time between two lines of a log.
const EVERY: Duration = Duration::from_secs(60);
/// The time between two looks for progress, where there is none.
const LOOK: Duration = Duration::from_millis(500);

/// How fast work goes in this process; what was done before it began does not count.
#[derive(Debug, Clone, Copy)]
struct Pace {
    began: Instant,
    first: u64,
}

impl Pace {
    fn per_sec(&self, done: u64, now: Instant) -> Option<f64> {
        let secs = now.saturating_duration_since(self.began).as_secs_f64();
        let made = done.saturating_sub(self.first);
        (made > 0 && secs > 0.0).then(|| made as f64 / secs)
    }

    fn left_secs(&self, done: u64, total: u64, now: Instant) -> Option<f64> {
        Some(total.saturating_sub(done) as f64 / self.per_sec(done, now)?)
    }
}

/// Where progress is shown.
pub(super) enum Line {
    /// A line that moves.
    Live(Unit, ProgressBar),
    /// Lines of a log.
    Log(Log),
}

impl Line {
    /// A live line if standard error is a terminal; else a log, whose lines go to `write`.
    pub fn new(progress: &Progress<'_>, write: impl Fn(&str) + Send + 'static) -> Self {
        let bar = bar(progress);
        if bar.is_hidden() { Self::Log(Log::new(FIRST, EVERY, write)) } else { Self::Live(progress.unit, bar) }
    }

    /// Shows it.
    pub fn show(&mut self, progress: &Progress<'_>) {
        match self {
            Self::Live(unit, shown) => {
                if *unit != progress.unit {
                    shown.finish_and_clear();
                    (*unit, *shown) = (progress.unit, bar(progress));
                }
                shown.set_message(progress.text.to_owned());
                shown.set_position(progress.done);
            }
            Self::Log(log) => log.show(progress),
        }
    }

    /// Ends it, until there is other progress.
    pub fn finish(&self) {
        match self {
            Self::Live(_, bar) => bar.finish_and_clear(),
            Self::Log(log) => *lock(&log.latest) = None,
        }
    }
}

/// A log, written by a thread of its own that ends with it: one step of the work may take longer than a minute.
pub(super) struct Log {
    latest: Arc<Mutex<Option<Latest>>>,
    _alive: Sender<()>,
}

/// The latest progress.
struct Latest {
    unit: Unit,
    pace: Pace,
    done: u64,
    total: u64,
    text: String,
}

impl Log {
    fn new(first: Duration, every: Duration, write: impl Fn(&str) + Send + 'static) -> Self {
        let (alive, ended) = channel();
        let latest = Arc::default();
        let shared = Arc::clone(&latest);
        thread::spawn(move || keep(&shared, &ended, first, every, &write));
        Self { latest, _alive: alive }
    }

    fn show(&self, &Progress { unit, done, total, text }: &Progress<'_>) {
        let mut latest = lock(&self.latest);
        let known = latest.as_ref().filter(|latest| latest.unit == unit).map(|latest| latest.pace);
        let pace = known.unwrap_or(Pace { began: Instant::now(), first: done });
        *latest = Some(Latest { unit, pace, done, total, text: text.to_owned() });
    }
}

/// Writes the log until its owner is gone.
fn keep(latest: &Mutex<Option<Latest>>, ended: &Receiver<()>, first: Duration, every: Duration, write: &dyn Fn(&str)) {
    let mut due = Instant::now() + first;
    while ended.recv_timeout(due.saturating_duration_since(Instant::now())) == Err(RecvTimeoutError::Timeout) {
        let line = lock(latest).as_ref().map(|latest| latest.line(Instant::now()));
        due = Instant::now() + if line.is_some() { every } else { LOOK.min(every) };
        line.iter().for_each(|line| write(line));
    }
}

impl Latest {
    fn line(&self, now: Instant) -> String {
        let Self { unit, pace, done, total, text } = self;
        let took = duration(now.saturating_duration_since(pace.began).as_secs_f64());
        let about = if text.is_empty() { String::new() } else { format!(": {text}") };
        match unit {
            Unit::Steps => {
                let rate = pace.per_sec(*done, now).zip(pace.left_secs(*done, *total, now));
                let rate = rate.map_or_else(String::new, |(rate, left)| {
                    format!(", {}/s, ETA {}", three_digits(rate), duration(left.max(1.0)))
                });
                format!("step {done} of {total}{rate}{about}\n")
            }
            Unit::Jobs => format!("{done} of {total} jobs ended{about}\n"),
            Unit::Products | Unit::Parts => format!("{text}, {took}\n"),
            Unit::Bytes => format!("{text}: {} of {}\n", DecimalBytes(*done), DecimalBytes(*total)),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The live line of a unit.
fn bar(&Progress { unit, done, total, text }: &Progress<'_>) -> ProgressBar {
    let digits = total.to_string().len();
    let (template, tick) = match unit {
        Unit::Steps => (format!("{{pos:>{digits}}}/{{len}} {{pace:>4}}/s ETA {{left}}  {{wide_msg}}"), None),
        Unit::Jobs => ("{pos}/{len} {bar:16} {wide_msg}".to_owned(), Some(1000)),
        // The work between two products takes time too.
        Unit::Products | Unit::Parts => ("{spinner} {msg}, {elapsed}".to_owned(), Some(200)),
        Unit::Bytes => ("{msg} {bytes}/{total_bytes} {bar:16} {bytes_per_sec}  ETA {eta}".to_owned(), None),
    };
    // If a template is wrong, the plain style remains.
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let pace = Pace { began: Instant::now(), first: done };
    // Writing to a string in memory cannot fail.
    let rate = move |state: &ProgressState, text: &mut dyn fmt::Write| {
        let rate = pace.per_sec(state.pos(), Instant::now());
        let _ = text.write_str(&rate.map_or_else(|| "–".into(), three_digits));
    };
    let left = move |state: &ProgressState, text: &mut dyn fmt::Write| {
        let left = pace.left_secs(state.pos(), total, Instant::now());
        let _ = write!(text, "{:>8}", left.map_or_else(|| "–".into(), |left| duration(left.max(1.0))));
    };
    let bar = match unit {
        Unit::Products | Unit::Parts => ProgressBar::new_spinner(),
        Unit::Steps | Unit::Jobs | Unit::Bytes => ProgressBar::new(total),
    };
    let bar = bar.with_style(style.with_key("pace", rate).with_key("left", left)).with_message(text.to_owned());
    tick.inspect(|&millis| bar.enable_steady_tick(Duration::from_millis(millis)));
    bar
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::{Duration, Instant};

    use super::{Latest, Log, Pace};
    use crate::observer::{Progress, Unit};

    fn steps(done: u64) -> Progress<'static> {
        Progress { unit: Unit::Steps, done, total: 1200, text: "loss 1e-3" }
    }

    #[test]
    fn a_resumed_run_has_the_pace_of_the_steps_that_it_makes_now() {
        let began = Instant::now();
        let pace = Pace { began, first: 1000 };
        let later = began + Duration::from_secs(4);
        assert_eq!((pace.per_sec(1000, later), pace.left_secs(1000, 1200, later)), (None, None));
        assert_eq!((pace.per_sec(1100, later), pace.left_secs(1100, 1200, later)), (Some(25.0), Some(4.0)));
        let latest = Latest { unit: Unit::Steps, pace, done: 1100, total: 1200, text: "loss 1e-3".into() };
        assert_eq!(latest.line(later), "step 1100 of 1200, 25.0/s, ETA 4.0 s: loss 1e-3\n");
    }

    #[test]
    fn a_log_has_a_line_soon_and_then_at_times_also_without_news() {
        let (lines, written) = channel();
        let (first, every) = (Duration::from_millis(20), Duration::from_millis(60));
        let log = Log::new(first, every, move |line| drop(lines.send(line.to_owned())));
        assert!(written.recv_timeout(5 * first).is_err(), "nothing was done yet");
        log.show(&steps(1000));
        let patience = Duration::from_secs(20);
        assert_eq!(written.recv_timeout(patience).unwrap(), "step 1000 of 1200: loss 1e-3\n");
        assert_eq!(written.recv_timeout(patience).unwrap(), "step 1000 of 1200: loss 1e-3\n");
        log.show(&steps(1100));
        assert!(written.recv_timeout(patience).unwrap().starts_with("step 1100 of 1200, "));
        drop(log);
        // The thread has ended, and with it the sender.
        while written.recv_timeout(patience).is_ok() {}
    }
}
