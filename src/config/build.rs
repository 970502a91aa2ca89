//! Builds the configured model for the examples, its loss and the update rule.

use std::path::Path;
use std::sync::Arc;

use super::{Config, ConfigError, LossKind, LrSchedule, ModelConfig, ModelKind, OptimBase, OptimKind};
use crate::data::{Examples, Features, ImageLayout, Options, Request, TargetKind};
use crate::model::{Cnn, Initialized, Initializer, Layout, Loss, Mlp, Model, OnnxModel, ResNet, Transformer, Vgg, Vit};
use crate::onnx::Network;
use crate::optim::{Ascent, Base, Decay, Rule, Schedule};

/// The configured update rule; plain gradient descent is SAM without a radius.
pub fn rule(config: &Config) -> Rule {
    let c = &config.optim;
    let (beta1, beta2, eps) = (c.beta1, c.beta2, c.eps);
    Rule {
        lr: c.lr,
        schedule: schedule(config),
        base: match c.base {
            OptimBase::Sgd if c.kind == OptimKind::Flow => Base::Flow,
            OptimBase::Sgd => Base::Sgd,
            OptimBase::RmsProp => Base::RmsProp { beta2, eps },
            OptimBase::Adam => Base::Adam { beta1, beta2, eps, decoupled: false },
            OptimBase::AdamW => Base::Adam { beta1, beta2, eps, decoupled: true },
        },
        ascent: match c.kind {
            OptimKind::Gd | OptimKind::Flow | OptimKind::Sam => Ascent::Sam,
            OptimKind::Usam => Ascent::Usam,
            OptimKind::Asam => Ascent::Asam { eta: c.asam_eta, biases: c.asam_biases },
        },
        rho: if c.perturbs() { c.rho } else { 0.0 },
        epsilon: c.epsilon,
        ascent_steps: c.ascent_steps,
        micro_batch: c.micro_batch,
        sam_from: c.sam_from,
        sam_until: c.sam_until,
        momentum: c.momentum,
        nesterov: c.nesterov,
        weight_decay: c.weight_decay,
    }
}

/// The configured schedule of the learning rate.
fn schedule(config: &Config) -> Schedule {
    let c = &config.optim;
    let (until, last) = (c.decay_steps, c.final_lr / c.lr);
    let schedule = Schedule { warmup: c.warmup, ..Schedule::CONSTANT };
    match c.schedule {
        LrSchedule::Constant => schedule,
        LrSchedule::Cosine => Schedule { decay: Decay::Cosine, until, last, ..schedule },
        LrSchedule::Linear => Schedule { decay: Decay::Linear, until, last, ..schedule },
        LrSchedule::Step => Schedule { decay: Decay::Step { every: c.drop_every, factor: c.drop_factor }, ..schedule },
        LrSchedule::Edge => Schedule { decay: Decay::Edge { gauge: c.target_gauge, factor: 1.0 }, ..schedule },
        LrSchedule::InverseSqrt => Schedule { decay: Decay::InverseSqrt, ..schedule },
    }
}

/// The configured examples; `network` is that of [`network`].
pub fn request(config: &Config, network: Option<&Network>) -> Request {
    let c = &config.data;
    Request {
        name: c.name,
        path: c.path.clone(),
        train: c.train,
        test: c.test,
        seq_len: config.model.seq_len,
        options: Options {
            classes: c.classes.clone(),
            targets: c.targets,
            centre: c.centre.choice(),
            degree: c.degree,
            scale: c.scale,
            // Other networks read the numbers in the order of the file.
            layout: match config.model.kind {
                ModelKind::Cnn | ModelKind::ResNet | ModelKind::Vgg | ModelKind::Vit => c.layout,
                ModelKind::Mlp | ModelKind::Transformer | ModelKind::Onnx => ImageLayout::Nhwc,
            },
            target: c.target.clone(),
            tokens: match config.model.kind {
                ModelKind::Transformer => true,
                ModelKind::Mlp | ModelKind::Cnn | ModelKind::ResNet | ModelKind::Vgg | ModelKind::Vit => false,
                ModelKind::Onnx => network.is_some_and(|network| network.input().tokens),
            },
            // An ONNX file does not say whether a token is padding.
            padding: config.model.kind != ModelKind::Onnx,
            ignored: config.loss.ignore_index.label(),
            split_seed: c.split_seed,
        },
    }
}

