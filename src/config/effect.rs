//! Which settings have an effect: those that have none are made equal, so that equal runs have equal settings.

use super::preset::{self, QUICKSTART};
use super::{Config, LrSchedule, ModelConfig, ModelKind, OptimBase, OptimConfig, OptimKind};

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

/// What is perturbed, and how, counts where something is; so do numbers of a base or a schedule.
fn optim(it: &OptimConfig, usual: &OptimConfig) -> OptimConfig {
    let mut it = it.clone();
    if !it.perturbs() {
        let OptimConfig { epsilon, ascent_steps, sam_from, sam_until, micro_batch, .. } = *usual;
        let kind = OptimKind::Gd;
        it = OptimConfig { kind, rho: 0.0, epsilon, ascent_steps, sam_from, sam_until, micro_batch, ..it };
    }
    if it.kind != OptimKind::Asam {
        it.asam_eta = usual.asam_eta;
        it.asam_biases = usual.asam_biases;
    }
    if !matches!(it.base, OptimBase::Adam | OptimBase::AdamW) {
        it.beta1 = usual.beta1;
    }
    if !it.is_adaptive() {
        (it.beta2, it.eps) = (usual.beta2, usual.eps);
    }
    if !matches!(it.schedule, LrSchedule::Cosine | LrSchedule::Linear) {
        (it.decay_steps, it.final_lr) = (usual.decay_steps, usual.final_lr);
    }
    if it.schedule != LrSchedule::Step {
        (it.drop_every, it.drop_factor) = (usual.drop_every, usual.drop_factor);
    }
    it
}
