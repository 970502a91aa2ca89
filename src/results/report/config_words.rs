//! A configuration in words and formulas.

use super::optimizer_words;
use crate::adapter::Precision;
use crate::config::{
    Centre, Config, DataConfig, DataName, Initializer, LossKind, MeasureAt, MeasureConfig, MeasureMethod, MeasureOn,
    ModelConfig, ModelKind, Norm, Pool, Readout, Reduction, TargetsAs, TestSize, build,
};
use crate::folder::manifest::Manifest;
use crate::text::{counted, digits};

/// A description, with the formula behind it where there is one.
pub(crate) struct Words {
    /// What is described.
    pub subject: &'static str,
    /// The section of the configuration that it follows from.
    pub section: &'static str,
    /// In a sentence.
    pub sentence: String,
    /// As a formula; empty where there is none.
    pub formula: String,
}

/// What was trained, on what, how, and what was measured. The manifest of a run has numbers that its configuration
/// leaves open.
pub(crate) fn describe(config: &Config, manifest: Option<&Manifest>) -> Vec<Words> {
    let plain = |subject, section, sentence| Words { subject, section, sentence, formula: String::new() };
    let (sentence, formula) = match manifest {
        Some(manifest) if manifest.data.is_own() => ("That of the program that made this run.".into(), String::new()),
        _ => loss(config),
    };
    let (rule, update) = optimizer_words::optimizer(config);
    vec![
        plain("Model", "model", model(config, manifest)),
        plain("Data", "data", data(config, manifest)),
        Words { subject: "Loss", section: "loss", sentence, formula },
        Words { subject: "Optimizer", section: "optim", sentence: rule, formula: update },
        plain("Curvature", "measure", measurement(config, manifest)),
    ]
}

fn model(config: &Config, manifest: Option<&Manifest>) -> String {
    let m = &config.model;
    let is_own = manifest.is_some_and(|manifest| manifest.data.is_own());
    let network = match m.kind {
        _ if is_own => "The network of the program that made this run".to_owned(),
        ModelKind::Mlp if m.depth == 1 => "A linear model: one dense layer".to_owned(),
        ModelKind::Mlp => format!(
            "A multi-layer perceptron of {} dense layers: {} of {}, each followed by {}, and a linear output",
            m.depth,
            counted(m.depth - 1, "hidden one"),
            counted(m.width, "unit"),
            m.activation,
        ),
        ModelKind::Cnn => {
            let norm = match normalisation(m) {
                None => String::new(),
                Some(norm) => format!(" and {norm}"),
            };
            let pool = match m.pool {
                Pool::None => String::new(),
                pool => format!(", each ending with {pool} pooling"),
            };
            format!(
                "A convolutional network of {}{pool}: {} in each, {} in the first and {} times as many in every next one, \
                 stride {}, {} after every convolution{norm}",
                counted(m.blocks, "block"),
                counted(m.layers_per_block, "convolution"),
                counted(m.channels, "channel"),
                m.growth,
                m.stride,
                m.activation,
            )
        }
        ModelKind::ResNet => format!(
            "A residual network of {} layers: three stages of blocks with {}, {} and {} channels, {} after each convolution, \
             and {}",
            m.depth,
            m.channels,
            2 * m.channels,
            4 * m.channels,
            normalisation(m).unwrap_or_else(|| "no normalisation".to_owned()),
            m.activation,
        ),
        ModelKind::Vgg => format!(
            "VGG-11: eight convolutions with {} to {} channels, {} after each, {}, and {} pooling",
            m.channels,
            8 * m.channels,
            normalisation(m).unwrap_or_else(|| "no normalisation".to_owned()),
            m.activation,
            m.pool,
        ),
        ModelKind::Vit => format!(
            "A Vision Transformer: patches of {0} × {0}, {1} with {2} of size {3}, {4} a token, and {5}",
            m.patch_size,
            counted(m.layers, "block"),
            counted(m.heads, "attention head"),
            m.key_size,
            counted(m.model_size, "feature"),
            match m.readout {
                Readout::Mean => "the mean over all tokens",
                Readout::Class => "a class token",
            },
        ),
        ModelKind::Onnx => {
            format!("The network of {}", m.path.as_deref().unwrap_or(std::path::Path::new("an ONNX file")).display())
        }
        ModelKind::Transformer => format!(
            "A Transformer that predicts the next character: {} with {} of size {}, {} a token, windows of {}",
            counted(m.layers, "block"),
            counted(m.heads, "attention head"),
            m.key_size,
            counted(m.model_size, "feature"),
            counted(m.seq_len, "character"),
        ),
    };
    let count =
        manifest.map_or(String::new(), |manifest| format!("; {} in all", counted(manifest.parameters, "parameter")));
    let weights = match &config.run.init {
        Some(path) => format!("Weights are read from {}", path.display()),
        None if m.kind == ModelKind::Onnx => "Weights are those of the file".to_owned(),
        None if m.initializer == Initializer::Usual => format!("Weights are drawn from seed {}", config.run.seed),
        None => format!("Weights are drawn from seed {} by the initializer {}", config.run.seed, m.initializer),
    };
    let precision = match config.run.precision {
        Precision::F32 => "float32",
        Precision::F64 => "float64",
    };
    format!("{network}{count}. {weights}; numbers on the device are {precision}.")
}

