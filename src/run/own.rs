//! Runs of a network that a program brings: the same steps, measurements and run folder as from a configuration.

use std::sync::Arc;

use crate::data::Dataset;
use crate::model::{Loss, Model};

/// A network, its loss and its examples. They replace `[data]`, `[model]` and `[loss]` of the configuration; the
/// manifest names the data set `own`.
#[derive(Clone)]
pub struct OwnTask {
    /// The network.
    pub model: Arc<dyn Model>,
    /// The minimised function.
    pub loss: Loss,
    /// The examples. `optim.batch`, `measure.on` and `measure.examples` count these.
    pub data: Arc<Dataset>,
}
