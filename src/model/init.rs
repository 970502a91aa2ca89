//! Initial parameters from a seed, the same on every machine.
//!
//! All random tensors are normal and truncated at two standard deviations, as JAX, Flax and Haiku draw them: either
//! rescaled so that the truncated variable has the variance asked for, or not.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::Layout;
use crate::graph::len;

/// Standard deviation of a standard normal truncated at ±2.
const TRUNCATED_STD: f64 = 0.879_625_661_034_239_8;

/// How a parameter tensor starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Of variance 2/(fan_in + fan_out) once truncated (Glorot and Bengio 2010).
    GlorotNormal {
        /// Inputs of a unit.
        fan_in: usize,
        /// Outputs that an input feeds.
        fan_out: usize,
    },
    /// Of this variance once truncated.
    ScaledNormal {
        /// The variance.
        variance: f64,
    },
    /// Of this standard deviation before it is truncated; afterwards it is 0.88 of that.
    TruncatedNormal {
        /// The standard deviation.
        std: f64,
    },
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
            Self::Zeros | Self::Ones => 0.0,
        }
    }
}

/// The flat vector of initial parameters. Each tensor has a random stream of its own, so that adding a layer does not
/// change the others.
pub fn initial_params(layout: &Layout, seed: u64) -> Vec<f32> {
    let mut params = Vec::with_capacity(layout.len());
    for (stream, (param, _)) in layout.iter().enumerate() {
        let len = len(&param.shape);
        match param.init {
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
