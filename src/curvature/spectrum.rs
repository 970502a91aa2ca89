//! The options of an eigensolver and its result, in which every number has its accuracy beside it.

use super::CurvatureError;
use super::track::Track;
use crate::choice::choice;

choice! {
    /// Which eigenvalues come first.
    Order {
        /// Those of largest magnitude, as ‖A‖ = max |λ| asks for.
        Magnitude = "magnitude",
        /// The largest, positive before negative, as edges of stability ask for.
        Algebraic = "algebraic",
    }
}

impl Order {
    /// The number by which `value` is ordered, largest first.
    pub fn key(self, value: f64) -> f64 {
        match self {
            Self::Magnitude => value.abs(),
            Self::Algebraic => value,
        }
    }
}

/// What to find, and when to stop.
#[derive(Clone, Debug, PartialEq)]
pub struct EigenOptions {
    /// The number of eigenpairs, at most the dimension.
    pub top: usize,
    /// Which of them.
    pub order: Order,
    /// The number of lowest eigenvalues to find as well.
    pub bottom: usize,
    /// If given, only those of the `top` pairs with |λ| ≥ `above` (λ ≥ `above` in algebraic order) are wanted, and the
    /// first below, which shows that there are no more. Decided as values converge, so a growing set costs no second solve.
    pub above: Option<f64>,
    /// Vectors multiplied at a time. A block of b finds b copies of a repeated eigenvalue and shares the operator's
    /// reading of its data, but takes more products in all.
    pub block: usize,
    /// Relative residual ‖Av − θv‖ ≤ tol·|θ| at which a pair counts as converged. An eigenvalue below a thousandth of
    /// the largest is judged as if it were that large, since a zero one could never converge. One of the `bottom` is
    /// judged as if it were a tenth of the largest, because the members of a cluster near 0 cannot be told apart.
    pub tol: f64,
    /// The most matrix products to spend; at least `top` + `bottom`.
    pub max_iterations: usize,
    /// Seed of the random start vectors.
    pub seed: u64,
}

impl Default for EigenOptions {
    fn default() -> Self {
        Self {
            top: 1,
            order: Order::Magnitude,
            bottom: 0,
            above: None,
            block: 1,
            tol: 1e-3,
            max_iterations: 200,
            seed: 0,
        }
    }
}

/// The error for a refused option: its name, value and range.
pub(super) fn refuse(name: &'static str, value: f64, expected: &'static str) -> CurvatureError {
    CurvatureError::Option { name, value, expected }
}

/// Refuses an operator without rows, and one whose `vectors` vectors do not fit in memory: allocating them in one piece
/// fails here rather than ending the program later.
pub(super) fn check_dim(dim: usize, vectors: usize) -> Result<(), CurvatureError> {
    if dim == 0 {
        return Err(refuse("dim", 0.0, "at least 1: the operator is empty"));
    }
    let numbers = dim.checked_mul(vectors);
    match numbers.map(|numbers| Vec::<f64>::new().try_reserve_exact(numbers)) {
        Some(Ok(())) => Ok(()),
        Some(Err(_)) | None => Err(CurvatureError::Memory { vectors, dim }),
    }
}

impl EigenOptions {
    /// Refuses options out of range for a matrix of `dim` rows.
    ///
    /// # Errors
    /// [`CurvatureError::Option`], naming the field.
    pub fn check(&self, dim: usize) -> Result<(), CurvatureError> {
        self.within(dim).map(|_| ())
    }

    /// Checks the ranges and limits the counts to `dim`.
    pub(super) fn within(&self, dim: usize) -> Result<Self, CurvatureError> {
        check_dim(dim, 1)?;
        if self.top == 0 {
            return Err(refuse("top", 0.0, "at least 1"));
        }
        if self.block == 0 {
            return Err(refuse("block", 0.0, "at least 1; 1 takes the fewest products"));
        }
        if let Some(above) = self.above
            && (above.is_nan() || above < 0.0)
        {
            return Err(refuse("above", above, "at least 0: it is compared with |λ|"));
        }
        if !(self.tol > 0.0 && self.tol < 1.0) {
            return Err(refuse("tol", self.tol, "between 0 and 1, say 1e-3"));
        }
        // A block larger than the budget needs no vectors.
        let block = self.block.min(dim).min(self.max_iterations.max(1));
        let (top, bottom) = (self.top.min(dim), self.bottom.min(dim));
        if self.max_iterations < (top + bottom).min(dim) {
            let given = self.max_iterations as f64;
            return Err(refuse("max_iterations", given, "at least top + bottom"));
        }
        Ok(Self { top, bottom, block, ..self.clone() })
    }

    /// The residual at which a pair of value `theta` has converged; `largest` is the largest |θ|. The last term is the
    /// resolution of float64.
    pub(super) fn threshold(&self, theta: f64, largest: f64) -> f64 {
        self.tol * scale_of(theta, largest) + 64.0 * f64::EPSILON * largest
    }

    /// The same for one of the lowest.
    pub(super) fn bottom_threshold(&self, theta: f64, largest: f64) -> f64 {
        self.threshold(theta.abs().max(0.1 * largest), largest)
    }
}

