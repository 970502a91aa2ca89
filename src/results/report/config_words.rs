//! A configuration in words and formulas.

use crate::adapter::Precision;
use crate::config::{
    Centre, Config, DataConfig, DataName, Initializer, LossKind, LrSchedule, MeasureAt, MeasureConfig, MeasureMethod,
    MeasureOn, ModelConfig, ModelKind, Norm, OptimBase, OptimConfig, OptimKind, Pool, Readout, Reduction, TargetsAs,
    TestSize, build,
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
    let (rule, update) = optimizer(config);
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

fn optimizer(config: &Config) -> (String, String) {
    let o = &config.optim;
    let number = |x: f64| digits(x, 6);
    let perturbs = o.perturbs();
    let base = match o.base {
        OptimBase::Sgd => "",
        OptimBase::RmsProp => "RMSProp (Tieleman and Hinton 2012)",
        OptimBase::Adam => "Adam (Kingma and Ba 2015)",
        OptimBase::AdamW => "AdamW (Loshchilov and Hutter 2019)",
    };
    let name = match o.kind {
        OptimKind::Flow => "Gradient flow by the Runge–Kutta method of order 4",
        _ if !perturbs && o.is_adaptive() => base,
        _ if !perturbs => "Gradient descent",
        OptimKind::Gd | OptimKind::Sam => "Sharpness-aware minimisation (SAM, Foret et al. 2021)",
        OptimKind::Usam => "SAM without normalisation (Agarwala and Dauphin 2023)",
        OptimKind::Asam => "Adaptive SAM (Kwon et al. 2021)",
    };
    let over = if perturbs && o.is_adaptive() { format!(" over {base}") } else { String::new() };
    let mut sentence = format!("{name}{over} with learning rate η = {}", number(o.lr));
    if perturbs {
        sentence += &format!(", radius ρ = {}", number(o.rho));
    }
    if o.momentum > 0.0 {
        sentence +=
            &format!(", {} momentum β = {}", if o.nesterov { "Nesterov's" } else { "Polyak's" }, number(o.momentum));
    }
    if o.weight_decay > 0.0 {
        sentence += &format!(", weight decay c = {}", number(o.weight_decay));
    }
    sentence += &match o.base {
        OptimBase::Sgd => String::new(),
        OptimBase::RmsProp => format!(", β₂ = {}, ε = {}", number(o.beta2), number(o.eps)),
        OptimBase::Adam | OptimBase::AdamW => {
            format!(", β₁ = {}, β₂ = {}, ε = {}", number(o.beta1), number(o.beta2), number(o.eps))
        }
    };
    sentence += ".";
    sentence += &learning_rate(o);
    if perturbs {
        if o.ascent_steps > 1 {
            let each = number(o.rho / o.ascent_steps as f64);
            sentence += &format!(
                " The perturbation is made in {} steps of {each}, each along the gradient where it stands.",
                o.ascent_steps
            );
        }
        if o.micro_batch > 0 {
            sentence +=
                &format!(" Groups of {} have perturbations of their own (m-SAM).", counted(o.micro_batch, "example"));
        }
        if o.sam_from > 0 || o.sam_until > 0 {
            let until = if o.sam_until > 0 { format!(" and before update {}", o.sam_until) } else { String::new() };
            sentence += &format!(" Updates from {} on{until} are perturbed, the others plain.", o.sam_from);
        }
    }
    let e = match o.kind {
        _ if !perturbs => "",
        OptimKind::Gd | OptimKind::Flow | OptimKind::Sam => "e = ρ g/(‖g‖ + ε)",
        OptimKind::Usam => "e = ρ g",
        OptimKind::Asam if o.asam_biases => "e = ρ T²g/(‖Tg‖ + ε), T = diag(|w| + asam_eta)",
        OptimKind::Asam => "e = ρ T²g/(‖Tg‖ + ε), T = diag(|w| + asam_eta) for weights and 1 for biases",
    };
    let gradient = if perturbs { "∇L(w + e)" } else { "∇L(w)" };
    let decays = o.weight_decay > 0.0;
    let decayed = if decays && o.base != OptimBase::AdamW { format!("{gradient} + c w") } else { gradient.to_owned() };
    let moments = "m ← β₁m + (1 − β₁)d, ν ← β₂ν + (1 − β₂)d²";
    let quotient = "η (m/(1 − β₁ᵗ))/(√(ν/(1 − β₂ᵗ)) + ε)";
    if o.kind == OptimKind::Flow {
        return (sentence, "dw/dt = −∇L(w), in steps η of time".to_owned());
    }
    let update = match (o.base, o.momentum > 0.0, o.nesterov) {
        (OptimBase::Sgd, false, _) if decays => format!("w ← w − η ({decayed})"),
        (OptimBase::Sgd, false, _) => format!("w ← w − η {decayed}"),
        (OptimBase::Sgd, true, false) => format!("d = {decayed}, v ← βv + d, w ← w − η v"),
        (OptimBase::Sgd, true, true) => format!("d = {decayed}, v ← βv + d, w ← w − η (d + βv)"),
        (OptimBase::RmsProp, ..) => format!("d = {decayed}, ν ← β₂ν + (1 − β₂)d², w ← w − η d/(√ν + ε)"),
        (OptimBase::AdamW, ..) if decays => format!("d = {decayed}, {moments}, w ← (1 − ηc)w − {quotient}"),
        (OptimBase::Adam | OptimBase::AdamW, ..) => format!("d = {decayed}, {moments}, w ← w − {quotient}"),
    };
    let formula = if perturbs { format!("{update},  where g = ∇L(w) and {e}") } else { update };
    (sentence, formula)
}

/// The schedule of the learning rate in words, if there is one.
fn learning_rate(o: &OptimConfig) -> String {
    let warmup = match o.warmup {
        0 => String::new(),
        updates => format!(" It rises along a straight line through {}.", counted(updates, "update")),
    };
    let then = match o.schedule {
        LrSchedule::Constant => String::new(),
        LrSchedule::Cosine | LrSchedule::Linear => {
            let course = if o.schedule == LrSchedule::Cosine { "half a cosine" } else { "a straight line" };
            format!(" It falls along {course}, to {} at update {}.", digits(o.final_lr, 6), o.decay_steps)
        }
        LrSchedule::Step => {
            let every = counted(o.drop_every, "update");
            format!(" After every {every} it is multiplied by {}.", digits(o.drop_factor, 6))
        }
        LrSchedule::Edge => {
            let gauge = digits(o.target_gauge, 6);
            format!(" It is the largest: every measurement sets η so that the gauge is {gauge}.")
        }
        LrSchedule::InverseSqrt => " It falls as 1/√t over the updates t.".to_owned(),
    };
    warmup + &then
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
