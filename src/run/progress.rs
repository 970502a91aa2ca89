//! The progress line of a run. A terminal may cut it, so the least important part comes last; columns keep their
//! places.
//!
//! ```text
//!  1200/10000 57.2/s ETA  2.6 min  loss 3.21e-3  ‖H‖ 12.3 gauge 0.98  ‖g‖ 1.2e-2
//! ```

use crate::observer::{Observer, Progress, Unit};
use crate::text::three_digits;

/// The progress line of one run.
pub(super) struct ProgressLine<'a> {
    observer: &'a dyn Observer,
    steps: u64,
    loss: &'static str,
    sharpness: String,
}

impl<'a> ProgressLine<'a> {
    /// The line of a run of `steps` updates, on minibatches or not.
    pub fn new(observer: &'a dyn Observer, steps: u64, minibatches: bool) -> Self {
        let loss = if minibatches { "batch loss" } else { "loss" };
        Self { observer, steps, loss, sharpness: String::new() }
    }

    /// Shows that the updates begin, after so many of an earlier process.
    pub fn begin(&self, step: u64) {
        self.observer.progress(&Progress { unit: Unit::Steps, done: step, total: self.steps, text: "" });
    }

    /// Records a curvature measurement, whose gauge may not be finite; it stays on the line until the next.
    pub fn measured(&mut self, hessian_norm: f64, gauge: f64) {
        let gauge = if gauge.is_finite() { format!(" gauge {gauge:.2}") } else { String::new() };
        self.sharpness = format!("  ‖H‖ {}{gauge}", three_digits(hessian_norm));
    }

    /// Shows the number of updates made, with loss and gradient norm.
    pub fn step(&self, step: u64, loss: f64, grad_norm: f64) {
        let Self { loss: name, sharpness, .. } = self;
        let text = format!("{name} {loss:.2e}{sharpness}  ‖g‖ {grad_norm:.1e}");
        self.observer.progress(&Progress { unit: Unit::Steps, done: step, total: self.steps, text: &text });
    }
}
