//! The words that the configuration's keys can hold, besides those of `data` and `model`.

use serde::{Deserialize, Serialize};

use crate::choice::choice;

choice! {
    /// The family of networks.
    ModelKind {
        /// A multi-layer perceptron.
        Mlp = "mlp",
        /// A convolutional network.
        Cnn = "cnn",
        /// A Transformer that predicts the next character.
        Transformer = "transformer",
    }
}

choice! {
    /// What is minimised.
    LossKind {
        /// Squared error against one-hot targets.
        Mse = "mse",
        /// Softmax cross-entropy.
        CrossEntropy = "cross-entropy",
    }
}

choice! {
    /// The update rule.
    OptimKind {
        /// Gradient descent.
        Gd = "gd",
        /// Sharpness-aware minimisation (Foret et al. 2021); ρ = 0 is gradient descent.
        Sam = "sam",
        /// SAM without normalisation (Agarwala and Dauphin 2023).
        Usam = "usam",
        /// Adaptive SAM (Kwon et al. 2021).
        Asam = "asam",
    }
}

choice! {
    /// The eigensolver, or the comparison with the official code.
    MeasureMethod {
        /// Lanczos with full reorthogonalisation.
        Lanczos = "lanczos",
        /// Power iteration.
        Power = "power",
        /// Lanczos, and beside it what the official code of the paper would report.
        Official = "official",
    }
}

choice! {
    /// The examples that the curvature is measured on.
    MeasureOn {
        /// The first `measure.examples` of the training set.
        Fixed = "fixed",
        /// The full training set.
        Train = "train",
        /// Those of the step being measured.
        Batch = "batch",
    }
}

choice! {
    /// The parameters at which the Hessian is taken.
    MeasureAt {
        /// Those of the step.
        Iterate = "iterate",
        /// The mean (w₋ + 2w + w₊)/4 with those before and after, which a two-cycle leaves in place.
        Midpoint = "midpoint",
    }
}

/// `run.tune`: the time to spend, once per adapter and class of shapes, on choosing kernels by timing them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Tune {
    /// Seconds; 0 is the rules of thumb alone.
    Secs(f64),
    /// As long as it pays.
    Word(Auto),
}

/// The word for leaving it to the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auto {
    /// `auto`
    Auto,
}

impl Tune {
    /// The default.
    pub const AUTO: Self = Self::Word(Auto::Auto);

    /// Seconds for an adapter. On software adapters compiling one candidate takes as long as many steps, and the rules of
    /// thumb, made there, are close to the best (docs/performance.md): they are tuned only if asked.
    pub fn secs(self, is_cpu: bool) -> f64 {
        match self {
            Self::Secs(secs) => secs,
            Self::Word(Auto::Auto) if is_cpu => 0.0,
            Self::Word(Auto::Auto) => 1.0,
        }
    }
}

/// `run.checkpoint_every`: when a run that goes on writes a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CheckpointEvery {
    /// Every so many steps; 0 is at the end alone.
    Steps(u64),
    /// From time to time, so that it takes a small share of the time and a crash costs little.
    Word(Auto),
}

impl CheckpointEvery {
    /// The default.
    pub const AUTO: Self = Self::Word(Auto::Auto);
}
