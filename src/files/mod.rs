//! Files, whatever is in them: written whole or not at all, hashed, and locked against other processes.

mod hash;
pub mod lock;
mod paths;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

#[cfg(feature = "fetch")]
pub(crate) use hash::hex;
pub(crate) use hash::sha256;
pub(crate) use paths::{
    can_be_moved, in_the_way, make_folder, open_regular, read_regular, read_text, shown, sync_folder,
};

/// What can go wrong with a file. Each message names the path.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A path that is no Unicode text, as files of text must hold it.
    #[error(
        "{path:?} is not UTF-8 text, and config.toml, manifest.json and pages hold no other; rename it, or make a link \
         to it"
    )]
    NotText {
        /// The path.
        path: PathBuf,
    },
    /// Something else stands where a folder is needed.
    #[error("{} is not a folder; {}", path.display(), way_out(path, *chosen))]
    NotAFolder {
        /// The path.
        path: PathBuf,
        /// Whether it was chosen by `--out`.
        chosen: bool,
    },
    /// The system refused to make, write or rename something.
    #[error("cannot write {}: {cause}; {}", path.display(), remedy(cause, *chosen))]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
        /// Whether it was chosen by `--out`.
        chosen: bool,
    },
}

/// The advice for what stands in a folder's place: devices and the like are not moved.
fn way_out(path: &Path, chosen: bool) -> &'static str {
    match (can_be_moved(path), chosen) {
        (true, true) => "move it away, or choose another --out",
        (false, true) => "choose another --out",
        (true, false) => "move it away",
        (false, false) => "choose another place",
    }
}

/// The advice for a file that cannot be written.
fn remedy(cause: &io::Error, chosen: bool) -> &'static str {
    match cause.kind() {
        io::ErrorKind::IsADirectory => "move the folder away, or choose another name",
        _ if chosen => "check the free space and the permissions, or choose another --out",
        _ => "check the free space and the permissions",
    }
}

/// The error of a file or folder that the program names.
pub(crate) fn write_error(path: &Path) -> impl FnOnce(io::Error) -> FileError {
    move |cause| refused(path, cause, false)
}

/// The error of a folder that `--out` chooses.
pub(crate) fn out_error(path: &Path) -> impl FnOnce(io::Error) -> FileError {
    move |cause| refused(path, cause, true)
}

fn refused(path: &Path, cause: io::Error, chosen: bool) -> FileError {
    match in_the_way(path) {
        Some(path) if cause.kind() == io::ErrorKind::NotADirectory => {
            FileError::NotAFolder { path: path.into(), chosen }
        }
        _ => FileError::Write { path: path.into(), cause, chosen },
    }
}

/// Refuses a path chosen by `--out` that cannot be a folder since something else is there or above it.
///
/// # Errors
/// [`FileError::NotAFolder`].
pub fn check_folder(path: &Path) -> Result<(), FileError> {
    in_the_way(path).map_or(Ok(()), |path| Err(FileError::NotAFolder { path: path.into(), chosen: true }))
}

/// A path as files of text hold it.
///
/// # Errors
/// [`FileError::NotText`].
pub fn text(path: &Path) -> Result<&str, FileError> {
    path.to_str().ok_or_else(|| FileError::NotText { path: path.into() })
}

/// Writes a whole file or nothing: beside its place, flushed to the disk, then renamed. Makes missing folders. A link
/// stays one, and its target is written, made if it is not there; what is no regular file (a device, a pipe) is written
/// as it is.
///
/// # Errors
/// [`FileError::Write`], naming the file; what was there before is then still there.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let target = paths::target(path).map_err(write_error(path))?;
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
