//! The key numbers of a run's report.

use maud::Markup;

use super::facts::Facts;
use super::page::key_values;
use crate::config::MeasureOn;
use crate::results::summary::{EdgeSummary, Spread};
use crate::text::{counted, digits, duration};

/// A name, a value and a meaning.
type KeyNumber = (&'static str, String, &'static str);

/// The key numbers, each with its meaning.
pub(super) fn key_numbers(facts: &Facts) -> Markup {
    let mut rows = losses(facts);
    rows.extend(eigenvalues(facts));
    if let Some(edge) = &facts.summary.edge {
        rows.extend(edge_rows(edge));
    } else if facts.summary.left_out > 0 {
        rows.push(("gauge", "not judged".into(), "λ₁ converged in no row of the second half"));
    } else if facts.readout.curvature.is_empty() {
        let why = match &facts.readout.config {
            Some(config) if config.measure.is_on() => "no measurement was logged, or curvature.csv is missing",
            Some(_) => "measure.every = 0 turns the measurements off",
            None => "",
        };
        rows.push(("curvature", "not measured".into(), why));
    } else {
        rows.push(("gauge", "none".into(), facts.summary.no_edge().words()));
    }
    if facts.summary.left_out > 0 {
        let why = "rows of the second half whose λ₁ had not converged: raise measure.max_iterations";
        rows.push(("not judged", counted(facts.summary.left_out, "row"), why));
    }
    if facts.summary.unresolved > 0 {
        let why = "rows of the second half whose error bar is above a hundredth of λ₁: float32 cannot resolve it";
        rows.push(("not resolved", counted(facts.summary.unresolved, "row"), why));
    }
    if let Ok(manifest) = &facts.manifest {
        // A fork has not made the steps of its parent.
        let before = manifest.parent.as_ref().map_or(0, |parent| parent.step);
        let made = manifest.steps_done.saturating_sub(before);
        if made > 0 {
            let each = duration(manifest.wall_secs / made as f64);
            rows.push(("time", format!("{}, {each} an update", duration(manifest.wall_secs)), "measurements included"));
        }
    }
    key_values(&rows)
}

fn losses(facts: &Facts) -> Vec<KeyNumber> {
    let mut rows: Vec<KeyNumber> = vec![];
    let percent = |share: f64| format!("{} %", digits(100.0 * share, 4));
    if let Some(last) = &facts.summary.last {
        let of = if facts.summary.batch == 0 {
            "over the training set, at the last logged step"
        } else {
            "over the minibatch of the last logged step"
        };
        rows.push(("loss", format!("{} at step {}", digits(last.loss, 5), last.step), of));
        if !last.error.is_nan() {
            let share = format!("{} at step {}", percent(last.error), last.step);
            rows.push(("misclassified", share, "of the same examples"));
        }
        let norm = format!("{} at step {}", digits(last.grad_norm, 5), last.step);
        rows.push(("‖g‖", norm, "length of the loss gradient"));
    }
    if let Some((loss, error)) = facts.summary.test {
        let right = if error.is_nan() { String::new() } else { format!(", {} misclassified", percent(error)) };
        let at = facts.summary.test_step.map_or_else(String::new, |step| format!(" at step {step}"));
        let value = format!("loss {}{right}{at}", digits(loss, 5));
        rows.push(("test", value, "the last measurement on held-out examples"));
    }
    rows
}

fn eigenvalues(facts: &Facts) -> Vec<KeyNumber> {
    let mut rows: Vec<KeyNumber> = vec![];
    let last = facts.readout.curvature.last();
    if let Some((row, &lambda)) = last.and_then(|row| Some((row, row.lambdas.first()?))) {
        let bar = row.errors.first().copied().filter(|error| error.is_finite());
        let later = facts.later.as_ref().and_then(|later| later.top.first());
        let later = later.filter(|later| bar.is_none_or(|bar| later.error < bar));
        let (lambda, bar) = later.map_or((lambda, bar), |later| (later.value, Some(later.error)));
        let bar = bar.map_or_else(String::new, |error| format!(" ± {}", digits(error, 2)));
        let why = match later {
            None => {
                "largest Hessian eigenvalue by magnitude, last measurement; an eigenvalue lies within the error bar"
            }
            Some(_) => "largest Hessian eigenvalue by magnitude, measured later by edgewalk curvature",
        };
        rows.push(("λ₁", format!("{}{bar} at step {}", digits(lambda, 7), row.step), why));
        if let Some(lowest) = facts.later.as_ref().and_then(|later| later.bottom.first()) {
            let value = format!("{} ± {} at step {}", digits(lowest.value, 6), digits(lowest.error, 2), row.step);
            rows.push(("lowest λ", value, "lowest Hessian eigenvalue, measured later by edgewalk curvature"));
        }
    }
    if let Some(row) = last.filter(|row| row.sam_edge.is_finite()) {
        let value = format!("{} = {} at step {}", facts.edge_name(), digits(row.sam_edge, 5), row.step);
        rows.push(("edge", value, "the eigenvalue at which this rule turns unstable"));
    }
    if let Some(norm) = &facts.summary.norm {
        let steps = facts.summary.edge.as_ref();
        let steps = steps.map_or_else(String::new, |edge| format!(", steps {} to {}", edge.first_step, edge.last_step));
        rows.push(("‖H‖", spread(norm) + &steps, "median and range over the second half of the run"));
    }
    rows
}

fn spread(Spread { median, min, max }: &Spread) -> String {
    format!("{} ({} to {})", digits(*median, 4), digits(*min, 4), digits(*max, 4))
}

fn edge_rows(edge: &EdgeSummary) -> Vec<KeyNumber> {
    let mut rows = vec![(
        "gauge",
        format!("{}, steps {} to {}, {}", spread(&edge.gauge), edge.first_step, edge.last_step, edge.conclusion()),
        "of the update, median and range over the second half of the run: stable from 0 to 1, unstable above",
    )];
    if let Some(ratio) = &edge.ratio {
        let why = "λ_max ÷ edge, the same for the largest eigenvalue: 1 is at the edge";
        let value = format!("{}, steps {} to {}", spread(ratio), edge.first_step, edge.last_step);
        rows.push(("edge ratio", value, why));
    }
    rows.push((
        "worst residual",
        digits(edge.worst_residual, 2),
        "‖Hv₁ − λ₁v₁‖ ÷ |λ₁| at most in the rows that are judged: how far the eigensolver was from exact",
    ));
    if let Some(ratio) = &edge.official {
        let why = "the estimate of the paper's code beside the exact value";
        rows.push(("official ‖H‖ ÷ exact ‖H‖", spread(ratio), why));
    }
    if let Some(set) = edge.measured.filter(|set| set.on != MeasureOn::Train) {
        let why = "the examples that loss, gradient and Hessian of these rows are about";
        rows.push(("measured on", set.to_string(), why));
    }
    rows
}
