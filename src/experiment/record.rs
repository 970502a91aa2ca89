//! The two tables of a run, `metrics.csv` and `curvature.csv`: what is in their rows.
//!
//! Row `step = t` describes the parameters before update t. How rows are written and read is the business of `table`.

use std::path::Path;

use super::measuring::MeasuringSet;
use super::table::{Line, Table, number, optional, read};

pub use super::table::RecordError;

/// One row of `metrics.csv`.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricsRow {
    /// Updates made so far.
    pub step: u64,
    /// Seconds since the run began.
    pub secs: f64,
    /// The training loss: of the step's minibatch where there are such.
    pub loss: f64,
    /// The fraction of these examples that is misclassified.
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
    /// The loss on the measuring set.
    pub loss: f64,
    /// The Euclidean norm of its gradient.
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
    /// The examples that this row is about; tables of early versions do not say.
    pub measured: Option<MeasuringSet>,
    /// What the official code would have reported, where that was asked for.
    pub official: Option<OfficialRow>,
}

/// The columns of `curvature.csv` that show the official code's estimate beside the exact values.
#[derive(Debug, Clone, PartialEq)]
pub struct OfficialRow {
    /// Its ‖H‖.
    pub hessian_norm: f64,
    /// Its ‖H‖ divided by the SAM-edge.
    pub edge_ratio: f64,
    /// |cos(g, v)| with its vector.
    pub grad_alignment: f64,
    /// |cos(∇L(w + ρg/‖g‖), v)| with its vector.
    pub sam_grad_alignment: f64,
    /// Differences of gradients it took.
    pub hvps: u64,
}

impl CurvatureRow {
    /// Whether the SAM-edge is 2/η here to rounding, as in gradient descent.
    pub fn edges_coincide(&self) -> bool {
        (self.sam_edge - self.gd_edge).abs() <= 1e-6 * self.gd_edge
    }
}

impl OfficialRow {
    fn cells(&self) -> [String; OFFICIAL.len()] {
        let [norm, ratio, gradient, sam_gradient] =
            [self.hessian_norm, self.edge_ratio, self.grad_alignment, self.sam_grad_alignment].map(number);
        [norm, ratio, gradient, sam_gradient, self.hvps.to_string()]
    }

    /// The estimate in a line; none if its first cell is empty or the table has no such columns.
    fn read(line: &Line<'_>) -> Result<Option<Self>, RecordError> {
        let [norm, ratio, gradient, sam_gradient, hvps] = OFFICIAL;
        let Some(hessian_norm) = line.optional(norm)? else { return Ok(None) };
        Ok(Some(Self {
            hessian_norm,
            edge_ratio: line.required(ratio)?,
            grad_alignment: line.required(gradient)?,
            sam_grad_alignment: line.required(sam_gradient)?,
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

/// The columns of `curvature.csv` for `top` eigenvalues.
fn curvature_columns(top: usize, official: bool) -> Vec<String> {
    let numbered = |name| (1..=top).map(move |i| format!("{name}_{i}"));
    let named = |names: &[&str]| -> Vec<String> { names.iter().map(|&s| s.into()).collect() };
    let mut columns = named(&["step", "secs", "loss", "grad_norm"]);
    columns.extend(numbered("lambda").chain(numbered("residual")));
    columns.extend(named(&["lambda_min", "hessian_norm", "gd_edge", "sam_edge"]));
    columns.extend(named(&["edge_ratio", "gauge", "grad_alignment"]));
    columns.extend(named(&["sam_grad_alignment", "hvps", "measured_on", "examples"]));
    columns.extend(named(if official { &OFFICIAL } else { &[] }));
    columns
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
    official: bool,
}

impl CurvatureWriter {
    /// Makes the table with columns for `top` eigenvalues, and for the official code's estimate if asked, replacing one
    /// of that name.
    ///
    /// # Errors
    /// [`RecordError::Write`].
    pub fn create(path: &Path, top: usize, official: bool) -> Result<Self, RecordError> {
        let table = Table::create(path, &curvature_columns(top, official))?;
        Ok(Self { table, top, official })
    }

    /// Appends a row. What the table has no columns for is left out; missing values are empty cells.
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
        cells.push(row.measured.map_or_else(String::new, |set| set.on.to_string()));
        cells.push(row.measured.map_or_else(String::new, |set| set.examples.to_string()));
        if self.official {
            cells.extend(row.official.as_ref().map_or_else(Default::default, OfficialRow::cells));
        }
        self.table.write(&cells)
    }
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
            measured: match line.optional("measured_on")? {
                Some(on) => Some(MeasuringSet { on, examples: line.required("examples")? }),
                None => None,
            },
            official: OfficialRow::read(line)?,
        })
    })
}