/// The normalisation in words, if there is one.
fn normalisation(m: &ModelConfig) -> Option<String> {
    match m.norm {
        Norm::None => None,
        Norm::Layer => Some("layer normalisation".to_owned()),
        Norm::Group => Some(format!("group normalisation ({})", counted(m.groups, "group"))),
        Norm::Batch if m.norm_batch == 0 => Some("batch normalisation".to_owned()),
        Norm::Batch => Some(format!("batch normalisation over {}", counted(m.norm_batch, "example"))),
    }
}

fn data(config: &Config, manifest: Option<&Manifest>) -> String {
    let d = &config.data;
    let set = match d.name {
        DataName::Embedded => "the images of MNIST that the program brings along (handwritten digits)",
        DataName::Mnist => "MNIST (images of handwritten digits)",
        DataName::FashionMnist => "Fashion-MNIST (images of clothes)",
        DataName::Cifar10 => "CIFAR-10 (colour images of ten classes)",
        DataName::Shakespeare => "tiny_shakespeare (text)",
        DataName::Text => "a text file",
        DataName::Chebyshev => "points of a Chebyshev polynomial",
        DataName::Spirals => "points on two spirals",
        DataName::Arrays => "arrays from a file",
    };
    let (unit, of) = if config.model.kind == ModelKind::Transformer { ("window", " of text") } else { ("example", "") };
    let train = match d.train {
        0 => format!("All training {unit}s{of} of {set}"),
        count => format!("The first {}{of} of {set}", counted(count, &format!("training {unit}"))),
    };
    let test = match d.test {
        TestSize::First(0) => "no test set".to_owned(),
        TestSize::First(1) => format!("the first test {unit}{of} is held out"),
        TestSize::First(count) => format!("the first {count} test {unit}s{of} are held out"),
        TestSize::Share(share) => {
            format!("{} % of all, chosen from seed {}, are held out", digits(100.0 * share, 4), d.split_seed)
        }
    };
    let update = match config.optim.batch {
        0 => "every update sees all of them (full batch)".to_owned(),
        batch => format!("an update sees {batch} of them, reshuffled every epoch from seed {}", config.run.seed),
    };
    match manifest.map(|manifest| &manifest.data) {
        Some(data) if data.is_own() => {
            let (train, test) = (counted(data.train, "training example"), counted(data.test, "test example"));
            format!("{train} and {test} of the program that made this run; {update}.")
        }
        _ => format!("{train}{}; {update}; {test}.", prepared(d)),
    }
}

/// How the examples are prepared, where that is not the usual way.
fn prepared(d: &DataConfig) -> String {
    let mut words = String::new();
    if !d.classes.is_empty() {
        let classes: Vec<String> = d.classes.iter().map(ToString::to_string).collect();
        words += &format!(", only of classes {}", classes.join(", "));
    }
    words += match d.targets {
        TargetsAs::Auto | TargetsAs::Classes => "",
        TargetsAs::Signs => ", labelled −1 and 1",
        TargetsAs::Numbers => ", with numbers as targets",
    };
    if d.scale != 1.0 {
        words += &format!(", divided by {}", digits(d.scale, 6));
    }
    words += match d.centre {
        Centre::Word(_) => "",
        Centre::Flag(true) => ", centred",
        Centre::Flag(false) => ", not centred",
    };
    words
}

