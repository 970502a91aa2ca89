//! A summary of a run in a few lines: its length, and its sharpness relative to the edge. Only the second half of the
//! run (rows with step ≥ last/2) is judged, so that the climb to the edge does not count. Medians are used because ‖H‖
//! oscillates about the edge with occasional spikes.

use std::fmt;

use crate::config::{MeasureOn, MeasuringSet};
use crate::folder::rows::{CurvatureRow, MetricsRow};
use crate::optim::{NoEdge, Rule};

/// The distance of a ratio, or the median of a run's ratios, from 1 that still counts as at the edge.
const TOLERANCE: f64 = 0.1;

/// The median and extremes of some values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The middle value, or the mean of the two middle ones.
    pub median: f64,
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
}

impl Spread {
    /// The spread of the finite values, if there are any.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|x| x.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (&min, &max) = values.first().zip(values.last())?;
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[middle] } else { 0.5 * (values[middle - 1] + values[middle]) };
        Some(Self { median, min, max })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Ratios are near 1; only those of a diverged run need an exponent.
        let number = |x: f64| if x.abs() < 1e4 { format!("{x:.3}") } else { format!("{x:.2e}") };
        write!(f, "median {}, range {} to {}", number(self.median), number(self.min), number(self.max))
    }
}

/// The position of the sharpness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgeVerdict {
    /// The ratio is under 0.9.
    Below,
    /// The ratio is from 0.9 to 1.1.
    At,
    /// The ratio is over 1.1.
    Above,
}

impl EdgeVerdict {
    /// The verdict on a ratio of ‖H‖ to the edge.
    pub fn on(ratio: f64) -> Self {
        match ratio {
            ratio if ratio < 1.0 - TOLERANCE => Self::Below,
            ratio if ratio > 1.0 + TOLERANCE => Self::Above,
            _ => Self::At,
        }
    }
}

impl fmt::Display for EdgeVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Below => "below the edge",
            Self::At => "at the edge",
            Self::Above => "above the edge",
        })
    }
}

/// The curvature rows of a run's second half.
#[derive(Debug, Clone, PartialEq)]
pub struct EdgeSummary {
    /// The first step judged.
    pub first_step: u64,
    /// The last step judged.
    pub last_step: u64,
    /// ‖H‖ divided by the SAM-edge, or by 2/η when ρ = 0.
    pub ratio: Spread,
    /// The gauge S, which is 1 at the edge.
    pub gauge: Spread,
    /// The largest relative residual of λ₁, the eigensolver's error.
    pub worst_residual: f64,
    /// Whether the edge was 2/η in every row, as in gradient descent.
    pub is_gd: bool,
    /// The measuring set of the last row, if known.
    pub measured: Option<MeasuringSet>,
    /// The official code's ‖H‖ divided by the exact one, if both were requested.
    pub official: Option<Spread>,
}

impl EdgeSummary {
    /// Summarises the rows with step ≥ last/2 whose λ₁ has converged, if anything finite was measured there.
    pub fn of(rows: &[CurvatureRow]) -> Option<Self> {
        let half: Vec<&CurvatureRow> = judged(rows).collect();
        let last_step = half.last()?.step;
        let residuals = half.iter().filter_map(|row| row.residuals.first());
        Some(Self {
            first_step: half.first()?.step,
            last_step,
            ratio: Spread::of(half.iter().map(|row| row.edge_ratio))?,
            gauge: Spread::of(half.iter().map(|row| row.gauge))?,
            worst_residual: residuals.fold(0.0, |worst, &residual| residual.max(worst)),
            measured: half.last()?.measured,
            official: Spread::of(
                half.iter().filter_map(|row| Some(row.official.as_ref()?.hessian_norm / row.hessian_norm)),
            ),
            is_gd: half.iter().all(|row| row.edges_coincide()),
        })
    }

    /// The verdict on the median ratio.
    pub fn verdict(&self) -> EdgeVerdict {
        EdgeVerdict::on(self.ratio.median)
    }
}

/// The rows that are judged.
fn judged(rows: &[CurvatureRow]) -> impl Iterator<Item = &CurvatureRow> {
    second_half(rows).filter(|row| row.is_sound())
}

/// Those of the second half.
fn second_half(rows: &[CurvatureRow]) -> impl Iterator<Item = &CurvatureRow> {
    let last_step = rows.last().map_or(0, |row| row.step);
    rows.iter().filter(move |row| row.step >= last_step.div_ceil(2))
}

