//! TODO
use nalgebra::{DMatrix, SymmetricEigen};

use super::basis::{Basis, Directions, axpy, norm, scale};
use super::operator::Products;
use super::spectrum::{check_start, error_bound};
use super::{CurvatureError, EigenOptions, Eigenpair, Operator, RitzValue, Spectrum};

/// Weight of the random direction in the guard vector of a warm start.
const RANDOM_WEIGHT: f64 = 0.3;
/// A new direction this small against the products is rounding: the basis spans an invariant subspace.
const BREAKDOWN: f64 = 1e-12;
/// Products spent looking outside an invariant subspace, beyond one a pair, before what it holds is accepted.
const LOOK_AROUND: usize = 10;

/// The eigenpairs that `options` asks for.
///
/// # Errors
/// Options out of range, start vectors that do not fit, products that fail or are not finite.
pub fn lanczos(
    operator: &mut dyn Operator,
    start: &[&[f64]],
    options: &EigenOptions,
) -> Result<Spectrum, CurvatureError> {
    let dim = operator.dim();
    let options = &options.within(dim)?;
    check_start(start, dim)?;
    let most = options.top + options.bottom;
    let limit = (2 * most + 12 + 8 * options.block).min(dim);
    let mut directions = Directions::new(options.seed);
    let mut krylov =
        Krylov { products: Products::new(operator), basis: Basis(vec![]), h: vec![], largest_product: 0.0 };
    krylov.begin(start, most, options.block, &mut directions);

    let mut lambda_max: Option<RitzValue> = None;
    let mut lambda_min: Option<RitzValue> = None;
    let mut broken_down_at = None;
    let mut count = krylov.basis.0.len();
    loop {
        krylov.multiply(count.min(options.max_iterations.saturating_sub(krylov.products.spent).max(1)))?;
        let spent = krylov.products.spent;
        let ritz = krylov.ritz_pairs();
        // Restarts drop Ritz values, so the extremes of all are kept apart; on a tie the later is the more accurate.
        for pair in &ritz {
            let new = pair.ritz;
            lambda_max = lambda_max.filter(|old| old.value > new.value).or(Some(new));
            lambda_min = lambda_min.filter(|old| old.value < new.value).or(Some(new));
        }
        let breakdown = krylov.frontier() == 0;
        if breakdown && broken_down_at.is_none() {
            broken_down_at = Some(spent);
        }
        let complete = krylov.h.len() == dim;
        let looked_around = broken_down_at.is_none_or(|at| spent >= at + most + LOOK_AROUND);
        let wanted = Wanted::among(&ritz, options);
        let done = complete || spent >= options.max_iterations || looked_around && wanted.settled(&ritz, options);
        if let (true, Some(lambda_max), Some(lambda_min)) = (done, lambda_max, lambda_min) {
            return Ok(krylov.spectrum(&ritz, &wanted, options, lambda_max, lambda_min));
        }
        if krylov.h.len() >= limit {
            krylov.restart(&ritz, &wanted, limit);
        }
        if krylov.frontier() == 0 {
            for _ in 0..options.block.min(dim - krylov.basis.0.len()) {
                let v = krylov.basis.fresh(dim, &mut directions);
                krylov.basis.0.push(v);
            }
        }
        count = options.block.min(krylov.frontier());
        if count < krylov.frontier() {
            krylov.prefer(count, options);
        }
    }
}

/// A Ritz pair, its vector given by coefficients in the basis.
struct RitzPair {
    ritz: RitzValue,
    coefficients: Vec<f64>,
}

impl RitzPair {
    fn value(&self) -> f64 {
        self.ritz.value
    }
}

/// Which Ritz pairs are asked for, as positions in the list sorted by falling magnitude.
struct Wanted {
    /// The first so many.
    top: usize,
    /// By rising value.
    bottom: Vec<usize>,
}

impl Wanted {
    fn among(ritz: &[RitzPair], options: &EigenOptions) -> Self {
        let top = match options.above {
            None => options.top,
            Some(above) => ritz.iter().take_while(|pair| pair.value().abs() >= above).count() + 1,
        };
        let mut rising: Vec<usize> = (0..ritz.len()).collect();
        rising.sort_by(|&a, &b| ritz[a].value().total_cmp(&ritz[b].value()));
        rising.truncate(options.bottom);
        Self { top: top.min(options.top), bottom: rising }
    }

