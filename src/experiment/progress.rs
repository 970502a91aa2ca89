//! The line that moves while a run is under way, on standard error; nothing where that is not a terminal.

use std::fmt;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// The progress line of one run.
pub struct Progress {
    bar: ProgressBar,
    loss: &'static str,
    sharpness: String,
}

impl Progress {
    /// Starts the line of a run of `steps` updates, on minibatches or not.
    pub fn new(steps: u64, minibatches: bool) -> Self {
        let bar = ProgressBar::new(steps);
        let template = "{pos}/{len} {bar:16} {msg}  {rate}  ETA {eta}";
        // The template is a constant; should it ever be wrong, the plain style still informs.
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let rate = |state: &ProgressState, text: &mut dyn fmt::Write| {
            // Writing to a string in memory cannot fail.
            let _ = write!(text, "{:.1} steps/s", state.per_sec());
        };
        bar.set_style(style.with_key("rate", rate));
        let loss = if minibatches { "batch loss" } else { "loss" };
        Self { bar, loss, sharpness: String::new() }
    }

    /// Notes a curvature measurement, the ratio being NaN where there is no edge; it stays on the line until the next.
    pub fn measured(&mut self, hessian_norm: f64, edge_ratio: f64) {
        let ratio = if edge_ratio.is_nan() { String::new() } else { format!(" = {edge_ratio:.3} × edge") };
        self.sharpness = format!("  ‖H‖ {hessian_norm:.3}{ratio}");
    }

    /// Shows that `step` updates are made, with the loss and gradient norm there.
    pub fn step(&self, step: u64, loss: f64, grad_norm: f64) {
        let Self { loss: name, sharpness, .. } = self;
        let message = format!("{name} {loss:.3e}  ‖g‖ {grad_norm:.2e}{sharpness}");
        self.bar.set_message(message);
        self.bar.set_position(step);
    }

    /// Removes the line, so that what is printed next starts clean.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