fn loss(config: &Config) -> (String, String) {
    let targets = match (config.data.targets, config.data.name) {
        (TargetsAs::Auto, DataName::Arrays) => "the targets (one-hot for classes)",
        (TargetsAs::Auto | TargetsAs::Classes, _) => "one-hot targets",
        (TargetsAs::Signs | TargetsAs::Numbers, _) => "the targets",
    };
    let (sentence, formula) = match (config.loss.kind, config.loss.reduction) {
        (LossKind::Mse, Reduction::Mean) => (
            format!("Squared error against {targets}, averaged over the K outputs and the N examples."),
            "L(w) = (1/N) Σᵢ (1/K) Σₖ (fₖ(xᵢ; w) − yᵢₖ)²",
        ),
        (LossKind::Mse, Reduction::HalfSum) => (
            format!(
                "Half the squared error against {targets}, summed over the outputs and averaged over the N examples."
            ),
            "L(w) = (1/N) Σᵢ ½ Σₖ (fₖ(xᵢ; w) − yᵢₖ)²",
        ),
        (LossKind::CrossEntropy, _) => {
            let smooth = config.loss.label_smoothing;
            let mut sentence = "Softmax cross-entropy, averaged over the N labels".to_owned();
            if let Some(label) = config.loss.ignore_index.label() {
                sentence += &format!(" other than {label}");
            }
            if smooth > 0.0 {
                sentence += &format!(", of which a share ε = {} is spread over all K classes", digits(smooth, 6));
            }
            let formula = match smooth > 0.0 {
                true => "L(w) = −(1/N) Σᵢ Σₖ ((1 − ε)·[k = yᵢ] + ε/K) log softmax(f(xᵢ; w))[k]",
                false => "L(w) = −(1/N) Σᵢ log softmax(f(xᵢ; w))[yᵢ]",
            };
            (sentence + ".", formula)
        }
        (LossKind::BinaryCrossEntropy, _) => (
            format!("Binary cross-entropy against {targets}, averaged over the K outputs and the N examples."),
            "L(w) = −(1/N) Σᵢ (1/K) Σₖ yᵢₖ log σ(fₖ(xᵢ; w)) + (1 − yᵢₖ) log σ(−fₖ(xᵢ; w))",
        ),
        (LossKind::Output, _) => {
            ("The output of the network, averaged over the N examples.".to_owned(), "L(w) = (1/N) Σᵢ f(xᵢ; w)")
        }
    };
    (sentence, formula.into())
}

fn measurement(config: &Config, manifest: Option<&Manifest>) -> String {
    let m = &config.measure;
    if !m.is_on() {
        return "Not measured (measure.every = 0).".into();
    }
    let how = match m.method {
        MeasureMethod::Lanczos => "the Lanczos method with exact Hessian-vector products",
        MeasureMethod::Power => "power iteration with exact Hessian-vector products",
        MeasureMethod::Official => {
            "the Lanczos method with exact Hessian-vector products, and beside it the estimate of the official code of the \
             paper, which takes differences of gradients"
        }
    };
    let at = match m.at {
        MeasureAt::Iterate => "",
        MeasureAt::Midpoint => " at midpoints between two steps",
    };
    let mut sentence = format!(
        "{} of the Hessian of the loss on {},{at} {}, by {how}, to a relative residual of {}.",
        eigenvalues(m),
        examples(config, manifest),
        times(m),
        digits(m.tol, 3),
    );
    if m.window > 0 {
        sentence += &format!(
            " For {} after each, the swing of the parameters along v₁ is followed.",
            counted(m.window, "update")
        );
    }
    let rule = build::rule(config);
    if let Some(reason) = rule.no_edge(&rule.climb(&[1.0])) {
        sentence += &format!(" No eigenvalue has an edge of its own: {reason}.");
    }
    sentence
}

/// Which eigenvalues are found.
fn eigenvalues(m: &MeasureConfig) -> String {
    let top = match (m.top, m.track > 0.0) {
        (1, _) => "The eigenvalue of largest magnitude".to_owned(),
        (top, false) => format!("The {top} eigenvalues of largest magnitude"),
        (top, true) => format!(
            "Up to {top} eigenvalues of largest magnitude, those that reach {} × the edge and the first that does not,",
            digits(m.track, 3)
        ),
    };
    match m.bottom {
        0 => top,
        1 => format!("{top} and the lowest eigenvalue"),
        bottom => format!("{top} and the {bottom} lowest"),
    }
}

/// The examples that the curvature is measured on.
fn examples(config: &Config, manifest: Option<&Manifest>) -> String {
    let m = &config.measure;
    let measured = manifest.and_then(|manifest| Some((manifest.measured?.examples, manifest.data.train)));
    match m.on {
        MeasureOn::Batch if config.optim.batch > 0 => "the minibatch of the step".to_owned(),
        MeasureOn::Fixed if m.examples > 0 => match measured {
            Some((examples, train)) if examples == train => "the full training set".to_owned(),
            Some((examples, _)) => format!("the first {}", counted(examples, "training example")),
            None => format!("the first {}, or all where there are no more", counted(m.examples, "training example")),
        },
        MeasureOn::Batch | MeasureOn::Fixed | MeasureOn::Train => "the full training set".to_owned(),
    }
}

/// The steps before which it is measured, besides the last.
fn times(m: &MeasureConfig) -> String {
    if m.per_decade > 0 {
        /// As many as show how they go on.
        const SHOWN: usize = 6;
        let steps: Vec<String> = (0..).filter(|&step| m.due(step)).take(SHOWN).map(|step| step.to_string()).collect();
        return format!("at steps {} and so on, {} in every factor of ten", steps.join(", "), m.per_decade);
    }
    match m.every {
        1 => "every step".to_owned(),
        every => format!("every {every} steps"),
    }
}
