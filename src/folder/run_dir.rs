//! The folder of one run: its files, and the rules for writing them.
//!
//! Files are whole: each is written beside its place, flushed to the disk and renamed. The folder is made late:
//! [`check`] refuses an unusable path before the work, and [`RunDir::create`] makes the folder when everything that can
//! fail early has succeeded. The tables, which grow row by row, are in [`crate::folder::rows`], the checkpoints in
//! [`crate::folder::checkpoint`].

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::manifest::Manifest;
use crate::config::Config;
use crate::files::lock::{self, Holder, Lock, LockError, LockKind};
use crate::files::{
    FileError, check_folder, make_folder, out_error, read_text, sync_folder, text, write_error, write_file,
};

/// The file whose lock the process of a run holds.
const LOCK: &str = ".lock";

/// The folder under which runs without `--out` are kept.
pub(crate) const RUNS: &str = "runs";
/// The file that makes a folder a sweep's, and the folder of its runs.
pub(crate) const SWEEP: &str = "sweep.toml";
/// See [`SWEEP`].
pub(crate) const SWEEP_RUNS: &str = "runs";

/// The errors of a run folder. Each message names the path.
#[derive(Debug, thiserror::Error)]
pub enum RunDirError {
    /// A path that files of text cannot hold, or a file that cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The chosen folder already holds something.
    #[error("{} already exists and is not empty; choose another --out, or delete it first", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// There is nothing at the path.
    #[error("{} does not exist; give the folder that `edgewalk train` named", path.display())]
    NotThere {
        /// The path.
        path: PathBuf,
    },
    /// The folder was not written by a run.
    #[error("{} is not a run folder: it has no {missing}; give the folder that `edgewalk train` named", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
        /// The file that every run folder has.
        missing: &'static str,
    },
    /// A file of a run or a checkpoint that holds no parameters.
    #[error(
        "{} holds no parameters; give the folder {}, or a safetensors file of parameters",
        path.display(), instead.display()
    )]
    NotParams {
        /// The file.
        path: PathBuf,
        /// The folder of the run or the checkpoint.
        instead: PathBuf,
    },
    /// The folder is a sweep's.
    #[error("{} is a sweep, not a run; give one of its runs, such as {}", path.display(), example.display())]
    IsASweep {
        /// The folder.
        path: PathBuf,
        /// One of its runs.
        example: PathBuf,
    },
    /// The run trains a network that a program brought.
    #[error(
        "{} trains a network that a program brought, and config.toml does not describe it; resume or measure it from \
         that program, see docs/library.md",
        path.display()
    )]
    Own {
        /// The run folder.
        path: PathBuf,
    },
    /// The run has ended without a checkpoint.
    #[error(
        "{} has no checkpoint, and its run has ended ({ended}): train again with run.checkpoint_every and run.keep \
         above 0, and look at a checkpoint from before",
        path.display()
    )]
    NeverSaved {
        /// The run folder.
        path: PathBuf,
        /// How the run ended.
        ended: String,
    },
    /// The run has no checkpoint yet.
    #[error("{} has no checkpoint yet; let the run finish or stop it with Ctrl-C, which writes one", path.display())]
    NoCheckpoint {
        /// The run folder.
        path: PathBuf,
    },
    /// A checkpoint is not what was written.
    #[error("the checkpoint {} is damaged ({problem}); use another of that run, or put back the files", path.display())]
    Damaged {
        /// The checkpoint's folder.
        path: PathBuf,
        /// The fault.
        problem: String,
    },
    /// Another process trains in this folder.
    #[error("another process is working on {}{by}; wait until it has ended, or stop it with Ctrl-C", path.display())]
    Busy {
        /// The run folder.
        path: PathBuf,
        /// The process, if known.
        by: Holder,
    },
    /// The folder is missing.
    #[error(
        "{} was removed or renamed while the run went on; if it was renamed, `edgewalk resume` goes on there",
        path.display()
    )]
    Gone {
        /// Its former path.
        path: PathBuf,
    },
    /// `manifest.json` cannot be read.
    #[error("cannot read {}: {problem}; give the folder of a run that this version of edgewalk made", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// The fault.
        problem: String,
    },
}

/// An existing run folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
}

/// The file whose lock the process of the run in a folder holds.
pub(crate) fn lock_file(run: &Path) -> PathBuf {
    run.join(LOCK)
}

/// Whether a file may be in a folder before it is a run folder: the lock and the manifest of a process that was killed
/// early.
fn is_unbegun(name: &str) -> bool {
    let is_partial = ["manifest.json.", "config.toml."].iter().any(|start| name.starts_with(start));
    name.starts_with(LOCK) || name == "manifest.json" || is_partial && name.ends_with(".partial")
}

