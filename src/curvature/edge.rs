//! The edges of stability that the top Hessian eigenvalue is compared with.
//!
//! On a quadratic, SAM multiplies the mode of eigenvalue λ by 1 − ηλ − ηρλ²/‖g‖ at each step; the mode grows when this
//! factor leaves [−1, 1]. Solving for λ gives the SAM-edge (P. M. Long and P. L. Bartlett, "Sharpness-Aware
//! Minimization and the Edge of Stability", arXiv 2309.12488). Un-normalised SAM has ρλ in the place of ρλ/‖g‖, and
//! with momentum a root of the mode's characteristic polynomial leaves through −1 ([`momentum_limit`]). `optim::Rule`
//! combines these functions. They are float64 formulas that neither lose digits nor overflow if the result fits.

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

/// The gauge S = (η/2)(λ + ρλ²/‖g‖): stable below 1, and 1 at λ = [`sam_edge`]; for ρ = 0 it is ηλ/2.
///
/// λ is signed: a negative one can be driven outwards by SAM too (ρ|λ| > ‖g‖ makes S positive). At ‖g‖ = 0 with ρλ ≠ 0
/// it is infinite.
pub fn gauge(lr: f64, rho: f64, grad_norm: f64, lambda: f64) -> f64 {
    let gd = lr / 2.0 * lambda;
    if rho == 0.0 || lambda == 0.0 {
        return gd;
    }
    gd + gd * (rho * (lambda / grad_norm))
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

/// The effective curvature along an eigenvector for un-normalised SAM with K = `steps` ascent steps of ρ/K each: λ(1 +
/// ρλ/K)^K.
///
/// Each step multiplies the gradient of the mode by 1 + ρλ/K.
pub fn usam_curvature(rho: f64, steps: usize, lambda: f64) -> f64 {
    lambda * (1.0 + rho * lambda / steps as f64).powf(steps as f64)
}

/// The edge of un-normalised SAM, the λ with λ(1 + ρλ/K)^K = 2/η for learning rate η > 0, radius ρ ≥ 0 and K ≥ 1 `steps`
/// of ascent; (√(1 + 8ρ/η) − 1)/(2ρ) for one (Agarwala and Dauphin 2023). It does not depend on ‖g‖.
pub fn usam_edge(lr: f64, rho: f64, steps: usize) -> f64 {
    // One step is the SAM-edge at ‖g‖ = 1. More steps amplify more, so their edge is no higher: from there Newton's
    // method descends to it, the curvature being convex.
    let mut lambda = sam_edge(lr, rho, 1.0);
    if steps == 1 {
        return lambda;
    }
    let k = steps as f64;
    loop {
        // λ h'/h = 1 + Kx/(1 + x) with x = ρλ/K.
        let x = rho * lambda / k;
        let slope = 1.0 + k * x / (1.0 + x);
        let curvature = usam_curvature(rho, steps, lambda);
        let next = if curvature.is_finite() {
            lambda * (1.0 - (1.0 - gd_edge(lr) / curvature) / slope)
        } else {
            // The same for logarithms, which are convex too and do not overflow.
            let excess = lambda.ln() + k * x.ln_1p() - gd_edge(lr).ln();
            lambda * (-excess / slope).exp()
        };
        if next.partial_cmp(&lambda) != Some(Ordering::Less) {
            return lambda;
        }
        lambda = next;
    }
}

/// |cos(a, b)| in 0..=1; 0 when either vector is zero, and NaN when one has an entry that is not finite. The vectors have equal
/// lengths and may have any scale.
pub fn alignment(a: &[f64], b: &[f64]) -> f64 {
    dot(&unit(a), &unit(b)).abs().clamp(0.0, 1.0)
}

/// v/‖v‖, scaled by its largest entry first so that squares neither overflow nor vanish; v itself where no entry is above 0 in
/// magnitude.
fn unit(v: &[f64]) -> Vec<f64> {
    let largest = v.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    if largest == 0.0 {
        return v.to_vec();
    }
    let mut out: Vec<f64> = v.iter().map(|x| x / largest).collect();
    let length = dot(&out, &out).sqrt();
    out.iter_mut().for_each(|x| *x /= length);
    out
}
