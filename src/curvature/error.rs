//! The errors of solvers, with advice. An inaccurate answer is no error: it is returned with its residual.

use std::error::Error;

/// Why a solver gave no answer. Running out of iterations is no error: see
/// [`Eigenpair::converged`](super::Eigenpair::converged).
#[derive(Debug, thiserror::Error)]
pub enum CurvatureError {
    /// The operator failed to form a product; the source says why.
    #[error("a curvature product could not be computed; its cause, given next, says what to change")]
    Operator(#[source] Box<dyn Error + Send + Sync>),
    /// The operator was told to stop.
    #[error("the computation was interrupted; start it again to have its result")]
    Interrupted,
    /// A product, or the algebra on it, overflowed or was not a number.
    #[error(
        "curvature product {product} is not finite: the loss has most likely diverged at these parameters; \
         change the setting that let it diverge, or measure at an earlier step"
    )]
    NonFinite {
        /// The number of the product in this solve, from 1.
        product: usize,
    },
    /// The solve to start from was of another size.
    #[error(
        "the solve to start from has vectors of {len} entries, and the operator needs {dim}; \
         pass one of the same model, or none for a cold start"
    )]
    Start {
        /// Entries its vectors have.
        len: usize,
        /// Entries the operator needs.
        dim: usize,
    },
    /// The solve to start from is inconsistent.
    #[error("the solve to start from {0}; pass one as a solver returned it, or none for a cold start")]
    BadStart(&'static str),
    /// A vector that an operator cannot multiply, or a place that cannot hold the product.
    #[error("a vector of {len} entries was handed to an operator of {dim} rows; both must have as many")]
    Length {
        /// Entries it has.
        len: usize,
        /// Rows of the operator.
        dim: usize,
    },
    /// There must be as many vectors as places for their products.
    #[error("{vectors} vectors were to be multiplied into {products} products; give as many of each")]
    Count {
        /// Vectors.
        vectors: usize,
        /// Places for products.
        products: usize,
    },
    /// The vectors of a solve do not fit in memory.
    #[error("{vectors} vectors of {dim} numbers take {} MiB, which memory does not hold; ask for fewer", mebibytes(*vectors, *dim))]
    Memory {
        /// Number of vectors.
        vectors: usize,
        /// Numbers in each.
        dim: usize,
    },
    /// A range of rows that a [`SubOperator`](super::SubOperator) cannot show.
    #[error(
        "rows {start}..{end} cannot be shown alone: ranges must hold at least one row, end within the {dim} rows of \
         the operator and not overlap; take them from the layout of the same model"
    )]
    Range {
        /// First row.
        start: usize,
        /// Row after the last.
        end: usize,
        /// Rows there are.
        dim: usize,
    },
    /// Power iteration was asked for the largest eigenvalues.
    #[error("power iteration finds eigenvalues by magnitude alone; use lanczos for the largest ones")]
    Unordered,
    /// An option is out of its range.
    #[error("{name} = {value} is out of range; it must be {expected}")]
    Option {
        /// The field of the options, or `dim`.
        name: &'static str,
        /// The value given.
        value: f64,
        /// The range in words.
        expected: &'static str,
    },
}

/// Size of vectors of float64.
fn mebibytes(vectors: usize, dim: usize) -> usize {
    vectors.saturating_mul(dim).saturating_mul(size_of::<f64>()) >> 20
}
