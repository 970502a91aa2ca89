//! The library's errors as Python exceptions: `ValueError` for what the caller can correct in its arguments, and
//! `RuntimeError` for the rest, with the library's words.

use std::error::Error;

use edgewalk::curvature::CurvatureError;
use edgewalk::device::DeviceError;
use edgewalk::run::RunError;
use pyo3::PyErr;
use pyo3::exceptions::{PyRuntimeError, PyValueError};

/// An error with its causes in one line.
fn text(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// A wrong argument.
pub fn refused(error: &dyn Error) -> PyErr {
    PyValueError::new_err(text(error))
}

/// An error of a device.
pub fn of_device(error: &DeviceError) -> PyErr {
    match error {
        DeviceError::Mismatch(_)
        | DeviceError::UnknownAdapter { .. }
        | DeviceError::SeveralAdapters { .. }
        | DeviceError::Ceiling { .. } => refused(error),
        _ => PyRuntimeError::new_err(text(error)),
    }
}

/// An error of a solver.
pub fn of_solver(error: &CurvatureError) -> PyErr {
    match error {
        CurvatureError::Option { .. } | CurvatureError::Length { .. } => refused(error),
        _ => PyRuntimeError::new_err(text(error)),
    }
}

/// An error of a run.
pub fn of_run(error: &RunError) -> PyErr {
    match error {
        RunError::Config(_) | RunError::Model(_) | RunError::Init { .. } => refused(error),
        RunError::Device(error) => of_device(error),
        _ => PyRuntimeError::new_err(text(error)),
    }
}
