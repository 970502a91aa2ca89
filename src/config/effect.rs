//! Which settings have an effect: those that have none are made equal, so that equal runs have equal settings.

use super::preset::{self, QUICKSTART};
use super::{Config, LrSchedule, ModelConfig, ModelKind, Norm, OptimBase, OptimConfig, OptimKind};

/// The same run with the usual value of every setting that the network or the rule does not look at.
pub(crate) fn effective(config: &Config) -> Config {
    let usual = &preset::find(QUICKSTART).expect("the default preset is among the presets").config;
    Config { model: model(&config.model, &usual.model), optim: optim(&config.optim, &usual.optim), ..config.clone() }
}

/// A family looks at its own keys only.
fn model(it: &ModelConfig, usual: &ModelConfig) -> ModelConfig {
    let (kind, initializer, activation) = (it.kind, it.initializer, it.activation);
    let common = ModelConfig { kind, initializer, ..usual.clone() };
    // The numbers of a normalisation count for that normalisation.
    let normed = ModelConfig {
        activation,
        channels: it.channels,
        norm: it.norm,
        groups: if it.norm == Norm::Group { it.groups } else { common.groups },
        norm_batch: if it.norm == Norm::Batch { it.norm_batch } else { common.norm_batch },
        ..common.clone()
    };
    let of_tokens = ModelConfig {
        layers: it.layers,
        heads: it.heads,
        key_size: it.key_size,
        model_size: it.model_size,
        ..common.clone()
    };
    match kind {
        ModelKind::Mlp => ModelConfig { activation, depth: it.depth, width: it.width, ..common },
        ModelKind::Cnn => ModelConfig {
            blocks: it.blocks,
            layers_per_block: it.layers_per_block,
            growth: it.growth,
            stride: it.stride,
            pool: it.pool,
            ..normed
        },
        ModelKind::ResNet => ModelConfig { depth: it.depth, ..normed },
        ModelKind::Vgg => ModelConfig { pool: it.pool, ..normed },
        ModelKind::Transformer => ModelConfig { seq_len: it.seq_len, ..of_tokens },
        ModelKind::Vit => ModelConfig { patch_size: it.patch_size, readout: it.readout, ..of_tokens },
        ModelKind::Onnx => {
            ModelConfig { path: it.path.clone(), freeze: it.freeze.clone(), initializer: usual.initializer, ..common }
        }
    }
}

/// What is perturbed, and how, counts where something is; so do numbers of a base or a schedule.
fn optim(it: &OptimConfig, usual: &OptimConfig) -> OptimConfig {
    let mut it = it.clone();
    if !it.perturbs() {
        let OptimConfig { epsilon, ascent_steps, sam_from, sam_until, micro_batch, .. } = *usual;
        let kind = if it.kind == OptimKind::Flow { it.kind } else { OptimKind::Gd };
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
    if it.schedule != LrSchedule::Edge {
        it.target_gauge = usual.target_gauge;
    }
    it
}
