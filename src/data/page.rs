//! Other files that lie where data should: web pages, which a browser saves or a program fetches where a site asks to
//! log in or has moved a file, pointers of Git LFS, and archives.

use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;

use super::DataError;

/// How pages begin, after white space and a byte order mark.
const BEGINNINGS: [&[u8]; 3] = [b"<!doctype html", b"<html", b"<head"];

/// The most bytes of white space and beginning that are looked at.
pub(super) const START: u64 = 512;

/// Whether bytes begin as an HTML page does.
pub(super) fn is_page(start: &[u8]) -> bool {
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    BEGINNINGS.iter().any(|tag| text.get(..tag.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(tag)))
}

/// Whether bytes begin as gzip data do.
pub(super) fn is_gzip(start: &[u8]) -> bool {
    start.starts_with(&[0x1f, 0x8b])
}

/// How a file begins.
pub(super) fn start_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut start = vec![];
    File::open(path)?.take(START).read_to_end(&mut start)?;
    Ok(start)
}

/// What a file is that begins so, and what to do about it; nothing if it may be data.
pub(crate) fn foreign(start: &[u8]) -> Option<(&'static str, &'static str)> {
    match start {
        start if is_page(start) => {
            Some(("an HTML page", "what it was fetched from asks to log in or has moved; fetch the file again"))
        }
        start if is_gzip(start) => Some(("gzip data", "unpack it with gunzip")),
        [b'P', b'K', 3 | 5, 4 | 6, ..] => {
            Some(("a zip archive", "unpack it; of what torch.save wrote, save the tensors with safetensors instead"))
        }
        start if start.starts_with(b"version https://git-lfs") => {
            Some(("a pointer of Git LFS", "fetch the file that it stands for with `git lfs pull`"))
        }
        _ => None,
    }
}

/// Refuses a file that begins as no data do.
pub(super) fn refuse(file: &str, start: &[u8]) -> Result<(), DataError> {
    foreign(start).map_or(Ok(()), |(what, advice)| Err(DataError::Foreign { file: file.into(), what, advice }))
}

/// The same for the file at a path, of which it reads the beginning alone.
pub(super) fn refuse_file(file: &str, path: &Path) -> Result<(), DataError> {
    refuse(file, &start_of(path).map_err(DataError::io(file))?)
}
