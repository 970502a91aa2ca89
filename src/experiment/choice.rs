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
    }
}

choice! {
    /// The eigensolver.
    MeasureMethod {
        /// Lanczos with full reorthogonalisation.
        Lanczos = "lanczos",
        /// Power iteration.
        Power = "power",
    }
}
