//! The configuration of a run: its settings and presets, and the objects built from them.
//!
//! A [`Config`] from [`resolve`] is complete and valid. Written back with [`Config::to_toml`] it lists every key, so
//! that the `config.toml` of a run folder repeats the run.

mod accepts;
pub mod build;
mod choice;
mod conflicts;
mod effect;
mod error;
mod key_table;
mod keys;
mod measuring_set;
pub mod preset;
pub mod reference;
mod resolve;
pub mod sample;
mod schedule;
#[cfg(feature = "plots")]
mod shown;
mod suggest;
mod types;
mod until;

pub use crate::data::{DataName, ImageLayout, TargetsAs, TestSize};
pub use crate::model::{Activation, Initializer, Norm, Pool, Readout, Reduction, WeightLayout};
pub use choice::{
    Auto, Centre, CheckpointEvery, IgnoreIndex, LossKind, LrSchedule, MeasureAt, MeasureMethod, MeasureOn, ModelKind,
    Nothing, OptimBase, OptimKind, Tune,
};
pub(crate) use effect::effective;
pub use error::ConfigError;
pub(crate) use keys::{full_name, short_name};
pub use measuring_set::MeasuringSet;
pub use resolve::{Resolved, resolve};
#[cfg(feature = "plots")]
pub(crate) use shown::effective_toml;
pub use types::{Config, DataConfig, LossConfig, MeasureConfig, ModelConfig, OptimConfig, RunConfig, SHORTEST_WINDOW};
pub use until::Until;
