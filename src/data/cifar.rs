//! The binary files of CIFAR-10: records of 3,073 bytes, namely the class, then 1,024 red, 1,024 green and 1,024 blue
//! values, each plane row-major; see <https://www.cs.toronto.edu/~kriz/cifar.html>. Without a header, only a file's
//! length and labels show damage. The result is in height, width, channel order; only the requested records are read.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::images::{CLASSES, Images, MAX_EXAMPLES};
use super::{DataError, Split, page};
use crate::files::open_regular;
use crate::files::shown;
use crate::text::counted;

/// Height, width and channels of a picture.
const SHAPE: [usize; 3] = [32, 32, 3];
/// Values of one colour of a picture.
const PLANE: usize = 32 * 32;
/// Bytes of a record: the label and three planes.
const RECORD: usize = 1 + 3 * PLANE;
const FETCH_AGAIN: &str = "fetch the file again from its source (`edgewalk data fetch cifar10`)";

/// The files of one half in a folder, in the order of their numbers: `data_batch_1.bin` … or `test_batch.bin`.
///
/// # Errors
/// [`DataError::Missing`] if there is none, [`DataError::Io`] if the folder cannot be read.
pub fn files(folder: &Path, split: Split) -> Result<Vec<PathBuf>, DataError> {
    let missing = |names: &str| DataError::Missing { folder: folder.into(), names: names.into() };
    if split == Split::Test {
        let path = folder.join("test_batch.bin");
        return if path.is_file() { Ok(vec![path]) } else { Err(missing("test_batch.bin")) };
    }
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries.filter_map(Result::ok),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Err(missing("data_batch_1.bin, …")),
        Err(source) => return Err(DataError::Io { file: shown(folder), source }),
    };
    let number = |path: &Path| -> Option<u32> {
        path.file_name()?.to_str()?.strip_prefix("data_batch_")?.strip_suffix(".bin")?.parse().ok()
    };
    let mut batches: Vec<(u32, PathBuf)> =
        entries.map(|entry| entry.path()).filter_map(|path| Some((number(&path)?, path))).collect();
    batches.sort();
    match batches.is_empty() {
        true => Err(missing("data_batch_1.bin, …")),
        false => Ok(batches.into_iter().map(|(_, path)| path).collect()),
    }
}

/// Reads the first `first_n` examples (0 = all) of one half of the data from the folder of its files.
///
/// # Errors
/// [`DataError::Missing`], [`DataError::Io`] and [`DataError::Foreign`]; [`DataError::Malformed`] for files whose
/// length is not a multiple of a record's or beyond any data set's and for a label over 9; [`DataError::TooFew`] if the
/// files hold fewer than `first_n`.
pub fn read_folder(folder: &Path, split: Split, first_n: usize) -> Result<Images, DataError> {
    let files = files(folder, split)?;
    let held = files.iter().map(|path| records(path)).collect::<Result<Vec<_>, _>>()?;
    let total: usize = held.iter().sum();
    if total > MAX_EXAMPLES {
        return Err(DataError::Malformed {
            file: shown(folder),
            expected: format!("at most {MAX_EXAMPLES} records"),
            found: total.to_string(),
            advice: FETCH_AGAIN,
        });
    }
    if first_n > total {
        return Err(DataError::TooFew {
            file: match split {
                Split::Train => format!("the training set in {}", shown(folder)),
                Split::Test => format!("the test set in {}", shown(folder)),
            },
            held: total,
            asked: first_n,
            advice: "lower data.train (0 = all) or data.test, or add the missing files with \
                     `edgewalk data fetch cifar10`",
        });
    }
    let mut left = if first_n == 0 { total } else { first_n };
    let mut images = Images { pixels: Vec::with_capacity(left * 3 * PLANE), labels: vec![], shape: SHAPE };
    for (path, held) in files.iter().zip(held) {
        let count = held.min(left);
        read_records(path, count, &mut images)?;
        left -= count;
    }
    Ok(images)
}

/// The number of records in a file, judged by its length.
fn records(path: &Path) -> Result<usize, DataError> {
    let file = shown(path);
    let bytes = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(source) => return Err(DataError::Io { file, source }),
    };
    page::refuse_file(&file, path)?;
    let rest = bytes % RECORD as u64;
    if bytes > 0 && rest == 0 {
        return Ok((bytes / RECORD as u64) as usize);
    }
    let found = match bytes {
        0 => "an empty file".into(),
        _ => format!("{}: the record at byte {} has only {rest}", counted(bytes, "byte"), bytes - rest),
    };
    Err(DataError::Malformed { file, expected: format!("records of {RECORD} bytes"), found, advice: FETCH_AGAIN })
}

/// Appends the first `count` records of a file.
fn read_records(path: &Path, count: usize, images: &mut Images) -> Result<(), DataError> {
    let wanted = count * RECORD;
    let mut bytes = Vec::with_capacity(wanted);
    let read = open_regular(path).and_then(|file| file.take(wanted as u64).read_to_end(&mut bytes));
    let file = || shown(path);
    let malformed = |expected: String, found: String| {
        Err(DataError::Malformed { file: file(), expected, found, advice: FETCH_AGAIN })
    };
    match read {
        Err(source) => return Err(DataError::Io { file: file(), source }),
        Ok(read) if read < wanted => return malformed(format!("{wanted} bytes"), format!("only {read}")),
        Ok(_) => {}
    }
    for (i, record) in bytes.chunks_exact(RECORD).enumerate() {
        let (&label, planes) = record.split_first().expect("a record is not empty");
        if usize::from(label) >= CLASSES {
            return malformed(format!("a label from 0 to 9 at byte {}", i * RECORD), label.to_string());
        }
        images.labels.push(label);
        images.pixels.extend((0..PLANE).flat_map(|at| [planes[at], planes[PLANE + at], planes[2 * PLANE + at]]));
    }
    Ok(())
}
