//! What theory predicts of SAM and its relatives on losses small enough to be solved by hand, measured on a device.
//!
//! The one idea: the whole engine is asked questions whose answers are known in closed form. A toy loss goes through the
//! same graph, derivatives, kernels, recorded steps, Hessian products and eigensolver as a network, so a table of such
//! questions accepts or refuses an adapter and its driver in seconds, and shows the theory at work: the 2-cycle of SAM
//! and the SAM-edge that equals λ₁ on it (`cycle`), where each rule turns unstable (`edges`), the drift to wide minima
//! (`drift`), and the pull of saddles (`saddle`).
//!
//! Everything predicted is computed in float64 on the host, everything measured comes from float32 on the device. Unless a
//! check says otherwise, tolerances are what that rounding can do, see [`ROUNDING`].

mod cycle;
mod drift;
mod edges;
mod saddle;
mod toys;

use crate::curvature::CurvatureError;
use crate::gpu::{Gpu, GpuError};

/// The relative error that rounding may leave in a number measured on a toy loss.
///
/// A float32 operation rounds by up to 2⁻²⁴ = 6e-8. A gradient, a climb and a descent of a single mode are some ten of
/// them, and WGSL lets a division and a square root err as much as five each; what a step leaves of a mode may be a
/// quarter of what it took away, so that the error weighs more: 20 × 4 × 6e-8.
pub const ROUNDING: f64 = 5e-6;

/// Why predictions could not be verified.
#[derive(Debug, thiserror::Error)]
pub enum TheoryError {
    /// The device cannot do it.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// An eigensolver stopped.
    #[error(transparent)]
    Curvature(#[from] CurvatureError),
    /// Some measurement is not what theory predicts.
    #[error(
        "{failed} of {checked} predictions failed on `{adapter}`: do not trust its numbers; update its driver, or choose \
         another one with --adapter (see `edgewalk info`)"
    )]
    Refuted {
        /// Predictions that failed.
        failed: usize,
        /// All of them.
        checked: usize,
        /// The adapter.
        adapter: String,
    },
}

/// One prediction and what was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// What is predicted of what, with the formula.
    pub prediction: String,
    /// The predicted number; none where theory is silent and the table only reports.
    pub predicted: Option<f64>,
    /// The measured number.
    pub measured: f64,
    /// The largest relative error that passes.
    pub tolerance: f64,
}

/// What came of a prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TheoryVerdict {
    /// It was met.
    Passed,
    /// It was not.
    Failed,
    /// There was none.
    Observed,
}

impl Check {
    /// A prediction held to `tolerance`, relative.
    fn new(prediction: impl Into<String>, predicted: f64, measured: f64, tolerance: f64) -> Self {
        Self { prediction: prediction.into(), predicted: Some(predicted), measured, tolerance }
    }

    /// A measurement without a prediction.
    fn observed(what: impl Into<String>, measured: f64) -> Self {
        Self { prediction: what.into(), predicted: None, measured, tolerance: 0.0 }
    }

    /// |measured/predicted − 1|, where there is a prediction.
    pub fn error(&self) -> Option<f64> {
        self.predicted.map(|predicted| ((self.measured - predicted) / predicted).abs())
    }

    /// Whether the measurement is within the tolerance; one that is not a number fails.
    pub fn verdict(&self) -> TheoryVerdict {
        match self.error() {
            None => TheoryVerdict::Observed,
            Some(error) if error <= self.tolerance => TheoryVerdict::Passed,
            Some(_) => TheoryVerdict::Failed,
        }
    }
}

/// Checks that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct TheorySection {
    /// What they are about, with the numbers they were made at.
    pub title: String,
    /// The checks.
    pub checks: Vec<Check>,
}

/// How many checks there were of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Predictions that hold.
    pub passed: usize,
    /// Measurements without a prediction.
    pub observed: usize,
}

/// Counts the checks made on `adapter`.
///
/// # Errors
/// [`TheoryError::Refuted`] if any prediction failed.
pub fn judge(sections: &[TheorySection], adapter: &str) -> Result<Tally, TheoryError> {
    let verdicts = || sections.iter().flat_map(|section| &section.checks).map(Check::verdict);
    let count = |which: TheoryVerdict| verdicts().filter(|&verdict| verdict == which).count();
    let (passed, failed, observed) =
        (count(TheoryVerdict::Passed), count(TheoryVerdict::Failed), count(TheoryVerdict::Observed));
    if failed > 0 {
        return Err(TheoryError::Refuted { failed, checked: passed + failed, adapter: adapter.to_owned() });
    }
    Ok(Tally { passed, observed })
}

/// Puts every prediction to the test on a device, in half a minute or less.
///
/// # Errors
/// [`TheoryError::Gpu`] and [`TheoryError::Curvature`]. A prediction that fails is no error but a [`TheoryVerdict`].
pub fn verify(gpu: &Gpu) -> Result<Vec<TheorySection>, TheoryError> {
    let mut quadratic = toys::quadratic(gpu)?;
    let mut sections = cycle::sections(&mut quadratic)?;
    sections.extend(edges::sections(&mut quadratic)?);
    sections.extend(saddle::sections(&mut quadratic)?);
    sections.extend(drift::sections(gpu)?);
    Ok(sections)
}
