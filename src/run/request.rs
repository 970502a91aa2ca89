//! The requests for a run.

use std::path::PathBuf;

use crate::config::{self, Config};
use crate::files;
use crate::folder::{self, RunDirError};

/// The request of `edgewalk train`.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainRequest {
    /// The settings.
    pub config: Config,
    /// The preset's or file's name, for a folder under `runs`.
    pub name: String,
    /// The command line, program name included, for the manifest.
    pub command_line: Vec<String>,
    /// The run folder; none is `runs/<name>-<n>`.
    pub out: Option<PathBuf>,
    /// The adapter: part of its name, its number in `edgewalk info`, or `cpu` or `gpu`.
    pub adapter: Option<String>,
}

impl TrainRequest {
    /// Refuses folders that cannot be made, and paths that config.toml cannot hold.
    pub(crate) fn check(&self) -> Result<(), RunDirError> {
        let Self { config: Config { data, run, .. }, out, .. } = self;
        let paths = [&data.path, &run.init, &run.kernels];
        paths.into_iter().flatten().try_for_each(|path| files::text(path).map(|_| ()))?;
        out.as_deref().map_or(Ok(()), folder::check)
    }
}

/// The request of `edgewalk resume`.
#[derive(Debug, Clone, PartialEq)]
pub struct ResumeRequest {
    /// The run folder.
    pub path: PathBuf,
    /// Changes of the end and checkpoints of the run, as `key=value`; no others are allowed.
    pub sets: Vec<String>,
    /// The command line, program name included, for the manifest.
    pub command_line: Vec<String>,
    /// The adapter; `None` is that of the run.
    pub adapter: Option<String>,
}

/// The request of `edgewalk fork`.
#[derive(Debug, Clone, PartialEq)]
pub struct ForkRequest {
    /// The folder of a run, or of one of its checkpoints.
    pub path: PathBuf,
    /// Changes of the run's settings, as `key=value`: of the update rule, the measurements and the run.
    pub sets: Vec<String>,
    /// The command line, program name included, for the manifest.
    pub command_line: Vec<String>,
    /// The new run folder; none is `runs/<name>-<n>`.
    pub out: Option<PathBuf>,
    /// The adapter; `None` is that of the run.
    pub adapter: Option<String>,
}

impl From<config::Resolved> for TrainRequest {
    /// A run of this configuration in the next folder of its name, on the preferred adapter.
    fn from(config::Resolved { name, config }: config::Resolved) -> Self {
        Self { config, name, command_line: vec![], out: None, adapter: None }
    }
}
