//! CSV files that grow row by row and are read by column name. Each row is on the disk when `write` returns, and
//! numbers have the shortest form that reads back to the same bits. An empty cell was not measured or is not finite. A
//! table may have more columns than its reader uses.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use csv::StringRecord;

use crate::observer::Logged;

use crate::files::sync_folder;

/// The errors of a table. Each message names the file.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A row or the header cannot be written.
    #[error("cannot write {}: {cause}; check the free space and the permissions", path.display())]
    Write {
        /// The table.
        path: PathBuf,
        /// The system's reason.
        cause: io::Error,
    },
    /// The table cannot be read, or is not a table.
    #[error("cannot read {}: {cause}; give the folder that `edgewalk train` named", path.display())]
    Read {
        /// The table.
        path: PathBuf,
        /// The system's or the reader's reason.
        cause: csv::Error,
    },
    /// The table differs from the one that the run has written.
    #[error("cannot go on with {}: {problem}; put back the table that belongs to the checkpoint", path.display())]
    CannotGoOn {
        /// The table.
        path: PathBuf,
        /// Its fault.
        problem: String,
    },
    /// A column is missing.
    #[error("{} has no column `{column}`; it was not written by this version of edgewalk", path.display())]
    NoColumn {
        /// The table.
        path: PathBuf,
        /// The column.
        column: String,
    },
    /// Two columns have one name.
    #[error("{} has two columns `{column}`; remove one of them", path.display())]
    TwoColumns {
        /// The table.
        path: PathBuf,
        /// The column.
        column: String,
    },
    /// A cell does not fit its column.
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
pub(crate) struct Table {
    path: PathBuf,
    file: File,
    columns: Vec<String>,
    /// The line written last.
    cells: Vec<String>,
    /// Bytes of all complete rows.
    len: u64,
}

impl Table {
    /// Makes the table, replacing an old one; with `len`, continues the old one after its first `len` bytes.
    pub(crate) fn open(path: &Path, columns: Vec<String>, len: Option<u64>) -> Result<Self, RecordError> {
        let write_error = |cause| RecordError::Write { path: path.into(), cause };
        let header = line(&columns).map_err(write_error)?;
        let Some(len) = len else {
            let file = File::create(path).map_err(write_error)?;
            sync_folder(path.parent().unwrap_or(Path::new(""))).map_err(write_error)?;
            let mut table = Self { path: path.into(), file, columns, cells: vec![], len: 0 };
            table.append(&header)?;
            return Ok(table);
        };
        let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(write_error)?;
        check_prefix(&mut file, &header, len)
            .map_err(|problem| RecordError::CannotGoOn { path: path.into(), problem })?;
        file.set_len(len).and_then(|()| file.seek(SeekFrom::End(0))).map_err(write_error)?;
        Ok(Self { path: path.into(), file, columns, cells: vec![], len })
    }

    /// Appends one line, and returns it.
    pub(crate) fn write(&mut self, cells: Vec<String>) -> Result<Logged<'_>, RecordError> {
        let line = line(&cells).map_err(|cause| RecordError::Write { path: self.path.clone(), cause })?;
        self.append(&line)?;
        self.cells = cells;
        let table = self.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        Ok(Logged { table, columns: &self.columns, cells: &self.cells })
    }

    /// Writes a line in one piece. After an error the file ends with the line before.
    fn append(&mut self, line: &[u8]) -> Result<(), RecordError> {
        self.file.write_all(line).map_err(|cause| {
            // Best effort: readers ignore an unfinished line.
            let _ = self.file.set_len(self.len);
            RecordError::Write { path: self.path.clone(), cause }
        })?;
        self.len += line.len() as u64;
        Ok(())
    }

    /// Flushes all rows to the disk, and returns their number of bytes.
    pub(crate) fn sync(&mut self) -> Result<u64, RecordError> {
        self.file.sync_data().map_err(|cause| RecordError::Write { path: self.path.clone(), cause })?;
        Ok(self.len)
    }
}

/// A line of CSV with its end.
fn line(cells: &[String]) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(vec![]);
    writer.write_record(cells)?;
    writer.into_inner().map_err(csv::IntoInnerError::into_error)
}

