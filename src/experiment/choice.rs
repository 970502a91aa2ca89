//! The words that the configuration's keys can hold, besides those of `data` and `model`.

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
