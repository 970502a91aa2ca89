//! CSV files that grow row by row and are read by the names of their columns.
//!
//! Each row is on the disk when `write` returns, and numbers have the shortest form that reads back to the same bits.
//! An empty cell is a value that was not measured or is not finite. A table may have more columns than its reader asks
//! for.

use std::any::Any;
use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fs, io};

use csv::StringRecord;

use crate::files::sync_folder;
use crate::observer::Logged;

/// What can go wrong with a table. Each message names the file.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A row or the header cannot be written.
    #[error("cannot write {}: {cause}; {}", path.display(), advice(cause))]
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
    /// The table of a run that goes on is gone.
    #[error(
        "{} is missing, and the run goes on behind its rows; put it back, or remove the run's folder `checkpoints` to \
         begin at step 0 again",
        path.display()
    )]
    Missing {
        /// The table.
        path: PathBuf,
    },
    /// The table is not what an earlier part of the run has written.
    #[error("cannot go on with {}: {problem}; put back the table that belongs to the checkpoint", path.display())]
    CannotGoOn {
        /// The table.
        path: PathBuf,
        /// What is wrong with it.
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
    /// A cell does not hold what its column should.
    #[error(
        "{}, line {line}: {} does not belong into column `{column}`; correct or remove the line",
        path.display(), shown(cell)
    )]
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
    /// A table goes on further than its run.
    #[error(
        "{}, last line: step {step} in column `step` is beyond the {most} of the run; correct or remove the line",
        path.display()
    )]
    TooFar {
        /// The table.
        path: PathBuf,
        /// Its last step.
        step: u64,
        /// The last that the run can have reached.
        most: u64,
    },
    /// A line does not follow the one above it.
    #[error(
        "{}, line {line}: step {step} in column `step` does not come after step {before} of the line above; correct or \
         remove the line",
        path.display()
    )]
    Order {
        /// The table.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// Its step.
        step: u64,
        /// The step of the line above.
        before: u64,
    },
}

/// A cell as it is in a message.
fn shown(cell: &str) -> String {
    if cell.is_empty() { "an empty cell".into() } else { format!("`{}`", cell.escape_debug()) }
}

fn advice(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::NotADirectory => "move away what is in the place of its folder",
        _ => "check the free space and the permissions",
    }
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
    /// Makes the table, replacing one of that name; or, from its first `len` bytes, goes on with the one that is there.
    pub(crate) fn open(path: &Path, columns: Vec<String>, len: Option<u64>) -> Result<Self, RecordError> {
        let write_error = |cause| RecordError::Write { path: path.into(), cause };
        let Some(len) = len else {
            let header = line(&columns).map_err(write_error)?;
            let file = File::create(path).map_err(write_error)?;
            sync_folder(path.parent().unwrap_or(Path::new(""))).map_err(write_error)?;
            let mut table = Self { path: path.into(), file, columns, cells: vec![], len: 0 };
            table.append(&header)?;
            return Ok(table);
        };
        let mut file = Self::check(path, &columns, len)?;
        file.set_len(len).and_then(|()| file.seek(SeekFrom::End(0))).map_err(write_error)?;
        Ok(Self { path: path.into(), file, columns, cells: vec![], len })
    }

    /// Opens a table that is there, whose first `len` bytes must be whole lines below these columns. Nothing is
    /// changed.
    pub(super) fn check(path: &Path, columns: &[String], len: u64) -> Result<File, RecordError> {
        let error = |cause: io::Error| match cause.kind() {
            io::ErrorKind::NotFound => RecordError::Missing { path: path.into() },
            _ => RecordError::Write { path: path.into(), cause },
        };
        let header = line(columns).map_err(error)?;
        let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(error)?;
        check_prefix(&mut file, &header, len)
            .map_err(|problem| RecordError::CannotGoOn { path: path.into(), problem })?;
        Ok(file)
    }

    /// Appends one line, and shows it.
    pub(crate) fn write(&mut self, cells: Vec<String>) -> Result<Logged<'_>, RecordError> {
        let line = line(&cells).map_err(|cause| RecordError::Write { path: self.path.clone(), cause })?;
        self.append(&line)?;
        self.cells = cells;
        let table = self.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        Ok(Logged { table, columns: &self.columns, cells: &self.cells })
    }

    /// Hands a line to the system in one piece. After an error the file ends with the line before.
    fn append(&mut self, line: &[u8]) -> Result<(), RecordError> {
        self.file.write_all(line).map_err(|cause| {
            // Best effort: readers overlook an unfinished line too.
            let _ = self.file.set_len(self.len);
            RecordError::Write { path: self.path.clone(), cause }
        })?;
        self.len += line.len() as u64;
        Ok(())
    }

    /// Whether the path still leads to the open file; another file may have been moved there.
    pub(crate) fn is_in_place(&self) -> bool {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
            let open = self.file.metadata().map(identity).ok();
            open.is_some() && fs::metadata(&self.path).map(identity).ok() == open
        }
        #[cfg(not(unix))]
        self.path.is_file()
    }

    /// Sees to it that all rows are on the disk, and says how many bytes they are.
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

