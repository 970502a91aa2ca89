//! `oscillation.csv`: what is in its rows. What they mean is the business of `oscillation`, and how rows are written and read
//! that of `table`.

use std::path::Path;

use super::table::{RecordError, Table, number, optional, read};
use crate::observer::Logged;

/// One row of `oscillation.csv`: what the parameters did in some updates after a measurement.
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
    /// What a two-cycle on a quadratic would have, where theory gives it.
    pub amplitude_predicted: Option<f64>,
    /// The period of ⟨w, v₁⟩, where there is one.
    pub period: Option<u64>,
    /// Movement an update along the unit vector in which λ₁ rises.
    pub drift: f64,
    /// What plain gradient descent would make of it.
    pub drift_of_gradient: f64,
    /// What SAM's oscillation adds on a quadratic in a valley of changing width, where theory gives it.
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
    /// Makes the table, replacing one of that name; or, from its first `len` bytes, goes on with the one that is there.
    ///
    /// # Errors
    /// [`RecordError::Write`] or [`RecordError::CannotGoOn`].
    pub fn open(path: &Path, len: Option<u64>) -> Result<Self, RecordError> {
        Table::open(path, OSCILLATION.map(str::to_owned).to_vec(), len).map(Self)
    }

    /// Refuses a table that cannot be gone on with from its first `len` bytes.
    pub(crate) fn check(path: &Path, len: u64) -> Result<(), RecordError> {
        Table::check(path, &OSCILLATION.map(str::to_owned), len).map(|_| ())
    }

    /// Sees to it that all rows are on the disk, and says how many bytes they are.
    ///
    /// # Errors
    /// [`RecordError::Write`].
    pub fn sync(&mut self) -> Result<u64, RecordError> {
        self.0.sync()
    }

    /// Appends a row, and shows what it has become.
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
