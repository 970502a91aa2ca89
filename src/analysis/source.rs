//! Finds the parameters to analyse and their configuration: a run's last checkpoint, another checkpoint, or a file of
//! parameters or of a network.

use std::path::{Path, PathBuf};

use super::AnalysisRequest;
use crate::config::{self, Config, ConfigError, DataName, TestSize};
use crate::data::Dataset;
use crate::folder::checkpoint::{self, Checkpoint};
use crate::folder::manifest::Manifest;
use crate::folder::settled::settings_of;
use crate::folder::state::RunState;
use crate::folder::{RunDir, RunDirError};
use crate::onnx::Network;
use crate::optim::Moment;
use crate::run::RunError;
use crate::run::inputs::{Inputs, record};
use crate::run::network_file;

/// Parameters on disk, with the configuration of their run.
pub(super) struct ParamsSource {
    /// The file of the parameters.
    pub params: PathBuf,
    /// Whether the model brings them.
    pub brought: bool,
    /// Updates made before, by the name of the checkpoint's folder; `None` for a file elsewhere.
    pub step: Option<u64>,
    pub config: Config,
    /// The manifest of the run, if its own configuration is used.
    pub manifest: Option<Manifest>,
    /// The folder of the results if none is named.
    pub out: PathBuf,
}

/// The parameters that a path leads to, with the configuration `given` or else that of their run.
///
/// # Errors
/// [`RunDirError::NoCheckpoint`] or [`RunDirError::NeverSaved`] without a checkpoint, [`RunDirError::Damaged`] if all
/// are damaged, [`RunDirError::NotARun`] without a configuration, [`RunDirError::NotParams`] for another file of a run,
/// and those of a configuration.
pub(super) fn find(request: &AnalysisRequest) -> Result<ParamsSource, RunError> {
    let AnalysisRequest { path, config: given, sets, weights, .. } = request;
    let given = given.as_deref();
    if is_network(path) {
        let sets = [&["model.kind=onnx".to_owned(), format!("model.path={}", path.display())], &sets[..]].concat();
        let config = config::resolve(given, &sets)?.config;
        let out = path.parent().unwrap_or(Path::new("")).join("analysis");
        let params = match weights {
            Some(weights) => checkpoint::params_of(weights)?,
            None => path.clone(),
        };
        return Ok(ParamsSource { params, brought: weights.is_none(), step: None, config, manifest: None, out });
    }
    if weights.is_some() {
        return Err(unused("--params", "give the path of the parameters in the place of the run's"));
    }
    if let Some(instead) = owner(path) {
        return Err(RunDirError::NotParams { path: path.into(), instead }.into());
    }
    let params = checkpoint::params_of(path)?;
    // A checkpoint lies two folders below its run.
    let run = params.ancestors().skip(1).take(4).find_map(|folder| RunDir::open(folder).ok());
    let manifest = run.as_ref().and_then(|run| run.read_manifest().ok());
    if let (Some(run), Some(true)) = (&run, manifest.as_ref().map(|manifest| manifest.data.is_own())) {
        return Err(RunDirError::Own { path: run.path().into() }.into());
    }
    let config = match (given, &run) {
        (Some(target), _) => config::resolve(Some(target), sets)?.config,
        (None, Some(_)) if !sets.is_empty() => {
            let remedy = "name a preset or file with --config for other settings than the run's";
            return Err(unused(&format!("a change of settings ({})", sets.join(", ")), remedy));
        }
        (None, Some(run)) => settings_of(run)?,
        (None, None) => {
            let missing = "config.toml (or name one with --config)";
            return Err(RunDirError::NotARun { path: path.into(), missing }.into());
        }
    };
    let folder = params.parent().unwrap_or(Path::new("."));
    let step = checkpoint::step_of(folder);
    let out = match (&run, step) {
        (Some(run), Some(step)) => run.path().join("analysis").join(format!("step_{step:08}")),
        _ => folder.join("analysis"),
    };
    let manifest = manifest.filter(|_| given.is_none());
    Ok(ParamsSource { step, params, brought: false, config, manifest, out })
}

/// ν of an adaptive base at these parameters, and the updates since it began, if the parameters are a checkpoint's. A run
/// on minibatches has none: its P is not that of all examples.
///
/// # Errors
/// [`RunDirError::Damaged`].
pub(super) fn second_moment(found: &ParamsSource, parameters: usize) -> Result<Option<(Vec<f64>, u64)>, RunError> {
    let folder = found.params.parent().filter(|folder| found.step.is_some() && folder.join(checkpoint::DONE).is_file());
    let Some(folder) = folder.filter(|_| found.config.optim.is_adaptive() && found.config.optim.batch == 0) else {
        return Ok(None);
    };
    let state = RunState::of(&Checkpoint::read(folder)?, parameters)?;
    let age = state.step.saturating_sub(state.moments_since);
    Ok(state.moments.into_iter().find(|(moment, _)| *moment == Moment::Second).map(|(_, vector)| (vector, age)))
}

/// The error of an option that has no use beside a run's own parameters and settings.
fn unused(option: &str, remedy: &'static str) -> RunError {
    ConfigError::Conflict { problem: format!("{option} has no use for this path"), remedy }.into()
}

/// Whether a file is a network rather than parameters.
fn is_network(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "onnx")
}

/// The training examples for a network. If the manifest of the run is known, both must be those of the run.
///
/// # Errors
/// Those of the readers; [`ConfigError::Conflict`] for another network or other data than those of the run.
pub(super) fn data(found: &ParamsSource, network: Option<&Network>) -> Result<Dataset, RunError> {
    let Some(manifest) = &found.manifest else {
        let mut config = found.config.clone();
        // A test file of its own need not be there. Where test examples are taken out of one file, they still are.
        let is_apart = config.data.name != DataName::Text && matches!(config.data.test, TestSize::First(_));
        if is_apart {
            config.data.test = TestSize::First(0);
        }
        return Ok(Inputs::data(&config, network)?);
    };
    manifest.check_network(network_file(&found.config, network).as_ref())?;
    let data = Inputs::data(&found.config, network)?;
    manifest.data.check(&record(found.config.data.name.word(), &data))?;
    Ok(data)
}

/// The folder of a checkpoint or a run, if `path` is one of its files without parameters.
fn owner(path: &Path) -> Option<PathBuf> {
    let (folder, name) = (path.parent()?, path.file_name()?);
    let of_checkpoint = [checkpoint::DONE, checkpoint::STATE].iter().any(|other| name == *other);
    let is_owned = match folder.join(checkpoint::PARAMS).is_file() {
        true => of_checkpoint,
        false => RunDir::open(folder).is_ok() && path.extension().is_none_or(|extension| extension != "safetensors"),
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    (path.is_file() && is_owned).then(|| folder.into())
}
