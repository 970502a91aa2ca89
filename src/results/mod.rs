//! The content of run folders in figures, pages and numbers. All of it is made from the files, so it needs no running
//! run.

#[cfg(feature = "plots")]
mod branches;
#[cfg(feature = "plots")]
pub mod compare;
pub(crate) mod divergence;
mod error;
#[cfg(feature = "plots")]
pub(crate) mod figure;
mod format;
pub mod live;
#[cfg(feature = "plots")]
pub mod look;
#[cfg(feature = "plots")]
pub(crate) mod means;
pub(crate) mod moments;
pub mod official_raw;
#[cfg(feature = "plots")]
pub(crate) mod parent;
#[cfg(feature = "plots")]
pub mod plot;
pub(crate) mod readout;
#[cfg(feature = "plots")]
pub mod report;
pub mod summary;

pub use error::{PlotError, ResultsError};
pub use format::Format;
