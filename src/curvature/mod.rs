//! Eigenvalues of a symmetric operator of which only products are known, and the edges they are compared with.
//!
//! The one idea: an algorithm here sees [`Operator`] and nothing else: no network, no device. A Hessian, a
//! Gauss–Newton matrix, a block of either or a closure on the host all look alike. Vectors live on the host in float64
//! although products may be float32: the basis must be orthogonal to better accuracy than the products have.
//!
//! Neighbours: [`lanczos`] is the method of choice; [`power_iteration`] is the simple, slower one that also sees every
//! copy of a repeated eigenvalue; [`official`] reports what the paper's code would; `basis` holds the vector algebra they
//! share; [`edge`] turns an eigenvalue into a verdict (arXiv 2309.12488).

mod basis;
pub mod edge;
mod lanczos;
mod official;
mod power;

use std::error::Error;

pub use lanczos::lanczos;
pub use official::{OfficialEstimate, official};
pub use power::power_iteration;

/// A symmetric linear operator on R^dim.
pub trait Operator {
    /// The number of rows, which is the number of columns.
    fn dim(&self) -> usize;

    /// Writes A v to `out`; both have [`dim`](Self::dim) entries, and `out` holds anything beforehand.
    ///
    /// # Errors
    /// Whatever keeps the product from being formed, as [`CurvatureError::Operator`]. Entries that are not finite
    /// need no check here: the solvers look.
    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), CurvatureError>;
}

/// An [`Operator`] from a closure `f(v, out)`, for matrices that exist on the host.
pub struct FnOperator<F> {
    dim: usize,
    product: F,
}

impl<F: FnMut(&[f64], &mut [f64]) -> Result<(), CurvatureError>> FnOperator<F> {
    /// The operator on R^dim whose product is `product(v, out)`; it must be linear and symmetric.
    pub fn new(dim: usize, product: F) -> Self {
        Self { dim, product }
    }
}

impl<F: FnMut(&[f64], &mut [f64]) -> Result<(), CurvatureError>> Operator for FnOperator<F> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), CurvatureError> {
        (self.product)(v, out)
    }
}

/// Why a solver gave no answer. Running out of iterations is not among the reasons: see [`Eigenpair::converged`].
#[derive(Debug, thiserror::Error)]
pub enum CurvatureError {
    /// The operator failed to form a product; the source says why.
    #[error("a curvature product could not be computed; its cause, given next, says what to change")]
    Operator(#[source] Box<dyn Error + Send + Sync>),
    /// A product, or the algebra on it, overflowed or was not a number.
    #[error(
        "curvature product {product} is not finite: the loss has most likely diverged at these parameters; \
         lower lr or measure at an earlier step"
    )]
    NonFinite {
        /// Which product of this solve, from 1.
        product: usize,
    },
    /// A vector of the wrong length, or with NaN or infinite entries, was given as a start.
    #[error(
        "start vector {index} cannot be used: it must have {dim} finite entries (it has {len}); \
         pass vectors of the same model, or none for a random start"
    )]
    Start {
        /// Position in the slice of start vectors.
        index: usize,
        /// Entries it has.
        len: usize,
        /// Entries the operator needs.
        dim: usize,
    },
    /// An option is out of its range.
    #[error("{name} = {value} is out of range; it must be {expected}")]
    Option {
        /// The field of [`EigenOptions`], or `dim`.
        name: &'static str,
        /// The value given.
        value: f64,
        /// The range in words.
        expected: &'static str,
    },
}

/// What to look for and when to stop; both solvers take the same.
#[derive(Clone, Debug, PartialEq)]
pub struct EigenOptions {
    /// How many eigenpairs, by magnitude. More than the dimension means all of them.
    pub top: usize,
    /// Relative residual ‖Av − θv‖ ≤ tol·|θ| at which a pair counts as converged. An eigenvalue below a thousandth
    /// of the largest is judged as if it were that large, or a zero one could never converge.
    pub tol: f64,
    /// The most matrix products to spend; at least `top`.
    pub max_iterations: usize,
    /// Seed of the random start vectors.
    pub seed: u64,
}