/// Whether the first `len` bytes of a table are whole lines below the right header.
fn check_prefix(file: &mut File, header: &[u8], len: u64) -> Result<(), String> {
    let mut read = |at: u64, bytes: &mut [u8]| {
        let done = file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(bytes));
        done.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => format!("it has fewer than the {len} bytes that it had"),
            _ => error.to_string(),
        })
    };
    let (mut first, mut last) = (vec![0; header.len()], [0]);
    read(len.saturating_sub(1), &mut last)?;
    read(0, &mut first)?;
    match first == header && last == *b"\n" && len >= header.len() as u64 {
        true => Ok(()),
        false => Err("its columns or lines are not those that were written".into()),
    }
}

/// The shortest text that reads back to the same bits, with an exponent where the number is very large or small; empty
/// if not finite.
pub(crate) fn number(value: f64) -> String {
    if value.is_finite() { format!("{value:?}") } else { String::new() }
}

pub(crate) fn optional(value: Option<f64>) -> String {
    value.map_or_else(String::new, number)
}

/// One line of a table, with its position for errors.
pub(crate) struct Line<'a> {
    path: &'a Path,
    header: &'a StringRecord,
    cells: &'a StringRecord,
}

impl Line<'_> {
    /// The value in a column; `None` if the cell is empty or not finite, or the table lacks the column.
    pub(crate) fn optional<T: FromStr>(&self, column: &str) -> Result<Option<T>, RecordError> {
        let place = self.header.iter().position(|name| name == column);
        let cell = place.and_then(|place| self.cells.get(place));
        let is_value = |cell: &&str| !cell.is_empty() && cell.parse::<f64>().map_or(true, f64::is_finite);
        let parsed = cell.filter(is_value).map(str::parse);
        parsed.transpose().map_err(|_| self.bad_cell(column, cell.unwrap_or_default()))
    }

    /// The value in a column, which must exist.
    pub(crate) fn required<T: FromStr>(&self, column: &str) -> Result<T, RecordError> {
        self.in_column(column)?.ok_or_else(|| self.bad_cell(column, ""))
    }

    /// The number in a column, which must exist; NaN if its cell is empty.
    pub(crate) fn or_nan(&self, column: &str) -> Result<f64, RecordError> {
        Ok(self.in_column(column)?.unwrap_or(f64::NAN))
    }

    /// The value in a column that the table must have; none if the cell is empty.
    fn in_column<T: FromStr>(&self, column: &str) -> Result<Option<T>, RecordError> {
        match self.has(column) {
            true => self.optional(column),
            false => Err(RecordError::NoColumn { path: self.path.into(), column: column.into() }),
        }
    }

    fn has(&self, column: &str) -> bool {
        self.header.iter().any(|name| name == column)
    }

    /// The cells of `name_1`, `name_2` … up to the first empty one, after which all must be empty.
    pub(crate) fn numbered(&self, name: &str) -> Result<Vec<f64>, RecordError> {
        let columns = (1..).map(|i| format!("{name}_{i}")).take_while(|column| self.has(column));
        let cells = columns.map(|column| self.optional(&column)).collect::<Result<Vec<_>, _>>()?;
        let count = cells.iter().take_while(|cell| cell.is_some()).count();
        match cells[count..].iter().any(Option::is_some) {
            true => Err(self.bad_cell(&format!("{name}_{}", count + 1), "")),
            false => Ok(cells.into_iter().flatten().collect()),
        }
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

/// Reads every complete line of a table: a line without an end is being written, or its writer was killed.
pub(crate) fn read<R>(path: &Path, row: impl Fn(&Line<'_>) -> Result<R, RecordError>) -> Result<Vec<R>, RecordError> {
    let (header, lines) = read_lines(path)?;
    lines.iter().map(|cells| row(&Line { path, header: &header, cells })).collect()
}

/// The header and the complete lines of a table, unchanged.
pub(crate) fn read_lines(path: &Path) -> Result<(StringRecord, Vec<StringRecord>), RecordError> {
    let error = |cause| RecordError::Read { path: path.into(), cause };
    let bytes = fs::read(path).map_err(|cause| error(cause.into()))?;
    let complete = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let mut reader = csv::Reader::from_reader(&bytes[..complete]);
    let header = reader.headers().map_err(error)?.clone();
    let mut names = HashSet::new();
    if let Some(column) = header.iter().find(|name| !names.insert(*name)) {
        return Err(RecordError::TwoColumns { path: path.into(), column: column.into() });
    }
    let lines: csv::Result<_> = reader.records().collect();
    Ok((header, lines.map_err(error)?))
}
