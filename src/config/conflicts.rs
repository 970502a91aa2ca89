//! Settings that are valid alone and contradict each other.

use std::path::Path;

use super::{
    Centre, Config, ConfigError, DataName, LossKind, LrSchedule, MeasureAt, MeasureConfig, MeasureMethod, MeasureOn,
    ModelKind, OptimKind, Reduction, SHORTEST_WINDOW, TargetsAs, TestSize, WeightLayout, preset,
};
use crate::curvature::Order;

/// Whether settings contradict each other, how, and what to do about it.
type Contradiction = (bool, String, &'static str);

/// Refuses the first contradiction, with advice.
pub(crate) fn check(config: &Config) -> Result<(), ConfigError> {
    let mut rules =
        of_data(config).into_iter().chain(of_losses(config)).chain(of_updates(config)).chain(of_measurements(config));
    match rules.find(|(contradict, ..)| *contradict) {
        Some((_, problem, remedy)) => Err(ConfigError::Conflict { problem, remedy }),
        None => Ok(()),
    }
}

fn of_data(Config { data, model, .. }: &Config) -> [Contradiction; 10] {
    let path = data.path.as_deref();
    let is_arrays = data.name == DataName::Arrays;
    let is_text = matches!(data.name, DataName::Text | DataName::Shakespeare);
    let is_computed = matches!(data.name, DataName::Chebyshev | DataName::Spirals);
    let usual = &preset::PRESETS[0].config.data;
    let only_arrays = [
        (data.scale != usual.scale, "data.scale"),
        (data.layout != usual.layout, "data.layout"),
        (data.target != usual.target, "data.target"),
        (data.targets == TargetsAs::Numbers, "data.targets"),
        (matches!(data.test, TestSize::Share(_)), "data.test"),
    ];
    let idle = only_arrays.iter().find(|(is_set, _)| *is_set).map(|(_, key)| *key);
    [
        (
            (data.name == DataName::Embedded || is_computed) && path.is_some(),
            format!(
                "`data.path = \"{}\"` has no use: the {} data are inside the program",
                path.unwrap_or(Path::new("")).display(),
                data.name
            ),
            "remove data.path, or set data.name to the data set at that path",
        ),
        (
            data.name == DataName::Text && path.is_none(),
            "`data.name = \"text\"` reads a file of your own, and `data.path` does not say which".into(),
            "set data.path to it, or data.name = \"shakespeare\"",
        ),
        (
            (model.kind == ModelKind::Onnx) != model.path.is_some(),
            format!("`model.kind = \"{}\"` and `model.path` do not go together", model.kind),
            "set model.kind = \"onnx\" and model.path to the file of its network, or leave both out",
        ),
        (
            is_arrays && path.is_none(),
            "`data.name = \"arrays\"` reads files of your own, and `data.path` does not say which".into(),
            "set data.path to a file (.npz, .safetensors or .csv) or to a folder of .npy files",
        ),
        (
            !is_arrays && idle.is_some(),
            format!(
                "this value of `{}` is for arrays, and has no use for the data set {}",
                idle.unwrap_or(""),
                data.name
            ),
            "set data.name = \"arrays\", or leave it out",
        ),
        (
            is_text && (!data.classes.is_empty() || data.targets != TargetsAs::Auto || data.centre != Centre::AUTO),
            "`data.classes`, `data.targets` and `data.centre` have no use for text".into(),
            "leave them out",
        ),
        (
            is_computed && (!data.classes.is_empty() || data.centre != Centre::AUTO),
            format!("`data.classes` and `data.centre` have no use for the data set {}", data.name),
            "leave them out",
        ),
        (
            data.name == DataName::Chebyshev && data.targets != TargetsAs::Auto,
            format!("`data.targets = \"{}\"` has no use for the data set {}, a regression", data.targets, data.name),
            "leave it out",
        ),
        (
            data.name != DataName::Chebyshev && data.degree != usual.degree,
            format!("`data.degree = {}` has no use for the data set {}", data.degree, data.name),
            "leave it out, or set data.name = \"chebyshev\"",
        ),
        (
            data.classes.len() == 1 || data.targets == TargetsAs::Signs && !matches!(data.classes.len(), 0 | 2),
            format!("`data.classes = {:?}` names {} of them", data.classes, data.classes.len()),
            "name two classes or more, and exactly two for data.targets = \"signs\"",
        ),
    ]
}

fn of_losses(Config { data, loss, model, optim, .. }: &Config) -> [Contradiction; 6] {
    let is_cross_entropy = loss.kind == LossKind::CrossEntropy;
    let ignored = loss.ignore_index.label();
    let shown = ignored.unwrap_or(0);
    [
        (
            data.targets != TargetsAs::Auto && data.targets != TargetsAs::Classes && is_cross_entropy,
            format!("`data.targets = \"{}\"` has no meaning for cross-entropy", data.targets),
            "set loss.kind = \"mse\", or data.targets = \"classes\"",
        ),
        (
            loss.kind != LossKind::Mse && loss.reduction == Reduction::HalfSum,
            format!("`loss.reduction = \"half-sum\"` has no meaning for {}", loss.kind),
            "set loss.reduction = \"mean\", or loss.kind = \"mse\"",
        ),
        (
            !is_cross_entropy && loss.label_smoothing > 0.0,
            format!("`loss.label_smoothing = {}` has no meaning for {}", loss.label_smoothing, loss.kind),
            "set loss.label_smoothing = 0, or loss.kind = \"cross-entropy\"",
        ),
        (
            ignored.is_some() && !(is_cross_entropy && data.name == DataName::Arrays),
            format!("`loss.ignore_index = {shown}` is for cross-entropy on arrays of your own"),
            "set loss.ignore_index = \"none\", or loss.kind = \"cross-entropy\" and data.name = \"arrays\"",
        ),
        (
            ignored.is_some() && optim.perturbs() && optim.micro_batch > 0,
            format!(
                "`optim.micro_batch = {}` divides the loss evenly among groups of examples, and with \
                 `loss.ignore_index = {shown}` groups count differently",
                optim.micro_batch
            ),
            "set optim.micro_batch = 0, or loss.ignore_index = \"none\"",
        ),
        (
            loss.kind == LossKind::Output && model.kind != ModelKind::Onnx,
            format!("`loss.kind = \"output\"` needs a network that computes a loss, and {} does not", model.kind),
            "set model.kind = \"onnx\", or another loss.kind",
        ),
    ]
}

fn of_updates(Config { optim, data, run, model, .. }: &Config) -> [Contradiction; 10] {
    let (micro_batch, chunk) = (optim.micro_batch, run.chunk);
    let (key, all) = if optim.batch > 0 { ("optim.batch", optim.batch) } else { ("data.train", data.train) };
    [
        (
            optim.sam_until > 0 && optim.sam_from >= optim.sam_until,
            format!("`optim.sam_from = {}` is not before `optim.sam_until = {}`", optim.sam_from, optim.sam_until),
            "raise sam_until (0 is the end of the run), or set optim.kind = \"gd\" for no perturbation at all",
        ),
        (
            optim.nesterov && optim.momentum == 0.0,
            "`optim.nesterov = true` has no meaning without momentum".into(),
            "set optim.momentum, say to 0.9, or optim.nesterov = false",
        ),
        (
            optim.kind == OptimKind::Flow
                && (optim.is_adaptive() || optim.momentum > 0.0 || optim.weight_decay > 0.0 || optim.batch > 0),
            "`optim.kind = \"flow\"` is the gradient flow of the full loss".into(),
            "set optim.base = \"sgd\" and optim.momentum, optim.weight_decay and optim.batch to 0",
        ),
        (
            optim.is_adaptive() && (optim.momentum > 0.0 || optim.nesterov),
            format!("`optim.momentum` is not for `optim.base = \"{}\"`", optim.base),
            "set optim.momentum = 0 and optim.nesterov = false (Adam has optim.beta1 instead), or optim.base = \"sgd\"",
        ),
        (
            matches!(optim.schedule, LrSchedule::Cosine | LrSchedule::Linear) && optim.final_lr > optim.lr,
            format!("`optim.final_lr = {}` is more than `optim.lr = {}`, the largest", optim.final_lr, optim.lr),
            "lower final_lr, or set optim.warmup for a learning rate that rises",
        ),
        (
            micro_batch > 0 && chunk > 0,
            format!(
                "`optim.micro_batch = {micro_batch}` cuts the examples, and `run.chunk = {chunk}` would cut them \
                 otherwise"
            ),
            "set run.chunk = 0, or optim.micro_batch = 0",
        ),
        (
            run.init_layout == WeightLayout::Pytorch && !matches!(model.kind, ModelKind::Mlp | ModelKind::Cnn),
            format!("`run.init_layout = \"pytorch\"` has no rules for model.kind = \"{}\"", model.kind),
            "save the weights under the names of docs/run-folder.md, or take an MLP or a CNN",
        ),
        (
            model.mixes_examples() && chunk > 0,
            format!("`run.chunk = {chunk}` would cut the batches of `model.norm = \"{}\"`", model.norm),
            "set run.chunk = 0; model.norm_batch is the number of examples that share their statistics",
        ),
        (
            model.mixes_examples() && model.norm_batch > 0 && micro_batch > 0,
            format!(
                "`optim.micro_batch = {micro_batch}` and `model.norm_batch = {}` both cut the examples of an update",
                model.norm_batch
            ),
            "set model.norm_batch = 0, for statistics of each group of optim.micro_batch",
        ),
        (
            all > 0 && micro_batch > all,
            format!("`optim.micro_batch = {micro_batch}` is more than `{key} = {all}`"),
            "lower optim.micro_batch (0 is one perturbation for all examples of an update)",
        ),
    ]
}

fn of_measurements(Config { measure, optim, .. }: &Config) -> [Contradiction; 7] {
    let MeasureConfig { on, examples, every, per_decade, top, bottom, track, method, max_iterations, window, .. } =
        *measure;
    let by_value = measure.order == Order::Algebraic;
    [
        (
            examples > 0 && on != MeasureOn::Fixed,
            format!("`measure.examples = {examples}` has no meaning with `measure.on = \"{on}\"`"),
            "set measure.on = \"fixed\", or measure.examples = 0",
        ),
        (
            method == MeasureMethod::Power && (bottom > 0 || track > 0.0 || by_value),
            "`measure.method = \"power\"` finds eigenvalues by magnitude, without `measure.bottom`, `measure.track` and \
             `measure.order = \"algebraic\"`"
                .into(),
            "set measure.method = \"lanczos\"",
        ),
        (
            measure.is_on() && max_iterations < top + bottom,
            format!("`measure.max_iterations = {max_iterations}` is less than `measure.top` + `measure.bottom`"),
            "raise measure.max_iterations, or look for fewer eigenvalues",
        ),
        (
            optim.schedule == LrSchedule::Edge
                && (!measure.is_on() || measure.at != MeasureAt::Iterate || window > 0 || measure.on == MeasureOn::Batch),
            "`optim.schedule = \"edge\"` takes the learning rate from measurements of the training set at the iterates".into(),
            "set measure.every above 0, measure.at = \"iterate\", measure.window = 0 and measure.on = \"train\" or \"fixed\"",
        ),
        (
            window > 0 && (optim.is_adaptive() || optim.kind == OptimKind::Flow),
            format!("`measure.window = {window}` has no use: oscillation.csv has predictions for descent with optim.base = \"sgd\""),
            "set measure.window = 0, or optim.base = \"sgd\" and another optim.kind",
        ),
        (
            window > 0 && per_decade > 0,
            format!("`measure.window = {window}` does not fit between the first of `measure.per_decade` measurements"),
            "set measure.per_decade = 0 and measure.every, or measure.window = 0",
        ),
        (
            window > 0 && (window > every || window < SHORTEST_WINDOW),
            format!(
                "`measure.window = {window}` does not fit between two measurements, `measure.every = {every}` apart"
            ),
            "set measure.window to 8 or more updates and at most measure.every, or to 0",
        ),
    ]
}