impl Default for EigenOptions {
    fn default() -> Self {
        Self { top: 1, tol: 1e-3, max_iterations: 200, seed: 0 }
    }
}

impl EigenOptions {
    /// Checks the ranges and returns the number of pairs that a matrix of `dim` rows has to offer.
    fn pairs(&self, dim: usize) -> Result<usize, CurvatureError> {
        let refuse = |name, value, expected| CurvatureError::Option { name, value, expected };
        if dim == 0 {
            return Err(refuse("dim", 0.0, "at least 1: the operator is empty"));
        }
        if self.top == 0 {
            return Err(refuse("top", 0.0, "at least 1"));
        }
        if !(self.tol > 0.0 && self.tol < 1.0) {
            return Err(refuse("tol", self.tol, "between 0 and 1, say 1e-3"));
        }
        let top = self.top.min(dim);
        if self.max_iterations < top {
            let given = self.max_iterations as f64;
            return Err(refuse("max_iterations", given, "at least top"));
        }
        Ok(top)
    }

    /// The residual at which a pair of value `theta` has converged, `largest` being the largest |θ|. The last term is
    /// what float64 can resolve.
    fn threshold(&self, theta: f64, largest: f64) -> f64 {
        self.tol * theta.abs().max(1e-3 * largest) + 64.0 * f64::EPSILON * largest
    }
}

/// An approximate eigenvalue with its vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Eigenpair {
    /// θ, signed.
    pub value: f64,
    /// v, of unit length; its sign is arbitrary.
    pub vector: Vec<f64>,
    /// ‖Av − θv‖ in the units of θ, exact up to the rounding of the products: some eigenvalue is this close to θ.
    pub residual: f64,
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

/// What a solver found.
#[derive(Clone, Debug, PartialEq)]
pub struct Spectrum {
    /// The `top` pairs (or as many as there are dimensions), by falling |θ|.
    pub pairs: Vec<Eigenpair>,
    /// The runner-up, seldom converged: it keeps the next solve from missing an eigenvalue that overtakes. `None`
    /// where the method has none.
    pub runner_up: Option<Eigenpair>,
    /// The lowest Ritz value met: an upper bound on the smallest eigenvalue (Courant–Fischer), and a by-product, so
    /// judge it by its residual. It is positive when no negative curvature was met.
    pub lambda_min: RitzValue,
    /// Matrix products spent.
    pub products: usize,
}

impl Spectrum {
    /// The vectors to hand to the next solve, after the matrix has moved a little.
    pub fn start_vectors(&self) -> Vec<&[f64]> {
        let all = self.pairs.iter().chain(&self.runner_up);
        all.map(|pair| pair.vector.as_slice()).collect()
    }
}

/// Counts and checks products.
struct Products<'a> {
    operator: &'a mut dyn Operator,
    spent: usize,
}

impl Products<'_> {
    fn apply(&mut self, v: &[f64]) -> Result<Vec<f64>, CurvatureError> {
        let mut out = vec![0.0; v.len()];
        self.spent += 1;
        self.operator.apply(v, &mut out)?;
        self.finite(basis::norm(&out))?;
        Ok(out)
    }

    /// Passes `x` on, unless it shows that the latest product was not finite.
    fn finite(&self, x: f64) -> Result<f64, CurvatureError> {
        if x.is_finite() {
            return Ok(x);
        }
        let product = self.spent;
        Err(CurvatureError::NonFinite { product })
    }
}

/// Refuses start vectors that do not fit.
fn check_start(start: &[&[f64]], dim: usize) -> Result<(), CurvatureError> {
    for (index, v) in start.iter().enumerate() {
        if v.len() != dim || !basis::norm(v).is_finite() {
            let len = v.len();
            return Err(CurvatureError::Start { index, len, dim });
        }
    }
    Ok(())
}