    /// Whether the wanted pairs are there and have converged, and no other can belong among them.
    fn settled(&self, ritz: &[RitzPair], options: &EigenOptions) -> bool {
        if ritz.len() < self.top || self.bottom.len() < options.bottom {
            return false;
        }
        let largest = ritz[0].value().abs();
        let threshold = |i: usize| options.threshold(ritz[i].value(), largest);
        let converged = |i: usize| ritz[i].ritz.residual <= threshold(i);
        let least = ritz[self.top - 1].value().abs() + threshold(self.top - 1);
        let highest = self.bottom.last().map_or(f64::NEG_INFINITY, |&i| ritz[i].value() - threshold(i));
        let outside = |i: usize| {
            let RitzValue { value, residual } = ritz[i].ritz;
            (i < self.top || value.abs() + residual <= least)
                && (self.bottom.contains(&i) || value - residual >= highest)
        };
        (0..self.top).all(converged) && self.bottom.iter().all(|&i| converged(i)) && (0..ritz.len()).all(outside)
    }
}

/// An orthonormal basis of which the first `h.len()` vectors have been multiplied, and what came of it.
struct Krylov<'a> {
    products: Products<'a>,
    basis: Basis,
    /// A q_j = Σ_i h[j][i] q_i; a column ends at its last coefficient that is not zero.
    h: Vec<Vec<f64>>,
    largest_product: f64,
}

