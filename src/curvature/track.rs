//! A prediction of the eigenvectors for the next solve, when the matrix has moved a little.
//!
//! Between measurements eigenvectors drift (smooth networks), jitter (each kink that an example crosses turns them) or
//! swing with the two-cycle at the edge of stability. The share of the latest change that continued the one before,
//! about 1, 0 or −1, tells these apart, and the prediction continues the change by this factor. It takes no products.

use super::basis::{Basis, axpy, dot, scale};

/// Pairs kept beyond the wanted ones.
pub(super) const KEPT: usize = 10;

/// The input of a warm start. Keep it to continue later with the same bits.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// The eigenvalues expected when the solve ended, by falling magnitude, the wanted ones first.
    pub values: Vec<f64>,
    /// Their eigenvectors, orthonormal, each of the operator's dimension.
    pub vectors: Vec<Vec<f64>>,
    /// The number of wanted vectors.
    pub wanted: usize,
    /// The part of each wanted vector outside the span of the solve before; empty if there was none.
    pub changes: Vec<Vec<f64>>,
    /// The factor by which these continued the changes before, from −1 to 1.
    pub persistence: f64,
}

impl Track {
    /// Orthonormal `vectors` with their `values`, the wanted ones first, after the solve `before`.
    pub(super) fn new(values: Vec<f64>, vectors: Vec<Vec<f64>>, wanted: usize, before: Option<&Self>) -> Self {
        let mut track = Self { values, vectors, wanted, changes: vec![], persistence: 0.0 };
        if let Some(before) = before {
            let old = Basis(before.vectors[..before.wanted].to_vec());
            let (mut continued, mut length) = (0.0, 0.0);
            for v in &track.vectors[..wanted] {
                let mut change = v.clone();
                let shares = old.orthogonalise(&mut change);
                if !before.changes.is_empty() {
                    let last = Basis(before.changes.clone()).combine(shares.iter());
                    continued += dot(&change, &last);
                    length += dot(&last, &last);
                }
                track.changes.push(change);
            }
            if length > 0.0 {
                track.persistence = (continued / length).clamp(-1.0, 1.0);
            }
        }
        track
    }

    /// The predicted vectors.
    pub(super) fn predicted(&self) -> impl Iterator<Item = (f64, Vec<f64>)> {
        self.vectors.iter().enumerate().map(|(i, v)| {
            let mut v = v.clone();
            if let Some(change) = self.changes.get(i) {
                axpy(self.persistence, change, &mut v);
                let length = dot(&v, &v).sqrt();
                scale(&mut v, 1.0 / length);
            }
            (self.values[i], v)
        })
    }
}
