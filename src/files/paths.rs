//! Paths for people and for files that are to be written: links, what stands in a folder's place, and folders whose
//! names outlast a power cut.

use std::fs::File;
use std::io::ErrorKind;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// A path for people: as it is, or quoted with escapes where it is not UTF-8, so that no two look the same.
pub(crate) fn shown(path: &Path) -> String {
    path.to_str().map_or_else(|| format!("{path:?}"), str::to_owned)
}

/// Opens a regular file. Another kind, such as a device or a pipe, may never end.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    match fs::metadata(path)?.is_file() {
        true => File::open(path),
        false => Err(io::Error::other("it is not a regular file")),
    }
}

/// The bytes of a regular file.
pub(crate) fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = vec![];
    open_regular(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a file. What is no UTF-8 is an error of the kind `InvalidData` that says where.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(fs::read(path)?).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let text = format!("is not UTF-8 text (byte {at} is {:#04x})", error.as_bytes()[at]);
        io::Error::new(ErrorKind::InvalidData, text)
    })
}

/// What is no folder and stands where one is needed: the path itself, or the first of those above it that is there.
pub(crate) fn in_the_way(path: &Path) -> Option<&Path> {
    path.ancestors().find(|above| above.symlink_metadata().is_ok()).filter(|above| !above.is_dir())
}

/// Whether something in the way can be moved: a file or a link, but no device, pipe or socket.
pub(crate) fn can_be_moved(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_file() || metadata.is_symlink() || metadata.is_dir())
}

/// The file that a path names: for a link its target, also one that is not there yet.
pub(crate) fn target(path: &Path) -> io::Result<PathBuf> {
    match (fs::canonicalize(path), fs::read_link(path)) {
        // Links in a circle are another error, so this ends.
        (Err(error), Ok(next)) if error.kind() == ErrorKind::NotFound => {
            target(&path.parent().unwrap_or(Path::new("")).join(next))
        }
        (Err(error), Err(_)) if error.kind() == ErrorKind::NotFound => Ok(path.into()),
        (found, _) => found,
    }
}

/// Makes a folder and those above it that are missing, with their names on the disk.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().unwrap_or(Path::new(""));
    make_folder(above)?;
    match fs::create_dir(folder) {
        // Another process may have been faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && !folder.is_dir() => {
            Err(ErrorKind::NotADirectory.into())
        }
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => sync_folder(above),
    }
}

/// Sees to it that the names in a folder outlast a power cut.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    // Only on Unix can a folder be opened. Some file systems have nothing to sync there, and say so.
    let refused = |error: &io::Error| matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported);
    match if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) } {
        Err(error) if refused(&error) => Ok(()),
        synced => synced,
    }
}
