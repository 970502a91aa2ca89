//! A run in TensorBoard: every number of its tables as a scalar, in `RUN/tensorboard/`.
//!
//! | table | column | tag |
//! |---|---|---|
//! | `metrics.csv` | `loss`, `error`, `grad_norm` | `train/loss` … |
//! | | `test_loss`, `test_error` | `test/loss` … |
//! | `curvature.csv` | `lambda_1`, `hessian_norm`, `edge_ratio` … | `curvature/lambda_1` … |
//! | `oscillation.csv` | `amplitude`, `drift` … | `oscillation/amplitude` … |
//!
//! An event file is written from the tables ([`TensorBoard::of_tables`]) and then follows row by row, so new, resumed
//! and finished runs are one case. Scalars are float32; the tables have all digits. A row's wall time is the start of
//! the run plus its `secs`. The start is in the name of the event file, in whole seconds, or otherwise the time of
//! `config.toml`. So a resumed run keeps its start, and converting twice gives the same bytes.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use std::{fs, io};

use csv::StringRecord;

use super::event_file;
use crate::files::make_folder;
use crate::folder::RunDir;
use crate::folder::table::{RecordError, read_lines};
use crate::observer::Logged;

// TensorBoard recognises event files by `tfevents` in the name.
const PREFIX: &str = "events.out.tfevents.";
const SUFFIX: &str = ".edgewalk";

/// The event file of a run, open for more rows.
pub struct TensorBoard {
    path: PathBuf,
    file: File,
    records: Records,
}

impl TensorBoard {
    /// Writes the event file of a run from its tables, which may be those of a new or finished run, replacing an
    /// earlier file. A missing table adds nothing.
    ///
    /// # Errors
    /// [`RecordError::Read`] if a table cannot be read, [`RecordError::Write`] if the system refuses to write.
    pub fn of_tables(run: &RunDir) -> Result<Self, RecordError> {
        let folder = run.path().join("tensorboard");
        let start = start(run, &folder).map_err(|cause| RecordError::Write { path: folder.clone(), cause })?;
        let mut records = Records { start: start as f64, measured: BTreeMap::new() };
        let mut all = event_file::version(records.start);
        for path in [run.metrics(), run.curvature(), run.oscillation()].iter().filter(|path| path.is_file()) {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let (columns, lines) = read_lines(path)?;
            let owned = |cells: &StringRecord| cells.iter().map(str::to_owned).collect::<Vec<_>>();
            let columns = owned(&columns);
            for cells in &lines {
                all.extend(records.of(Logged { table: &name, columns: &columns, cells: &owned(cells) }));
            }
        }
        let path = folder.join(format!("{PREFIX}{start}{SUFFIX}"));
        let write = || {
            make_folder(&folder)?;
            fs::write(&path, &all)?;
            OpenOptions::new().append(true).open(&path)
        };
        match write() {
            Ok(file) => Ok(Self { path, file, records }),
            Err(cause) => Err(RecordError::Write { path, cause }),
        }
    }

    /// The event file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends the numbers of a row, and flushes them to the system.
    ///
    /// # Errors
    /// [`RecordError::Write`].
    pub fn write(&mut self, logged: Logged<'_>) -> Result<(), RecordError> {
        let record = self.records.of(logged);
        self.file.write_all(&record).map_err(|cause| RecordError::Write { path: self.path.clone(), cause })
    }
}

/// Turns rows into records.
struct Records {
    /// The start of the run, in seconds since 1970.
    start: f64,
    /// The seconds from then to each measurement of the curvature, by step: rows of `oscillation.csv` have no time of
    /// their own, and get that of the measurement that they follow.
    measured: BTreeMap<u64, f64>,
}

impl Records {
    fn of(&mut self, logged: Logged<'_>) -> Vec<u8> {
        let number = |name: &str| logged.values().find(|&(column, _)| column == name)?.1.number();
        let step = number("step").unwrap_or_default() as u64;
        let secs = number("secs").or_else(|| self.measured.get(&step).copied()).unwrap_or_default();
        if logged.table == "curvature" {
            self.measured.insert(step, secs);
        }
        let shown = logged.values().filter(|(column, _)| !["step", "secs"].contains(column));
        let tagged: Vec<(String, f32)> =
            shown.filter_map(|(column, value)| Some((tag(logged.table, column), value.number()? as f32))).collect();
        let values = tagged.iter().map(|(tag, number)| (tag.as_str(), *number));
        event_file::scalars(step, self.start + secs, values)
    }
}

/// The name of a column's scalars. The part before the slash is a group of diagrams.
fn tag(table: &str, column: &str) -> String {
    match (table, column.strip_prefix("test_")) {
        ("metrics", Some(column)) => format!("test/{column}"),
        ("metrics", None) => format!("train/{column}"),
        _ => format!("{table}/{column}"),
    }
}

/// The start of a run, in seconds since 1970.
fn start(run: &RunDir, folder: &Path) -> io::Result<u64> {
    if folder.is_dir() {
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let start = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(SUFFIX));
            if let Some(start) = start.and_then(|start| start.parse().ok()) {
                return Ok(start);
            }
        }
    }
    let written = fs::metadata(run.config())?.modified()?;
    Ok(written.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}
