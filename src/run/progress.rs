//! The line that moves while a run is under way, on standard error; nothing where that is not a terminal.
//!
//! ```text
//!  1200/10000 57.2/s ETA  2m  loss 3.21e-3  ‖H‖ 12.3: 0.98 × edge, at     ‖g‖ 1.2e-2
//! ```
//!
//! It is never wider than the terminal: what matters least comes last and is cut off. Its columns keep their places.

use std::fmt;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::results::summary::Verdict;

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
        let digits = steps.to_string().len();
        let template = format!("{{pos:>{digits}}}/{{len}} {{rate:>4}}/s ETA {{eta:>3}}  {{wide_msg}}");
        // Should the template ever be wrong, the plain style still informs.
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let rate = |state: &ProgressState, text: &mut dyn fmt::Write| {
            // Writing to a string in memory cannot fail.
            let _ = text.write_str(&three_digits(state.per_sec()));
        };
        bar.set_style(style.with_key("rate", rate));
        let loss = if minibatches { "batch loss" } else { "loss" };
        Self { bar, loss, sharpness: String::new() }
    }

    /// Notes a curvature measurement, the ratio not being finite where there is no edge; it stays on the line until the next.
    pub fn measured(&mut self, hessian_norm: f64, edge_ratio: f64) {
        let word = match Verdict::on(edge_ratio) {
            Verdict::Below => "below",
            Verdict::At => "at",
            Verdict::Above => "above",
        };
        let ratio =
            if !edge_ratio.is_finite() { String::new() } else { format!(": {edge_ratio:.2} × edge, {word:5}") };
        self.sharpness = format!("  ‖H‖ {}{ratio}", three_digits(hessian_norm));
    }

    /// Shows that `step` updates are made, with the loss and gradient norm there.
    pub fn step(&self, step: u64, loss: f64, grad_norm: f64) {
        let Self { loss: name, sharpness, .. } = self;
        let message = format!("{name} {loss:.2e}{sharpness}  ‖g‖ {grad_norm:.1e}");
        self.bar.set_message(message);
        self.bar.set_position(step);
    }

    /// Removes the line, so that what is printed next starts clean.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// A number above 0 in few characters: three digits where it is neither tiny nor huge.
fn three_digits(number: f64) -> String {
    match number {
        number if number >= 1e5 || number < 0.01 && number > 0.0 => format!("{number:.1e}"),
        number if number >= 100.0 => format!("{number:.0}"),
        number if number >= 10.0 => format!("{number:.1}"),
        number => format!("{number:.2}"),
    }
}
