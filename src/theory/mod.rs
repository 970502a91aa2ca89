//! Predictions of theory for SAM and its relatives on losses that can be solved by hand, measured on a device.
//!
//! A toy loss goes through the same graph, derivatives, kernels, recorded steps, Hessian products and eigensolver as a
//! network, so the checks accept or refuse an adapter and its driver in seconds. They show the 2-cycle of SAM with the
//! SAM-edge at λ₁ (`cycle`), the edge of each rule (`edges`), the update operator of rules that
//! mix modes (`update`), the drift to wide minima (`drift`) and the attraction of
//! saddles (`saddle`). Predictions are computed in float64 on the host and compared with float32 on the device;
//! tolerances are the effect of that rounding ([`ROUNDING`]) unless a check says otherwise.

mod cycle;
mod drift;
mod edges;
mod saddle;
mod toys;
mod update;

use crate::curvature::CurvatureError;
use crate::device::{Device, DeviceError};

/// The relative error that rounding may cause in a number measured on a toy loss.
///
/// A float32 operation rounds by up to 2⁻²⁴ = 6e-8. A gradient, an ascent and a descent of a single mode are some ten
/// of them, and WGSL lets a division and a square root err by five each; a step may leave a quarter of the part that it
/// removes, which makes the relative error larger: 20 × 4 × 6e-8.
pub const ROUNDING: f64 = 5e-6;

/// The reasons that predictions were not verified.
#[derive(Debug, thiserror::Error)]
pub enum TheoryError {
    /// The device cannot do it.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// An eigensolver stopped.
    #[error(transparent)]
    Curvature(#[from] CurvatureError),
    /// A measurement differs from the prediction.
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

/// One prediction and its measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// The predicted quantity, with the formula.
    pub prediction: String,
    /// The predicted number; `None` if theory has none and the table only reports.
    pub predicted: Option<f64>,
    /// The measured number.
    pub measured: f64,
    /// The largest relative error that passes.
    pub tolerance: f64,
}

/// The outcome of a prediction.
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

    /// |measured/predicted − 1|, if there is a prediction.
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
    /// Their subject, with the numbers used.
    pub title: String,
    /// The checks.
    pub checks: Vec<Check>,
}

/// The number of checks of each kind.
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

/// Tests every prediction on a device, in half a minute or less.
///
/// # Errors
/// [`TheoryError::Device`] and [`TheoryError::Curvature`]. A prediction that fails is no error but a [`TheoryVerdict`].
pub fn verify(device: &Device) -> Result<Vec<TheorySection>, TheoryError> {
    let mut quadratic = toys::quadratic(device)?;
    let mut sections = cycle::sections(&mut quadratic)?;
    sections.extend(edges::sections(&mut quadratic)?);
    sections.extend(saddle::sections(&mut quadratic)?);
    sections.extend(update::sections(device)?);
    sections.extend(drift::sections(device)?);
    Ok(sections)
}
