//! A file during its download: `NAME.partial` beside its place until it is complete and has the right hash. Bytes are
//! hashed as they arrive; only the part of an earlier attempt is read again.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::{fs, io};

use sha2::{Digest, Sha256};

use super::catalogue::Item;
use crate::files::hex;

/// The part of a file that has arrived.
pub(super) struct Incoming {
    target: PathBuf,
    partial: PathBuf,
    file: File,
    hash: Sha256,
    bytes: u64,
}

impl Incoming {
    /// Continues from the part that an earlier attempt left beside `target`, if any.
    pub(super) fn resume(target: &Path) -> io::Result<Self> {
        let mut name = OsString::from(target);
        name.push(".partial");
        let partial = PathBuf::from(name);
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&partial)?;
        let mut hash = Sha256::new();
        // Reading to the end also leaves the file ready for appending.
        let bytes = io::copy(&mut file, &mut Hasher(&mut hash))?;
        Ok(Self { target: target.into(), partial, file, hash, bytes })
    }

    /// The number of bytes that have arrived.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Discards the part that has arrived.
    pub(super) fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.hash = Sha256::new();
        self.bytes = 0;
        Ok(())
    }

    /// The SHA-256 of the part that has arrived.
    pub(super) fn sha256(&self) -> String {
        hex(self.hash.clone())
    }

    /// Whether this is all of `item`.
    pub(super) fn is(&self, item: &Item) -> bool {
        self.bytes == item.bytes && self.sha256() == item.sha256
    }

    /// Puts the file in its place, all at once.
    pub(super) fn place(self) -> io::Result<()> {
        let Self { target, partial, file, .. } = self;
        file.sync_all()?;
        drop(file);
        fs::rename(partial, target)
    }

    /// Stops here and keeps the part for the next attempt.
    pub(super) fn leave(self) -> io::Result<()> {
        let Self { partial, file, bytes, .. } = self;
        drop(file);
        if bytes == 0 { fs::remove_file(partial) } else { Ok(()) }
    }
}

impl Write for Incoming {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The SHA-256 of a file, as lower-case hexadecimal.
pub(super) fn sha256_of(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path)?, &mut Hasher(&mut hash))?;
    Ok(hex(hash))
}

/// A writer that hashes its input.
struct Hasher<'a>(&'a mut Sha256);

impl Write for Hasher<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
