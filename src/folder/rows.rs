//! The rows of the two tables of every run, `metrics.csv` and `curvature.csv`. Row `step = t` describes the parameters
//! before update t. `table` writes and reads rows.

use std::path::Path;

use super::table::{Line, Table, number, optional, read};
use crate::config::{MeasureAt, MeasuringSet};
use crate::folder::RunDir;
use crate::observer::Logged;

pub use super::table::RecordError;

/// One row of `metrics.csv`.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricsRow {
    /// Updates made so far.
    pub step: u64,
    /// Seconds since the run began.
    pub secs: f64,
    /// The training loss, or that of the step's minibatch.
    pub loss: f64,
    /// The fraction of these examples that is misclassified.
    pub error: f64,
    /// The Euclidean norm of the loss gradient.
    pub grad_norm: f64,
    /// The loss on the test set, if measured.
    pub test_loss: Option<f64>,
    /// The fraction of the test set that is misclassified.
    pub test_error: Option<f64>,
}

/// One row of `curvature.csv`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CurvatureRow {
    /// Updates made so far.
    pub step: u64,
    /// Seconds since the run began.
    pub secs: f64,
    /// The loss on the measuring set.
    pub loss: f64,
    /// The Euclidean norm of its gradient.
    pub grad_norm: f64,
    /// The Hessian's eigenvalues, signed, largest in magnitude first.
    pub lambdas: Vec<f64>,
    /// The relative residual of each eigenpair, see [`crate::curvature::Spectrum::relative_residuals`].
    pub residuals: Vec<f64>,
    /// Whether each eigenpair has converged; early tables lack this.
    pub converged: Vec<bool>,
    /// A bound on the distance of each of `lambdas` from an eigenvalue, see [`crate::curvature::Eigenpair::error`].
    pub errors: Vec<f64>,
    /// The lowest eigenvalues, rising, if requested.
    pub bottoms: Vec<f64>,
    /// A bound on the distance of each of `bottoms` from an eigenvalue.
    pub bottom_errors: Vec<f64>,
    /// The largest and the smallest Ritz value, inner bounds, if measured.
    pub lambda_max: Option<Extreme>,
    /// See `lambda_max`.
    pub lambda_min: Option<Extreme>,
    /// ‖H‖ = |λ₁|.
    pub hessian_norm: f64,
    /// The edge of the rule without its perturbation: 2/η unless there is momentum or decay.
    pub gd_edge: f64,
    /// The edge of the rule: the SAM-edge, or that of its relative; `gd_edge` when ρ = 0. NaN, an empty cell, if theory
    /// gives none; so are the two columns that follow from it.
    pub sam_edge: f64,
    /// ‖H‖ divided by `sam_edge`.
    pub edge_ratio: f64,
    /// The gauge of λ₁, 1 at the edge: for SAM S = (η/2)(λ₁ + ρλ₁²/‖g‖).
    pub gauge: f64,
    /// |cos(g, v₁)|.
    pub grad_alignment: f64,
    /// |cos(∇L(w + ρg/‖g‖), v₁)|.
    pub sam_grad_alignment: f64,
    /// The share of the length of g that lies in the span of the eigenvectors of `lambdas`; early tables lack this.
    pub grad_subspace: Option<f64>,
    /// The same for the gradient that the update follows.
    pub sam_grad_subspace: Option<f64>,
    /// Hessian-vector products spent on this row.
    pub hvps: u64,
    /// Seconds that they took, and the algebra between them.
    pub solve_secs: Option<f64>,
    /// The sharpness of the step's minibatch, if there are minibatches.
    pub batch: Option<BatchRow>,
    /// The parameters of the eigenvalues; early tables lack this and mean those of the step.
    pub at: Option<MeasureAt>,
    /// The examples of this row; early tables lack this.
    pub measured: Option<MeasuringSet>,
    /// The report of the official code, if requested.
    pub official: Option<OfficialRow>,
}

