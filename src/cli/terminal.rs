//! Output of the program: results on standard output, notes and progress on standard error. The readers of both may
//! close them at any time.

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::{Error, interrupt};
use crate::observer::{Logged, Observer, OutputError, Progress, Unit};
use crate::results::live::json;
use crate::text::three_digits;

/// Writes to standard output. A closed pipe is success.
///
/// # Errors
/// [`OutputError`] for any other fault, such as a full disk.
pub(super) fn print(text: &str) -> Result<(), Error> {
    Ok(to_stdout(text).map_err(OutputError)?)
}

fn to_stdout(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    written(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// Ignores a closed pipe of standard output.
pub(super) fn written(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes to standard error, and ignores failure, which must not end a run.
pub(super) fn aside(text: &str) {
    let _lost = io::stderr().lock().write_all(text.as_bytes());
}

/// The observer of the terminal: progress is a moving line if standard error is a terminal.
#[derive(Default)]
pub(super) struct Terminal {
    /// Whether rows go to standard output as lines of JSON, and all else to standard error.
    json: bool,
    /// The moving line, with its unit.
    line: Mutex<Option<(Unit, ProgressBar)>>,
}

impl Terminal {
    /// An observer with or without rows as JSON.
    pub fn new(json: bool) -> Self {
        Self { json, ..Self::default() }
    }

    /// Runs a function with the moving line hidden.
    fn suspended<R>(&self, work: impl FnOnce() -> R) -> R {
        match &*self.line.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((_, bar)) => bar.suspend(work),
            None => work(),
        }
    }
}

impl Observer for Terminal {
    fn say(&self, text: &str) -> io::Result<()> {
        self.suspended(|| {
            if !self.json {
                return to_stdout(text);
            }
            aside(text);
            Ok(())
        })
    }

    fn milestone(&self, text: &str) -> io::Result<()> {
        let is_shown = |(_, bar): &(Unit, ProgressBar)| !bar.is_hidden();
        let shown = self.line.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(is_shown);
        if shown { Ok(()) } else { self.say(text) }
    }

    fn note(&self, text: &str) {
        self.suspended(|| aside(&format!("{text}\n")));
    }

    fn row(&self, row: Logged<'_>) -> io::Result<()> {
        if self.json { self.suspended(|| to_stdout(&json::line(row))) } else { Ok(()) }
    }

    fn progress(&self, &Progress { unit, done, total, text }: &Progress<'_>) {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if line.as_ref().is_none_or(|(shown, _)| *shown != unit) {
            *line = Some((unit, bar(unit, total)));
        }
        if let Some((_, bar)) = &*line {
            bar.set_message(text.to_owned());
            bar.set_position(done);
        }
    }

    fn finished(&self) {
        if let Some((_, bar)) = self.line.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    }

    /// Installs the signal handler at the first call; before it, signals end the program at once.
    fn is_stopped(&self) -> bool {
        interrupt::listen();
        interrupt::requested()
    }
}

/// The moving line of a unit.
fn bar(unit: Unit, total: u64) -> ProgressBar {
    let digits = total.to_string().len();
    let (template, tick) = match unit {
        Unit::Steps => (format!("{{pos:>{digits}}}/{{len}} {{rate:>4}}/s ETA {{eta:>3}}  {{wide_msg}}"), None),
        Unit::Jobs => ("{pos}/{len} {bar:16} {wide_msg}".to_owned(), Some(1000)),
        // The algebra between two products takes time too.
        Unit::Products => ("{spinner} {msg}, {elapsed}".to_owned(), Some(200)),
        Unit::Bytes => ("{msg} {bytes}/{total_bytes} {bar:16} {bytes_per_sec}  ETA {eta}".to_owned(), None),
    };
    // If a template is wrong, the plain style remains.
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let rate = |state: &ProgressState, text: &mut dyn fmt::Write| {
        // Writing to a string in memory cannot fail.
        let _ = text.write_str(&three_digits(state.per_sec()));
    };
    let bar = match unit {
        Unit::Products => ProgressBar::new_spinner(),
        Unit::Steps | Unit::Jobs | Unit::Bytes => ProgressBar::new(total),
    };
    let bar = bar.with_style(style.with_key("rate", rate));
    tick.inspect(|&millis| bar.enable_steady_tick(Duration::from_millis(millis)));
    bar
}
