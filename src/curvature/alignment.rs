//! How much of a vector lies in the span of a few others.
//!
//! The one idea: a gradient is said to live in the top of the Hessian's spectrum (G. Gur-Ari, D. A. Roberts, E. Dyer, "Gradient
//! Descent Happens in a Tiny Subspace", 2018); this is the number that says how much of it.

use super::basis::{dot, norm, scale};

/// ‖Pg‖/‖g‖ in 0..=1, P being the projection on the span of orthonormal `vectors`, such as eigenvectors; 0 for no
/// vectors, otherwise NaN for g = 0, which has no direction, and where g has an entry that is not finite. All have equal lengths; g may have any scale. For one vector it is
/// [`edge::alignment`](super::edge::alignment).
pub fn subspace_alignment(g: &[f64], vectors: &[&[f64]]) -> f64 {
    // Scaled by the largest entry first, so that squares neither overflow nor vanish.
    let largest = g.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    let mut unit: Vec<f64> = g.iter().map(|x| x / largest).collect();
    let length = norm(&unit);
    scale(&mut unit, 1.0 / length);
    norm(&vectors.iter().map(|v| dot(&unit, v)).collect::<Vec<_>>()).clamp(0.0, 1.0)
}