/// The columns of `curvature.csv` that show the official code's estimate beside the exact values.
#[derive(Debug, Clone, PartialEq)]
pub struct OfficialRow {
    /// Its ‖H‖.
    pub hessian_norm: f64,
    /// Its ‖H‖ divided by the SAM-edge; NaN, an empty cell, if there is no edge.
    pub edge_ratio: f64,
    /// |cos(g, v)| with its vector.
    pub grad_alignment: f64,
    /// |cos(∇L(w + ρg/‖g‖), v)| with its vector.
    pub sam_grad_alignment: f64,
    /// Differences of gradients it took.
    pub hvps: u64,
}

/// A Ritz value at an end of the spectrum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extreme {
    /// The value.
    pub value: f64,
    /// Its residual: some eigenvalue is this close.
    pub error: f64,
}

/// The columns of `curvature.csv` about the minibatch B of the step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchRow {
    /// g_BᵀH_Bg_B/‖g_B‖², the curvature along the batch's own gradient, which settles at 2/η in stochastic gradient
    /// descent (A. Andreyev and P. Beneventano, "Edge of Stochastic Stability", 2025, whose batch sharpness is its
    /// mean). NaN, an empty cell, if g_B = 0.
    pub sharpness: f64,
    /// ‖g_B‖
    pub grad_norm: f64,
}

impl CurvatureRow {
    /// Whether the SAM-edge is 2/η here to rounding, as in gradient descent.
    pub fn edges_coincide(&self) -> bool {
        (self.sam_edge - self.gd_edge).abs() <= 1e-6 * self.gd_edge
    }

    /// Whether λ₁ can be judged: it has converged, if the table has the column.
    pub fn is_sound(&self) -> bool {
        self.converged.first() != Some(&false)
    }

    /// ‖H‖ divided by the edge, NaN where λ₁ has not converged or there is no edge.
    pub fn sound_ratio(&self) -> f64 {
        if self.is_sound() { self.edge_ratio } else { f64::NAN }
    }
}

impl OfficialRow {
    fn cells(&self) -> [String; OFFICIAL.len()] {
        let [norm, ratio, gradient, sam_gradient] =
            [self.hessian_norm, self.edge_ratio, self.grad_alignment, self.sam_grad_alignment].map(number);
        [norm, ratio, gradient, sam_gradient, self.hvps.to_string()]
    }

    /// The estimate of a line; `None` if its first cell is empty or the table lacks the columns.
    fn read(line: &Line<'_>) -> Result<Option<Self>, RecordError> {
        let [norm, ratio, gradient, sam_gradient, hvps] = OFFICIAL;
        let Some(hessian_norm) = line.optional(norm)? else { return Ok(None) };
        Ok(Some(Self {
            hessian_norm,
            edge_ratio: line.or_nan(ratio)?,
            grad_alignment: line.or_nan(gradient)?,
            sam_grad_alignment: line.or_nan(sam_gradient)?,
            hvps: line.required(hvps)?,
        }))
    }
}

const METRICS: [&str; 7] = ["step", "secs", "loss", "error", "grad_norm", "test_loss", "test_error"];

const OFFICIAL: [&str; 5] = [
    "official_hessian_norm",
    "official_edge_ratio",
    "official_grad_alignment",
    "official_sam_grad_alignment",
    "official_hvps",
];

/// The optional columns of a table of curvature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CurvatureColumns {
    /// Eigenvalues by magnitude.
    pub top: usize,
    /// Lowest eigenvalues.
    pub bottom: usize,
    /// The minibatch's own sharpness.
    pub batch: bool,
    /// The official code's estimate.
    pub official: bool,
}

