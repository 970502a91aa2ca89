//! The parameters of an analysis and their configuration: a run's last checkpoint, another checkpoint, or a file.

use std::path::{Path, PathBuf};

use crate::config;
use crate::config::Config;
use crate::folder::checkpoint;
use crate::folder::checkpoint::Checkpoint;
use crate::folder::settled::settings_of;
use crate::folder::{RunDir, RunDirError};
use crate::run::RunError;

/// Parameters on disk, with their configuration.
pub(super) struct ParamsSource {
    /// The safetensors file.
    pub params: PathBuf,
    /// Updates made before, if the path tells.
    pub step: u64,
    pub config: Config,
    /// The default folder of results.
    pub out: PathBuf,
}

/// The parameters that a path stands for.
///
/// # Errors
/// [`RunDirError::NoCheckpoint`] or [`RunDirError::NeverSaved`] without one, [`RunDirError::Damaged`] if none is
/// undamaged, [`RunDirError::NotARun`] if no configuration is found or given, and errors of a configuration.
pub(super) fn find(path: &Path, given: Option<&str>) -> Result<ParamsSource, RunError> {
    let params = if path.is_file() { path.to_path_buf() } else { find_checkpoint(path)?.join(checkpoint::PARAMS) };
    // A checkpoint lies two folders below its run.
    let run = params.ancestors().skip(1).take(4).find_map(|folder| RunDir::open(folder).ok());
    let config = match (given, &run) {
        (Some(target), _) => config::resolve(Some(target), &[])?.config,
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
    Ok(ParamsSource { step: step.unwrap_or(0), params, config, out })
}

/// The undamaged checkpoint in a folder, or the last one of the run in it.
fn find_checkpoint(path: &Path) -> Result<PathBuf, RunDirError> {
    if path.join(checkpoint::DONE).is_file() {
        return Ok(Checkpoint::read(path)?.path);
    }
    let run = RunDir::open(path)?;
    let (found, damaged) = checkpoint::last(&run);
    match (found, damaged.into_iter().next()) {
        (Some(found), _) => Ok(found.path),
        (None, Some(error)) => Err(error),
        (None, None) => match run.read_manifest().map(|manifest| manifest.ended) {
            Ok(ended) if ended.is_final() => {
                Err(RunDirError::NeverSaved { path: path.into(), ended: ended.to_string() })
            }
            Ok(_) | Err(_) => Err(RunDirError::NoCheckpoint { path: path.into() }),
        },
    }
}