impl Krylov<'_> {
    /// Basis vectors not multiplied yet.
    fn frontier(&self) -> usize {
        self.basis.0.len() - self.h.len()
    }

    fn begin(&mut self, start: &[&[f64]], most: usize, block: usize, directions: &mut Directions) {
        let dim = self.products.dim();
        if start.is_empty() {
            for _ in 0..block {
                let v = self.basis.fresh(dim, directions);
                self.basis.0.push(v);
            }
            return;
        }
        let (near, guards) = start.split_at(most.min(start.len()));
        let mut guard = directions.unit(dim);
        scale(&mut guard, RANDOM_WEIGHT);
        for other in guards {
            axpy(1.0, other, &mut guard);
        }
        for v in near.iter().copied().chain([guard.as_slice()]) {
            let mut v = v.to_vec();
            let before = norm(&v);
            self.basis.orthogonalise(&mut v);
            let after = norm(&v);
            if after > 1e-8 * before && self.basis.0.len() < dim {
                scale(&mut v, 1.0 / after);
                self.basis.orthogonalise(&mut v);
                self.basis.0.push(v);
            }
        }
    }

    /// Multiplies the first `count` vectors of the frontier.
    fn multiply(&mut self, count: usize) -> Result<(), CurvatureError> {
        let from = self.h.len();
        let vectors: Vec<&[f64]> = self.basis.0[from..from + count].iter().map(Vec::as_slice).collect();
        for mut w in self.products.apply_block(&vectors)? {
            self.largest_product = self.largest_product.max(norm(&w));
            let mut column = self.basis.orthogonalise(&mut w);
            for c in &column {
                self.products.finite(*c)?;
            }
            let length = norm(&w);
            if length > BREAKDOWN * self.largest_product && self.basis.0.len() < w.len() {
                scale(&mut w, 1.0 / length);
                self.basis.0.push(w);
                column.push(length);
            }
            self.h.push(column);
        }
        Ok(())
    }

    /// H as a matrix of as many rows as there are basis vectors and as many columns as have been multiplied.
    fn projected(&self) -> DMatrix<f64> {
        DMatrix::from_fn(self.basis.0.len(), self.h.len(), |i, j| self.h[j].get(i).copied().unwrap_or(0.0))
    }

    /// The Ritz pairs of the multiplied vectors, by falling magnitude.
    fn ritz_pairs(&self) -> Vec<RitzPair> {
        let h = self.projected();
        let m = self.h.len();
        let square = h.rows(0, m);
        let eigen = SymmetricEigen::new((square + square.transpose()) * 0.5);
        let mut pairs: Vec<_> = (0..m)
            .map(|i| {
                let (value, s) = (eigen.eigenvalues[i], eigen.eigenvectors.column(i));
                let mut residual = &h * s;
                residual.rows_mut(0, m).axpy(-value, &s, 1.0);
                let ritz = RitzValue { value, residual: residual.norm() };
                RitzPair { ritz, coefficients: s.iter().copied().collect() }
            })
            .collect();
        pairs.sort_by(|a, b| b.value().abs().total_cmp(&a.value().abs()));
        pairs
    }

    /// Turns the frontier so that its first `count` vectors hold most of what the wanted pairs lack.
    ///
    /// What they lack is read off the eigenvectors of A in the whole basis, where A on the frontier is taken for zero.
    fn prefer(&mut self, count: usize, options: &EigenOptions) {
        let h = self.projected();
        let (rows, m) = (h.nrows(), h.ncols());
        let mut model = DMatrix::zeros(rows, rows);
        model.view_mut((0, 0), (rows, m)).copy_from(&h);
        let model = (&model + model.transpose()) * 0.5;
        let mut model_full = model.clone();
        // The lower-left block is only on one side above, hence halved.
        for i in m..rows {
            for j in 0..m {
                model_full[(i, j)] = h[(i, j)];
                model_full[(j, i)] = h[(i, j)];
            }
        }
        let eigen = SymmetricEigen::new(model_full);
        let mut order: Vec<usize> = (0..rows).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].abs().total_cmp(&eigen.eigenvalues[a].abs()));
        let lowest = {
            let mut rising = order.clone();
            rising.sort_by(|&a, &b| eigen.eigenvalues[a].total_cmp(&eigen.eigenvalues[b]));
            rising.truncate(options.bottom);
            rising
        };
        order.truncate(options.top);
        order.extend(lowest);
        let lacking = DMatrix::from_fn(rows - m, order.len(), |i, j| eigen.eigenvectors[(m + i, order[j])]);
        let gram = &lacking * lacking.transpose();
        let eigen = SymmetricEigen::new(gram);
        let mut order: Vec<usize> = (0..rows - m).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
        let columns: Vec<Vec<f64>> =
            order.iter().map(|&i| eigen.eigenvectors.column(i).iter().copied().collect()).collect();
        self.turn_frontier(&columns);
        let _ = count;
    }

    /// Replaces the frontier by its combinations, one for each column of an orthogonal matrix.
    fn turn_frontier(&mut self, columns: &[Vec<f64>]) {
        let m = self.h.len();
        let mut frontier = Basis(self.basis.0.split_off(m));
        frontier.rotate(columns);
        self.basis.0.append(&mut frontier.0);
        for column in &mut self.h {
            column.resize(self.basis.0.len(), 0.0);
            let old = column.split_off(m);
            column.extend(columns.iter().map(|c| super::basis::dot(c, &old)));
        }
    }

    /// Replaces what has been multiplied by its best Ritz vectors.
    fn restart(&mut self, ritz: &[RitzPair], wanted: &Wanted, limit: usize) {
        let most = wanted.top + wanted.bottom.len();
        let keep = most + (limit - most) / 3;
        let mut kept: Vec<usize> = (0..wanted.top).chain(wanted.bottom.iter().copied()).collect();
        // The rest by magnitude, and where the bottom is wanted too every other one from there.
        let mut rising: Vec<usize> = (0..ritz.len()).collect();
        rising.sort_by(|&a, &b| ritz[a].value().total_cmp(&ritz[b].value()));
        let both = !wanted.bottom.is_empty();
        let rest = (0..ritz.len()).flat_map(|i| [i, if both { rising[i] } else { i }]);
        kept.extend(rest);
        let mut seen = vec![false; ritz.len()];
        kept.retain(|&i| !std::mem::replace(&mut seen[i], true));
        kept.truncate(keep);
        kept.sort_unstable();

        let m = self.h.len();
        let h = self.projected();
        let mut frontier = self.basis.0.split_off(m);
        let columns: Vec<Vec<f64>> = kept.iter().map(|&i| ritz[i].coefficients.clone()).collect();
        self.basis.rotate(&columns);
        self.basis.0.append(&mut frontier);
        self.h = (kept.iter().zip(&columns).enumerate())
            .map(|(slot, (&i, s))| {
                let mut column = vec![0.0; columns.len()];
                column[slot] = ritz[i].value();
                column.extend((m..h.nrows()).map(|row| (0..m).map(|j| h[(row, j)] * s[j]).sum::<f64>()));
                column
            })
            .collect();
    }

    fn spectrum(
        &self,
        ritz: &[RitzPair],
        wanted: &Wanted,
        options: &EigenOptions,
        lambda_max: RitzValue,
        lambda_min: RitzValue,
    ) -> Spectrum {
        let largest = ritz[0].value().abs();
        let values: Vec<RitzValue> = ritz.iter().map(|pair| pair.ritz).collect();
        let pair = |i: usize| {
            let RitzValue { value, residual } = values[i];
            Eigenpair {
                value,
                vector: self.basis.combine(ritz[i].coefficients.iter()),
                residual,
                error: error_bound(&values, i),
                converged: residual <= options.threshold(value, largest),
            }
        };
        let runner_up = (wanted.top..ritz.len()).find(|i| !wanted.bottom.contains(i));
        Spectrum {
            pairs: (0..wanted.top.min(ritz.len())).map(pair).collect(),
            bottom: wanted.bottom.iter().map(|&i| pair(i)).collect(),
            runner_up: runner_up.map(pair),
            lambda_max,
            lambda_min,
            products: self.products.spent,
        }
    }
}
