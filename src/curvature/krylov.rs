//! An orthonormal basis of which some vectors have been multiplied, and a model of the rest.
//!
//! A Q_m = Q H, where the first m vectors of Q have been multiplied. The others, the *frontier*, hold the parts of
//! products outside the basis, or come from a warm start. The residuals of the Ritz pairs of the multiplied part follow
//! from H. The *model* completes H to a square matrix with a guess for the frontier: 0 if nothing is known, or the
//! eigenvalues of the solve before. Its eigenvectors show which direction to multiply next; after the last product they
//! are better than the Ritz vectors. With one frontier vector and guess 0 this is Lanczos; with b, block Lanczos; with
//! a preconditioning guess, Davidson's method (E. R. Davidson, J. Comput. Phys. 17, 1975).

use nalgebra::{DMatrix, SymmetricEigen};

use super::basis::{Basis, norm, scale};
use super::operator::Products;
use super::{CurvatureError, Order, RitzValue};

/// A new direction this small against the products is rounding: the basis spans an invariant subspace.
const BREAKDOWN: f64 = 1e-12;

/// An approximate eigenpair, its vector given by coefficients in the basis.
pub(super) struct Ritz {
    pub(super) at: RitzValue,
    pub(super) coefficients: Vec<f64>,
}

/// See the module text.
pub(super) struct Krylov<'a> {
    pub(super) products: Products<'a>,
    pub(super) basis: Basis,
    /// A q_j = Σ_i h[j][i] q_i for the vectors that have been multiplied; a short column ends in zeros.
    h: Vec<Vec<f64>>,
    /// qᵢᵀA qⱼ on the frontier, where known.
    guess: DMatrix<f64>,
    /// The projection on the unknown part of the frontier.
    unknown: DMatrix<f64>,
    largest_product: f64,
    order: Order,
}

impl<'a> Krylov<'a> {
    /// An empty basis, whose pairs come in the given order.
    pub(super) fn new(products: Products<'a>, order: Order) -> Self {
        let (guess, unknown) = (DMatrix::zeros(0, 0), DMatrix::zeros(0, 0));
        Self { products, basis: Basis(vec![]), h: vec![], guess, unknown, largest_product: 0.0, order }
    }

    /// The number of vectors that have been multiplied.
    pub(super) fn multiplied(&self) -> usize {
        self.h.len()
    }

    /// The number of vectors that have not.
    pub(super) fn frontier(&self) -> usize {
        self.basis.0.len() - self.h.len()
    }

    /// Adds the part of `v` that is orthogonal to the basis to the frontier, with a guess of vᵀAv if there is one. Adds
    /// nothing if the remainder is only rounding.
    pub(super) fn push(&mut self, v: &[f64], guess: Option<f64>) {
        let mut v = v.to_vec();
        let before = norm(&v);
        self.basis.orthogonalise(&mut v);
        let after = norm(&v);
        if after > 1e-8 * before && self.basis.0.len() < v.len() {
            scale(&mut v, 1.0 / after);
            self.basis.orthogonalise(&mut v);
            self.advance(v, guess);
        }
    }

    fn advance(&mut self, v: Vec<f64>, guess: Option<f64>) {
        self.basis.0.push(v);
        let f = self.guess.nrows();
        self.guess = self.guess.clone().resize(f + 1, f + 1, 0.0);
        self.unknown = self.unknown.clone().resize(f + 1, f + 1, 0.0);
        match guess {
            Some(value) => self.guess[(f, f)] = value,
            None => self.unknown[(f, f)] = 1.0,
        }
    }

