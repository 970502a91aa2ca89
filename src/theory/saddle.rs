//! SAM is attracted by saddles: along negative curvature it moves inwards if ρ|λ| > ‖g‖. A step multiplies a mode by 1
//! − ηλ − ηρλ²/‖g‖, which for λ < 0 is 1 + η|λ|(1 − ρ|λ|/‖g‖).

use super::toys::{Toy, example};
use super::{Check, ROUNDING, TheoryError, TheorySection};
use crate::optim::Rule;

const LR: f64 = 0.25;
const RHO: f64 = 0.125;
const LAMBDA: f64 = -2.0;

pub(super) fn sections(toy: &mut Toy) -> Result<Vec<TheorySection>, TheoryError> {
    toy.objective.replace(&example(&[1.0, LAMBDA, 0.5, 0.25]))?;
    let lowest = toy.spectrum(4)?.lambda_min.value;
    let mut checks = vec![Check::new("λ_min from H·v and Lanczos", LAMBDA, lowest, ROUNDING)];
    for (what, times) in [("in", 0.5), ("neither way", 1.0), ("out", 2.0)] {
        // Along the mode ‖g‖ = |λ|·|w|, so that ρ|λ| = ‖g‖ at |w| = ρ.
        let start = times * RHO;
        let factor = 1.0 + LR * -LAMBDA * (1.0 - 1.0 / times);
        let rule = Rule { epsilon: 0.0, ..Rule::sam(LR, RHO) };
        let after = toy.start(rule, &[0.0, start, 0.0, 0.0])?.advance(1)?;
        let what = format!("‖g‖ = {times} ρ|λ|: {what}, factor 1 + η|λ|(1 − ρ|λ|/‖g‖)");
        checks.push(Check::new(what, factor, after[1] / start, ROUNDING));
    }
    let descent = toy.start(Rule::gd(LR), &[0.0, 0.5 * RHO, 0.0, 0.0])?.advance(1)?;
    let factor = 1.0 - LR * LAMBDA;
    checks.push(Check::new("gradient descent: out, factor 1 + η|λ|", factor, descent[1] / (0.5 * RHO), ROUNDING));
    Ok(vec![TheorySection { title: format!("saddles (η {LR}, ρ {RHO}, λ_min {LAMBDA})"), checks }])
}
