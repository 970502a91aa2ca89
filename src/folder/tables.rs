//! Writes and reads a run's tables by their lists of columns.

use std::marker::PhantomData;
use std::path::Path;

use super::columns::{Column, Row};
use super::rows::{CurvatureColumns, CurvatureRow, MetricsRow, OscillationRow};
use super::table::{RecordError, Table, read};
use crate::observer::Logged;

/// Writes `metrics.csv`.
pub type MetricsWriter = TableWriter<MetricsRow>;
/// Writes `curvature.csv`.
pub type CurvatureWriter = TableWriter<CurvatureRow>;
/// Writes `oscillation.csv`.
pub type OscillationWriter = TableWriter<OscillationRow>;

/// Writes a table row by row.
pub struct TableWriter<R> {
    table: Table,
    columns: CurvatureColumns,
    rows: PhantomData<R>,
}

impl<R: Row> TableWriter<R> {
    /// Makes the table, replacing an old one, with the optional `columns`.
    ///
    /// # Errors
    /// [`RecordError::Write`].
    pub fn create(path: &Path, columns: CurvatureColumns) -> Result<Self, RecordError> {
        Self::open(path, columns, None)
    }

    /// The same; with `len`, continues the old one after its first `len` bytes.
    ///
    /// # Errors
    /// [`RecordError::Write`] or [`RecordError::CannotGoOn`].
    pub fn open(path: &Path, columns: CurvatureColumns, len: Option<u64>) -> Result<Self, RecordError> {
        Ok(Self { table: Table::open(path, names::<R>(columns), len)?, columns, rows: PhantomData })
    }

    /// Refuses a table that cannot be continued after its first `len` bytes.
    pub(crate) fn check(path: &Path, columns: CurvatureColumns, len: u64) -> Result<(), RecordError> {
        Table::check(path, &names::<R>(columns), len).map(|_| ())
    }

    /// Whether the path of the table still leads to it.
    pub(crate) fn is_in_place(&self) -> bool {
        self.table.is_in_place()
    }

    /// Flushes all rows to the disk, and returns their number of bytes.
    ///
    /// # Errors
    /// [`RecordError::Write`].
    pub fn sync(&mut self) -> Result<u64, RecordError> {
        self.table.sync()
    }

    /// Appends a row, and returns the written cells. Fields without columns are left out; missing values are empty
    /// cells.
    ///
    /// # Errors
    /// [`RecordError::Write`].
    pub fn write(&mut self, row: &R) -> Result<Logged<'_>, RecordError> {
        let columns = self.columns;
        let cells = |column: &'static Column<R>| {
            column.count.numbers(columns).map(move |number| (column.write)(row, number.saturating_sub(1)))
        };
        self.table.write(R::COLUMNS.iter().flat_map(cells).collect())
    }
}

/// The names of a table's columns.
fn names<R: Row>(columns: CurvatureColumns) -> Vec<String> {
    let name = |column: &'static Column<R>| {
        column.count.numbers(columns).map(move |number| match number {
            0 => column.name.to_owned(),
            number => format!("{}_{number}", column.name),
        })
    };
    R::COLUMNS.iter().flat_map(name).collect()
}

fn read_rows<R: Row>(path: &Path) -> Result<Vec<R>, RecordError> {
    read(path, |line| {
        let mut row = R::default();
        R::COLUMNS.iter().try_for_each(|column| (column.read)(&mut row, line, column.name))?;
        Ok(row)
    })
}

/// Reads `metrics.csv`.
///
/// # Errors
/// [`RecordError::Read`], [`RecordError::NoColumn`], [`RecordError::TwoColumns`] or [`RecordError::BadCell`].
pub fn read_metrics(path: &Path) -> Result<Vec<MetricsRow>, RecordError> {
    read_rows(path)
}

/// Reads `curvature.csv`.
///
/// # Errors
/// As [`read_metrics`].
pub fn read_curvature(path: &Path) -> Result<Vec<CurvatureRow>, RecordError> {
    read_rows(path)
}

/// Reads `oscillation.csv`.
///
/// # Errors
/// As [`read_metrics`].
pub fn read_oscillation(path: &Path) -> Result<Vec<OscillationRow>, RecordError> {
    read_rows(path)
}
