//! The edge of each rule: modes just below it, on it and just above it.
//!
//! Rules with a linear step treat the modes of a quadratic one by one. After many steps a mode is multiplied by the
//! root of largest magnitude of its characteristic polynomial. Off the edge that root is the prediction, and on it −1,
//! so the formula of the edge is tested as well as the step.

use super::toys::{Toy, example};
use super::{Check, ROUNDING, TheoryError, TheorySection};
use crate::optim::{Ascent, Rule};

const LR: f64 = 0.25;
/// Steps until the other roots have decayed, and steps over which the factor is measured.
const SETTLE: usize = 300;
const STEPS: usize = 20;

pub(super) fn sections(toy: &mut Toy) -> Result<Vec<TheorySection>, TheoryError> {
    let usam = Rule { ascent: Ascent::Usam, ..Rule::sam(LR, 0.25) };
    // With more momentum the roots are complex this near to the edge, and no single factor describes a mode.
    let polyak = Rule { momentum: 0.5, ..Rule::gd(LR) };
    let cases = [
        ("gradient descent, 2/η", Rule::gd(LR)),
        ("weight decay c = 1, 2/η − c", Rule { weight_decay: 1.0, ..Rule::gd(LR) }),
        ("Polyak's momentum β = 0.5, (2 + 2β)/η", polyak),
        ("Nesterov's momentum β = 0.9, (2 + 2β)/(η(1 + 2β))", Rule { nesterov: true, momentum: 0.9, ..polyak }),
        ("un-normalised SAM ρ = 0.25, (√(1 + 8ρ/η) − 1)/(2ρ)", usam),
        ("un-normalised SAM, 2 steps of ascent, λ(1 + ρλ/2)² = 2/η", Rule { ascent_steps: 2, ..usam }),
        ("un-normalised SAM, Polyak's momentum β = 0.5", Rule { momentum: 0.5, ..usam }),
    ];
    cases.into_iter().map(|(what, rule)| bracket(toy, what, rule)).collect()
}

fn bracket(toy: &mut Toy, what: &str, rule: Rule) -> Result<TheorySection, TheoryError> {
    // These edges do not depend on ‖g‖.
    let edge = rule.edge(&rule.climb(&[])).unwrap_or(f64::NAN);
    let parts = [("below: decays", 0.99), ("on the edge", 1.0), ("above: grows", 1.01)];
    let spectrum = parts.map(|(_, part)| f64::from((part * edge) as f32));
    toy.objective.replace(&example(&[spectrum[0], spectrum[1], spectrum[2], 0.0]))?;
    let run = toy.start(rule, &[1.0; 3])?;
    let before = run.advance(SETTLE)?;
    let after = run.advance(STEPS)?;
    let last = run.advance(1)?;
    let checks = (0..3).map(|i| {
        let (part, share) = parts[i];
        let sign = (last[i] / after[i]).signum();
        let factor = sign * (after[i] / before[i]).abs().powf(1.0 / STEPS as f64);
        let what = format!("{part}: factor at {share:.2} × the edge");
        let predicted = if share == 1.0 { -1.0 } else { dominant_root(&rule, spectrum[i]) };
        Check::new(what, predicted, factor, ROUNDING)
    });
    Ok(TheorySection { title: format!("{what} = {edge:.6} (η {LR})"), checks: checks.collect() })
}

/// The root of largest magnitude of z² − tz + d, where t and d are trace and determinant of a step on (w, v).
fn dominant_root(rule: &Rule, lambda: f64) -> f64 {
    let mut felt = lambda;
    if rule.perturbs() {
        for _ in 0..rule.ascent_steps {
            felt *= 1.0 + rule.rho * lambda / rule.ascent_steps as f64;
        }
    }
    let (beta, h) = (rule.momentum, rule.lr * (felt + rule.weight_decay));
    let (trace, determinant) =
        if rule.nesterov { (1.0 + beta - (1.0 + beta) * h, beta * (1.0 - h)) } else { (1.0 + beta - h, beta) };
    let root = (trace * trace / 4.0 - determinant).sqrt();
    trace / 2.0 + root.copysign(trace)
}
