//! The built-in configurations: a name, one line of description, and every setting. The networks of `mnist-mlp`,
//! `cifar-cnn` and `shakespeare-transformer` are those of Long and Bartlett (JMLR 2024, arXiv 2309.12488); presets
//! named `-small` suit a machine without a GPU.

use std::path::Path;

use super::{
    Activation, Centre, CheckpointEvery, Config, ConfigError, DataConfig, DataName, IgnoreIndex, ImageLayout,
    Initializer, LossConfig, LossKind, LrSchedule, MeasureAt, MeasureConfig, MeasureMethod, MeasureOn, ModelConfig,
    ModelKind, Norm, OptimBase, OptimConfig, OptimKind, Pool, Readout, Reduction, RunConfig, TargetsAs, TestSize, Tune,
    WeightLayout, suggest,
};
use crate::adapter::Precision;
use crate::curvature::Order;

/// The default preset, and the source of a file's missing keys.
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
            data: data(DataName::Embedded, 1000, 500),
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
            data: data(DataName::Mnist, 0, 10_000),
            model: ModelConfig { width: 1000, ..MODEL },
            loss: MEAN_SQUARES,
            optim: SAM,
            run: RUN,
            measure: MEASURE,
        },
    },
    Preset {
        name: "mnist-mlp-small",
        about: "the same with 200 units on 1,000 images, at the edge in a minute without a GPU",
        config: Config {
            data: data(DataName::Mnist, 1000, 1000),
            model: ModelConfig { width: 200, ..MODEL },
            loss: MEAN_SQUARES,
            optim: OptimConfig { lr: 0.5, rho: 0.03, ..SAM },
            run: RunConfig { steps: 300, ..RUN },
            measure: MeasureConfig { every: 10, ..MEASURE },
        },
    },
    Preset {
        name: "cifar-cnn",
        about: "the paper's two blocks of 16 and 32 channels on 1,000 images of CIFAR-10",
        config: cifar(ModelConfig { kind: ModelKind::Cnn, ..MODEL }, 0.001),
    },
    Preset {
        name: "cifar-cnn-small",
        about: "the same with 8 and 16 channels on 100 images, at the edge in minutes without a GPU",
        config: cifar_small(ModelConfig { kind: ModelKind::Cnn, channels: 8, ..MODEL }, 0.01),
    },
    Preset {
        name: "cifar-resnet",
        about: "a residual network of 20 layers with group normalisation on 1,000 images of CIFAR-10",
        config: cifar(ModelConfig { kind: ModelKind::ResNet, depth: 20, norm: Norm::Group, ..MODEL }, 0.01),
    },
    Preset {
        name: "cifar-resnet-small",
        about: "the same with 8 layers and 8 channels on 100 images, at the edge in minutes without a GPU",
        config: cifar_small(
            ModelConfig { kind: ModelKind::ResNet, depth: 8, channels: 8, norm: Norm::Group, groups: 4, ..MODEL },
            0.05,
        ),
    },
    Preset {
        name: "cifar-vgg",
        about: "VGG-11 with group normalisation on 1,000 images of CIFAR-10",
        config: cifar(ModelConfig { kind: ModelKind::Vgg, channels: 64, norm: Norm::Group, ..MODEL }, 0.01),
    },
    Preset {
        name: "cifar-vgg-small",
        about: "the same with 8 channels in the first layer on 100 images, at the edge in minutes without a GPU",
        config: cifar_small(
            ModelConfig { kind: ModelKind::Vgg, channels: 8, norm: Norm::Group, groups: 4, ..MODEL },
            0.05,
        ),
    },
    Preset {
        name: "cifar-vit",
        about: "a Vision Transformer of 6 blocks on patches of 4 × 4, on 1,000 images of CIFAR-10",
        config: cifar(ModelConfig { kind: ModelKind::Vit, ..MODEL }, 0.01),
    },
    Preset {
        name: "cifar-vit-small",
        about: "2 blocks on patches of 8 × 8, on 100 images, at the edge in minutes without a GPU",
        config: cifar_small(ModelConfig { kind: ModelKind::Vit, patch_size: 8, ..SMALL_BLOCKS }, 0.05),
    },
    Preset {
        name: "chebyshev",
        about: "a tanh network fitted to 20 points of a polynomial, at the edge in seconds",
        config: Config {
            data: data(DataName::Chebyshev, 20, 100),
            model: ModelConfig { activation: Activation::Tanh, depth: 3, ..MODEL },
            loss: MEAN_SQUARES,
            optim: OptimConfig { kind: OptimKind::Gd, lr: 0.2, rho: 0.0, ..SAM },
            run: RunConfig { steps: 3000, ..RUN },
            measure: MeasureConfig { every: 25, ..MEASURE },
        },
    },
    Preset {
        name: "two-spirals",
        about: "a network that tells two spirals apart, at the edge in seconds",
        config: Config {
            data: as_signs(data(DataName::Spirals, 194, 192)),
            model: MODEL,
            loss: MEAN_SQUARES,
            optim: OptimConfig { kind: OptimKind::Gd, lr: 0.1, rho: 0.0, ..SAM },
            run: RunConfig { steps: 4000, ..RUN },
            measure: MeasureConfig { every: 25, ..MEASURE },
        },
    },
    Preset {
        name: "shakespeare-transformer",
        about: "the paper's 6 blocks of 8 heads on tiny_shakespeare, in minibatches of 128 windows",
        config: Config {
            data: data(DataName::Shakespeare, 0, 512),
            model: ModelConfig { kind: ModelKind::Transformer, ..MODEL },
            loss: TOKEN_CROSS_ENTROPY,
            optim: OptimConfig { lr: 0.1, rho: 0.1, batch: 128, ..SAM },
            run: RUN,
            measure: MeasureConfig { on: MeasureOn::Fixed, examples: 256, ..MEASURE },
        },
    },
    Preset {
        name: "shakespeare-transformer-small",
        about: "2 blocks of 4 heads on 32 windows of 32 characters, at the edge in minutes without a GPU",
        config: Config {
            data: data(DataName::Shakespeare, 32, 32),
            model: ModelConfig { kind: ModelKind::Transformer, seq_len: 32, ..SMALL_BLOCKS },
            loss: TOKEN_CROSS_ENTROPY,
            optim: OptimConfig { lr: 0.02, rho: 0.01, ..SAM },
            run: RunConfig { steps: 1400, ..RUN },
            // Odd: SAM's gradient norm, and so its edge, alternates between large and small.
            measure: MeasureConfig { every: 25, ..MEASURE },
        },
    },
];

