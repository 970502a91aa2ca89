//! The settings of a run that has begun: those of its `config.toml`, which must match its manifest, with paths made
//! independent of the working folder.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::checkpoint;
use super::manifest::Manifest;
use super::run_dir::RunDir;
use crate::config::{self, Config, ConfigError};

/// The keys that may change: the end, the checkpoints and the memory of the run, and paths of files whose hashes the
/// manifest has.
const FREE: [&str; 8] = [
    "run.steps",
    "run.until",
    "run.time_limit",
    "run.checkpoint_every",
    "run.keep",
    "run.memory",
    "data.path",
    "run.init",
];

/// The keys of paths.
pub(crate) const PATHS: [&str; 4] = ["data.path", "model.path", "run.init", "run.kernels"];

/// A path that does not depend on the working folder: the real path of the file.
pub(crate) fn settled(path: &Path) -> PathBuf {
    // On Windows few programs accept the real path.
    let real = if cfg!(windows) { None } else { path.canonicalize().ok() };
    real.or_else(|| std::path::absolute(path).ok()).unwrap_or_else(|| path.into())
}

impl Config {
    /// Makes paths, also those of a TOML file, independent of the working folder, so that a run can be repeated or
    /// continued from elsewhere.
    pub(crate) fn settle_paths(&mut self) {
        // A run may get later checkpoints; a folder without any is an error when it is read.
        if let Some(init) = &mut self.run.init
            && let Ok(file) = checkpoint::params_of(init)
        {
            *init = file;
        }
        let Self { data, model, run, .. } = self;
        for path in [&mut data.path, &mut model.path, &mut run.init, &mut run.kernels].into_iter().flatten() {
            *path = settled(path);
        }
    }
}

/// Reads the settings of a run.
///
/// # Errors
/// [`ConfigError`], also for a file that was changed since the run began.
pub fn settings(dir: &RunDir, manifest: &Manifest) -> Result<Config, ConfigError> {
    let mut config = config::resolve(Some(&dir.config().to_string_lossy()), &[])?.config;
    // Earlier versions did not write them.
    if let Some(settings) = &manifest.settings {
        check(settings, &config, || format!("{} was changed", dir.config().display()))?;
    }
    config.settle_paths();
    Ok(config)
}

/// The same with the changes `sets`.
///
/// # Errors
/// [`ConfigError`], also for a change that would make it another run.
pub fn changed(dir: &RunDir, was: &Config, sets: &[String]) -> Result<Config, ConfigError> {
    let mut config = config::resolve(Some(&dir.config().to_string_lossy()), sets)?.config;
    config.settle_paths();
    check(&was.to_json(), &config, || "a run goes on with the settings that it has".into()).map(|()| config)
}

/// Refuses other examples, another network or another loss than `was` has.
pub(crate) fn check_task(was: &Config, now: &Config) -> Result<(), ConfigError> {
    let is_task = |change: &String| ["data.", "model.", "loss."].iter().any(|section| change.starts_with(section));
    let changes: Vec<String> = changes(&was.to_json(), &now.to_json()).into_iter().filter(is_task).collect();
    if changes.is_empty() {
        return Ok(());
    }
    Err(ConfigError::Conflict {
        problem: format!(
            "a fork goes on with the examples, the network and the loss of its run ({})",
            changes.join(", ")
        ),
        remedy: "leave them, or begin a new run with `edgewalk train DIR/config.toml --init CHECKPOINT --set …`",
    })
}

fn check(was: &Value, now: &Config, problem: impl Fn() -> String) -> Result<(), ConfigError> {
    let changes = changes(was, &now.to_json());
    if changes.is_empty() {
        return Ok(());
    }
    Err(ConfigError::Conflict {
        problem: format!("{} ({})", problem(), changes.join(", ")),
        remedy: "change no others than run.steps, run.until, run.time_limit, run.checkpoint_every, run.keep, \
                 run.memory, data.path and run.init, or begin a new run with `edgewalk train DIR/config.toml --set …`",
    })
}

/// The settings of a run that are not those of `now`, in words, but for those that may change. Groups of m-SAM do not
/// count: a run takes one group of all examples for none.
pub(crate) fn differences(manifest: &Manifest, now: &Config) -> Vec<String> {
    let found = manifest.settings.as_ref().map_or_else(Vec::new, |was| changes(was, &now.to_json()));
    found.into_iter().filter(|change| !change.starts_with("optim.micro_batch ")).collect()
}

/// The differences, in words. A key that only one of them has belongs to another version and does not count.
fn changes(was: &Value, now: &Value) -> Vec<String> {
    let mut changes = vec![];
    for (section, keys) in was.as_object().into_iter().flatten() {
        for (key, was) in keys.as_object().into_iter().flatten() {
            let (name, now) = (format!("{section}.{key}"), &now[section][key]);
            if !now.is_null() && now != was && !FREE.contains(&name.as_str()) {
                changes.push(format!("{name} = {now}, and was {was}"));
            }
        }
    }
    changes
}

/// The settings of the run in a folder, for readers that do not need its manifest.
///
/// # Errors
/// As [`settings`].
pub fn settings_of(dir: &RunDir) -> Result<Config, ConfigError> {
    match dir.read_manifest() {
        Ok(manifest) => settings(dir, &manifest),
        Err(_) => Ok(config::resolve(Some(&dir.config().to_string_lossy()), &[])?.config),
    }
}
