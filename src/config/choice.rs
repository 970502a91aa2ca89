//! The words of configuration keys, besides those of `data` and `model`.

use serde::{Deserialize, Serialize};

use crate::choice::choice;

choice! {
    /// The family of networks.
    ModelKind {
        /// A multi-layer perceptron.
        Mlp = "mlp",
        /// A convolutional network.
        Cnn = "cnn",
        /// A residual network.
        ResNet = "resnet",
        /// VGG-11.
        Vgg = "vgg",
        /// A Vision Transformer.
        Vit = "vit",
        /// A Transformer that predicts the next character.
        Transformer = "transformer",
        /// The network of an ONNX file.
        Onnx = "onnx",
    }
}

choice! {
    /// The minimised function.
    LossKind {
        /// Squared error against one-hot targets.
        Mse = "mse",
        /// Softmax cross-entropy.
        CrossEntropy = "cross-entropy",
        /// Binary cross-entropy of logits.
        BinaryCrossEntropy = "binary-cross-entropy",
        /// The one output of the network.
        Output = "output",
    }
}

choice! {
    /// The update rule.
    OptimKind {
        /// Gradient descent.
        Gd = "gd",
        /// Gradient flow, by the Runge–Kutta method of order 4.
        Flow = "flow",
        /// Sharpness-aware minimisation (Foret et al. 2021); ρ = 0 is gradient descent.
        Sam = "sam",
        /// SAM without normalisation (Agarwala and Dauphin 2023).
        Usam = "usam",
        /// Adaptive SAM (Kwon et al. 2021).
        Asam = "asam",
    }
}

choice! {
    /// What makes an update of a gradient, see [`crate::optim::Base`].
    OptimBase {
        /// The gradient, or with a momentum the velocity.
        Sgd = "sgd",
        /// RMSProp.
        RmsProp = "rmsprop",
        /// Adam, with the weight decay in the gradient.
        Adam = "adam",
        /// Adam, with the weight decay beside the update.
        AdamW = "adamw",
    }
}

choice! {
    /// The course of the learning rate after the warm-up, see [`crate::optim::Decay`].
    LrSchedule {
        /// It stays.
        Constant = "constant",
        /// Half a cosine.
        Cosine = "cosine",
        /// A straight line.
        Linear = "linear",
        /// Drops at regular steps.
        Step = "step",
        /// 1/√t
        InverseSqrt = "inverse-sqrt",
        /// Set by every measurement.
        Edge = "edge",
    }
}

choice! {
    /// The eigensolver, or the comparison with the official code.
    MeasureMethod {
        /// Lanczos with full reorthogonalisation.
        Lanczos = "lanczos",
        /// Power iteration.
        Power = "power",
        /// Lanczos, with the estimate of the paper's official code beside it.
        Official = "official",
    }
}

choice! {
    /// The examples for measuring the curvature.
    MeasureOn {
        /// The first `measure.examples` of the training set.
        Fixed = "fixed",
        /// The full training set.
        Train = "train",
        /// The examples of the measured step.
        Batch = "batch",
    }
}

choice! {
    /// The parameters at which the Hessian is taken.
    MeasureAt {
        /// Those of the step.
        Iterate = "iterate",
        /// The mean (w₋ + 2w + w₊)/4 of three iterates, in which a two-cycle cancels.
        Midpoint = "midpoint",
    }
}

/// `run.tune`: the time to spend, once per adapter and class of shapes, on choosing kernels by timing them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Tune {
    /// Seconds; 0 is the default rules alone.
    Secs(f64),
    /// The time that pays for the adapter.
    Word(Auto),
}

/// The word for a choice by the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auto {
    /// `auto`
    Auto,
}

impl Tune {
    /// The default.
    pub const AUTO: Self = Self::Word(Auto::Auto);

    /// Seconds for an adapter. On software adapters compiling one candidate takes as long as many steps, and the
    /// default rules are close to the best (docs/performance.md), so they are tuned only on request.
    pub fn secs(self, is_cpu: bool) -> f64 {
        match self {
            Self::Secs(secs) => secs,
            Self::Word(Auto::Auto) if is_cpu => 0.0,
            Self::Word(Auto::Auto) => 1.0,
        }
    }
}

/// `data.centre`: whether the mean of each feature over the training set is subtracted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Centre {
    /// As it says.
    Flag(bool),
    /// Of the images of a data set yes, of arrays no.
    Word(Auto),
}

impl Centre {
    /// The default.
    pub const AUTO: Self = Self::Word(Auto::Auto);

    /// The choice, if one was made.
    pub fn choice(self) -> Option<bool> {
        match self {
            Self::Flag(flag) => Some(flag),
            Self::Word(Auto::Auto) => None,
        }
    }
}

/// `loss.ignore_index`: the label that does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum IgnoreIndex {
    /// This one.
    Label(i64),
    /// All labels count.
    Word(Nothing),
}

/// The word for no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Nothing {
    /// `none`
    None,
}

impl IgnoreIndex {
    /// The default.
    pub const NONE: Self = Self::Word(Nothing::None);

    /// The label, if there is one.
    pub fn label(self) -> Option<i64> {
        match self {
            Self::Label(label) => Some(label),
            Self::Word(Nothing::None) => None,
        }
    }
}

/// `run.checkpoint_every`: the steps at which a run writes a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CheckpointEvery {
    /// Every this many steps; 0 is only at the end.
    Steps(u64),
    /// From time to time, so that it takes a small share of the time and a crash costs little.
    Word(Auto),
}

impl CheckpointEvery {
    /// The default.
    pub const AUTO: Self = Self::Word(Auto::Auto);
}
