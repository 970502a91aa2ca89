//! Initial parameters from a seed, the same on every machine.
//!
//! Each model has its usual initialisation, in which random tensors are normal, truncated at two standard deviations as
//! in JAX, Flax and Haiku, and optionally rescaled so that the truncated variable has the requested variance.
//! [`Initializer`] replaces it by one of the named ones.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

use super::{Layout, Param};
use crate::choice::choice;
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
    /// Normal with this standard deviation, not truncated.
    Normal {
        /// The standard deviation.
        std: f64,
    },
    /// Uniform between −limit and limit.
    Uniform {
        /// The limit.
        limit: f64,
    },
    /// Those that the model brings ([`super::Model::brought`]).
    Given,
    /// All zeros.
    Zeros,
    /// All ones.
    Ones,
}

impl Init {
    /// Draws one number; `None` for tensors that are not random.
    fn draw(self, rng: &mut ChaCha8Rng) -> Option<f64> {
        let variance_of = |fan_in, fan_out| 2.0 / (fan_in as f64 + fan_out as f64);
        Some(match self {
            Self::GlorotNormal { fan_in, fan_out } => {
                truncated(rng) * (variance_of(fan_in, fan_out).sqrt() / TRUNCATED_STD)
            }
            Self::ScaledNormal { variance } => truncated(rng) * (variance.sqrt() / TRUNCATED_STD),
            Self::TruncatedNormal { std } => truncated(rng) * std,
            Self::Normal { std } => std * <StandardNormal as Distribution<f64>>::sample(&StandardNormal, rng),
            // A uniform number in [0, 1) is drawn the same way on every machine.
            Self::Uniform { limit } => limit * (2.0 * rng.random::<f64>() - 1.0),
            Self::Given | Self::Zeros | Self::Ones => return None,
        })
    }
}

/// A standard normal number within two standard deviations.
fn truncated(rng: &mut ChaCha8Rng) -> f64 {
    loop {
        let x: f64 = StandardNormal.sample(rng);
        if x.abs() <= 2.0 {
            return x;
        }
    }
}

choice! {
    /// The initial values of kernels, by their fans: a kernel of shape [in, out] has in and out, one of shape
    /// [height, width, in, out] both times height · width. Biases are 0, except for [`Self::Pytorch`].
    Initializer {
        /// Those of the model, see its documentation.
        Usual = "usual",
        /// Normal with variance 2/(fan_in + fan_out) (Glorot and Bengio 2010).
        GlorotNormal = "glorot-normal",
        /// The same, truncated at two standard deviations, with that variance after it.
        GlorotTruncated = "glorot-truncated",
        /// Uniform with that variance.
        GlorotUniform = "glorot-uniform",
        /// Normal with variance 2/fan_in (He et al. 2015).
        HeNormal = "he-normal",
        /// The same, truncated.
        HeTruncated = "he-truncated",
        /// Uniform with that variance.
        HeUniform = "he-uniform",
        /// Normal with variance 1/fan_in (LeCun et al. 1998).
        LecunNormal = "lecun-normal",
        /// The same, truncated: the default of Flax.
        LecunTruncated = "lecun-truncated",
        /// Uniform with that variance.
        LecunUniform = "lecun-uniform",
        /// Kernels and biases uniform between ±1/√fan_in: the default of PyTorch.
        Pytorch = "pytorch",
    }
}

impl Initializer {
    /// Gives kernels (and for [`Self::Pytorch`] the biases beside them) their initial values. Embeddings and the
    /// parameters of normalisations keep the usual ones.
    pub fn apply(self, params: &mut [Param]) {
        let mut fan_in_of_layer = None;
        for Param { name, shape, init } in params {
            let Some((layer, part)) = name.rsplit_once('.') else { continue };
            match (part, &shape[..]) {
                ("kernel", &[.., inputs, outputs]) => {
                    let positions: f64 = shape[..shape.len() - 2].iter().map(|&size| size as f64).product();
                    let fans = [inputs, outputs].map(|size| positions * size as f64);
                    *init = self.kernel(*init, fans);
                    fan_in_of_layer = Some((layer.to_owned(), fans[0]));
                }
                ("bias", _) => {
                    let fan_in = fan_in_of_layer.as_ref().filter(|(kernel, _)| kernel == layer).map(|&(_, fan)| fan);
                    if let (Self::Pytorch, Some(fan_in)) = (self, fan_in) {
                        *init = Init::Uniform { limit: fan_in.sqrt().recip() };
                    }
                }
                _ => {}
            }
        }
    }

    fn kernel(self, usual: Init, [fan_in, fan_out]: [f64; 2]) -> Init {
        let (glorot, he, lecun) = (2.0 / (fan_in + fan_out), 2.0 / fan_in, 1.0 / fan_in);
        let normal = |variance: f64| Init::Normal { std: variance.sqrt() };
        let uniform = |variance: f64| Init::Uniform { limit: (3.0 * variance).sqrt() };
        match self {
            Self::Usual => usual,
            Self::GlorotNormal => normal(glorot),
            Self::GlorotTruncated => Init::ScaledNormal { variance: glorot },
            Self::GlorotUniform => uniform(glorot),
            Self::HeNormal => normal(he),
            Self::HeTruncated => Init::ScaledNormal { variance: he },
            Self::HeUniform => uniform(he),
            Self::LecunNormal => normal(lecun),
            Self::LecunTruncated => Init::ScaledNormal { variance: lecun },
            Self::LecunUniform => uniform(lecun),
            Self::Pytorch => Init::Uniform { limit: fan_in.sqrt().recip() },
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
            random @ (Init::GlorotNormal { .. }
            | Init::ScaledNormal { .. }
            | Init::TruncatedNormal { .. }
            | Init::Normal { .. }
            | Init::Uniform { .. }) => {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                rng.set_stream(stream as u64);
                params.extend((0..len).map_while(|_| random.draw(&mut rng)).map(|x| x as f32));
            }
        }
    }
    params
}