/// The configured loss.
pub fn loss(config: &Config) -> Loss {
    match config.loss.kind {
        LossKind::Mse => Loss::Mse(config.loss.reduction),
        LossKind::CrossEntropy if config.loss.label_smoothing > 0.0 => Loss::Smoothed(config.loss.label_smoothing),
        LossKind::CrossEntropy => Loss::CrossEntropy,
        LossKind::BinaryCrossEntropy => Loss::BinaryCrossEntropy,
        LossKind::Output => Loss::Output,
    }
}

/// The configured model for these examples; `network` is that of [`network`].
///
/// # Errors
/// [`ConfigError::Conflict`] when the model does not fit them, or has more parameters than a device can index.
pub fn model(config: &Config, network: Option<&Arc<Network>>, data: &Examples) -> Result<Arc<dyn Model>, ConfigError> {
    check_targets(config, data)?;
    let model = of_kind(config, network, data)?;
    let model = match config.model.initializer {
        Initializer::Usual => model,
        initializer => Arc::new(Initialized { model, initializer }),
    };
    Layout::of(&*model).map_err(|error| ConfigError::Conflict {
        problem: error.to_string(),
        remedy: "the settings of [model] say how wide and how deep it is",
    })?;
    Ok(model)
}

/// Refuses a loss or an end of the run that these examples' targets have no meaning for.
fn check_targets(config: &Config, data: &Examples) -> Result<(), ConfigError> {
    let kind = data.targets().kind();
    if let (LossKind::BinaryCrossEntropy, Some((value, example))) = (config.loss.kind, data.targets().no_probability())
    {
        return conflict(
            format!("the target of example {example} is {value}, and binary cross-entropy takes numbers from 0 to 1"),
            "correct the targets, set data.targets = \"signs\" for −1 and 1, or take another loss.kind",
        );
    }
    match (kind, config.loss.kind, config.run.until) {
        (TargetKind::Classes(_), ..) => Ok(()),
        (TargetKind::Signs | TargetKind::Numbers(_), LossKind::CrossEntropy, _) => conflict(
            "`loss.kind = \"cross-entropy\"` needs classes, and these examples have numbers as targets".into(),
            "set loss.kind = \"mse\", or data.targets = \"classes\" where the numbers are classes",
        ),
        (TargetKind::Numbers(_), LossKind::Mse | LossKind::Output, Some(until)) if until.needs_error() => conflict(
            format!("`run.until = \"{until}\"` has no meaning for a regression, which misclassifies nothing"),
            "give it a bound on the loss",
        ),
        (
            TargetKind::Signs | TargetKind::Numbers(_),
            LossKind::Mse | LossKind::BinaryCrossEntropy | LossKind::Output,
            _,
        ) => Ok(()),
    }
}

/// The model before its parameters are counted.
fn of_kind(config: &Config, network: Option<&Arc<Network>>, data: &Examples) -> Result<Arc<dyn Model>, ConfigError> {
    let c = &config.model;
    let is_text = matches!(data.features(), Features::Tokens(_));
    if c.kind != ModelKind::Onnx && is_text != (c.kind == ModelKind::Transformer) {
        return conflict(
            format!("`model.kind = \"{}\"` cannot read the data set {}", c.kind, config.data.name),
            "text needs model.kind = \"transformer\", and images need another",
        );
    }
    Ok(match c.kind {
        ModelKind::Mlp => Arc::new(Mlp {
            inputs: data.dim(),
            width: c.width,
            depth: c.depth,
            outputs: data.classes(),
            activation: c.activation,
        }),
        ModelKind::Cnn => Arc::new(cnn(c, data)?),
        ModelKind::ResNet => Arc::new(ResNet {
            image: image(c, data)?,
            blocks: blocks_of_depth(c.depth)?,
            channels: c.channels,
            norm: c.norm,
            groups: c.groups,
            activation: c.activation,
            outputs: data.classes(),
        }),
        ModelKind::Vgg => Arc::new(Vgg {
            image: image(c, data)?,
            channels: c.channels,
            norm: c.norm,
            groups: c.groups,
            activation: c.activation,
            pool: c.pool,
            outputs: data.classes(),
        }),
        ModelKind::Vit => Arc::new(Vit {
            image: image(c, data)?,
            patch_size: c.patch_size,
            layers: c.layers,
            heads: c.heads,
            key_size: c.key_size,
            model_size: c.model_size,
            readout: c.readout,
            outputs: data.classes(),
        }),
        ModelKind::Onnx => Arc::new(onnx(config, network, data)?),
        ModelKind::Transformer => Arc::new(Transformer {
            layers: c.layers,
            heads: c.heads,
            key_size: c.key_size,
            model_size: c.model_size,
            length: data.dim(),
            vocabulary: data.classes(),
        }),
    })
}

