//! Initial parameters from a seed, the same on every machine.
//!
//! Glorot-normal as JAX and Flax draw it: normal with variance 2/(fan_in + fan_out), truncated at two standard
//! deviations and rescaled so that the truncated variable has that variance (Glorot and Bengio 2010).

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::Layout;

/// Standard deviation of a standard normal truncated at ±2.
const TRUNCATED_STD: f64 = 0.879_625_661_034_239_8;

/// How a parameter tensor starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Truncated normal of variance 2/(fan_in + fan_out), see the module text.
    GlorotNormal {
        /// Inputs of a unit.
        fan_in: usize,
        /// Outputs that an input feeds.
        fan_out: usize,
    },
    /// All zeros.
    Zeros,
}

/// The flat vector of initial parameters. Each tensor has a random stream of its own, so that adding a layer does not
/// change the others.
pub fn initial_params(layout: &Layout, seed: u64) -> Vec<f32> {
    let mut params = Vec::with_capacity(layout.len());
    for (stream, (param, _)) in layout.iter().enumerate() {
        let len: usize = param.shape.iter().product();
        match param.init {
            Init::Zeros => params.extend(std::iter::repeat_n(0.0, len)),
            Init::GlorotNormal { fan_in, fan_out } => {
                let std = (2.0 / (fan_in + fan_out) as f64).sqrt() / TRUNCATED_STD;
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
