//! Where training turns unstable: the edges that the top Hessian eigenvalue is compared with.
//!
//! The one idea: on a quadratic, SAM multiplies the mode of eigenvalue λ by 1 − ηλ − ηρλ²/‖g‖ at each step; it grows
//! when that leaves [−1, 1]. Solving for λ gives the SAM-edge, and how far λ is along the way gives the gauge
//! (P. M. Long and P. L. Bartlett, "Sharpness-Aware Minimization and the Edge of Stability", arXiv 2309.12488).
//!
//! Pure float64 functions of numbers measured elsewhere; none of them loses digits or overflows on the way to a result
//! that fits.

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

/// The gauge S = (η/2)(λ + ρλ²/‖g‖): below 1 is stable, 1 is the edge, where λ = [`sam_edge`]; for ρ = 0 it is ηλ/2.
///
/// λ is signed: a negative one can be driven outwards by SAM too (ρ|λ| > ‖g‖ makes S positive). At ‖g‖ = 0 with
/// ρλ ≠ 0 it is infinite.
pub fn gauge(lr: f64, rho: f64, grad_norm: f64, lambda: f64) -> f64 {
    let gd = lr / 2.0 * lambda;
    if rho == 0.0 || lambda == 0.0 {
        return gd;
    }
    gd + gd * (rho * (lambda / grad_norm))
}

/// |cos(a, b)| in 0..=1; 0 when either vector is zero. The vectors have equal lengths and may have any scale.
pub fn alignment(a: &[f64], b: &[f64]) -> f64 {
    let (Some(a), Some(b)) = (unit(a), unit(b)) else {
        return 0.0;
    };
    dot(&a, &b).abs().min(1.0)
}

/// v/‖v‖, scaled by its largest entry first so that squares neither overflow nor vanish; `None` for zero.
fn unit(v: &[f64]) -> Option<Vec<f64>> {
    let largest = v.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    if largest == 0.0 {
        return None;
    }
    let mut out: Vec<f64> = v.iter().map(|x| x / largest).collect();
    let length = dot(&out, &out).sqrt();
    out.iter_mut().for_each(|x| *x /= length);
    Some(out)
}
