//! What happened to a run that diverged, from its tables: the last numbers that were finite, each with its step, and the
//! learning rate that the measured gauge would have allowed.

use super::readout::Readout;
use crate::folder::manifest::{Ended, Manifest};
use crate::folder::rows::CurvatureRow;
use crate::optim::Rule;
use crate::text::digits;

/// Sentences about the end of a run; none if it did not diverge.
pub(crate) fn account(readout: &Readout, manifest: &Manifest) -> Vec<String> {
    let Ended::Diverged { step } = manifest.ended else { return vec![] };
    let what = manifest.not_finite.as_deref().unwrap_or("a number");
    let mut lines = vec![format!("At step {step} {what} was not finite, so the run was stopped.")];
    if let Some(row) = readout.metrics.last() {
        let (loss, norm) = (digits(row.loss, 5), digits(row.grad_norm, 4));
        lines.push(format!("The last finite loss is {loss}, with ‖g‖ = {norm}, at step {}.", row.step));
    }
    let lowest = readout.metrics.iter().filter(|row| row.loss.is_finite()).min_by(|a, b| a.loss.total_cmp(&b.loss));
    if let Some(row) = lowest {
        lines.push(format!("The lowest loss is {}, at step {}.", digits(row.loss, 5), row.step));
    }
    if let Some(row) = readout.curvature.last() {
        lines.push(last_measurement(row, &readout.rule));
    }
    lines.push(advice(&readout.curvature, &readout.rule));
    lines
}

fn last_measurement(row: &CurvatureRow, rule: &Rule) -> String {
    let rule = rule.at(row.step);
    let mut parts = vec![format!("‖H‖ = {}", digits(row.hessian_norm, 5))];
    if row.sam_edge.is_finite() {
        let edge = if row.edges_coincide() { rule.unperturbed().edge_name() } else { rule.edge_name() };
        parts.push(format!("the edge {edge} = {}", digits(row.sam_edge, 5)));
    }
    if row.gauge.is_finite() {
        parts.push(format!("the gauge {}", digits(row.gauge, 4)));
    }
    let shortfall = if row.is_sound() { "" } else { " (λ₁ had not converged)" };
    format!("The last measurement of the curvature is that of step {}{shortfall}: {}.", row.step, parts.join(", "))
}

/// What the measurements say about the learning rate: with its norms held fixed, the gauge of an update is proportional
/// to it, so lr ÷ gauge is that of the edge.
fn advice(rows: &[CurvatureRow], rule: &Rule) -> String {
    let judged: Vec<&CurvatureRow> = rows.iter().filter(|row| row.is_sound() && row.gauge.is_finite()).collect();
    let above = judged.iter().rev().take_while(|row| row.gauge > 1.0).count();
    let others = if rule.perturbs() { " or a smaller rho" } else { "" };
    let (Some(first), Some(last)) = (judged[judged.len() - above..].first(), judged.last()) else {
        return format!(
            "No measurement shows its updates beyond the edge before that: measure more often (measure.every), and try a \
             smaller lr{others}."
        );
    };
    let lr = rule.at(first.step).lr;
    let until = match last.step {
        step if step == first.step => {
            format!("in the last measurement, that of step {step} ({})", digits(first.gauge, 4))
        }
        step => format!(
            "in every measurement from step {} ({}) to step {step} ({})",
            first.step,
            digits(first.gauge, 4),
            digits(last.gauge, 4)
        ),
    };
    format!(
        "The gauge was above 1, beyond the edge, {until}. At step {} the edge was at lr = {}, and lr was {}: try one below \
         it{others}.",
        first.step,
        digits(lr / first.gauge, 3),
        digits(lr, 6)
    )
}
