//! The two tables of a run, `metrics.csv` and `curvature.csv`: their rows, how they are written, how they are read.
//!
//! Row `step = t` describes the parameters before update t. Each row is on the disk when `write` returns, and numbers
//! have the shortest form that reads back to the same bits. An empty cell is a value that was not measured. Readers
//! find columns by name, so a table may have more of them.

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
    #[error("{}, line {line}: `{cell}` in column `{column}` is not a number; correct or remove the line", path.display())]
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

/// One row of `metrics.csv`.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricsRow {
    /// Updates made so far.
    pub step: u64,
    /// Seconds since the run began.
    pub secs: f64,
    /// The training loss.
    pub loss: f64,
    /// The fraction of the training set that is misclassified.
    pub error: f64,
    /// The Euclidean norm of the loss gradient.
    pub grad_norm: f64,
    /// The loss on the test set, where there is one and it was measured.
    pub test_loss: Option<f64>,
    /// The fraction of the test set that is misclassified.
    pub test_error: Option<f64>,
}

/// One row of `curvature.csv`.
#[derive(Debug, Clone, PartialEq)]
pub struct CurvatureRow {
    /// Updates made so far.
    pub step: u64,
    /// Seconds since the run began.
    pub secs: f64,
    /// The training loss.
    pub loss: f64,
    /// The Euclidean norm of the loss gradient.
    pub grad_norm: f64,
    /// The Hessian's eigenvalues, signed, largest in magnitude first.
    pub lambdas: Vec<f64>,
    /// The relative residual of each eigenpair.
    pub residuals: Vec<f64>,
    /// The smallest eigenvalue, where it was measured.
    pub lambda_min: Option<f64>,
    /// ‖H‖ = |λ₁|.
    pub hessian_norm: f64,
    /// 2/η.
    pub gd_edge: f64,
    /// The SAM-edge; 2/η when ρ = 0.
    pub sam_edge: f64,
    /// ‖H‖ divided by the SAM-edge.
    pub edge_ratio: f64,
    /// S = (η/2)(λ₁ + ρλ₁²/‖g‖), which is 1 at the edge.
    pub gauge: f64,
    /// |cos(g, v₁)|.
    pub grad_alignment: f64,
    /// |cos(∇L(w + ρg/‖g‖), v₁)|.
    pub sam_grad_alignment: f64,
    /// Hessian-vector products spent on this row.
    pub hvps: u64,
}

impl CurvatureRow {
    /// Whether the SAM-edge is 2/η here to rounding, as in gradient descent.
    pub fn edges_coincide(&self) -> bool {
        (self.sam_edge - self.gd_edge).abs() <= 1e-6 * self.gd_edge
    }
}

const METRICS: [&str; 7] = ["step", "secs", "loss", "error", "grad_norm", "test_loss", "test_error"];

/// The columns of `curvature.csv` for `top` eigenvalues.
fn curvature_columns(top: usize) -> Vec<String> {
    let numbered = |name| (1..=top).map(move |i| format!("{name}_{i}"));
    let named = |names: &[&str]| -> Vec<String> { names.iter().map(|&s| s.into()).collect() };
    let mut columns = named(&["step", "secs", "loss", "grad_norm"]);
    columns.extend(numbered("lambda").chain(numbered("residual")));
    columns.extend(named(&["lambda_min", "hessian_norm", "gd_edge", "sam_edge"]));
    columns.extend(named(&["edge_ratio", "gauge", "grad_alignment"]));
    columns.extend(named(&["sam_grad_alignment", "hvps"]));
    columns
}

/// A CSV file that grows row by row.
struct Table {
    path: PathBuf,
    writer: csv::Writer<File>,
}

impl Table {
    fn create<S: AsRef<[u8]>>(path: &Path, columns: &[S]) -> Result<Self, RecordError> {
        let file = File::create(path).map_err(|cause| RecordError::Write { path: path.into(), cause })?;
        let mut table = Self { path: path.into(), writer: csv::Writer::from_writer(file) };
        table.write(columns)?;
        Ok(table)
    }

    /// Appends one line and hands it to the system in one piece.
    fn write<S: AsRef<[u8]>>(&mut self, cells: &[S]) -> Result<(), RecordError> {
        self.writer
            .write_record(cells)
            .map_err(io::Error::from)
            .and_then(|()| self.writer.flush())
            .map_err(|cause| RecordError::Write { path: self.path.clone(), cause })
    }
}

/// The shortest text that reads back to the same bits, with an exponent where the number is very large or small.
fn number(value: f64) -> String {
    format!("{value:?}")
}

fn optional(value: Option<f64>) -> String {
    value.map_or_else(String::new, number)
}

/// Writes `metrics.csv`.
pub struct MetricsWriter(Table);

impl MetricsWriter {
    /// Makes the table, replacing one of that name.
    ///
    /// # Errors
    /// [`RecordError::Write`].
    pub fn create(path: &Path) -> Result<Self, RecordError> {
        Table::create(path, &METRICS).map(Self)
    }

