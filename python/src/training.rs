//! `train` and `resume`, watched from Python: texts go to a function, and Ctrl-C stops a run at its next step, which
//! then writes a checkpoint.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use edgewalk::config;
use edgewalk::observer::Observer;
use edgewalk::run::{self, ResumeRequest, RunError, TrainRequest};
use pyo3::exceptions::PyBaseException;
use pyo3::{Py, PyAny, PyErr, PyResult, Python, pyfunction};

use crate::error::{of_run, refused};

/// Passes texts on, and remembers the exception of a signal handler.
struct PythonObserver {
    /// Called with whether the text is a warning, and the text.
    note: Py<PyAny>,
    interrupt: Mutex<Option<PyErr>>,
}

impl PythonObserver {
    fn new(note: Py<PyAny>) -> Self {
        Self { note, interrupt: Mutex::new(None) }
    }

    fn pass(&self, is_warning: bool, text: &str) {
        Python::attach(|py| {
            if let Err(error) = self.note.call1(py, (is_warning, text.trim_end())) {
                error.write_unraisable(py, None);
            }
        });
    }

    /// The result of a run, and the exception that stopped it.
    fn conclude<T>(self, result: Result<T, RunError>) -> PyResult<(T, Option<Py<PyBaseException>>)> {
        let interrupt = self.interrupt.into_inner().unwrap_or_else(PoisonError::into_inner);
        match (result, interrupt) {
            (Ok(it), interrupt) => Ok((it, interrupt.map(|error| Python::attach(|py| error.into_value(py))))),
            (Err(RunError::Curvature(edgewalk::curvature::CurvatureError::Interrupted)), Some(interrupt)) => {
                Err(interrupt)
            }
            (Err(error), _) => Err(of_run(&error)),
        }
    }
}

impl Observer for PythonObserver {
    fn say(&self, text: &str) -> io::Result<()> {
        self.pass(false, text);
        Ok(())
    }

    fn note(&self, text: &str) {
        match text.strip_prefix("warning: ") {
            Some(text) => self.pass(true, text),
            None => self.pass(false, text),
        }
    }

    fn is_stopped(&self) -> bool {
        let mut interrupt = self.interrupt.lock().unwrap_or_else(PoisonError::into_inner);
        if interrupt.is_none() {
            *interrupt = Python::attach(|py| py.check_signals()).err();
        }
        interrupt.is_some()
    }
}

/// Trains, and returns the run folder with the exception that stopped the run, if one did.
#[pyfunction]
pub fn train(
    py: Python<'_>,
    target: String,
    sets: Vec<String>,
    out: Option<PathBuf>,
    device: Option<String>,
    note: Py<PyAny>,
) -> PyResult<(PathBuf, Option<Py<PyBaseException>>)> {
    py.detach(|| {
        let resolved = config::resolve(Some(&target), &sets).map_err(|error| refused(&error))?;
        let request = TrainRequest { out, adapter: device, ..resolved.into() };
        let observer = PythonObserver::new(note);
        let result = run::train(&request, &observer);
        observer.conclude(result.map(|folder| folder.path().to_path_buf()))
    })
}

/// Continues a run, and returns the exception that stopped it, if one did.
#[pyfunction]
pub fn resume(
    py: Python<'_>,
    path: PathBuf,
    sets: Vec<String>,
    device: Option<String>,
    note: Py<PyAny>,
) -> PyResult<Option<Py<PyBaseException>>> {
    py.detach(|| {
        let observer = PythonObserver::new(note);
        let result = run::resume(&ResumeRequest { path, sets, command_line: vec![], adapter: device }, &observer);
        Ok(observer.conclude(result)?.1)
    })
}