/// A network on the first 1,000 images of CIFAR-10, by SAM with this learning rate.
const fn cifar(model: ModelConfig, lr: f64) -> Config {
    Config {
        data: data(DataName::Cifar10, 1000, 1000),
        model,
        loss: MEAN_SQUARES,
        optim: OptimConfig { lr, rho: 0.03, ..SAM },
        run: RUN,
        measure: MEASURE,
    }
}

/// The same on 100 images, for few steps.
const fn cifar_small(model: ModelConfig, lr: f64) -> Config {
    Config {
        data: data(DataName::Cifar10, 100, 500),
        model,
        loss: MEAN_SQUARES,
        optim: OptimConfig { lr, rho: 0.02, ..SAM },
        run: RunConfig { steps: 300, ..RUN },
        measure: MeasureConfig { every: 10, ..MEASURE },
    }
}

/// The first examples of a data set's own files.
const fn data(name: DataName, train: usize, test: usize) -> DataConfig {
    DataConfig {
        name,
        path: None,
        train,
        test: TestSize::First(test),
        classes: vec![],
        targets: TargetsAs::Auto,
        centre: Centre::AUTO,
        degree: 4,
        scale: 1.0,
        layout: ImageLayout::Nhwc,
        target: String::new(),
        split_seed: 0,
    }
}

