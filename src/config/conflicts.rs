//! Settings that are valid alone and contradict each other.

use super::{
    Config, ConfigError, DataName, LossKind, MeasureConfig, MeasureMethod, MeasureOn, Reduction, SHORTEST_WINDOW,
};

/// Refuses the first contradiction, with advice.
pub(crate) fn check(config: &Config) -> Result<(), ConfigError> {
    let conflict = |problem, remedy| Err(ConfigError::Conflict { problem, remedy });
    if config.data.name == DataName::Embedded
        && let Some(path) = &config.data.path
    {
        return conflict(
            format!("`data.path = \"{}\"` has no use: the embedded data are inside the program", path.display()),
            "remove data.path, or set data.name to the data set at that path",
        );
    }
    if config.data.name == DataName::Text && config.data.path.is_none() {
        return conflict(
            "`data.name = \"text\"` reads a file of your own, and `data.path` does not say which".into(),
            "set data.path to it, or data.name = \"shakespeare\"",
        );
    }
    if config.loss.kind == LossKind::CrossEntropy && config.loss.reduction == Reduction::HalfSum {
        return conflict(
            "`loss.reduction = \"half-sum\"` has no meaning for cross-entropy".into(),
            "set loss.reduction = \"mean\", or loss.kind = \"mse\"",
        );
    }
    let optim = &config.optim;
    if optim.sam_until > 0 && optim.sam_from >= optim.sam_until {
        return conflict(
            format!("`optim.sam_from = {}` is not before `optim.sam_until = {}`", optim.sam_from, optim.sam_until),
            "raise sam_until (0 is the end of the run), or set optim.kind = \"gd\" for no perturbation at all",
        );
    }
    if optim.nesterov && optim.momentum == 0.0 {
        return conflict(
            "`optim.nesterov = true` has no meaning without momentum".into(),
            "set optim.momentum, say to 0.9, or optim.nesterov = false",
        );
    }
    if optim.micro_batch > 0 && config.run.chunk > 0 {
        return conflict(
            format!(
                "`optim.micro_batch = {}` cuts the examples, and `run.chunk = {}` would cut them otherwise",
                optim.micro_batch, config.run.chunk
            ),
            "set run.chunk = 0, or optim.micro_batch = 0",
        );
    }
    let (key, all) = if optim.batch > 0 { ("optim.batch", optim.batch) } else { ("data.train", config.data.train) };
    if all > 0 && optim.micro_batch > all {
        return conflict(
            format!("`optim.micro_batch = {}` is more than `{key} = {all}`", optim.micro_batch),
            "lower optim.micro_batch (0 is one perturbation for all examples of an update)",
        );
    }
    if config.measure.examples > 0 && config.measure.on != MeasureOn::Fixed {
        return conflict(
            format!(
                "`measure.examples = {}` has no meaning with `measure.on = \"{}\"`",
                config.measure.examples, config.measure.on
            ),
            "set measure.on = \"fixed\", or measure.examples = 0",
        );
    }
    let MeasureConfig { every, per_decade, top, bottom, track, method, max_iterations, window, .. } = config.measure;
    if method == MeasureMethod::Power && (bottom > 0 || track > 0.0) {
        return conflict(
            "`measure.method = \"power\"` finds the largest eigenvalues, and neither `measure.bottom` nor `measure.track`"
                .into(),
            "set measure.method = \"lanczos\"",
        );
    }
    if config.measure.is_on() && max_iterations < top + bottom {
        return conflict(
            format!("`measure.max_iterations = {max_iterations}` is less than `measure.top` + `measure.bottom`"),
            "raise measure.max_iterations, or look for fewer eigenvalues",
        );
    }
    if window > 0 && per_decade > 0 {
        return conflict(
            format!("`measure.window = {window}` does not fit between the first of `measure.per_decade` measurements"),
            "set measure.per_decade = 0 and measure.every, or measure.window = 0",
        );
    }
    if window > 0 && (window > every || window < SHORTEST_WINDOW) {
        return conflict(
            format!(
                "`measure.window = {window}` does not fit between two measurements, `measure.every = {every}` apart"
            ),
            "set measure.window to 8 or more updates and at most measure.every, or to 0",
        );
    }
    Ok(())
}
