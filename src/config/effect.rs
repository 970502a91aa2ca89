//! Which settings have an effect: those that have none are made equal, so that equal runs have equal settings.

use super::preset::{self, QUICKSTART};
use super::{Config, ModelConfig, ModelKind, OptimConfig, OptimKind};

/// The same run with the usual value of every setting that the network or the rule does not look at.
pub(crate) fn effective(config: &Config) -> Config {
    let usual = &preset::find(QUICKSTART).expect("the default preset is among the presets").config;
    Config { model: model(&config.model, &usual.model), optim: optim(&config.optim, &usual.optim), ..config.clone() }
}

/// A family looks at its own keys only.
fn model(it: &ModelConfig, usual: &ModelConfig) -> ModelConfig {
    let usual = usual.clone();
    let (kind, activation) = (it.kind, it.activation);
    match kind {
        ModelKind::Mlp => ModelConfig { kind, activation, depth: it.depth, width: it.width, ..usual },
        ModelKind::Cnn => ModelConfig {
            blocks: it.blocks,
            layers_per_block: it.layers_per_block,
            channels: it.channels,
            growth: it.growth,
            stride: it.stride,
            norm: it.norm,
            pool: it.pool,
            ..ModelConfig { kind, activation, ..usual }
        },
        ModelKind::Onnx => ModelConfig { kind, path: it.path.clone(), freeze: it.freeze.clone(), ..usual },
        ModelKind::Transformer => ModelConfig {
            layers: it.layers,
            heads: it.heads,
            key_size: it.key_size,
            model_size: it.model_size,
            seq_len: it.seq_len,
            ..ModelConfig { kind, ..usual }
        },
    }
}

/// What is perturbed, and how, counts where something is.
fn optim(it: &OptimConfig, usual: &OptimConfig) -> OptimConfig {
    let mut it = it.clone();
    if it.kind != OptimKind::Asam {
        it.asam_eta = usual.asam_eta;
        it.asam_biases = usual.asam_biases;
    }
    if it.perturbs() {
        return it;
    }
    let OptimConfig { lr, momentum, nesterov, weight_decay, batch, .. } = it;
    OptimConfig { kind: OptimKind::Gd, rho: 0.0, lr, momentum, nesterov, weight_decay, batch, ..usual.clone() }
}