/// The summary of a run; its `Display` is the closing text of the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Examples per update, as for the last row's loss; 0 is the full training set.
    pub batch: usize,
    /// The last logged row.
    pub last: Option<MetricsRow>,
    /// The last measured loss and error on the test set.
    pub test: Option<(f64, f64)>,
    /// Rows of the second half that are not judged because λ₁ had not converged.
    pub left_out: usize,
    /// The second half's curvature against the edge.
    pub edge: Option<EdgeSummary>,
    /// ‖H‖ in the second half.
    pub norm: Option<Spread>,
    /// ‖∇L‖ at the last measurement.
    pub grad_norm: f64,
    /// The rule that made the steps.
    pub rule: Rule,
}

impl Summary {
    /// Summarises the rows of a full-batch run of SAM, in step order; other runs pass their `batch` and `rule`.
    pub fn of(metrics: &[MetricsRow], curvature: &[CurvatureRow]) -> Self {
        let tested = |row: &MetricsRow| row.test_loss.zip(row.test_error);
        Self {
            batch: 0,
            last: metrics.last().cloned(),
            test: metrics.iter().rev().find_map(tested),
            left_out: second_half(curvature).filter(|row| !row.is_sound()).count(),
            edge: EdgeSummary::of(curvature),
            norm: Spread::of(judged(curvature).map(|row| row.hessian_norm)),
            grad_norm: curvature.last().map_or(f64::NAN, |row| row.grad_norm),
            rule: Rule::sam(1.0, 1.0),
        }
    }
}

impl Summary {
    /// The number of rows left out, and advice.
    pub fn not_judged(&self) -> Option<String> {
        let rows = match self.left_out {
            0 => return None,
            1 => "1 row".to_owned(),
            many => format!("{many} rows"),
        };
        Some(format!(
            "{rows} of the second half not judged, since λ₁ had not converged there: raise measure.max_iterations or measure.tol, \
             or use measure.method = \"lanczos\""
        ))
    }

    /// The reason that ‖H‖ was not compared with an edge, if there are measurements.
    pub fn no_edge(&self) -> NoEdge {
        self.rule.no_edge(self.grad_norm).unwrap_or(NoEdge::Unknown)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.last {
            None => write!(f, "no step was logged")?,
            Some(row) => write!(
                f,
                "step {}: {} {:.4e}, {:.2} % misclassified, ‖g‖ {:.3e}, {:.1} s",
                row.step,
                if self.batch == 0 { "training loss" } else { "loss of the minibatch" },
                row.loss,
                100.0 * row.error,
                row.grad_norm,
                row.secs
            )?,
        }
        if let Some((loss, error)) = self.test {
            write!(f, "\ntest set: loss {loss:.4e}, {:.2} % misclassified", 100.0 * error)?;
        }
        match (&self.edge, &self.norm) {
            (None, None) if self.left_out > 0 => Ok(()),
            (None, None) => {
                write!(f, "\nno measurement of the curvature was logged (with measure.every = 0 none is made)")
            }
            (None, Some(norm)) => {
                write!(f, "\n‖H‖ over the second half: {norm}; nothing to compare it with: {}", self.no_edge())
            }
            (Some(edge), _) => {
                let (first, last) = (edge.first_step, edge.last_step);
                let name = if edge.is_gd { self.rule.unperturbed().edge_name() } else { self.rule.edge_name() };
                let name = if edge.is_gd { format!("({name})") } else { name };
                write!(
                    f,
                    "\n‖H‖ ÷ {name} over the second half (steps {first} to {last}): {} → {}",
                    edge.ratio,
                    edge.verdict()
                )?;
                write!(
                    f,
                    "\ngauge S (1 at the edge): {}; largest residual of λ₁ {:.1e}",
                    edge.gauge, edge.worst_residual
                )?;
                if let Some(ratio) = &edge.official {
                    write!(f, "\n‖H‖ by the official method ÷ exact ‖H‖: {ratio}")?;
                }
                match edge.measured {
                    Some(set) if set.on != MeasureOn::Train => write!(f, "\ncurvature measured on {set}"),
                    Some(_) | None => Ok(()),
                }
            }
        }?;
        match self.not_judged() {
            Some(words) => write!(f, "\n{words}"),
            None => Ok(()),
        }
    }
}
