//! The rows of `oscillation.csv`. `run::oscillation` computes them; `table` writes and reads them.

use std::path::Path;

use super::table::{RecordError, Table, number, optional, read};
use crate::observer::Logged;

/// One row of `oscillation.csv`: the motion of the parameters in some updates after a measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OscillationRow {
    /// The step that was measured, with which the window begins.
    pub step: u64,
    /// The updates followed.
    pub updates: u64,
    /// λ₁ at the beginning.
    pub lambda_1: f64,
    /// Mean of ½|⟨w₊ − w, v₁⟩| over the updates.
    pub amplitude: f64,
    /// The amplitude of a two-cycle on a quadratic, if theory gives one.
    pub amplitude_predicted: Option<f64>,
    /// The period of ⟨w, v₁⟩, if there is one.
    pub period: Option<u64>,
    /// Movement an update along the unit vector in which λ₁ rises.
    pub drift: f64,
    /// The same for plain gradient descent.
    pub drift_of_gradient: f64,
    /// The part of SAM's oscillation, on a quadratic in a valley of changing width, if theory gives it.
    pub drift_predicted: Option<f64>,
}

const OSCILLATION: [&str; 9] = [
    "step",
    "updates",
    "lambda_1",
    "amplitude",
    "amplitude_predicted",
    "period",
    "drift",
    "drift_of_gradient",
    "drift_predicted",
];

/// Writes `oscillation.csv`.
pub struct OscillationWriter(Table);

impl OscillationWriter {
    /// Makes the table, replacing an old one; with `len`, continues the old one after its first `len` bytes.
    ///
    /// # Errors
    /// [`RecordError::Write`] or [`RecordError::CannotGoOn`].
    pub fn open(path: &Path, len: Option<u64>) -> Result<Self, RecordError> {
        Table::open(path, OSCILLATION.map(str::to_owned).to_vec(), len).map(Self)
    }

    /// Flushes all rows to the disk, and returns their number of bytes.
    ///
    /// # Errors
    /// [`RecordError::Write`].
    pub fn sync(&mut self) -> Result<u64, RecordError> {
        self.0.sync()
    }

    /// Appends a row, and returns the written cells.
    ///
    /// # Errors
    /// [`RecordError::Write`].
    pub fn write(&mut self, row: &OscillationRow) -> Result<Logged<'_>, RecordError> {
        self.0.write(vec![
            row.step.to_string(),
            row.updates.to_string(),
            number(row.lambda_1),
            number(row.amplitude),
            optional(row.amplitude_predicted),
            row.period.map_or_else(String::new, |period| period.to_string()),
            number(row.drift),
            number(row.drift_of_gradient),
            optional(row.drift_predicted),
        ])
    }
}

/// Reads `oscillation.csv`.
///
/// # Errors
/// [`RecordError::Read`], [`RecordError::NoColumn`], [`RecordError::TwoColumns`] or [`RecordError::BadCell`].
pub fn read_oscillation(path: &Path) -> Result<Vec<OscillationRow>, RecordError> {
    read(path, |line| {
        Ok(OscillationRow {
            step: line.required("step")?,
            updates: line.required("updates")?,
            lambda_1: line.or_nan("lambda_1")?,
            amplitude: line.or_nan("amplitude")?,
            amplitude_predicted: line.optional("amplitude_predicted")?,
            period: line.optional("period")?,
            drift: line.or_nan("drift")?,
            drift_of_gradient: line.or_nan("drift_of_gradient")?,
            drift_predicted: line.optional("drift_predicted")?,
        })
    })
}
