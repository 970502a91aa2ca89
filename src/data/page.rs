//! Detects web pages in the place of data, as a browser or program saves them where a site asks for a login or has
//! moved a file.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::DataError;

/// The beginnings of pages, after white space and a byte order mark.
const BEGINNINGS: [&[u8]; 3] = [b"<!doctype html", b"<html", b"<head"];

/// The most bytes of white space and beginning that are examined.
pub(super) const START: u64 = 512;

/// Whether bytes begin as an HTML page does.
pub(super) fn is_page(start: &[u8]) -> bool {
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    BEGINNINGS.iter().any(|tag| text.get(..tag.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(tag)))
}

/// Whether a file begins as an HTML page does.
pub(super) fn is_page_file(path: &Path) -> io::Result<bool> {
    let mut start = vec![];
    File::open(path)?.take(START).read_to_end(&mut start)?;
    Ok(is_page(&start))
}

/// Refuses a file that begins as an HTML page does.
pub(super) fn refuse(file: &str, start: &[u8]) -> Result<(), DataError> {
    if is_page(start) { Err(DataError::Page { file: file.into() }) } else { Ok(()) }
}
