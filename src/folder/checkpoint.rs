//! Checkpoints: `checkpoints/step_…/` in a run folder, each with the parameters, the state and `DONE`.
//!
//! `DONE` has the SHA-256 of the two files, in the form of `sha256sum`; a checkpoint counts only if the files match it.
//! The folder is filled beside its place and renamed, so a killed process leaves no partial checkpoint under its final
//! name.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::run_dir::{RunDir, RunDirError};
use crate::files::{sha256, sync_folder, write_error, write_file};

/// The parameters, by name.
pub const PARAMS: &str = "params.safetensors";
/// The rest of the state, see `state`.
pub const STATE: &str = "state.safetensors";
/// The hashes of both.
pub const DONE: &str = "DONE";

/// A checkpoint read from the disk and found undamaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its folder.
    pub path: PathBuf,
    /// The bytes of `params.safetensors`.
    pub params: Vec<u8>,
    /// The bytes of `state.safetensors`.
    pub state: Vec<u8>,
}

impl Checkpoint {
    /// Writes the checkpoint of `step`, replacing an earlier one of that step, and returns its folder.
    ///
    /// # Errors
    /// [`crate::files::FileError::Write`].
    pub fn write(run: &RunDir, step: u64, params: &[u8], state: &[u8]) -> Result<PathBuf, RunDirError> {
        let path = run.checkpoint(step);
        let beside = path.with_extension("partial");
        let written = || {
            // The remains of a killed process.
            remove(&beside).map_err(write_error(&beside))?;
            write_file(&beside.join(PARAMS), params)?;
            write_file(&beside.join(STATE), state)?;
            write_file(&beside.join(DONE), done(params, state).as_bytes())?;
            // All its names are on the disk now.
            remove(&path)
                .and_then(|()| fs::rename(&beside, &path))
                .and_then(|()| sync_folder(&run.checkpoints()))
                .map_err(write_error(&path))
        };
        written().inspect_err(|_| {
            // Best effort: free the space on a full disk.
            let _ = remove(&beside);
        })?;
        Ok(path)
    }

    /// Reads a checkpoint from its folder.
    ///
    /// # Errors
    /// [`RunDirError::Damaged`], naming the folder.
    pub fn read(path: &Path) -> Result<Self, RunDirError> {
        let read = |name: &'static str| fs::read(path.join(name)).map_err(|error| format!("{name}: {error}"));
        let checked = || {
            let (params, state, sums) = (read(PARAMS)?, read(STATE)?, read(DONE)?);
            match sums == done(&params, &state).as_bytes() {
                true => Ok(Self { path: path.into(), params, state }),
                false => Err("its files are not those whose SHA-256 is in DONE".to_owned()),
            }
        };
        checked().map_err(|problem| RunDirError::Damaged { path: path.into(), problem })
    }
}

/// The folders of all checkpoints of a run, the latest first, unchecked.
pub fn all(run: &RunDir) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(run.checkpoints()) else { return vec![] };
    let folders = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut steps: Vec<(u64, PathBuf)> = folders.filter_map(|path| Some((step_of(&path)?, path))).collect();
    steps.sort_by(|a, b| b.cmp(a));
    steps.into_iter().map(|(_, path)| path).collect()
}

/// The latest undamaged checkpoint of a run, if any, and the fault of each later one.
pub fn last(run: &RunDir) -> (Option<Checkpoint>, Vec<RunDirError>) {
    let mut damaged = vec![];
    for path in all(run) {
        match Checkpoint::read(&path) {
            Ok(checkpoint) => return (Some(checkpoint), damaged),
            Err(error) => damaged.push(error),
        }
    }
    (None, damaged)
}

/// The file of parameters that a path leads to: itself, or that of the checkpoint in a folder, or of the last undamaged
/// checkpoint of the run in it.
///
/// # Errors
/// [`RunDirError::NoCheckpoint`] or [`RunDirError::NeverSaved`] without a checkpoint, [`RunDirError::Damaged`] if all
/// are damaged, [`RunDirError::NotARun`] for another folder.
pub fn params_of(path: &Path) -> Result<PathBuf, RunDirError> {
    if path.is_file() {
        return Ok(path.into());
    }
    if path.join(DONE).is_file() {
        return Ok(Checkpoint::read(path)?.path.join(PARAMS));
    }
    let run = RunDir::open(path)?;
    let (found, damaged) = last(&run);
    match (found, damaged.into_iter().next()) {
        (Some(found), _) => Ok(found.path.join(PARAMS)),
        (None, Some(error)) => Err(error),
        (None, None) => match run.read_manifest().map(|manifest| manifest.ended) {
            Ok(ended) if ended.is_final() => {
                Err(RunDirError::NeverSaved { path: path.into(), ended: ended.to_string() })
            }
            Ok(_) | Err(_) => Err(RunDirError::NoCheckpoint { path: path.into() }),
        },
    }
}

/// Updates made before a checkpoint, by its folder's name.
pub fn step_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix("step_")?.parse().ok()
}

/// Removes all but the latest `keep` checkpoints up to `step`; with 0, none. Later ones are damaged, and their part of
/// the run is repeated.
///
/// # Errors
/// [`crate::files::FileError::Write`].
pub fn prune(run: &RunDir, step: u64, keep: usize) -> Result<(), RunDirError> {
    let here = all(run).into_iter().filter(|path| step_of(path).is_some_and(|at| at <= step));
    for path in here.skip(if keep == 0 { usize::MAX } else { keep }) {
        remove(&path).map_err(write_error(&path))?;
    }
    Ok(())
}

/// The text of `DONE`.
fn done(params: &[u8], state: &[u8]) -> String {
    [(PARAMS, params), (STATE, state)].map(|(name, bytes)| format!("{}  {name}\n", sha256([bytes]))).concat()
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
