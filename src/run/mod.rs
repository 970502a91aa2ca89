//! A run: set up what it needs on the device, then train, measure and keep what came of it.

pub(crate) mod batches;
mod divergence;
mod error;
pub(crate) mod forecast;
mod initial;
pub(crate) mod inputs;
mod interruptible;
pub mod kernel_cache;
pub mod kernels;
mod launch;
pub(crate) mod measure;
pub mod memory_check;
mod midpoint;
pub mod oscillation;
mod progress;
mod request;
mod ring;
pub mod setup;
mod steps;
mod tables;
mod test_set;
mod train;

pub use divergence::Divergence;
pub use error::RunError;
pub(crate) use initial::read_params;
pub use request::{ResumeRequest, TrainRequest};
pub use train::{plan, resume, train};
