//! The content of run folders in figures, pages and numbers. All of it is made from the files, so it needs no running
//! run.

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
