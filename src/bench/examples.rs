//! The examples of a benchmark: arrays from files, or made-up numbers in the shape of the configured data set.

use std::sync::Arc;

use crate::config::{Config, build};
use crate::data::{self, DataError, DataName, Examples, made_up};
use crate::onnx::Network;
use crate::run::RunError;

/// The most numbers of made-up examples: a gibibyte.
const MOST_FEATURES: usize = 1 << 28;

/// The source of any number of examples, and the network of a file that reads them.
pub(super) struct ExampleSource {
    pub network: Option<Arc<Network>>,
    kind: Kind,
}

enum Kind {
    /// Images of this height, width and number of channels.
    Images([usize; 3]),
    /// Windows of text of this length.
    Windows(usize),
    /// Arrays of one's own or computed ones, repeated if there are fewer.
    Arrays(Examples),
}

impl ExampleSource {
    /// Reads the network and arrays; the shapes of other data sets are known.
    pub fn of(config: &Config) -> Result<Self, RunError> {
        let network = build::network(config)?;
        let kind = match config.data.name {
            DataName::Embedded | DataName::Mnist | DataName::FashionMnist => Kind::Images([28, 28, 1]),
            DataName::Cifar10 => Kind::Images([32, 32, 3]),
            DataName::Shakespeare | DataName::Text => Kind::Windows(config.model.seq_len),
            DataName::Chebyshev | DataName::Spirals | DataName::Arrays => {
                Kind::Arrays(data::load(&build::request(config, network.as_deref()))?.train)
            }
        };
        Ok(Self { network, kind })
    }

    /// This many examples, or as many as fit.
    pub fn examples(&self, count: usize) -> Result<Examples, DataError> {
        let fitting = |dim: usize| count.min((MOST_FEATURES / dim.max(1)).max(1));
        Ok(match &self.kind {
            &Kind::Images(shape) => made_up::images(fitting(shape.iter().product()), shape)?,
            &Kind::Windows(length) => made_up::windows(fitting(length), length)?,
            Kind::Arrays(all) => {
                let numbers: Vec<usize> = (0..fitting(all.dim())).map(|number| number % all.len()).collect();
                all.select(&numbers)?
            }
        })
    }
}

/// The number of examples of an update; for a whole data set, that of the published one, and `None` for all of a text
/// or of arrays, whose number depends on the file, and of computed sets.
pub(super) fn examples_of_update(config: &Config) -> Option<usize> {
    match (config.optim.batch, config.data.train) {
        (0, 0) => match config.data.name {
            DataName::Embedded => Some(1000),
            DataName::Mnist | DataName::FashionMnist => Some(60_000),
            DataName::Cifar10 => Some(50_000),
            DataName::Chebyshev | DataName::Spirals | DataName::Shakespeare | DataName::Text | DataName::Arrays => None,
        },
        (0, train) => Some(train),
        (batch, _) => Some(batch),
    }
}
