//! Initial parameters from a seed, the same on every machine.
//!
//! Random tensors are normal, truncated at two standard deviations as in JAX, Flax and Haiku, and optionally rescaled
//! so that the truncated variable has the requested variance.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::Layout;
use crate::graph::len;

/// Standard deviation of a standard normal truncated at ±2.
const TRUNCATED_STD: f64 = 0.879_625_661_034_239_8;

/// The initial values of a parameter tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Variance 2/(fan_in + fan_out) after truncation (Glorot and Bengio 2010).
    GlorotNormal {
        /// Inputs of a unit.
        fan_in: usize,
        /// Outputs that an input feeds.
        fan_out: usize,
    },
    /// This variance after truncation.
    ScaledNormal {
        /// The variance.
        variance: f64,
    },
    /// This standard deviation before truncation; 0.88 of it after.
    TruncatedNormal {
        /// The standard deviation.
        std: f64,
    },
    /// Those that the model brings ([`super::Model::brought`]).
    Given,
    /// All zeros.
    Zeros,
    /// All ones.
    Ones,
}

impl Init {
    /// Standard deviation of the normal that is truncated.
    fn std(self) -> f64 {
        match self {
            Self::GlorotNormal { fan_in, fan_out } => (2.0 / (fan_in as f64 + fan_out as f64)).sqrt() / TRUNCATED_STD,
            Self::ScaledNormal { variance } => variance.sqrt() / TRUNCATED_STD,
            Self::TruncatedNormal { std } => std,
            Self::Given | Self::Zeros | Self::Ones => 0.0,
        }
    }
}

/// The flat vector of initial parameters. Each tensor has a random stream of its own, so that adding a layer does not
/// change the others.
pub fn initial_params(layout: &Layout, seed: u64) -> Vec<f32> {
    let mut params = Vec::with_capacity(layout.len());
    for (stream, (param, offset)) in layout.iter().enumerate() {
        let len = len(&param.shape);
        match param.init {
            Init::Given => {
                let values = layout.brought().and_then(|values| values.get(offset..offset + len)).unwrap_or_default();
                params.extend(values.iter().map(|&value| value as f32));
                params.resize(offset + len, 0.0);
            }
            Init::Zeros => params.extend(std::iter::repeat_n(0.0, len)),
            Init::Ones => params.extend(std::iter::repeat_n(1.0, len)),
            Init::GlorotNormal { .. } | Init::ScaledNormal { .. } | Init::TruncatedNormal { .. } => {
                let std = param.init.std();
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                rng.set_stream(stream as u64);
                let mut draw = || loop {
                    let x: f64 = StandardNormal.sample(&mut rng);
                    if x.abs() <= 2.0 {
                        return (x * std) as f32;
                    }
                };
                params.extend(std::iter::repeat_with(&mut draw).take(len));
            }
        }
    }
    params
}