/// The file of an ONNX network, without which there is no valid configuration of one.
fn onnx_path(c: &ModelConfig) -> &Path {
    c.path.as_deref().unwrap_or(Path::new(""))
}

fn onnx(config: &Config, network: Option<&Arc<Network>>, data: &Examples) -> Result<OnnxModel, ConfigError> {
    let path = onnx_path(&config.model).display();
    let Some(network) = network else {
        return conflict(format!("{path} was not read"), "read it with `config::build::network`");
    };
    let words = |tokens: bool| if tokens { "whole numbers" } else { "floating-point numbers" };
    let (given, read) = (matches!(data.features(), Features::Tokens(_)), network.input().tokens);
    if given != read {
        return conflict(
            format!("{path} reads {}, and these examples have {}", words(read), words(given)),
            "give x the type of elements that `edgewalk info FILE.onnx` shows",
        );
    }
    OnnxModel::new(Arc::clone(network), data.shape()).map_err(|error| ConfigError::Conflict {
        problem: format!("{path}: {error}"),
        remedy: "`edgewalk info FILE.onnx` shows what it reads",
    })
}

/// Reads the configured network of an ONNX file; `None` for another kind of model.
///
/// # Errors
/// [`ConfigError::Network`].
pub fn network(config: &Config) -> Result<Option<Arc<Network>>, ConfigError> {
    if config.model.kind != ModelKind::Onnx {
        return Ok(None);
    }
    let (c, path) = (&config.model, onnx_path(&config.model));
    let patterns = c.freeze.as_deref().unwrap_or_default().split(',').map(str::trim);
    let freeze: Vec<String> = patterns.filter(|pattern| !pattern.is_empty()).map(str::to_owned).collect();
    let read = Network::read(path, &freeze).map_err(|cause| ConfigError::Network { path: path.into(), cause })?;
    Ok(Some(Arc::new(read)))
}

/// The shape of the examples of a network that reads images.
fn image(c: &ModelConfig, data: &Examples) -> Result<[usize; 3], ConfigError> {
    match *data.shape() {
        [height, width, channels] => Ok([height, width, channels]),
        ref shape => conflict(
            format!("`model.kind = \"{}\"` cannot read examples of shape {shape:?}", c.kind),
            "it takes images: height, width, channels; use model.kind = \"mlp\"",
        ),
    }
}

/// The blocks of a stage of a ResNet of 6n + 2 layers.
fn blocks_of_depth(depth: usize) -> Result<usize, ConfigError> {
    match depth.checked_sub(2).filter(|layers| *layers > 0 && layers.is_multiple_of(6)) {
        Some(layers) => Ok(layers / 6),
        None => conflict(
            format!("`model.depth = {depth}` is not the depth of a ResNet, which has 6n + 2 layers"),
            "set model.depth to 8, 14, 20, 26, 32, 44, 56 or 110",
        ),
    }
}

fn cnn(c: &ModelConfig, data: &Examples) -> Result<Cnn, ConfigError> {
    let cnn = Cnn {
        image: image(c, data)?,
        blocks: c.blocks,
        layers_per_block: c.layers_per_block,
        channels: c.channels,
        growth: c.growth,
        stride: c.stride,
        activation: c.activation,
        norm: c.norm,
        groups: c.groups,
        pool: c.pool,
        outputs: data.classes(),
    };
    match cnn.flattened() {
        Some(shape) if !shape.contains(&0) => Ok(cnn),
        Some(_) => conflict(
            format!("`model.blocks = {}` leaves nothing of images of {:?}", c.blocks, data.shape()),
            "use fewer blocks, a stride of 1, or model.pool = \"none\"",
        ),
        None => conflict(
            format!("the last of {} blocks has too many channels to count", c.blocks),
            "lower model.channels, model.growth or model.blocks",
        ),
    }
}

fn conflict<T>(problem: String, remedy: &'static str) -> Result<T, ConfigError> {
    Err(ConfigError::Conflict { problem, remedy })
}
