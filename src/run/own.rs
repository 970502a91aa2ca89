//! Runs of a network that a program brings: the same steps, measurements and run folder as from a configuration.

use std::sync::Arc;

use crate::data::Dataset;
use crate::model::{Loss, Model};

/// A network, its loss and its examples. They stand in the place of `[data]`, `[model]` and `[loss]`, which a run with
/// such a task does not read; the manifest names the data set `own`.
#[derive(Clone)]
pub struct OwnTask {
    /// The network.
    pub model: Arc<dyn Model>,
    /// What is minimised.
    pub loss: Loss,
    /// The examples. `optim.batch`, `measure.on` and `measure.examples` count these.
    pub data: Arc<Dataset>,
}
