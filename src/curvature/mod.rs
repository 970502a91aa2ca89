//! Eigenvalues, trace and spectral density of a symmetric operator of which only products are known, and the edges they are
//! compared with.
//!
//! The one idea: an algorithm here sees [`Operator`] and nothing else: no network, no device. A Hessian, a
//! Gauss–Newton matrix, a block of either or a closure on the host all look alike. Vectors live on the host in float64
//! although products may be float32: the basis must be orthogonal to better accuracy than the products have.
//!
//! Neighbours: [`lanczos`] is the method of choice for eigenpairs; [`power_iteration`] is the simple, slower one that also
//! sees every copy of a repeated eigenvalue; [`official`] reports what the paper's code would. [`trace`] and
//! [`spectral_density`] sample, and give an interval with every number. `krylov` and `track` are the inside of `lanczos`:
//! what a basis tells of the rest, and where eigenvectors will be next. `basis` holds the vector algebra they share;
//! [`SubOperator`] and [`Minus`] make operators of others; [`edge`] turns an eigenvalue into a verdict (arXiv 2309.12488).

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
pub use spectrum::{EigenOptions, Eigenpair, RitzValue, Spectrum};
pub use trace::{Trace, TraceOptions, trace};
pub use track::Track;
