//! Eigenvalues, trace and spectral density of a symmetric operator that is known only by its products, and edges of
//! stability.
//!
//! The algorithms use only [`Operator`]: no network, no device. A Hessian, a Gauss–Newton matrix, a block of either and
//! a closure on the host look alike. Vectors are float64 on the host although products may be float32: a basis must be
//! orthogonal to better accuracy than the products.
//!
//! [`lanczos`] is the method of choice for eigenpairs; [`power_iteration`] is simpler and slower, and finds every copy
//! of a repeated eigenvalue; [`official`] repeats the paper's code. [`trace`] and [`spectral_density`] sample, with
//! intervals. `krylov` and `track` are parts of `lanczos`; `basis` holds vector algebra. [`SubOperator`] and [`Minus`]
//! make operators of others; [`edge`] judges an eigenvalue (arXiv 2309.12488).

mod alignment;
mod basis;
mod combine;
mod density;
pub mod edge;
mod error;
mod estimate;
mod krylov;
mod lanczos;
mod official;
mod operator;
mod power;
mod spectrum;
mod trace;
mod track;

pub use alignment::subspace_alignment;
pub(crate) use basis::dot;
pub use combine::{Minus, SubOperator};
pub use density::{DensityOptions, QuadratureNode, SpectralDensity, spectral_density};
pub use error::CurvatureError;
pub use estimate::Estimate;
pub use lanczos::lanczos;
pub use official::{OfficialEstimate, official};
pub(crate) use operator::check_lengths;
pub use operator::{FnOperator, Operator};
pub use power::power_iteration;
pub use spectrum::{EigenOptions, Eigenpair, Order, RitzValue, Spectrum};
pub use trace::{Trace, TraceOptions, trace};
pub use track::Track;