/// Refuses an `--out` that [`RunDir::create`] would refuse, without making anything.
///
/// # Errors
/// [`FileError::NotText`], [`RunDirError::NotEmpty`] or [`FileError::NotAFolder`].
pub fn check(out: &Path) -> Result<(), RunDirError> {
    text(out)?;
    check_folder(out)?;
    let is_more =
        |entry: io::Result<fs::DirEntry>| entry.is_ok_and(|entry| !entry.file_name().to_str().is_some_and(is_unbegun));
    match fs::read_dir(out).map(|mut entries| entries.any(is_more)) {
        Ok(true) => Err(RunDirError::NotEmpty { path: out.into() }),
        // A new run makes a missing folder, and reports other faults then.
        Ok(false) | Err(_) => Ok(()),
    }
}

impl RunDir {
    /// Makes the folder of a new run: `out`, or else `runs/<name>-<n>` with the next free number n.
    ///
    /// # Errors
    /// As [`check`], and [`FileError::Write`] if the system refuses.
    pub fn create(out: Option<&Path>, name: &str) -> Result<Self, RunDirError> {
        let path = match out {
            Some(out) => {
                check(out)?;
                make_folder(out).map_err(out_error(out))?;
                out.to_path_buf()
            }
            None => create_numbered(Path::new(RUNS), name)?,
        };
        Ok(Self { path })
    }

    /// Opens the folder of an earlier run.
    ///
    /// # Errors
    /// [`RunDirError::NotThere`], [`RunDirError::NotARun`] if its `config.toml` is not there, [`RunDirError::IsASweep`]
    /// for the folder of a sweep, [`FileError::NotText`].
    pub fn open(path: &Path) -> Result<Self, RunDirError> {
        text(path)?;
        let run = Self { path: path.into() };
        if path.join(SWEEP).is_file() {
            let runs = path.join(SWEEP_RUNS);
            let mut begun: Vec<PathBuf> =
                fs::read_dir(&runs).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
            begun.sort();
            return Err(RunDirError::IsASweep { path: run.path, example: begun.into_iter().next().unwrap_or(runs) });
        }
        match run.config().is_file() {
            true => Ok(run),
            false if !path.exists() => Err(RunDirError::NotThere { path: run.path }),
            false => Err(RunDirError::NotARun { path: run.path, missing: "config.toml" }),
        }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The complete configuration.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// Where and how the run was made: [`Manifest`].
    pub fn manifest(&self) -> PathBuf {
        self.path.join("manifest.json")
    }

    /// The table of logged steps.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.csv")
    }

    /// The table of curvature measurements.
    pub fn curvature(&self) -> PathBuf {
        self.path.join("curvature.csv")
    }

    /// The table of the parameters' motion after measurements.
    pub fn oscillation(&self) -> PathBuf {
        self.path.join("oscillation.csv")
    }

    /// The folder of the plots.
    pub fn plots(&self) -> PathBuf {
        self.path.join("plots")
    }

    /// The folder of the checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// The folder of the checkpoint taken before update `step`.
    pub fn checkpoint(&self, step: u64) -> PathBuf {
        self.checkpoints().join(format!("step_{step:08}"))
    }

    /// Excludes other processes from this run until the returned lock is dropped or this process ends.
    ///
    /// # Errors
    /// [`RunDirError::Busy`] if another process works on it, [`FileError::Write`].
    pub fn lock(&self) -> Result<Lock, RunDirError> {
        let path = lock_file(&self.path);
        lock::try_lock(&path, LockKind::Alone).map_err(|error| match error {
            LockError::Held(by) => RunDirError::Busy { path: self.path.clone(), by },
            LockError::File(cause) => write_error(&path)(cause).into(),
        })
    }

    /// Writes `config.toml`.
    ///
    /// # Errors
    /// [`FileError::Write`].
    pub fn write_config(&self, config: &Config) -> Result<(), RunDirError> {
        Ok(write_file(&self.config(), config.to_toml().as_bytes())?)
    }

    /// Writes or replaces `manifest.json`.
    ///
    /// # Errors
    /// [`FileError::Write`].
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<(), RunDirError> {
        Ok(write_file(&self.manifest(), manifest.to_json().as_bytes())?)
    }

    /// Reads `manifest.json`.
    ///
    /// # Errors
    /// [`RunDirError::Manifest`].
    pub fn read_manifest(&self) -> Result<Manifest, RunDirError> {
        let path = self.manifest();
        let text = read_text(&path).map_err(|error| error.to_string());
        text.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()))
            .map_err(|problem| RunDirError::Manifest { path, problem })
    }
}

/// Makes `parent/name-<n>` with n one above the highest in use. Two runs that start together get different folders:
/// making a folder that exists fails, and the next number is tried.
fn create_numbered(parent: &Path, name: &str) -> Result<PathBuf, RunDirError> {
    make_folder(parent).map_err(out_error(parent))?;
    let prefix = format!("{name}-");
    let highest = fs::read_dir(parent)
        .map_err(out_error(parent))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|file_name| file_name.strip_prefix(&prefix)?.parse::<u64>().ok())
        .max()
        .unwrap_or(0);
    let mut number = highest;
    loop {
        number = number.saturating_add(1);
        let path = parent.join(format!("{prefix}{number:03}"));
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < u64::MAX => {}
            made => {
                made.and_then(|()| sync_folder(parent)).map_err(out_error(&path))?;
                return Ok(path);
            }
        }
    }
}
