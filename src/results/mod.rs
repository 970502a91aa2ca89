//! What a run folder says, in figures, pages and numbers.

#[cfg(feature = "plots")]
pub mod compare;
mod error;
#[cfg(feature = "plots")]
pub(crate) mod figure;
mod format;
pub mod live;
pub mod official_raw;
#[cfg(feature = "plots")]
pub mod plot;
pub(crate) mod readout;
#[cfg(feature = "plots")]
pub mod report;
pub mod summary;

pub use error::{PlotError, ResultsError};
pub use format::Format;
