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
mod error;
mod krylov;
mod lanczos;
mod official;
mod operator;
mod power;
mod spectrum;
mod track;

pub use error::CurvatureError;
pub use lanczos::lanczos;
pub use official::{OfficialEstimate, official};
pub use operator::{FnOperator, Operator};
pub use power::power_iteration;
pub use spectrum::{EigenOptions, Eigenpair, RitzValue, Spectrum};
