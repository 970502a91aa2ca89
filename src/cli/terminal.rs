//! Output of the program: results on standard output, notes and progress on standard error. The readers of both may
//! close them at any time.

use std::io;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use console::Term;

use super::progress::Line;
use super::{Error, interrupt};
use crate::environment::variable;
use crate::observer::{Logged, Observer, OutputError, Progress, Unit};
use crate::results::live::json;
use crate::text::wrapped;

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

/// The width of standard output: that of the variable COLUMNS or else of the terminal; none where lines may be long.
pub(super) fn width() -> Option<usize> {
    let asked = variable("COLUMNS").and_then(|columns| columns.to_str()?.parse().ok());
    asked.filter(|&columns| columns > 0).or_else(|| Some(Term::stdout().size_checked()?.1.into()))
}

/// Writes a text for people to standard output, in the width of the terminal.
///
/// # Errors
/// As [`print`].
pub(super) fn show(text: &str) -> Result<(), Error> {
    print(&wrapped(text, width()))
}

/// Writes to standard error, and ignores failure, which must not end a run.
pub(super) fn aside(text: &str) {
    let _lost = io::stderr().lock().write_all(text.as_bytes());
}

/// The observer of the terminal.
#[derive(Default)]
pub(super) struct Terminal {
    /// Whether rows go to standard output as lines of JSON, and all else to standard error.
    json: bool,
    line: Mutex<Option<Line>>,
}

impl Terminal {
    /// An observer with or without rows as JSON.
    pub fn new(json: bool) -> Self {
        Self { json, ..Self::default() }
    }

    /// Shows that a part of some work is under way.
    pub fn part(&self, text: &str) {
        self.progress(&Progress { unit: Unit::Parts, done: 0, total: 0, text });
    }

    /// Runs a function with the live line hidden.
    pub fn suspended<R>(&self, work: impl FnOnce() -> R) -> R {
        match &*self.line() {
            Some(Line::Live(_, bar)) => bar.suspend(work),
            Some(Line::Log(_)) | None => work(),
        }
    }

    fn line(&self) -> MutexGuard<'_, Option<Line>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Terminal {
    fn say(&self, text: &str) -> io::Result<()> {
        self.suspended(|| {
            if !self.json {
                return to_stdout(&wrapped(text, width()));
            }
            aside(text);
            Ok(())
        })
    }

    fn milestone(&self, text: &str) -> io::Result<()> {
        let is_live = matches!(&*self.line(), Some(Line::Live(..)));
        if is_live { Ok(()) } else { self.say(text) }
    }

    fn note(&self, text: &str) {
        self.suspended(|| aside(&format!("{text}\n")));
    }

    fn row(&self, row: Logged<'_>) -> io::Result<()> {
        if self.json { self.suspended(|| to_stdout(&json::line(row))) } else { Ok(()) }
    }

    fn progress(&self, progress: &Progress<'_>) {
        self.line().get_or_insert_with(|| Line::new(progress, aside)).show(progress);
    }

    fn finished(&self) {
        let mut line = self.line();
        line.iter().for_each(Line::finish);
        // A log goes on at its own pace.
        if matches!(&*line, Some(Line::Live(..))) {
            *line = None;
        }
    }

    fn width(&self) -> Option<usize> {
        width()
    }

    /// Installs the signal handler at the first call; before it, signals end the program at once.
    fn is_stopped(&self) -> bool {
        interrupt::listen();
        interrupt::requested()
    }
}
