//! A run: set up the device, train, measure, and write the run folder; `train` and `resume` are its entry points.

pub(crate) mod batches;
mod divergence;
mod error;
pub(crate) mod forecast;
mod fork;
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
mod own;
mod progress;
mod request;
mod ring;
pub mod setup;
mod steps;
mod tables;
mod test_set;
mod train;
pub(crate) mod update;

pub use divergence::Divergence;
pub use error::RunError;
pub use fork::fork;
pub(crate) use initial::{network_file, read_params};
pub use own::OwnTask;
pub use request::{ForkRequest, ResumeRequest, TrainRequest};
pub use train::{plan, resume, resume_own, train, train_own};
