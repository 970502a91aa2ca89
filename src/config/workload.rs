//! The amount of work of a configuration, without loading data: shape and number of the examples.

use super::{Config, build};
use crate::data::{self, DataError, DataName, Examples, made_up};

/// The environment variable from which lavapipe takes its number of worker threads at start; 0 is the calling thread
/// alone.
pub const THREADS_VARIABLE: &str = "LP_NUM_THREADS";
/// The environment variable for the number of threads of the native device.
pub const NATIVE_THREADS_VARIABLE: &str = "RAYON_NUM_THREADS";

/// Cores of this machine that the program may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Examples of the configured data set's shape. Those of arrays are read, and repeated if there are fewer.
pub(crate) fn made_up_examples(config: &Config, count: usize) -> Result<Examples, DataError> {
    Ok(match config.data.name {
        DataName::Embedded | DataName::Mnist | DataName::FashionMnist => made_up::images(count, [28, 28, 1])?,
        DataName::Cifar10 => made_up::images(count, [32, 32, 3])?,
        DataName::Shakespeare | DataName::Text => made_up::windows(count, config.model.seq_len)?,
        DataName::Arrays => {
            let all = data::load(&build::request(config))?.train;
            let numbers: Vec<usize> = (0..count).map(|number| number % all.len()).collect();
            all.select(&numbers)?
        }
    })
}

/// The number of examples of an update; for a whole data set, that of the published one, and `None` for all of a text,
/// whose length depends on the file. It affects speed, never results.
pub(crate) fn examples_of_update(config: &Config) -> Option<usize> {
    match (config.optim.batch, config.data.train) {
        (0, 0) => match config.data.name {
            DataName::Embedded => Some(1000),
            DataName::Mnist | DataName::FashionMnist => Some(60_000),
            DataName::Cifar10 => Some(50_000),
            DataName::Shakespeare | DataName::Text | DataName::Arrays => None,
        },
        (0, train) => Some(train),
        (batch, _) => Some(batch),
    }
}
