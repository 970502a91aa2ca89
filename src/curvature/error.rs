//! Why a solver gave no answer, in words that say what to do about it.
//!
//! The one idea: an answer that is merely inaccurate is an answer, with its residual beside it; an error is what leaves
//! none.

use std::error::Error;

/// Why a solver gave no answer. Running out of iterations is not among the reasons: see
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
         lower lr or measure at an earlier step"
    )]
    NonFinite {
        /// Which product of this solve, from 1.
        product: usize,
    },
    /// The solve to start from was of another size.
    #[error(
        "the spectrum to start from has vectors of {len} entries, and the operator needs {dim}; \
         pass one of the same model, or none for a cold start"
    )]
    Start {
        /// Entries its vectors have.
        len: usize,
        /// Entries the operator needs.
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
