//! SAM does not come to rest at a minimum: it ends on a 2-cycle along the top eigenvector, where the SAM-edge is λ₁.
//!
//! On L = ½ wᵀΛw the mode of λ₁ goes x ← x − ηλ₁(x + ρ sign x) once the others have decayed, which returns to −x at |x|
//! = a = ηρλ₁/(2 − ηλ₁) (Bartlett, Long and Bousquet 2023, arXiv 2210.01513). A momentum replaces the 2 by 2 + 2β, a
//! decay adds c to λ₁ in the denominator, and a normaliser ε subtracts ε/λ₁.

use super::toys::{MODES, Toy, example};
use super::{Check, ROUNDING, TheoryError, TheorySection};
use crate::curvature::edge::felt_curvature;
use crate::optim::{Moment, Rule};

const SPECTRUM: [f64; MODES] = [4.0, 3.0, 1.5, 0.5];
/// Rate and radius with an exact float32 form.
const LR: f64 = 0.3125;
const RHO: f64 = 0.125;

fn sam() -> Rule {
    Rule { epsilon: 0.0, ..Rule::sam(LR, RHO) }
}

pub(super) fn sections(toy: &mut Toy) -> Result<Vec<TheorySection>, TheoryError> {
    toy.objective.replace(&example(&SPECTRUM))?;
    Ok(vec![where_it_ends(toy)?, how_it_gets_there(toy)?, variants(toy)?, with_momentum(toy)?])
}

/// The amplitude of `rule`'s 2-cycle on L = ½λ₁x², ε aside.
fn amplitude(rule: &Rule, lambda: f64) -> f64 {
    let limit = 2.0 + 2.0 * rule.momentum;
    rule.lr * rule.rho * lambda / (limit - rule.lr * (lambda + rule.weight_decay))
}

/// From any start to the cycle, and the loss, gradient, eigenvalue and edge there.
fn where_it_ends(toy: &mut Toy) -> Result<TheorySection, TheoryError> {
    let (rule, lambda) = (sam(), SPECTRUM[0]);
    let a = amplitude(&rule, lambda);
    let run = toy.start(rule, &[1.0, -0.6, 0.4, 0.8])?;
    // The slowest mode shrinks by 0.83 a step.
    let here = run.advance(300)?;
    let metrics = run.metrics()?;
    let next = run.advance(1)?;
    let top = toy.spectrum(1)?.pairs.remove(0).value;
    let climb = rule.climb(&[metrics.grad_norm]);
    let edge = rule.edge(&climb).unwrap_or(f64::NAN);
    let gauge = rule.gauge(felt_curvature(&climb, top));
    let check = |what: &str, predicted, measured| Check::new(what, predicted, measured, ROUNDING);
    Ok(TheorySection {
        title: format!("SAM ends on a 2-cycle (η {LR}, ρ {RHO}, λ {SPECTRUM:?})"),
        checks: vec![
            check("amplitude a = ηρλ₁/(2 − ηλ₁)", a, here[0].abs()),
            check("a step turns it round: w₁⁺/w₁", -1.0, next[0] / here[0]),
            check("‖g‖ = λ₁a", lambda * a, metrics.grad_norm),
            check("loss ½λ₁a²", 0.5 * lambda * a * a, metrics.loss),
            check("λ₁ from H·v and Lanczos", lambda, top),
            check("SAM-edge(‖g‖) = λ₁ as measured", top, edge),
            check("gauge S there", 1.0, gauge),
        ],
    })
}

