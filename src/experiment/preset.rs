//! The built-in configurations: a name, one line about it, and every setting.
//!
//! The figures of `mnist-mlp` are those of Long and Bartlett (JMLR 2024, arXiv 2309.12488).

use super::config::{
    Activation, Config, ConfigError, DataConfig, DataName, LossConfig, LossKind, MeasureConfig, MeasureMethod,
    ModelConfig, ModelKind, Norm, OptimConfig, OptimKind, Pool, Reduction, RunConfig,
};

/// The preset used when the command line names none, and the one a file's missing keys are taken from.
pub const QUICKSTART: &str = "quickstart";

/// A configuration with a name.
#[derive(Debug)]
pub struct Preset {
    /// The name on the command line.
    pub name: &'static str,
    /// One line for a list of presets.
    pub about: &'static str,
    /// Every setting.
    pub config: Config,
}

/// Every preset, the default first.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: QUICKSTART,
        about: "a small network on the embedded digits, at the edge of stability within minutes",
        config: Config {
            data: DataConfig { name: DataName::Embedded, path: None, train: 1000, test: 500 },
            model: MODEL,
            loss: MEAN_SQUARES,
            optim: OptimConfig { lr: 0.5, rho: 0.03, ..SAM },
            run: RunConfig { steps: 400, ..RUN },
            measure: MeasureConfig { every: 10, ..MEASURE },
        },
    },
    Preset {
        name: "mnist-mlp",
        about: "the paper's three hidden layers of 1000 units on all of MNIST",
        config: Config {
            data: DataConfig { name: DataName::Mnist, path: None, train: 0, test: 10_000 },
            model: ModelConfig { width: 1000, ..MODEL },
            loss: MEAN_SQUARES,
            optim: SAM,
            run: RUN,
            measure: MEASURE,
        },
    },
];

/// The paper's networks, but for the width of the MLP.
const MODEL: ModelConfig = ModelConfig {
    kind: ModelKind::Mlp,
    activation: Activation::Relu,
    depth: 4,
    width: 64,
    blocks: 2,
    layers_per_block: 1,
    channels: 16,
    growth: 2,
    stride: 1,
    norm: Norm::Layer,
    pool: Pool::Max,
    layers: 6,
    heads: 8,
    key_size: 32,
    model_size: 128,
    seq_len: 64,
};

/// The paper's loss: (f − y)² averaged over examples and outputs.
const MEAN_SQUARES: LossConfig = LossConfig { kind: LossKind::Mse, reduction: Reduction::Mean };

/// SAM as the paper's MNIST runs use it, full batch.
const SAM: OptimConfig = OptimConfig { kind: OptimKind::Sam, lr: 0.01, rho: 0.1, epsilon: 1e-5, batch: 0 };

const RUN: RunConfig = RunConfig { steps: 10_000, seed: 0, log_every: 1, chunk: 0 };

const MEASURE: MeasureConfig =
    MeasureConfig { every: 100, top: 3, method: MeasureMethod::Lanczos, tol: 1e-4, max_iterations: 100 };

/// The preset of this name.
///
/// # Errors
/// [`ConfigError::UnknownPreset`], naming the most similar one.
pub fn find(name: &str) -> Result<&'static Preset, ConfigError> {
    let unknown = || {
        let likeness = |preset: &Preset| strsim::jaro_winkler(name, preset.name);
        let nearest =
            PRESETS.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).map_or(QUICKSTART, |preset| preset.name);
        ConfigError::UnknownPreset {
            name: name.into(),
            nearest,
            known: PRESETS.iter().map(|preset| preset.name).collect::<Vec<_>>().join(", "),
        }
    };
    PRESETS.iter().find(|preset| preset.name == name).ok_or_else(unknown)
}
