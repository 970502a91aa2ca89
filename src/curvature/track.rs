//! What one solve leaves for the next: where the eigenvectors will be when the matrix has moved a little.
//!
//! The one idea: between two measurements of a training run eigenvectors either drift (smooth networks) or jitter (each kink
//! that an example crosses turns them a little), and at the edge of stability they swing with the two-cycle. How far the
//! latest change continued the one before it tells which, and the change is continued by as much: about 1, 0 and −1
//! times. It is a linear prediction of order one, fitted to the two latest changes, and takes no products.

use super::basis::{Basis, axpy, dot, scale};

/// Pairs kept beyond the wanted ones.
pub(super) const KEPT: usize = 10;

/// All that a warm start needs, and what has to be kept for one that is to go on later with the same bits.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// The eigenvalues expected when the solve ended, by falling magnitude, the wanted ones first.
    pub values: Vec<f64>,
    /// Their eigenvectors, orthonormal, each of the operator's dimension.
    pub vectors: Vec<Vec<f64>>,
    /// How many of the vectors are asked for.
    pub wanted: usize,
    /// What each wanted vector has outside the span of those of the solve before; empty where there was none.
    pub changes: Vec<Vec<f64>>,
    /// By how much these continued the changes before, from −1 to 1.
    pub persistence: f64,
}

impl Track {
    /// Orthonormal `vectors` with their `values`, the wanted ones first, when the solve before was `before`.
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

    /// The vectors as they are expected next.
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