impl CurvatureColumns {
    fn names(self) -> Vec<String> {
        let numbered = |name, count| (1..=count).map(move |i| format!("{name}_{i}"));
        let named = |names: &[&str]| -> Vec<String> { names.iter().map(|&s| s.into()).collect() };
        let mut columns = named(&["step", "secs", "loss", "grad_norm"]);
        columns.extend(numbered("lambda", self.top).chain(numbered("residual", self.top)));
        columns.extend(named(&["lambda_min", "hessian_norm", "gd_edge", "sam_edge"]));
        columns.extend(named(&["edge_ratio", "gauge", "grad_alignment"]));
        columns.extend(named(&["sam_grad_alignment", "hvps", "measured_on", "examples", "measured_at"]));
        columns.extend(numbered("error", self.top));
        columns.extend(named(&["lambda_max", "lambda_max_error", "lambda_min_error"]));
        columns.extend(named(&["grad_subspace", "sam_grad_subspace", "solve_secs"]));
        columns.extend(numbered("bottom", self.bottom).chain(numbered("bottom_error", self.bottom)));
        columns.extend(named(if self.batch { &["batch_sharpness", "batch_grad_norm"] } else { &[] }));
        columns.extend(named(if self.official { &OFFICIAL } else { &[] }));
        columns.extend(numbered("converged", self.top));
        columns
    }
}

/// Writes `metrics.csv`.
pub struct MetricsWriter(Table);

impl MetricsWriter {
    /// Makes the table, replacing an old one.
    ///
    /// # Errors
    /// [`RecordError::Write`].
    pub fn create(path: &Path) -> Result<Self, RecordError> {
        Self::open(path, None)
    }

