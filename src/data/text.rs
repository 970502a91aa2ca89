//! Text as windows of character codes: what a language model reads, and the character that follows each one.
//!
//! Tokens are the ASCII codes, a vocabulary of 128. 0 means padding, so a NUL in a text is refused like a byte beyond
//! ASCII: both are better seen by the user than silently changed. The last lines of a text are its test set, wherever
//! the first n windows end. A window is `seq_len + 1` characters: all but the last are read, all but the first
//! predicted. Windows follow one another without overlap, and what is left at the end is dropped.

use std::path::{Path, PathBuf};

use super::{DataError, Dataset, Examples, Features, Request, TestSize, page};
use crate::files::read_regular;
use crate::files::shown;

/// Number of tokens: the ASCII codes.
pub const VOCABULARY: usize = 128;
/// The file that a folder of text is expected to hold.
pub const FILE_NAME: &str = "input.txt";
/// The lines of tiny_shakespeare that are its test set, as in the official code.
const SHAKESPEARE_TEST_LINES: usize = 10_000;

/// How many of a text's last lines are the test set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestLines {
    /// tiny_shakespeare's 10,000.
    Shakespeare,
    /// A quarter, rounded down.
    LastQuarter,
}

/// The text's file: `path` itself, or the `input.txt` in it if it is a folder.
///
/// # Errors
/// [`DataError::Missing`] for a folder without one.
pub fn file(path: &Path) -> Result<PathBuf, DataError> {
    match path.is_dir().then(|| path.join(FILE_NAME)) {
        None => Ok(path.into()),
        Some(file) if file.is_file() => Ok(file),
        Some(_) => Err(DataError::Missing { folder: path.into(), names: FILE_NAME.into() }),
    }
}

/// Reads a text and cuts its windows, as many as the request asks for.
///
/// # Errors
/// [`DataError::Io`]; [`DataError::Foreign`]; [`DataError::Malformed`] for a byte that is not ASCII, or NUL;
/// [`DataError::TooShort`] if a part in use has not one window; [`DataError::TooFew`] if it has fewer than asked for;
/// [`DataError::NoWindow`] for a `seq_len` of 0.
pub fn read(path: &Path, lines: TestLines, request: &Request) -> Result<Dataset, DataError> {
    let Request { train, test, seq_len, .. } = *request;
    let test = match test {
        TestSize::First(first_n) => first_n,
        TestSize::Share(share) => return Err(DataError::ShareOfTwo { file: shown(path), share }),
    };
    if seq_len == 0 {
        return Err(DataError::NoWindow);
    }
    let path = file(path)?;
    let name = shown(&path);
    let text = match read_regular(&path) {
        Ok(text) => text,
        Err(source) => return Err(DataError::Io { file: name, source }),
    };
    check(&name, &text)?;
    if text.len() <= seq_len {
        return Err(too_short(name, text.len(), seq_len));
    }
    let (first, last) = match lines {
        // All of a text of one's own is for training if nothing is held out.
        TestLines::LastQuarter if test == 0 => (&text[..], &[][..]),
        TestLines::LastQuarter | TestLines::Shakespeare => split(&text, lines),
    };
    Ok(Dataset {
        train: windows(format!("{name} (the training part)"), first, train, seq_len)?,
        test: match test {
            0 => None,
            first_n => Some(windows(format!("{name} (the last lines, for testing)"), last, first_n, seq_len)?),
        },
    })
}

/// Refuses a web page, and the first byte that is not a character of the vocabulary, by its place.
fn check(name: &str, text: &[u8]) -> Result<(), DataError> {
    page::refuse(name, text)?;
    let Some(at) = text.iter().position(|&byte| byte == 0 || !byte.is_ascii()) else { return Ok(()) };
    let before = &text[..at];
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|&&byte| byte != b'\n').count() + 1;
    Err(DataError::Malformed {
        file: name.into(),
        expected: "ASCII characters, codes 1 to 127".into(),
        found: format!("{:#04x} at byte {at} (line {line}, column {column})", text[at]),
        advice: "replace or remove that character",
    })
}

/// The training part and the test part.
fn split(text: &[u8], lines: TestLines) -> (&[u8], &[u8]) {
    let after_breaks = text.iter().enumerate().filter(|&(_, &byte)| byte == b'\n').map(|(at, _)| at + 1);
    let starts: Vec<usize> = std::iter::once(0).chain(after_breaks).filter(|&start| start < text.len()).collect();
    let test_lines = match lines {
        TestLines::Shakespeare => SHAKESPEARE_TEST_LINES,
        TestLines::LastQuarter => starts.len() / 4,
    };
    let train_lines = starts.len().saturating_sub(test_lines);
    text.split_at(starts.get(train_lines).copied().unwrap_or(text.len()))
}

/// The first `first_n` windows of a text, 0 = all.
fn windows(name: String, text: &[u8], first_n: usize, seq_len: usize) -> Result<Examples, DataError> {
    let all = text.chunks_exact(seq_len + 1);
    let held = all.len();
    if held == 0 {
        return Err(too_short(name, text.len(), seq_len));
    }
    if first_n > held {
        let advice = "lower data.train (0 = all), data.test or model.seq_len";
        return Err(DataError::TooFew { file: name, held, asked: first_n, advice });
    }
    let kept = all.take(if first_n == 0 { held } else { first_n });
    let codes = |range: std::ops::Range<usize>| {
        kept.clone().flat_map(|window| window[range.clone()].iter().map(|&code| code.into())).collect()
    };
    Ok(Examples::new(Features::Tokens(codes(0..seq_len)), [seq_len], codes(1..seq_len + 1), VOCABULARY)?)
}

fn too_short(file: String, held: usize, seq_len: usize) -> DataError {
    DataError::TooShort { file, held, needed: seq_len.saturating_add(1) }
}