/// The scale of the relative residual of a pair of value `theta`; `largest` is the largest |θ|.
fn scale_of(theta: f64, largest: f64) -> f64 {
    theta.abs().max(1e-3 * largest)
}

/// An approximate eigenvalue with its vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Eigenpair {
    /// θ, signed.
    pub value: f64,
    /// v, of unit length; its sign is arbitrary.
    pub vector: Vec<f64>,
    /// ‖Av − θv‖ in the units of θ (relative: [`Spectrum::relative_residuals`]), exact up to the rounding of the
    /// products: some eigenvalue is this close to θ.
    pub residual: f64,
    /// A bound on the distance of θ to an eigenvalue: min(r, r²/gap), with residual r and the distance gap from θ to
    /// the nearest *other* eigenvalue (T. Kato 1949, G. Temple 1933; Parlett, "The Symmetric Eigenvalue Problem",
    /// theorem 11.7.1). The first bound always holds. The second assumes that no other eigenvalue is nearer than the
    /// solver's other Ritz values with their residuals, and those kept from the solve before; it fails if one was
    /// missed. Methods without other eigenvalues give the first, as do the `bottom`, which lie close together. Added to it
    /// is the operator's own error along v ([`form_errors`](super::Operator::form_errors)).
    pub error: f64,
    /// Whether `residual` met [`EigenOptions::tol`].
    pub converged: bool,
}

/// A Ritz value without its vector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RitzValue {
    /// θ, signed.
    pub value: f64,
    /// ‖Av − θv‖ in the units of θ.
    pub residual: f64,
}

/// The error of `ritz[i]`, see [`Eigenpair::error`], given the `expected` eigenvalues: one close to `ritz[i]` and
/// others.
pub(super) fn error_bound(ritz: &[RitzValue], i: usize, expected: &[f64]) -> f64 {
    let RitzValue { value, residual } = ritz[i];
    let others = ritz.iter().enumerate().filter(|(j, _)| *j != i);
    let gap = others.fold(f64::INFINITY, |gap, (_, other)| gap.min((other.value - value).abs() - other.residual));
    let mut away: Vec<f64> = expected.iter().map(|other| (other - value).abs()).collect();
    away.sort_by(f64::total_cmp);
    let gap = away.get(1).map_or(gap, |&second| gap.min(second));
    if gap > residual { residual * (residual / gap) } else { residual }
}

impl Spectrum {
    /// The relative residual of each of the `pairs`, which [`EigenOptions::tol`] is compared with: ‖Av − θv‖ divided by |θ|, or by
    /// a thousandth of the largest |θ| where that is more. 0 where all is 0.
    pub fn relative_residuals(&self) -> Vec<f64> {
        let ends = [self.lambda_max.value, self.lambda_min.value];
        let largest = self.pairs.iter().map(|pair| pair.value).chain(ends).fold(0.0_f64, |most, x| most.max(x.abs()));
        let relative = |pair: &Eigenpair| match scale_of(pair.value, largest) {
            0.0 => 0.0,
            scale => pair.residual / scale,
        };
        self.pairs.iter().map(relative).collect()
    }
}

/// The result of a solver.
#[derive(Clone, Debug, PartialEq)]
pub struct Spectrum {
    /// The first pairs in [`EigenOptions::order`]: `top` of them, or as many as there are dimensions, or with
    /// [`EigenOptions::above`] as many as it asks for.
    pub pairs: Vec<Eigenpair>,
    /// The `bottom` lowest eigenvalues, rising; some may be among `pairs` too.
    pub bottom: Vec<Eigenpair>,
    /// The next pair in that order, seldom converged. `None` where the method has none.
    pub runner_up: Option<Eigenpair>,
    /// The largest Ritz value met: a lower bound on the largest eigenvalue (Courant–Fischer). If it is not among
    /// `pairs`, judge it by its residual.
    pub lambda_max: RitzValue,
    /// The lowest Ritz value met: an upper bound on the smallest eigenvalue, to be judged by its residual if `bottom` =
    /// 0. It is positive when no negative curvature was met.
    pub lambda_min: RitzValue,
    /// Matrix products spent on the pairs; those of [`Operator::form_errors`](super::Operator::form_errors) come on top.
    pub products: usize,
    /// The input of a warm start: with `lanczos`, the wanted vectors twice and ten more.
    pub track: Track,
}

/// Refuses the solution of a problem of another size.
pub(super) fn check_start(start: Option<&Track>, dim: usize) -> Result<(), CurvatureError> {
    let Some(track) = start else { return Ok(()) };
    if let Some(vector) = track.vectors.iter().chain(&track.changes).find(|vector| vector.len() != dim) {
        return Err(CurvatureError::Start { len: vector.len(), dim });
    }
    if track.values.len() != track.vectors.len() || track.wanted > track.vectors.len() {
        return Err(CurvatureError::BadStart("has not one value for each vector, or wants more than it has"));
    }
    if ![0, track.wanted].contains(&track.changes.len()) {
        return Err(CurvatureError::BadStart("has changes of other vectors than the wanted ones"));
    }
    let numbers = track.values.iter().chain([&track.persistence]);
    if numbers.chain(track.vectors.iter().chain(&track.changes).flatten()).any(|x| !x.is_finite()) {
        return Err(CurvatureError::BadStart("holds numbers that are not finite"));
    }
    Ok(())
}
