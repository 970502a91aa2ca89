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

    /// For each of some orthonormal vectors, the place among the first `top` of the track of the one that it continues:
    /// the one with cos² > ½ to it. There is at most one, and it continues in one at most.
    pub fn continued_by(&self, vectors: &[&[f64]], top: usize) -> Vec<Option<usize>> {
        let before = &self.vectors[..top.min(self.wanted)];
        let partner = |(rank, vector): (usize, &&[f64])| {
            // The shares of a unit vector sum to at most 1. Ranks hardly change, so the nearest are tried first.
            let mut rest = 1.0;
            let mut places: Vec<usize> = (0..before.len()).collect();
            places.sort_by_key(|place| place.abs_diff(rank));
            for place in places {
                let share = dot(vector, &before[place]).powi(2);
                if share > 0.5 {
                    return Some(place);
                }
                rest -= share;
                if rest < 0.5 {
                    break;
                }
            }
            None
        };
        vectors.iter().enumerate().map(partner).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_eigenvector_continues_the_one_that_it_shares_most_with() {
        let unit = |i: usize| (0..4).map(|j| f64::from(u8::from(i == j))).collect::<Vec<f64>>();
        let track = Track::new(vec![3.0, 2.0, 1.0], vec![unit(0), unit(1), unit(2)], 3, None);
        // The first two have changed ranks and turned by 30°, the third is equally far from two.
        let (cos, sin) = (0.75_f64.sqrt(), 0.5);
        let turned =
            [vec![-sin, cos, 0.0, 0.0], vec![cos, sin, 0.0, 0.0], vec![0.0, 0.0, 0.5_f64.sqrt(), 0.5_f64.sqrt()]];
        let vectors: Vec<&[f64]> = turned.iter().map(Vec::as_slice).collect();
        assert_eq!(track.continued_by(&vectors, 3)[..2], [Some(1), Some(0)]);
        // Those beyond the first `top` were no rows of a table.
        assert_eq!(track.continued_by(&vectors, 1), [None, Some(0), None]);
        assert_eq!(track.continued_by(&[&unit(3)], 9), [None]);
    }
}
