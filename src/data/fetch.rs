//! Fetches a data set from its mirrors: download, unpack if it is an archive, and check every file by its hash.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use flate2::bufread::GzDecoder;
use tar::Archive;

use super::catalogue::{DataSet, Item};
use super::download::{FetchError, download, is_there};
use super::incoming::Incoming;
use crate::files::in_the_way;
use crate::observer::Observer;

/// The place of a data set, and whether anything was downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The folder of its files.
    pub folder: PathBuf,
    /// Whether a file was downloaded; if not, all were present and right.
    pub downloaded: bool,
}

/// Fetches a data set to its folder under `root`. Existing files are checked and kept.
///
/// # Errors
/// [`FetchError::NotAFolder`], those of [`download`], and [`FetchError::Unpack`].
pub fn fetch(set: &DataSet, root: &Path, patience: Duration, observer: &dyn Observer) -> Result<Fetched, FetchError> {
    let folder = root.join(set.folder);
    if let Some(path) = in_the_way(&folder) {
        return Err(FetchError::NotAFolder { path: path.into() });
    }
    if !set.unpacked.is_empty() && all_there(set.unpacked, &folder)? {
        return Ok(Fetched { folder, downloaded: false });
    }
    let mut downloaded = false;
    for (at, item) in set.downloads.iter().enumerate() {
        let mut result = download(item, set.mirrors, &folder, patience, observer);
        if let Err(FetchError::Mirrors { missing, .. }) = &mut result {
            let later = &set.downloads[at + 1..];
            missing.extend(later.iter().filter(|item| !folder.join(item.name).exists()));
        }
        downloaded |= result?;
        if !set.unpacked.is_empty() {
            let archive = folder.join(item.name);
            unpack(&archive, set.unpacked, &folder)
                .and_then(|()| fs::remove_file(&archive))
                .map_err(|cause| FetchError::Unpack { archive, cause })?;
        }
    }
    Ok(Fetched { folder, downloaded })
}

/// Whether all of these exist; a wrong file is an error, not absent.
fn all_there(items: &[Item], folder: &Path) -> Result<bool, FetchError> {
    let there = items.iter().map(|item| is_there(item, &folder.join(item.name))).collect::<Result<Vec<_>, _>>()?;
    Ok(there.into_iter().all(|there| there))
}

/// Takes `items` out of a tar.gz archive. An entry is chosen by the last part of its path and written under the name in
/// the catalogue, so no path in an archive decides where a file goes. ([`fetch`] calls it for archives with the right
/// hash; tests also for others.)
///
/// # Errors
/// Errors of the disk, and in words the fault of the archive.
#[doc(hidden)]
pub fn unpack(archive: &Path, items: &[Item], folder: &Path) -> io::Result<()> {
    let mut missing = items.to_vec();
    let mut tar = Archive::new(GzDecoder::new(BufReader::new(File::open(archive)?)));
    for entry in tar.entries()? {
        let entry = entry?;
        let path = entry.path()?.into_owned();
        let Some(at) = missing.iter().position(|item| path.file_name() == Some(item.name.as_ref())) else { continue };
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let item = missing.swap_remove(at);
        let mut incoming = Incoming::resume(&folder.join(item.name))?;
        incoming.restart()?;
        // One byte too many shows that it is wrong.
        io::copy(&mut entry.take(item.bytes + 1), &mut incoming)?;
        if !incoming.is(&item) {
            let found = incoming.sha256();
            incoming.restart()?;
            incoming.leave()?;
            return Err(io::Error::other(format!("its {} has the SHA-256 {found}, not {}", item.name, item.sha256)));
        }
        incoming.place()?;
    }
    match missing.first() {
        None => Ok(()),
        Some(item) => Err(io::Error::other(format!("it has no {}", item.name))),
    }
}