/// The shortest text that reads back to the same bits, with an exponent where the number is very large or small;
/// nothing for one that is not finite.
pub(crate) fn number(value: f64) -> String {
    if value.is_finite() { format!("{value:?}") } else { String::new() }
}

pub(crate) fn optional(value: Option<f64>) -> String {
    value.map_or_else(String::new, number)
}

/// One line of a table being read, with what its errors must name.
pub(crate) struct Line<'a> {
    path: &'a Path,
    header: &'a StringRecord,
    cells: &'a StringRecord,
}

impl Line<'_> {
    /// The value in a column; none if the cell is empty, or the table has no such column. Numbers must be finite.
    pub(crate) fn optional<T: FromStr + Any>(&self, column: &str) -> Result<Option<T>, RecordError> {
        let is_value = |value: &T| (value as &dyn Any).downcast_ref::<f64>().is_none_or(|number| number.is_finite());
        match self.cell(column) {
            "" => Ok(None),
            cell => cell.parse().ok().filter(is_value).map(Some).ok_or_else(|| self.bad_cell(column)),
        }
    }

    /// The value in a column, which must be there.
    pub(crate) fn required<T: FromStr + Any>(&self, column: &str) -> Result<T, RecordError> {
        self.in_column(column)?.ok_or_else(|| self.bad_cell(column))
    }

    /// The number in a column, which must be there; NaN if its cell is empty.
    pub(crate) fn or_nan(&self, column: &str) -> Result<f64, RecordError> {
        Ok(self.in_column(column)?.unwrap_or(f64::NAN))
    }

    /// The value in a column that the table must have; none if the cell is empty.
    fn in_column<T: FromStr + Any>(&self, column: &str) -> Result<Option<T>, RecordError> {
        match self.has(column) {
            true => self.optional(column),
            false => Err(RecordError::NoColumn { path: self.path.into(), column: column.into() }),
        }
    }

    fn has(&self, column: &str) -> bool {
        self.header.iter().any(|name| name == column)
    }

    /// The cells of `name_1`, `name_2` … up to the first empty one, behind which all must be empty.
    pub(crate) fn numbered(&self, name: &str) -> Result<Vec<f64>, RecordError> {
        let columns = (1..).map(|i| format!("{name}_{i}")).take_while(|column| self.has(column));
        let cells = columns.map(|column| self.optional(&column)).collect::<Result<Vec<_>, _>>()?;
        let count = cells.iter().take_while(|cell| cell.is_some()).count();
        match cells[count..].iter().any(Option::is_some) {
            true => Err(self.bad_cell(&format!("{name}_{}", count + 1))),
            false => Ok(cells.into_iter().flatten().collect()),
        }
    }

    /// The step of the line, where it has one: it must come after that of the line `before`, and a run must be able to
    /// reach it.
    fn step(&self, before: Option<u64>) -> Result<Option<u64>, RecordError> {
        let step = self.optional("step")?;
        match (step, before) {
            (Some(step), _) if i64::try_from(step).is_err() => Err(self.bad_cell("step")),
            (Some(step), Some(before)) if step <= before => {
                Err(RecordError::Order { path: self.path.into(), line: self.number(), step, before })
            }
            _ => Ok(step),
        }
    }

    /// The text in a column, or nothing.
    fn cell(&self, column: &str) -> &str {
        let place = self.header.iter().position(|name| name == column);
        place.and_then(|place| self.cells.get(place)).unwrap_or_default()
    }

    /// Its number in the file, from 1.
    fn number(&self) -> u64 {
        self.cells.position().map_or(0, csv::Position::line)
    }

    fn bad_cell(&self, column: &str) -> RecordError {
        RecordError::BadCell {
            path: self.path.into(),
            line: self.number(),
            column: column.into(),
            cell: self.cell(column).into(),
        }
    }
}

/// Reads every complete line of a table: one without an end is being written, or its writer was killed.
pub(crate) fn read<R>(path: &Path, row: impl Fn(&Line<'_>) -> Result<R, RecordError>) -> Result<Vec<R>, RecordError> {
    let (header, lines) = read_lines(path)?;
    let (mut rows, mut before) = (vec![], None);
    for cells in &lines {
        let line = Line { path, header: &header, cells };
        before = line.step(before)?;
        rows.push(row(&line)?);
    }
    Ok(rows)
}

/// The header and the complete lines of a table, as they are.
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
