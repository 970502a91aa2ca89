//! CSV files that grow row by row and are read by the names of their columns.
//!
//! Each row is on the disk when `write` returns, and numbers have the shortest form that reads back to the same bits. An
//! empty cell is a value that was not measured. A table may have more columns than its reader asks for.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use csv::StringRecord;

/// What can go wrong with a table. Each message names the file.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A row or the header cannot be written.
    #[error("cannot write {}: {cause}; check the free space and the permissions", path.display())]
    Write {
        /// The table.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The table cannot be read, or is not a table.
    #[error("cannot read {}: {cause}; give the folder that `edgewalk train` named", path.display())]
    Read {
        /// The table.
        path: PathBuf,
        /// What the system or the reader said.
        cause: csv::Error,
    },
    /// A column is missing.
    #[error("{} has no column `{column}`; it was not written by this version of edgewalk", path.display())]
    NoColumn {
        /// The table.
        path: PathBuf,
        /// The column.
        column: String,
    },
    /// A cell does not hold what its column should.
    #[error("{}, line {line}: `{cell}` does not belong into column `{column}`; correct or remove the line", path.display())]
    BadCell {
        /// The table.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// The column.
        column: String,
        /// The cell's text.
        cell: String,
    },
}

/// A CSV file that grows row by row.
pub(super) struct Table {
    path: PathBuf,
    writer: csv::Writer<File>,
}

impl Table {
    pub(super) fn create<S: AsRef<[u8]>>(path: &Path, columns: &[S]) -> Result<Self, RecordError> {
        let file = File::create(path).map_err(|cause| RecordError::Write { path: path.into(), cause })?;
        let mut table = Self { path: path.into(), writer: csv::Writer::from_writer(file) };
        table.write(columns)?;
        Ok(table)
    }

    /// Appends one line and hands it to the system in one piece.
    pub(super) fn write<S: AsRef<[u8]>>(&mut self, cells: &[S]) -> Result<(), RecordError> {
        self.writer
            .write_record(cells)
            .map_err(io::Error::from)
            .and_then(|()| self.writer.flush())
            .map_err(|cause| RecordError::Write { path: self.path.clone(), cause })
    }
}

/// The shortest text that reads back to the same bits, with an exponent where the number is very large or small.
pub(super) fn number(value: f64) -> String {
    format!("{value:?}")
}

pub(super) fn optional(value: Option<f64>) -> String {
    value.map_or_else(String::new, number)
}

/// One line of a table being read, with what its errors must name.
pub(super) struct Line<'a> {
    path: &'a Path,
    header: &'a StringRecord,
    cells: &'a StringRecord,
}

impl Line<'_> {
    /// The value in a column; none if the cell is empty or the table has no such column.
    pub(super) fn optional<T: FromStr>(&self, column: &str) -> Result<Option<T>, RecordError> {
        let place = self.header.iter().position(|name| name == column);
        let cell = place.and_then(|place| self.cells.get(place));
        let parsed = cell.filter(|cell| !cell.is_empty()).map(str::parse);
        parsed.transpose().map_err(|_| self.bad_cell(column, cell.unwrap_or_default()))
    }

    /// The value in a column, which must be there.
    pub(super) fn required<T: FromStr>(&self, column: &str) -> Result<T, RecordError> {
        self.in_column(column)?.ok_or_else(|| self.bad_cell(column, ""))
    }

    /// The number in a column, which must be there; NaN if its cell is empty.
    pub(super) fn or_nan(&self, column: &str) -> Result<f64, RecordError> {
        Ok(self.in_column(column)?.unwrap_or(f64::NAN))
    }

    /// The value in a column that the table must have; none if the cell is empty.
    fn in_column<T: FromStr>(&self, column: &str) -> Result<Option<T>, RecordError> {
        if !self.header.iter().any(|name| name == column) {
            return Err(RecordError::NoColumn { path: self.path.into(), column: column.into() });
        }
        self.optional(column)
    }

    /// The cells of `name_1`, `name_2` … up to the first missing column or empty cell.
    pub(super) fn numbered(&self, name: &str) -> Result<Vec<f64>, RecordError> {
        (1..).map_while(|i| self.optional(&format!("{name}_{i}")).transpose()).collect()
    }

    fn bad_cell(&self, column: &str, cell: &str) -> RecordError {
        RecordError::BadCell {
            path: self.path.into(),
            line: self.cells.position().map_or(0, csv::Position::line),
            column: column.into(),
            cell: cell.into(),
        }
    }
}

/// Reads every line of a table.
pub(super) fn read<R>(path: &Path, row: impl Fn(&Line<'_>) -> Result<R, RecordError>) -> Result<Vec<R>, RecordError> {
    let error = |cause| RecordError::Read { path: path.into(), cause };
    let mut reader = csv::Reader::from_path(path).map_err(error)?;
    let header = reader.headers().map_err(error)?.clone();
    reader.records().map(|cells| row(&Line { path, header: &header, cells: &cells.map_err(error)? })).collect()
}