    /// The same; with `len`, continues the old one after its first `len` bytes.
    ///
    /// # Errors
    /// [`RecordError::Write`] or [`RecordError::CannotGoOn`].
    pub fn open(path: &Path, len: Option<u64>) -> Result<Self, RecordError> {
        Table::open(path, METRICS.map(str::to_owned).to_vec(), len).map(Self)
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
    pub fn write(&mut self, row: &MetricsRow) -> Result<Logged<'_>, RecordError> {
        self.0.write(vec![
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
    columns: CurvatureColumns,
}

impl CurvatureWriter {
    /// Makes the table, replacing an old one.
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
        Ok(Self { table: Table::open(path, columns.names(), len)?, columns })
    }

    /// Flushes all rows to the disk, and returns their number of bytes.
    ///
    /// # Errors
    /// [`RecordError::Write`].
    pub fn sync(&mut self) -> Result<u64, RecordError> {
        self.table.sync()
    }

    /// Appends a row, and returns the written cells. Fields without columns are left out; missing values are empty cells.
    ///
    /// # Errors
    /// [`RecordError::Write`].
    pub fn write(&mut self, row: &CurvatureRow) -> Result<Logged<'_>, RecordError> {
        let CurvatureColumns { top, bottom, batch, official } = self.columns;
        let padded = |values: &[f64], count: usize| -> Vec<String> {
            (0..count).map(|i| optional(values.get(i).copied())).collect()
        };
        let word = |text: Option<String>| text.unwrap_or_default();
        let mut cells = vec![row.step.to_string()];
        cells.extend([row.secs, row.loss, row.grad_norm].map(number));
        cells.extend(padded(&row.lambdas, top).into_iter().chain(padded(&row.residuals, top)));
        cells.push(optional(row.lambda_min.map(|extreme| extreme.value)));
        cells.extend([row.hessian_norm, row.gd_edge, row.sam_edge, row.edge_ratio, row.gauge].map(number));
        cells.extend([row.grad_alignment, row.sam_grad_alignment].map(number));
        cells.push(row.hvps.to_string());
        cells.push(word(row.measured.map(|set| set.on.to_string())));
        cells.push(word(row.measured.map(|set| set.examples.to_string())));
        cells.push(word(row.at.map(|at| at.to_string())));
        cells.extend(padded(&row.errors, top));
        cells.push(optional(row.lambda_max.map(|extreme| extreme.value)));
        cells.extend([row.lambda_max, row.lambda_min].map(|extreme| optional(extreme.map(|extreme| extreme.error))));
        cells.extend([row.grad_subspace, row.sam_grad_subspace, row.solve_secs].map(optional));
        cells.extend(padded(&row.bottoms, bottom).into_iter().chain(padded(&row.bottom_errors, bottom)));
        if batch {
            cells
                .extend([row.batch.map(|batch| batch.sharpness), row.batch.map(|batch| batch.grad_norm)].map(optional));
        }
        if official {
            cells.extend(row.official.as_ref().map_or_else(Default::default, OfficialRow::cells));
        }
        // 1 or 0, which plots and TensorBoard can show.
        cells.extend((0..top).map(|i| row.converged.get(i).map_or_else(String::new, |&yes| u8::from(yes).to_string())));
        self.table.write(cells)
    }
}

/// Refuses what cannot be gone on with from its first so many bytes.
pub(crate) fn check(run: &RunDir, columns: CurvatureColumns, metrics: u64, curvature: u64) -> Result<(), RecordError> {
    Table::check(&run.metrics(), &METRICS.map(str::to_owned), metrics)?;
    Table::check(&run.curvature(), &columns.names(), curvature).map(|_| ())
}

/// Reads `metrics.csv`.
///
/// # Errors
/// [`RecordError::Read`], [`RecordError::NoColumn`], [`RecordError::TwoColumns`] or [`RecordError::BadCell`].
pub fn read_metrics(path: &Path) -> Result<Vec<MetricsRow>, RecordError> {
    read(path, |line| {
        Ok(MetricsRow {
            step: line.required("step")?,
            secs: line.or_nan("secs")?,
            loss: line.or_nan("loss")?,
            error: line.or_nan("error")?,
            grad_norm: line.or_nan("grad_norm")?,
            test_loss: line.optional("test_loss")?,
            test_error: line.optional("test_error")?,
        })
    })
}

/// Reads `curvature.csv`.
///
/// # Errors
/// [`RecordError::Read`], [`RecordError::NoColumn`], [`RecordError::TwoColumns`] or [`RecordError::BadCell`].
pub fn read_curvature(path: &Path) -> Result<Vec<CurvatureRow>, RecordError> {
    read(path, |line| {
        Ok(CurvatureRow {
            step: line.required("step")?,
            secs: line.or_nan("secs")?,
            loss: line.or_nan("loss")?,
            grad_norm: line.or_nan("grad_norm")?,
            lambdas: line.numbered("lambda")?,
            residuals: line.numbered("residual")?,
            converged: line.numbered("converged")?.into_iter().map(|flag| flag != 0.0).collect(),
            errors: line.numbered("error")?,
            bottoms: line.numbered("bottom")?,
            bottom_errors: line.numbered("bottom_error")?,
            lambda_max: extreme(line, "lambda_max")?,
            lambda_min: extreme(line, "lambda_min")?,
            hessian_norm: line.or_nan("hessian_norm")?,
            gd_edge: line.or_nan("gd_edge")?,
            sam_edge: line.or_nan("sam_edge")?,
            edge_ratio: line.or_nan("edge_ratio")?,
            gauge: line.or_nan("gauge")?,
            grad_alignment: line.or_nan("grad_alignment")?,
            sam_grad_alignment: line.or_nan("sam_grad_alignment")?,
            grad_subspace: line.optional("grad_subspace")?,
            sam_grad_subspace: line.optional("sam_grad_subspace")?,
            hvps: line.required("hvps")?,
            solve_secs: line.optional("solve_secs")?,
            batch: match line.optional("batch_grad_norm")? {
                Some(grad_norm) => Some(BatchRow { sharpness: line.or_nan("batch_sharpness")?, grad_norm }),
                None => None,
            },
            at: line.optional("measured_at")?,
            measured: match line.optional("measured_on")? {
                Some(on) => Some(MeasuringSet { on, examples: line.required("examples")? }),
                None => None,
            },
            official: OfficialRow::read(line)?,
        })
    })
}

/// An end of the spectrum; tables of early versions have no error beside it.
fn extreme(line: &Line<'_>, name: &str) -> Result<Option<Extreme>, RecordError> {
    let Some(value) = line.optional(name)? else { return Ok(None) };
    let error = line.optional(&format!("{name}_error"))?.unwrap_or(f64::INFINITY);
    Ok(Some(Extreme { value, error }))
}
