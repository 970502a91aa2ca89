//! The remembered kernels of one adapter: a JSON file in the user's cache folder, for one version of driver and
//! program.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use serde_json::{Value, json};

use crate::device::AdapterSummary;
use crate::environment::variable;
use crate::files::lock::{self, Lock, LockError};
use crate::files::{sha256, shown, write_file};
use crate::folder::choices::{Known, parse, read_text, words};

/// The environment variable that replaces the user's cache folder.
pub const CACHE_VARIABLE: &str = "EDGEWALK_CACHE";
/// The longest wait for another run that is timing kernels.
const PATIENCE: Duration = Duration::from_secs(30);

/// The file of one adapter. See the module text.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelCache {
    path: PathBuf,
    identity: Value,
}

impl KernelCache {
    /// The cache of an adapter in `$EDGEWALK_CACHE`, or else in the `edgewalk` folder of the user's cache, if that
    /// exists.
    pub fn of(adapter: &AdapterSummary) -> Option<Self> {
        let named = variable(CACHE_VARIABLE).map(PathBuf::from);
        let folder = named.or_else(|| dirs::cache_dir().map(|cache| cache.join("edgewalk")))?;
        Some(Self::within(&folder, adapter))
    }

    /// The cache of an adapter in a folder.
    pub fn within(folder: &Path, adapter: &AdapterSummary) -> Self {
        let AdapterSummary { name, driver, driver_info, backend, .. } = adapter;
        let version = env!("CARGO_PKG_VERSION");
        let identity = json!({
            "adapter": name, "driver": driver, "driver_info": driver_info, "backend": backend, "version": version,
        });
        let hash = &sha256([identity.to_string().as_bytes()])[..16];
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let name: String = name.chars().map(plain).take(40).collect();
        Self { path: folder.join("kernels").join(format!("{name}-{hash}.json")), identity }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn trouble(&self, problem: impl std::fmt::Display) -> String {
        let path = shown(&self.path);
        format!(
            "the remembered kernels in {path} cannot be used ({problem}); delete that file to have them timed again"
        )
    }

    /// The remembered choices; empty without a file.
    ///
    /// # Errors
    /// In words: the file is damaged, too long, or of another adapter.
    pub fn read(&self) -> Result<Known, String> {
        let text = match read_text(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Known::new()),
            text => text.map_err(|error| self.trouble(error))?,
        };
        let known = parse(&text).map_err(|problem| self.trouble(problem))?;
        let stored: Value = serde_json::from_str(&text).map_err(|error| self.trouble(error))?;
        let is_ours = |(key, value): (&String, &Value)| stored.get(key) == Some(value);
        if !self.identity.as_object().is_some_and(|identity| identity.iter().all(is_ours)) {
            return Err(self.trouble("it was written for another adapter, driver or version"));
        }
        Ok(known)
    }

    /// Replaces all remembered choices.
    ///
    /// # Errors
    /// In words: the folder cannot be written.
    pub fn write(&self, known: &Known) -> Result<(), String> {
        let mut file = self.identity.clone();
        file["choices"] = json!(words(known));
        write_file(&self.path, format!("{file:#}\n").as_bytes()).map_err(|error| self.unwritable(error))
    }

    fn unwritable(&self, problem: impl std::fmt::Display) -> String {
        let folder = shown(self.path.parent().unwrap_or(&self.path));
        format!("kernels cannot be remembered in {folder} ({problem}); name another folder in EDGEWALK_CACHE")
    }

    /// Waits until no other run is timing kernels for this adapter, and excludes others until the lock is dropped.
    ///
    /// # Errors
    /// In words: the folder cannot be written, or another run has not finished in half a minute.
    pub fn lock(&self) -> Result<Lock, String> {
        let path = self.path.with_extension("lock");
        fs::create_dir_all(path.parent().unwrap_or(&path)).map_err(|error| self.unwritable(error))?;
        lock::lock(&path, PATIENCE).map_err(|error| match error {
            LockError::Held(by) => {
                format!("another run has been timing kernels for half a minute; it holds {}{by}", shown(&path))
            }
            LockError::File(cause) => self.unwritable(cause),
        })
    }
}
