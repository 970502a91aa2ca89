//! A summary of a run in a few lines: its length, and how close its updates came to their edge. Only the second half of
//! the run (rows with step ≥ last/2) is judged, so that the climb to the edge does not count, and only rows of one rule.
//! Medians are used because the gauge oscillates about 1 with occasional spikes.

use std::fmt;

use crate::config::{MeasureOn, MeasuringSet};
use crate::folder::rows::{CurvatureRow, MetricsRow};
use crate::optim::{NoEdge, Rule};
use crate::text::counted;

/// The fewest rows from which a verdict is drawn.
const FEWEST: usize = 5;
/// The distance of a median gauge from 1 that counts as at the edge, at least and at most. The gauge of a run at its edge
/// is off by some hundredths, because a mode above the edge grows slowly (docs/rules.md has figures).
const BAND: (f64, f64) = (0.05, 0.25);
/// The distance of the median batch sharpness from 2/η that counts as at the edge.
const BATCH_BAND: f64 = 0.1;

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

/// Where the updates are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgeVerdict {
    /// The gauge is below the band about 1.
    Below,
    /// It is within the band.
    At,
    /// It is above the band.
    Above,
}

impl EdgeVerdict {
    /// That on a ratio that is 1 at the edge, within this distance.
    fn of(ratio: f64, band: f64) -> Self {
        match ratio {
            ratio if ratio < 1.0 - band => Self::Below,
            ratio if ratio > 1.0 + band => Self::Above,
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
    /// The number of rows judged.
    pub rows: usize,
    /// λ_max divided by the edge of the rule, if it has one for an eigenvalue.
    pub ratio: Option<Spread>,
    /// The gauge of the update, which is 1 at the edge.
    pub gauge: Spread,
    /// The distance of the median gauge from 1 that counts as at the edge: the distance between the quartiles and the median
    /// of the error bars, as the root of the sum of their squares, within limits.
    pub band: f64,
    /// The first measured step at which the gauge is not below the edge by that band, judged as the median is; before it
    /// was the climb.
    pub reached: Option<u64>,
    /// The largest relative residual of λ₁, the eigensolver's error.
    pub worst_residual: f64,
    /// The rule of the rows, in words: the name of its edge.
    pub edge_name: String,
    /// The measuring set of the last row, if known.
    pub measured: Option<MeasuringSet>,
    /// The official code's ‖H‖ divided by the exact one, if both were requested.
    pub official: Option<Spread>,
    /// The mean of the batch sharpness over fresh minibatches, divided by the edge of the rule without its perturbation.
    pub batch: Option<Spread>,
    /// Of an adaptive base: the share of parameters in the eigenvector of the gauge, see
    /// [`PreconditionedRow`](crate::folder::rows::PreconditionedRow).
    pub participation: Option<Spread>,
}

impl EdgeSummary {
    /// Summarises the rows with step ≥ last/2 whose λ₁ has converged and whose update was perturbed as that of the last
    /// row, if a gauge was measured there; `rule` is the run's.
    pub fn of(rows: &[CurvatureRow], rule: &Rule) -> Option<Self> {
        let perturbs = |row: &CurvatureRow| rule.at(row.step).perturbs();
        let last = rows.last()?;
        let is_judged = |row: &&CurvatureRow| perturbs(row) == perturbs(last);
        let half: Vec<&CurvatureRow> = judged(rows).filter(is_judged).collect();
        let last_step = half.last()?.step;
        let gauges: Vec<f64> = half.iter().map(|row| row.gauge).filter(|gauge| gauge.is_finite()).collect();
        let error = |row: &&CurvatureRow| {
            let rule = rule.at(row.step);
            Some(rule.gauge(row.update_error?) - rule.gauge(0.0))
        };
        let errors = half.iter().filter_map(error);
        let error = Spread::of(errors).map_or(0.0, |errors| errors.median);
        let residuals = half.iter().filter_map(|row| row.residuals.first());
        let band = quartile_distance(&gauges).hypot(error).clamp(BAND.0, BAND.1);
        let mut sound = rows.iter().filter(|row| row.is_sound() && row.gauge.is_finite()).filter(is_judged);
        Some(Self {
            reached: sound.find(|row| EdgeVerdict::of(row.gauge, band) != EdgeVerdict::Below).map(|row| row.step),
            first_step: half.first()?.step,
            last_step,
            rows: gauges.len(),
            ratio: Spread::of(half.iter().map(|row| row.edge_ratio)),
            band,
            gauge: Spread::of(gauges)?,
            worst_residual: residuals.fold(0.0, |worst, &residual| residual.max(worst)),
            measured: half.last()?.measured,
            official: Spread::of(
                half.iter().filter_map(|row| Some(row.official.as_ref()?.hessian_norm / row.hessian_norm)),
            ),
            edge_name: rule.at(last_step).edge_name(),
            batch: Spread::of(half.iter().filter_map(|row| {
                let edge = rule.at(row.step).unperturbed().edge(&[]).filter(|edge| *edge > 0.0)?;
                Some(row.batch?.fresh?.mean / edge)
            })),
            participation: Spread::of(half.iter().filter_map(|row| Some(row.preconditioned?.participation))),
        })
    }

    /// The verdict on the median gauge, if there are rows enough.
    pub fn verdict(&self) -> Option<EdgeVerdict> {
        let Self { gauge: Spread { median, .. }, band, rows, .. } = *self;
        if rows < FEWEST {
            return None;
        }
        Some(EdgeVerdict::of(median, band))
    }

    /// The verdict in words, with its band, or why there is none.
    pub fn conclusion(&self) -> String {
        match self.verdict() {
            Some(verdict) => format!("{verdict} (1 ± {:.2})", self.band),
            None => format!("no verdict from {}, which takes {FEWEST}", counted(self.rows, "row")),
        }
    }
}

/// The distance between the quartiles of some numbers.
fn quartile_distance(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values.get((share * (values.len().max(1) - 1) as f64).round() as usize).copied();
    at(0.75).zip(at(0.25)).map_or(0.0, |(high, low)| high - low)
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
    /// The last measured loss and error on the test set; NaN for the error of a regression.
    pub test: Option<(f64, f64)>,
    /// The step of that measurement.
    pub test_step: Option<u64>,
    /// Rows of the second half that are not judged because λ₁ had not converged.
    pub left_out: usize,
    /// Whether they came from power iteration.
    pub by_power: bool,
    /// Rows of the second half whose λ₁ float32 cannot resolve to a hundredth.
    pub unresolved: usize,
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
    /// Summarises the rows of a full-batch run of this rule, measured with Lanczos, in step order; other runs pass
    /// their `batch` and `by_power`.
    pub fn of(metrics: &[MetricsRow], curvature: &[CurvatureRow], rule: Rule) -> Self {
        let tested = |row: &MetricsRow| row.test_loss.map(|loss| (loss, row.test_error.unwrap_or(f64::NAN)));
        Self {
            batch: 0,
            last: metrics.last().cloned(),
            test: metrics.iter().rev().find_map(tested),
            test_step: metrics.iter().rev().find(|row| row.test_loss.is_some()).map(|row| row.step),
            by_power: false,
            left_out: second_half(curvature).filter(|row| !row.is_sound()).count(),
            unresolved: second_half(curvature).filter(|row| row.is_unresolved()).count(),
            edge: EdgeSummary::of(curvature, &rule),
            norm: Spread::of(judged(curvature).map(|row| row.hessian_norm)),
            grad_norm: curvature.last().map_or(f64::NAN, |row| row.grad_norm),
            rule,
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
        let other = if self.by_power { ", or use measure.method = \"lanczos\"" } else { "" };
        Some(format!(
            "{rows} of the second half not judged, since λ₁ had not converged there: raise measure.max_iterations or \
             measure.tol{other}"
        ))
    }

    /// The number of rows that float32 cannot resolve, and advice.
    pub fn not_resolved(&self) -> Option<String> {
        (self.unresolved > 0).then(|| {
            format!(
                "the error bar of λ₁ is above a hundredth of it in {} of the second half: float32 cannot resolve the Hessian \
                 there, as where layer normalisation meets nearly constant channels; use more channels",
                counted(self.unresolved, "row")
            )
        })
    }

    /// The reason that no gauge was measured, if there are measurements.
    pub fn no_edge(&self) -> NoEdge {
        self.rule.no_edge(&self.rule.climb(&[self.grad_norm])).unwrap_or(NoEdge::Mixes)
    }
}

/// The share of misclassified examples in words; none for a regression.
fn misclassified(error: f64) -> String {
    if error.is_nan() { String::new() } else { format!(", {:.2} % misclassified", 100.0 * error) }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.last {
            None => write!(f, "no step was logged")?,
            Some(row) => write!(
                f,
                "step {}: {} {:.4e}{}, ‖g‖ {:.3e}, {:.1} s",
                row.step,
                if self.batch == 0 { "training loss" } else { "loss of the minibatch" },
                row.loss,
                misclassified(row.error),
                row.grad_norm,
                row.secs
            )?,
        }
        if let Some((loss, error)) = self.test {
            let at = self.test_step.filter(|&step| self.last.as_ref().is_some_and(|last| last.step != step));
            let at = at.map_or_else(String::new, |step| format!(" at step {step}"));
            write!(f, "\ntest set{at}: loss {loss:.4e}{}", misclassified(error))?;
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
                let (first, last, gauge) = (edge.first_step, edge.last_step, &edge.gauge);
                let conclusion = edge.conclusion();
                write!(
                    f,
                    "\ngauge of the update over the second half (steps {first} to {last}): {gauge} → {conclusion}"
                )?;
                let name = &edge.edge_name;
                let name = if name.contains(['/', '−']) { format!("({name})") } else { name.clone() };
                match (&edge.ratio, &edge.participation) {
                    (Some(ratio), _) => write!(f, "\nλ_max ÷ {name}: {ratio}")?,
                    (None, Some(share)) => write!(
                        f,
                        "\nthe gauge is preconditioned sharpness ÷ {name}; share of parameters in its eigenvector: {share}"
                    )?,
                    (None, None) => {}
                }
                write!(f, "; largest residual of λ₁ {:.1e}", edge.worst_residual)?;
                if let Some(batch) = &edge.batch {
                    let name = self.rule.at(last).unperturbed().edge_name();
                    let verdict = EdgeVerdict::of(batch.median, BATCH_BAND);
                    write!(f, "\nmean batch sharpness ÷ ({name}): {batch} → {verdict} (1 ± {BATCH_BAND})")?;
                }
                if let Some(ratio) = &edge.official {
                    write!(f, "\n‖H‖ by the official method ÷ exact ‖H‖: {ratio}")?;
                }
                match edge.measured {
                    Some(set) if set.on != MeasureOn::Train => write!(f, "\ncurvature measured on {set}"),
                    Some(_) | None => Ok(()),
                }
            }
        }?;
        [self.not_judged(), self.not_resolved()].into_iter().flatten().try_for_each(|words| write!(f, "\n{words}"))
    }
}
