//! What a run folder says, in figures, pages and numbers.

pub mod compare;
mod error;
pub(crate) mod figure;
pub mod live;
pub mod official_raw;
pub mod plot;
pub(crate) mod readout;
pub mod report;
pub mod summary;

pub use error::ResultsError;
pub use figure::Format;
