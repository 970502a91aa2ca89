//! Damage: what happens to bytes and to text between the program that writes them and the one that reads them.

use rand::rngs::ChaCha8Rng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

use super::Parts;

/// Values at which integers of some width change their meaning.
const INTEGERS: [u64; 16] = [
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    1 << 20,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 40,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// What may stand where a number or a word should.
const WORDS: &[&str] = &[
    "",
    "0",
    "-0",
    "+1",
    "-1",
    "007",
    "0x10",
    "1_000",
    "1.",
    ".5",
    "1e",
    "1e-46",
    "5e-324",
    "3.4028236e38",
    "1e308",
    "1e309",
    "-1e309",
    "nan",
    "-nan",
    "NaN",
    "inf",
    "-inf",
    "Infinity",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "true",
    "null",
    "auto",
    "\"",
    "'",
    "\\",
    "\"\"\"",
    "\\u0000",
    "\\ud800",
    "\0",
    "\r",
    "\r\n",
    "\n",
    "\n\n",
    ",",
    ",,",
    "=",
    ":",
    ".",
    "..",
    "/",
    "#",
    " ",
    "\t",
    "[",
    "]",
    "[[",
    "{",
    "}",
    "é",
    "\u{feff}",
    "\u{202e}",
    "\u{1f600}",
    "\u{661}",
];

/// What nests.
const OPENINGS: &[&str] = &["[", "{\"a\":", "{a=", "a.", "[a.", "[[a]]\n", "\"", "'''"];

/// One of the `seeds`, changed in one to four ways, half of them in one.
pub fn mutate(rng: &mut ChaCha8Rng, seeds: &[Parts]) -> Parts {
    let mut parts = pick(rng, seeds).clone();
    for _ in 0..*pick(rng, &[1, 1, 1, 2, 3, 4]) {
        let part = rng.random_range(0..parts.len());
        // Other seeds have as many parts.
        let donor = &pick(rng, seeds)[part];
        change(rng, &mut parts[part], donor);
    }
    parts
}

fn pick<'a, T>(rng: &mut ChaCha8Rng, items: &'a [T]) -> &'a T {
    items.choose(rng).expect("there is at least one")
}

fn change(rng: &mut ChaCha8Rng, bytes: &mut Vec<u8>, donor: &[u8]) {
    match rng.random_range(0..16) {
        0 => {
            if let Some(byte) = place(rng, bytes).and_then(|at| bytes.get_mut(at)) {
                *byte ^= 1 << rng.random_range(0..8);
            }
        }
        1 => {
            if let Some(byte) = place(rng, bytes).and_then(|at| bytes.get_mut(at)) {
                *byte = rng.random();
            }
        }
        2 => bytes.truncate(rng.random_range(0..=bytes.len())),
        3 => {
            let mut more = vec![0; rng.random_range(1..64)];
            if rng.random() {
                rng.fill_bytes(&mut more);
            }
            bytes.extend(more);
        }
        4 => drop(bytes.drain(range(rng, bytes.len()))),
        5 => {
            let copy = bytes[range(rng, bytes.len())].to_vec();
            insert(rng, bytes, &copy);
        }
        6 => {
            let (head, tail) = (rng.random_range(0..=bytes.len()), rng.random_range(0..=donor.len()));
            bytes.truncate(head);
            bytes.extend(&donor[tail..]);
        }
        7 | 8 => integer(rng, bytes),
        9 | 10 => {
            let word = *pick(rng, WORDS);
            replace_token(rng, bytes, word.as_bytes());
        }
        11 | 12 => {
            let tokens = tokens(donor);
            if let Some(token) = tokens.choose(rng) {
                replace_token(rng, bytes, &donor[token.clone()]);
            }
        }
        13 => {
            let word = *pick(rng, WORDS);
            insert(rng, bytes, word.as_bytes());
        }
        14 => lines(rng, bytes),
        // Long inputs cost more than they find: one in many.
        _ => {
            let times = if rng.random_ratio(1, 16) { 30_000 } else { 100 };
            let repeated = pick(rng, OPENINGS).repeat(rng.random_range(1..=times));
            insert(rng, bytes, repeated.as_bytes());
        }
    }
}

/// An index, every second time one of the header's.
fn place(rng: &mut ChaCha8Rng, bytes: &[u8]) -> Option<usize> {
    let end = if rng.random() { bytes.len().min(24) } else { bytes.len() };
    (end > 0).then(|| rng.random_range(0..end))
}

fn range(rng: &mut ChaCha8Rng, len: usize) -> std::ops::Range<usize> {
    let start = rng.random_range(0..=len);
    start..rng.random_range(start..=len)
}

fn insert(rng: &mut ChaCha8Rng, bytes: &mut Vec<u8>, more: &[u8]) {
    let at = rng.random_range(0..=bytes.len());
    bytes.splice(at..at, more.iter().copied());
}

/// Overwrites an integer of 1, 2, 4 or 8 bytes.
fn integer(rng: &mut ChaCha8Rng, bytes: &mut [u8]) {
    let Some(at) = place(rng, bytes) else { return };
    let near = (bytes.len() as u64).wrapping_add_signed(rng.random_range(-1..=1));
    let value = if rng.random_ratio(1, 4) { near } else { *pick(rng, &INTEGERS) };
    let width = *pick(rng, &[1, 2, 4, 8]);
    let (little, big) = (value.to_le_bytes(), value.to_be_bytes());
    let word = if rng.random() { &little[..width] } else { &big[8 - width..] };
    bytes[at..].iter_mut().zip(word).for_each(|(byte, &new)| *byte = new);
}

/// Numbers and words, as ranges.
fn tokens(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._".contains(byte);
    let mut tokens = vec![];
    let mut start = 0;
    for run in bytes.chunk_by(|a, b| is_part(a) == is_part(b)) {
        if is_part(&run[0]) {
            tokens.push(start..start + run.len());
        }
        start += run.len();
    }
    tokens
}

fn replace_token(rng: &mut ChaCha8Rng, bytes: &mut Vec<u8>, word: &[u8]) {
    let tokens = tokens(bytes);
    if let Some(token) = tokens.choose(rng) {
        bytes.splice(token.clone(), word.iter().copied());
    }
}

/// Swaps, doubles or removes a line.
fn lines(rng: &mut ChaCha8Rng, bytes: &mut Vec<u8>) {
    let mut lines: Vec<Vec<u8>> = bytes.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    if lines.is_empty() {
        return;
    }
    let (one, other) = (rng.random_range(0..lines.len()), rng.random_range(0..lines.len()));
    match rng.random_range(0..3) {
        0 => lines.swap(one, other),
        1 => lines.insert(one, lines[other].clone()),
        _ => drop(lines.remove(one)),
    }
    *bytes = lines.concat();
}
