//! Where training turns unstable: the edges that the top Hessian eigenvalue is compared with.
//!
//! On a quadratic, SAM multiplies the mode of eigenvalue λ by 1 − ηλ − ηρλ²/‖g‖ at each step. The mode grows when that is
//! below −1. Solving for λ gives the SAM-edge (P. M. Long and P. L. Bartlett, "Sharpness-Aware Minimization and the Edge
//! of Stability", arXiv 2309.12488).
//!
//! Other rules have other factors in the place of ρ/‖g‖, one for each step of the ascent ([`felt_curvature`]), and with
//! momentum a root of the mode's characteristic polynomial leaves the unit circle through −1 ([`momentum_limit`]).
//! `optim::Rule` puts these together.
//!
//! Pure float64 functions of numbers measured elsewhere; none of them loses digits or overflows on the way to a result
//! that fits.

use std::cmp::Ordering;

use super::basis::dot;

/// The edge of gradient descent, 2/η, in the units of an eigenvalue.
pub fn gd_edge(lr: f64) -> f64 {
    2.0 / lr
}

/// The edge of SAM, (‖g‖/2ρ)(√(1 + 8ρ/(η‖g‖)) − 1), for learning rate η > 0, radius ρ ≥ 0 and the gradient's norm ‖g‖.
///
/// It is below 2/η, equals it at ρ = 0, and is 0 at ‖g‖ = 0 with ρ > 0. Computed as (4/η)/(1 + √(1 + 8ρ/(η‖g‖))), which
/// is the same without the difference of nearly equal numbers.
pub fn sam_edge(lr: f64, rho: f64, grad_norm: f64) -> f64 {
    if rho == 0.0 {
        return gd_edge(lr);
    }
    if grad_norm == 0.0 {
        return 0.0;
    }
    // √(8ρ/(η‖g‖)) factor by factor: the quotient itself may overflow where its root does not.
    let root = 8.0_f64.sqrt() * rho.sqrt() / lr.sqrt() / grad_norm.sqrt();
    4.0 / lr / (1.0 + 1.0_f64.hypot(root))
}

/// ηλ at the edge of gradient descent with momentum β: 2 + 2β, or for Nesterov's (2 + 2β)/(1 + 2β); 2 without.
///
/// With x a mode's coordinate, Polyak's v ← βv + λx, x ← x − ηv has the characteristic polynomial
/// z² − (1 + β − ηλ)z + β, and Nesterov's v ← βv + λx, x ← x − η(λx + βv) has z² − (1 + β − (1 + β)ηλ)z + β(1 − ηλ);
/// at z = −1 they vanish for these ηλ. The product of the roots is below 1 there, so no complex pair leaves earlier.
pub fn momentum_limit(momentum: f64, nesterov: bool) -> f64 {
    let polyak = 2.0 + 2.0 * momentum;
    if nesterov { polyak / (1.0 + 2.0 * momentum) } else { polyak }
}

/// Equal steps of an ascent: each moves by `factor` times the gradient at its start, for SAM ρ/(K(‖gₖ‖ + ε)).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AscentSteps {
    /// The factor c ≥ 0.
    pub factor: f64,
    /// The number of such steps, a whole number.
    pub count: f64,
}

/// The curvature that a mode of eigenvalue λ feels under an ascent: λ Π (1 + cλ) over its steps; λ without any.
///
/// Each step multiplies the gradient of the mode by 1 + cλ. A mode of negative λ may feel a positive curvature.
pub fn felt_curvature(steps: &[AscentSteps], lambda: f64) -> f64 {
    if lambda == 0.0 {
        return 0.0;
    }
    steps.iter().fold(lambda, |felt, steps| felt * (1.0 + steps.factor * lambda).powf(steps.count))
}

/// The λ ≥ 0 whose [`felt_curvature`] is `limit` > 0: the edge of a rule with such an ascent, [`sam_edge`] for one step.
pub fn felt_edge(steps: &[AscentSteps], limit: f64) -> f64 {
    // One step with the sum of all factors amplifies no more, so its edge is no lower: from there Newton's method descends
    // to the edge, the curvature being convex.
    let total = steps.iter().map(|steps| steps.factor * steps.count).sum();
    let mut lambda = sam_edge(2.0 / limit, total, 1.0);
    if matches!(steps, [] | [AscentSteps { count: 1.0, .. }]) {
        return lambda;
    }
    let sum = |f: &dyn Fn(f64) -> f64, lambda: f64| -> f64 {
        steps.iter().map(|steps| steps.count * f(steps.factor * lambda)).sum()
    };
    loop {
        // λ h'/h = 1 + Σ x/(1 + x) with x = cλ.
        let slope = 1.0 + sum(&|x| x / (1.0 + x), lambda);
        let felt = felt_curvature(steps, lambda);
        let next = if felt.is_finite() {
            lambda * (1.0 - (1.0 - limit / felt) / slope)
        } else {
            // The same for logarithms, which are convex too and do not overflow.
            lambda * (-(lambda.ln() + sum(&f64::ln_1p, lambda) - limit.ln()) / slope).exp()
        };
        if next.partial_cmp(&lambda) != Some(Ordering::Less) {
            return lambda;
        }
        lambda = next;
    }
}

/// |cos(a, b)| in 0..=1; NaN when either vector is zero, which has no direction, or has an entry that is not finite. The vectors
/// have equal lengths and may have any scale.
pub fn alignment(a: &[f64], b: &[f64]) -> f64 {
    dot(&unit(a), &unit(b)).abs().clamp(0.0, 1.0)
}

/// v/‖v‖, scaled by its largest entry first so that squares neither overflow nor vanish; NaN for v = 0.
fn unit(v: &[f64]) -> Vec<f64> {
    let largest = v.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    let mut out: Vec<f64> = v.iter().map(|x| x / largest).collect();
    let length = dot(&out, &out).sqrt();
    out.iter_mut().for_each(|x| *x /= length);
    out
}
