//! The eigenvalues of a table as curves that each follow one eigenvector.
//!
//! From row to row an eigenvalue continues the one that its column `follows` names. Where none is named, as in early
//! tables, the largest of the remaining ones continues the largest, the lowest the lowest and so on: by rank, but never
//! from one sign to the other.

use crate::folder::rows::CurvatureRow;

/// One curve.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Branch {
    /// Its place among the curves that are there at the same time, from 0: a branch that begins takes the lowest free one.
    pub lane: usize,
    /// The ranks in its first and its last row, from 1.
    pub ranks: (usize, usize),
    /// Whether it has changed its rank on the way.
    pub crosses: bool,
    /// (step, eigenvalue)
    pub points: Vec<(f64, f64)>,
}

/// All curves, in the order in which they begin.
pub(crate) fn branches(rows: &[CurvatureRow]) -> Vec<Branch> {
    let mut all: Vec<Branch> = vec![];
    // The branch of each eigenvalue of the row before.
    let mut present: Vec<usize> = vec![];
    for row in rows {
        let before: Vec<f64> =
            present.iter().map(|&branch| all[branch].points.last().map_or(0.0, |point| point.1)).collect();
        let continued = continued(&before, row);
        let kept: Vec<Option<usize>> = continued.iter().map(|place| place.map(|place| present[place])).collect();
        let mut lanes: Vec<usize> = kept.iter().flatten().map(|&branch| all[branch].lane).collect();
        present = kept
            .iter()
            .zip(&row.lambdas)
            .enumerate()
            .map(|(rank, (branch, &value))| {
                let branch = branch.unwrap_or_else(|| {
                    let lane = (0..).find(|lane| !lanes.contains(lane)).unwrap_or_default();
                    lanes.push(lane);
                    all.push(Branch { lane, ranks: (rank + 1, rank + 1), crosses: false, points: vec![] });
                    all.len() - 1
                });
                all[branch].crosses |= all[branch].ranks.1 != rank + 1;
                all[branch].ranks.1 = rank + 1;
                all[branch].points.push((row.step as f64, value));
                branch
            })
            .collect();
    }
    all
}

/// For each eigenvalue of a row, the place in the row before of the one that it continues.
fn continued(before: &[f64], row: &CurvatureRow) -> Vec<Option<usize>> {
    let mut found: Vec<Option<usize>> = vec![None; row.lambdas.len()];
    let mut is_taken = vec![false; before.len()];
    for (found, number) in found.iter_mut().zip(&row.follows) {
        let place = number.and_then(|number| usize::try_from(number).ok()?.checked_sub(1));
        if let Some(place) = place.filter(|&place| is_taken.get(place) == Some(&false)) {
            (*found, is_taken[place]) = (Some(place), true);
        }
    }
    for sign in [1.0, -1.0] {
        // From the end of the spectrum inwards.
        let ranked = |values: &[f64], is_free: &dyn Fn(usize) -> bool| {
            let mut places: Vec<usize> = (0..values.len()).filter(|&i| is_free(i) && sign * values[i] > 0.0).collect();
            places.sort_by(|&a, &b| (sign * values[b]).total_cmp(&(sign * values[a])));
            places
        };
        let free = ranked(before, &|i| !is_taken[i]);
        let open = ranked(&row.lambdas, &|i| found[i].is_none());
        for (i, place) in open.into_iter().zip(free) {
            (found[i], is_taken[place]) = (Some(place), true);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(step: u64, lambdas: &[f64], follows: &[u64]) -> CurvatureRow {
        let follows = follows.iter().map(|&number| Some(number).filter(|number| *number > 0)).collect();
        CurvatureRow { step, lambdas: lambdas.to_vec(), follows, ..Default::default() }
    }

    fn values(rows: &[CurvatureRow]) -> Vec<Vec<f64>> {
        branches(rows).iter().map(|branch| branch.points.iter().map(|point| point.1).collect()).collect()
    }

    #[test]
    fn curves_that_cross_keep_their_eigenvectors() {
        let rows = [row(0, &[3.0, 2.0], &[]), row(1, &[2.6, 2.4], &[1, 2]), row(2, &[2.8, 2.2], &[2, 1])];
        assert_eq!(values(&rows), [vec![3.0, 2.6, 2.2], vec![2.0, 2.4, 2.8]]);
        let found = branches(&rows);
        assert_eq!((found[0].ranks, found[1].ranks), ((1, 2), (2, 1)));
        assert!(found.iter().all(|branch| branch.crosses));
        // The same rows without eigenvectors: by rank.
        let rows: Vec<CurvatureRow> = rows.into_iter().map(|row| CurvatureRow { follows: vec![], ..row }).collect();
        assert_eq!(values(&rows), [vec![3.0, 2.6, 2.8], vec![2.0, 2.4, 2.2]]);
    }

    #[test]
    fn signs_are_not_joined_by_rank() {
        // The negative eigenvalue becomes the largest by magnitude, and leaves.
        let rows = [row(0, &[3.0, -2.0], &[]), row(1, &[-4.0, 2.9], &[]), row(2, &[2.8, 1.0], &[])];
        assert_eq!(values(&rows), [vec![3.0, 2.9, 2.8], vec![-2.0, -4.0], vec![1.0]]);
        // The place of the one that has left is free.
        assert_eq!(branches(&rows).iter().map(|branch| branch.lane).collect::<Vec<_>>(), [0, 1, 1]);
        // An eigenvector may change its sign.
        let rows = [row(0, &[3.0, -2.0], &[]), row(1, &[3.0, 0.5], &[1, 2])];
        assert_eq!(values(&rows), [vec![3.0, 3.0], vec![-2.0, 0.5]]);
    }

    #[test]
    fn every_eigenvalue_is_on_one_curve_whatever_the_cells_say() {
        let rows = [
            row(0, &[3.0, 2.0, -1.0], &[9, 0, 1]),
            row(1, &[3.0], &[u64::MAX]),
            row(2, &[3.0, 2.0, 1.0], &[1, 1, 1]),
            row(3, &[], &[]),
            row(4, &[f64::NAN, 0.0], &[1, 2]),
        ];
        let count: usize = branches(&rows).iter().map(|branch| branch.points.len()).sum();
        assert_eq!(count, 9);
        for branch in branches(&rows) {
            assert!(branch.points.is_sorted_by(|a, b| a.0 < b.0));
        }
    }
}