    /// Multiplies the first `count` vectors of the frontier.
    pub(super) fn multiply(&mut self, count: usize) -> Result<(), CurvatureError> {
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
                self.advance(w, None);
                column.push(length);
            }
            self.h.push(column);
        }
        let left = self.guess.nrows() - count;
        for matrix in [&mut self.guess, &mut self.unknown] {
            *matrix = matrix.view((count, count), (left, left)).into_owned();
        }
        Ok(())
    }

    /// H, with a row for every basis vector.
    fn projected(&self) -> DMatrix<f64> {
        DMatrix::from_fn(self.basis.0.len(), self.h.len(), |i, j| self.h[j].get(i).copied().unwrap_or(0.0))
    }

    /// The Ritz pairs of the multiplied part, in order.
    pub(super) fn ritz_pairs(&self) -> Vec<Ritz> {
        let (h, m) = (self.projected(), self.h.len());
        let square = h.rows(0, m);
        eigenpairs((square + square.transpose()) * 0.5, &h, self.order)
    }

    /// The eigenpairs of the model, in order, whose residuals within it are 0; `nought` stands for an unknown vᵀAv.
    pub(super) fn model_pairs(&self, nought: f64) -> Vec<Ritz> {
        let (h, m) = (self.projected(), self.h.len());
        let (all, square) = (h.nrows(), h.rows(0, m));
        let mut model = DMatrix::zeros(all, all);
        model.view_mut((0, 0), (m, m)).copy_from(&((square + square.transpose()) * 0.5));
        let below = h.rows(m, all - m);
        model.view_mut((m, 0), (all - m, m)).copy_from(&below);
        model.view_mut((0, m), (m, all - m)).copy_from(&below.transpose());
        model.view_mut((m, m), (all - m, all - m)).copy_from(&(&self.guess + &self.unknown * nought));
        eigenpairs(model.clone(), &model, self.order)
    }

    /// Turns the frontier so that its first vectors are the combinations given by orthonormal columns.
    pub(super) fn turn(&mut self, columns: &DMatrix<f64>) {
        let (m, f) = (self.h.len(), self.frontier());
        let mut spanning = columns.clone().resize_horizontally(columns.ncols() + f, 0.0);
        spanning.view_mut((0, columns.ncols()), (f, f)).fill_with_identity();
        let q = spanning.qr().q();
        let mut frontier = Basis(self.basis.0.split_off(m));
        frontier.rotate(&q.column_iter().map(|c| c.iter().copied().collect()).collect::<Vec<_>>());
        self.basis.0.append(&mut frontier.0);
        for matrix in [&mut self.guess, &mut self.unknown] {
            *matrix = q.transpose() * &*matrix * &q;
        }
        for column in &mut self.h {
            column.resize(m + f, 0.0);
            let turned = q.tr_mul(&DMatrix::from_column_slice(f, 1, &column[m..]));
            column[m..].copy_from_slice(turned.as_slice());
        }
    }

    /// Turns the frontier so that its first `count` vectors are the ones that matter most for `pairs` of the model.
    pub(super) fn prefer<'p>(&mut self, count: usize, pairs: impl Iterator<Item = &'p Ritz>) {
        let m = self.h.len();
        let needed: Vec<&[f64]> = pairs.map(|pair| &pair.coefficients[m..]).collect();
        let f = self.frontier();
        let needed = DMatrix::from_fn(f, needed.len(), |i, j| needed[j][i]);
        let eigen = SymmetricEigen::new(&needed * needed.transpose());
        let mut order: Vec<usize> = (0..f).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
        self.turn(&eigen.eigenvectors.select_columns(&order[..count]));
    }

    /// Replaces the multiplied vectors by some of their Ritz vectors.
    pub(super) fn restart(&mut self, kept: &[&Ritz]) {
        let (h, m) = (self.projected(), self.h.len());
        let mut frontier = self.basis.0.split_off(m);
        let columns: Vec<Vec<f64>> = kept.iter().map(|pair| pair.coefficients.clone()).collect();
        self.basis.rotate(&columns);
        self.basis.0.append(&mut frontier);
        self.h = (kept.iter().enumerate())
            .map(|(slot, pair)| {
                let mut column = vec![0.0; kept.len()];
                column[slot] = pair.at.value;
                column
                    .extend((m..h.nrows()).map(|row| (0..m).map(|j| h[(row, j)] * pair.coefficients[j]).sum::<f64>()));
                column
            })
            .collect();
    }

    /// The vector of a pair.
    pub(super) fn vector(&self, pair: &Ritz) -> Vec<f64> {
        self.basis.combine(pair.coefficients.iter())
    }
}

/// The eigenpairs of a symmetric `square`, the top of `tall`, which gives the residuals.
fn eigenpairs(square: DMatrix<f64>, tall: &DMatrix<f64>, order: Order) -> Vec<Ritz> {
    let m = square.nrows();
    let eigen = SymmetricEigen::new(square);
    let mut pairs: Vec<_> = (0..m)
        .map(|i| {
            let (value, s) = (eigen.eigenvalues[i], eigen.eigenvectors.column(i));
            let mut residual = tall * s;
            residual.rows_mut(0, m).axpy(-value, &s, 1.0);
            Ritz { at: RitzValue { value, residual: residual.norm() }, coefficients: s.iter().copied().collect() }
        })
        .collect();
    pairs.sort_by(|a, b| order.key(b.at.value).total_cmp(&order.key(a.at.value)));
    pairs
}