/// The factor by which a step near the cycle changes a deviation, in each mode.
fn how_it_gets_there(toy: &mut Toy) -> Result<TheorySection, TheoryError> {
    let (rule, lambda) = (sam(), SPECTRUM[0]);
    let a = amplitude(&rule, lambda);
    let factor = 1.0 - LR * lambda;
    // A large deviation, so that its remainder is well above the rounding of a.
    let run = toy.start(rule, &[3.0 * a, 0.0, 0.0, 0.0])?;
    let left = (run.advance(1)?[0] + a) / (2.0 * a);
    let mut checks = vec![Check::new("amplitude error: factor 1 − ηλ₁ a step", factor, left, ROUNDING)];
    // A deviation in another mode changes ‖g‖ by half its square, relatively: far less than rounding.
    let small = 1e-5;
    run.toy.put(&[a, small, small, small])?;
    let after = run.advance(1)?;
    for i in 1..MODES {
        let (ratio, other) = (SPECTRUM[i] / lambda, SPECTRUM[i]);
        let factor = 1.0 - LR * other - ratio * ratio * (2.0 - LR * lambda);
        let what = format!("mode {other}: factor 1 − ηλᵢ − (λᵢ/λ₁)²(2 − ηλ₁)");
        checks.push(Check::new(what, factor, after[i] / f64::from(small as f32), ROUNDING));
    }
    Ok(TheorySection { title: "the way to the cycle".into(), checks })
}

/// Normaliser, decay, several steps of ascent.
fn variants(toy: &mut Toy) -> Result<TheorySection, TheoryError> {
    let lambda = SPECTRUM[0];
    let mut checks = vec![];
    let cases = [
        ("ε = 0.25: a − ε/λ₁", Rule { epsilon: 0.25, ..sam() }),
        ("weight decay c = 1: a = ηρλ₁/(2 − η(λ₁ + c))", Rule { weight_decay: 1.0, ..sam() }),
        ("4 steps of ascent: a as with one", Rule { ascent_steps: 4, ..sam() }),
    ];
    for (what, rule) in cases {
        let a = amplitude(&rule, lambda) - rule.epsilon / lambda;
        let here = toy.start(rule, &[1.0, -0.6, 0.4, 0.8])?.advance(300)?;
        checks.push(Check::new(what, a, here[0].abs(), ROUNDING));
    }
    Ok(TheorySection { title: "the 2-cycle of relatives".into(), checks })
}

/// With Polyak's momentum the cycle attracts nearby starts; a start at rest reaches other orbits.
fn with_momentum(toy: &mut Toy) -> Result<TheorySection, TheoryError> {
    const LAMBDA: f64 = 3.2;
    const STEPS: usize = 24;
    toy.objective.replace(&example(&[LAMBDA, 0.0, 0.0, 0.0]))?;
    let mut checks = vec![];
    let mut periods = vec![];
    for momentum in [0.0, 0.3, 0.5, 0.9] {
        let rule = Rule { momentum, lr: 0.125, ..sam() };
        let a = amplitude(&rule, LAMBDA);
        let run = toy.start(rule, &[1.1 * a])?;
        if let Some(velocity) = run.optimizer.state().get(Moment::Momentum) {
            // On the cycle w jumps by 2a, which is ηv.
            run.toy.device().write(velocity, &[(-2.0 * a / rule.lr) as f32])?;
        }
        let here = run.advance(400)?[0].abs();
        checks.push(Check::new(format!("β = {momentum}: a = ηρλ/(2 + 2β − ηλ)"), a, here, ROUNDING));
        let run = toy.start(rule, &[0.37])?;
        run.advance(400)?;
        let period = period(&run.trace(STEPS)?);
        periods.push(Check::observed(format!("β = {momentum}: period reached from rest at w = 0.37"), period));
    }
    checks.extend(periods);
    let title = format!("SAM with Polyak's momentum (η 0.125, ρ {RHO}, λ {LAMBDA})");
    Ok(TheorySection { title, checks })
}

/// The shortest period of a sequence, up to half its length; 0 for none.
fn period(trace: &[f64]) -> f64 {
    let largest = trace.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    let repeats = |p: usize| trace[p..].iter().zip(trace).all(|(a, b)| (a - b).abs() <= 1e-4 * largest);
    (1..=trace.len() / 2).find(|&p| repeats(p)).unwrap_or(0) as f64
}
