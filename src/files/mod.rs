//! Files of any content: written whole or not at all, hashed, and locked against other processes.

mod hash;
pub mod lock;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

#[cfg(feature = "fetch")]
pub(crate) use hash::hex;
pub(crate) use hash::sha256;

/// The errors of a file. Each message names the path.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A path that is not Unicode text, which text files need.
    #[error(
        "{path:?} is not UTF-8 text, and config.toml, manifest.json and pages hold no other; rename it, or make a link to it"
    )]
    NotText {
        /// The path.
        path: PathBuf,
    },
    /// A file cannot be made, written or renamed.
    #[error("cannot write {}: {cause}; check the free space and the permissions, or choose another --out", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        cause: io::Error,
    },
}

pub(crate) fn write_error(path: &Path) -> impl FnOnce(io::Error) -> FileError {
    move |cause| FileError::Write { path: path.into(), cause }
}

/// A path as text for a file.
///
/// # Errors
/// [`FileError::NotText`].
pub fn text(path: &Path) -> Result<&str, FileError> {
    path.to_str().ok_or_else(|| FileError::NotText { path: path.into() })
}

/// Writes a whole file or nothing: beside its place, flushed to the disk, then renamed. Makes missing folders. A link
/// stays a link, and its target is written; devices and pipes are written directly.
///
/// # Errors
/// [`FileError::Write`], naming the file; the old content is then still present.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.into());
    if target.exists() && !target.is_file() && !target.is_dir() {
        let mut file = File::options().write(true).open(&target).map_err(write_error(path))?;
        return file.write_all(bytes).map_err(write_error(path));
    }
    replace_file(&target, bytes).map_err(write_error(path))
}

/// See [`write_file`].
fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Two programs may write the same file at once: a run its pictures, and `edgewalk plot --watch`.
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.partial", std::process::id()));
    let beside = PathBuf::from(beside);
    let write = || {
        let folder = path.parent().unwrap_or(Path::new(""));
        make_folder(folder)?;
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        sync_folder(folder)
    };
    write().inspect_err(|_| {
        // Best effort: the error that matters is the first one.
        let _ = fs::remove_file(&beside);
    })
}

/// Makes a folder and missing parents, with their names flushed to the disk.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().unwrap_or(Path::new(""));
    make_folder(above)?;
    match fs::create_dir(folder) {
        // Another process may have been faster.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !folder.is_dir() => Err(error),
        _ => sync_folder(above),
    }
}

/// Flushes the names in a folder to the disk, so that they survive a power cut.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    // Only Unix can open a folder. Some file systems refuse to sync one.
    let refused = |error: &io::Error| matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported);
    match if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) } {
        Err(error) if refused(&error) => Ok(()),
        synced => synced,
    }
}