/// The same with two classes as −1 and 1.
const fn as_signs(mut data: DataConfig) -> DataConfig {
    data.targets = TargetsAs::Signs;
    data
}

/// The paper's networks, except the width of the MLP.
const MODEL: ModelConfig = ModelConfig {
    kind: ModelKind::Mlp,
    path: None,
    freeze: None,
    initializer: Initializer::Usual,
    activation: Activation::Relu,
    depth: 4,
    width: 64,
    blocks: 2,
    layers_per_block: 1,
    channels: 16,
    growth: 2,
    stride: 1,
    norm: Norm::Layer,
    groups: 8,
    norm_batch: 0,
    pool: Pool::Max,
    layers: 6,
    heads: 8,
    key_size: 32,
    model_size: 128,
    seq_len: 64,
    patch_size: 4,
    readout: Readout::Mean,
};

/// Blocks of a Transformer for a machine without a GPU.
const SMALL_BLOCKS: ModelConfig = ModelConfig { layers: 2, heads: 4, key_size: 16, model_size: 64, ..MODEL };

/// The paper's loss: (f − y)² averaged over examples and outputs.
const MEAN_SQUARES: LossConfig = LossConfig {
    kind: LossKind::Mse,
    reduction: Reduction::Mean,
    label_smoothing: 0.0,
    ignore_index: IgnoreIndex::NONE,
};

/// The paper's loss of its Transformer.
const TOKEN_CROSS_ENTROPY: LossConfig = LossConfig { kind: LossKind::CrossEntropy, ..MEAN_SQUARES };

/// SAM as the paper's MNIST runs use it, full batch.
const SAM: OptimConfig = OptimConfig {
    kind: OptimKind::Sam,
    base: OptimBase::Sgd,
    lr: 0.01,
    schedule: LrSchedule::Constant,
    warmup: 0,
    decay_steps: 0,
    final_lr: 0.0,
    drop_every: 1000,
    drop_factor: 0.1,
    target_gauge: 1.0,
    rho: 0.1,
    epsilon: 1e-5,
    asam_eta: 0.01,
    asam_biases: true,
    ascent_steps: 1,
    sam_from: 0,
    sam_until: 0,
    momentum: 0.0,
    nesterov: false,
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weight_decay: 0.0,
    batch: 0,
    micro_batch: 0,
};

const RUN: RunConfig = RunConfig {
    steps: 10_000,
    until: None,
    time_limit: 0.0,
    checkpoint_every: CheckpointEvery::AUTO,
    keep: 2,
    init: None,
    init_layout: WeightLayout::Edgewalk,
    tensorboard: false,
    seed: 0,
    log_every: 1,
    chunk: 0,
    memory: 0.25,
    precision: Precision::F32,
    tune: Tune::AUTO,
    kernels: None,
};

const MEASURE: MeasureConfig = MeasureConfig {
    every: 100,
    per_decade: 0,
    on: MeasureOn::Train,
    examples: 0,
    at: MeasureAt::Iterate,
    top: 3,
    order: Order::Magnitude,
    bottom: 0,
    track: 0.0,
    method: MeasureMethod::Lanczos,
    tol: 1e-4,
    max_iterations: 100,
    batches: 8,
    window: 0,
};

/// The preset of this name.
///
/// # Errors
/// [`ConfigError::UnknownPreset`], naming a similar one, or the settings in a folder of that name.
pub fn find(name: &str) -> Result<&'static Preset, ConfigError> {
    let names = || PRESETS.iter().map(|preset| preset.name);
    PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| {
        let config = Path::new(name).join("config.toml");
        // A preset is no path.
        let word = Path::new(name).file_name().and_then(|last| last.to_str()).unwrap_or(name);
        let near = suggest::nearest(word, names()).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        ConfigError::UnknownPreset {
            name: name.escape_debug().to_string(),
            meant: if config.is_file() { format!("; did you mean {}?", config.display()) } else { near },
            known: names().collect::<Vec<_>>().join(", "),
        }
    })
}
