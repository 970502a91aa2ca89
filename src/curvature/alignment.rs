//! The share of a vector that lies in the span of a few others.
//!
//! Gradients are reported to lie mostly in the span of the Hessian's top eigenvectors (G. Gur-Ari, D. A. Roberts, E.
//! Dyer, "Gradient Descent Happens in a Tiny Subspace", 2018); this share measures it.

use super::basis::{dot, norm, scale};

/// ‖Pg‖/‖g‖ in 0..=1, with P the projection on the span of orthonormal `vectors`, such as eigenvectors; 0 for g = 0 and
/// for no vectors, NaN where g has an entry that is not finite. All have equal lengths; g may have any scale. For one
/// vector it is [`edge::alignment`](super::edge::alignment).
pub fn subspace_alignment(g: &[f64], vectors: &[&[f64]]) -> f64 {
    // Scaled by the largest entry first, so that squares neither overflow nor vanish.
    let largest = g.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    if g.iter().all(|&x| x == 0.0) {
        return 0.0;
    }
    let mut unit: Vec<f64> = g.iter().map(|x| x / largest).collect();
    let length = norm(&unit);
    scale(&mut unit, 1.0 / length);
    norm(&vectors.iter().map(|v| dot(&unit, v)).collect::<Vec<_>>()).clamp(0.0, 1.0)
}