    /// Appends a row.
    ///
    /// # Errors
    /// [`RecordError::Write`].
    pub fn write(&mut self, row: &MetricsRow) -> Result<(), RecordError> {
        self.0.write(&[
            row.step.to_string(),
            number(row.secs),
            number(row.loss),
            number(row.error),
            number(row.grad_norm),
            optional(row.test_loss),
            optional(row.test_error),
        ])
    }
}

/// Writes `curvature.csv`.
pub struct CurvatureWriter {
    table: Table,
    top: usize,
}

impl CurvatureWriter {
    /// Makes the table with columns for `top` eigenvalues, replacing one of that name.
    ///
    /// # Errors
    /// [`RecordError::Write`].
    pub fn create(path: &Path, top: usize) -> Result<Self, RecordError> {
        let table = Table::create(path, &curvature_columns(top))?;
        Ok(Self { table, top })
    }

    /// Appends a row. Eigenvalues beyond the table's columns are left out; missing ones are empty cells.
    ///
    /// # Errors
    /// [`RecordError::Write`].
    pub fn write(&mut self, row: &CurvatureRow) -> Result<(), RecordError> {
        let mut cells = vec![row.step.to_string()];
        cells.extend([row.secs, row.loss, row.grad_norm].map(number));
        for values in [&row.lambdas, &row.residuals] {
            cells.extend((0..self.top).map(|i| optional(values.get(i).copied())));
        }
        cells.push(optional(row.lambda_min));
        cells.extend([row.hessian_norm, row.gd_edge, row.sam_edge].map(number));
        cells.extend([row.edge_ratio, row.gauge].map(number));
        cells.extend([row.grad_alignment, row.sam_grad_alignment].map(number));
        cells.push(row.hvps.to_string());
        self.table.write(&cells)
    }
}

/// One line of a table being read, with what its errors must name.
struct Line<'a> {
    path: &'a Path,
    header: &'a StringRecord,
    cells: &'a StringRecord,
}

impl Line<'_> {
    /// The value in a column; none if the cell is empty or the table has no such column.
    fn optional<T: FromStr>(&self, column: &str) -> Result<Option<T>, RecordError> {
        let place = self.header.iter().position(|name| name == column);
        let cell = place.and_then(|place| self.cells.get(place));
        let parsed = cell.filter(|cell| !cell.is_empty()).map(str::parse);
        parsed.transpose().map_err(|_| self.bad_cell(column, cell.unwrap_or_default()))
    }

    fn required<T: FromStr>(&self, column: &str) -> Result<T, RecordError> {
        if !self.header.iter().any(|name| name == column) {
            return Err(RecordError::NoColumn { path: self.path.into(), column: column.into() });
        }
        self.optional(column)?.ok_or_else(|| self.bad_cell(column, ""))
    }

    /// The cells of `name_1`, `name_2` … up to the first missing column or empty cell.
    fn numbered(&self, name: &str) -> Result<Vec<f64>, RecordError> {
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

fn read<R>(path: &Path, row: impl Fn(&Line<'_>) -> Result<R, RecordError>) -> Result<Vec<R>, RecordError> {
    let error = |cause| RecordError::Read { path: path.into(), cause };
    let mut reader = csv::Reader::from_path(path).map_err(error)?;
    let header = reader.headers().map_err(error)?.clone();
    reader.records().map(|cells| row(&Line { path, header: &header, cells: &cells.map_err(error)? })).collect()
}

/// Reads `metrics.csv`.
///
/// # Errors
/// [`RecordError::Read`], [`RecordError::NoColumn`] or [`RecordError::BadCell`].
pub fn read_metrics(path: &Path) -> Result<Vec<MetricsRow>, RecordError> {
    read(path, |line| {
        Ok(MetricsRow {
            step: line.required("step")?,
            secs: line.required("secs")?,
            loss: line.required("loss")?,
            error: line.required("error")?,
            grad_norm: line.required("grad_norm")?,
            test_loss: line.optional("test_loss")?,
            test_error: line.optional("test_error")?,
        })
    })
}

/// Reads `curvature.csv`.
///
/// # Errors
/// [`RecordError::Read`], [`RecordError::NoColumn`] or [`RecordError::BadCell`].
pub fn read_curvature(path: &Path) -> Result<Vec<CurvatureRow>, RecordError> {
    read(path, |line| {
        Ok(CurvatureRow {
            step: line.required("step")?,
            secs: line.required("secs")?,
            loss: line.required("loss")?,
            grad_norm: line.required("grad_norm")?,
            lambdas: line.numbered("lambda")?,
            residuals: line.numbered("residual")?,
            lambda_min: line.optional("lambda_min")?,
            hessian_norm: line.required("hessian_norm")?,
            gd_edge: line.required("gd_edge")?,
            sam_edge: line.required("sam_edge")?,
            edge_ratio: line.required("edge_ratio")?,
            gauge: line.required("gauge")?,
            grad_alignment: line.required("grad_alignment")?,
            sam_grad_alignment: line.required("sam_grad_alignment")?,
            hvps: line.required("hvps")?,
        })
    })
}
