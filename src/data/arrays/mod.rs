//! Data of one's own: x (features) and y (labels) as `.npz`, a folder of `.npy`, `.safetensors` or `.csv`.
//!
//! `source` and `table` read arrays, `npy` the format of numpy; `prepare` turns arrays into examples: which of them,
//! tokens or numbers, classes or targets, centred and scaled. docs/data.md has the rules.

mod array;
mod npy;
mod prepare;
mod source;
mod table;

use std::io::{self, BufReader};
use std::path::Path;

use super::{DataError, Dataset, Request, TestSize};
use crate::files::{open_regular, shown};
use array::Array;
use source::Source;

/// The features and labels of one half of a data set, and their names in errors.
struct Half {
    x_name: String,
    y_name: String,
    x: Array,
    y: Array,
}

/// Reads the arrays of a file or folder and prepares them.
///
/// # Errors
/// [`DataError`], naming the file and the array.
pub fn read(path: &Path, request: &Request) -> Result<Dataset, DataError> {
    let is_table = path.extension().is_some_and(|extension| extension == "csv") && !path.is_dir();
    if is_table {
        let train = table::read(path, &request.options.target)?;
        return match request.test {
            TestSize::First(0) | TestSize::Share(_) => prepare::prepared(train, None, request),
            TestSize::First(_) => {
                let expected = "a test set";
                Err(broken(&shown(path), expected, "one table", "set data.test to a share such as 0.2, or to 0"))
            }
        };
    }
    let Some(mut source) = Source::open(path)? else {
        let found = path.extension().map_or_else(|| "none of them".to_owned(), |it| format!("{it:?}"));
        let expected = "a file with the extension npz, safetensors or csv, or a folder of .npy files";
        return Err(broken(&shown(path), expected, &found, "save the arrays in one of these forms"));
    };
    let train = half(&mut source, path, ["x_train", "y_train"])?;
    let test = match request.test {
        TestSize::First(0) => None,
        TestSize::First(_) => Some(half(&mut source, path, ["x_test", "y_test"])?),
        TestSize::Share(share) => match source.get("x_test")? {
            Some(_) => return Err(DataError::ShareOfTwo { file: shown(path), share }),
            None => None,
        },
    };
    prepare::prepared(train, test, request)
}

/// See [`super::read_npy`].
pub(super) fn read_npy(path: &Path) -> Result<(Vec<usize>, Vec<f64>), DataError> {
    let name = shown(path);
    let file = open_regular(path).map_err(DataError::io(&name))?;
    let Array { shape, numbers } = npy::read(&name, BufReader::new(file))?;
    Ok((shape, (0..numbers.len()).map(|at| numbers.get(at)).collect()))
}

/// The two arrays of a half, which must be there.
fn half(source: &mut Source, path: &Path, names: [&str; 2]) -> Result<Half, DataError> {
    let mut read = |name: &str| match source.get(name)? {
        Some(found) => Ok(found),
        None => {
            let advice = match name.ends_with("test") {
                true => "add it, set data.test = 0, or to a share such as 0.2 without x_test",
                false => "name the arrays x_train and y_train, and for a test set x_test and y_test",
            };
            Err(broken(&shown(path), &format!("an array `{name}`"), &source.names()?, advice))
        }
    };
    let ((x_name, x), (y_name, y)) = (read(names[0])?, read(names[1])?);
    Ok(Half { x_name, y_name, x, y })
}

fn broken(file: &str, expected: &str, found: &str, advice: &'static str) -> DataError {
    DataError::Malformed { file: file.into(), expected: expected.into(), found: found.into(), advice }
}

fn too_large(file: &str, value: i128) -> DataError {
    broken(file, "whole numbers that 32 bits hold", &value.to_string(), "save them as floats, or smaller ones")
}

/// The error of a reader: of the system, or of damaged bytes.
fn unreadable(file: &str, error: io::Error) -> DataError {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            broken(file, "undamaged data", &error.to_string(), "save the file again")
        }
        _ => DataError::Io { file: file.into(), source: error },
    }
}

/// The places of the elements of an array of `shape` in the order that its axes have after a permutation.
fn transposed(shape: &[usize], axes: &[usize]) -> impl Iterator<Item = usize> {
    let strides: Vec<usize> = (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect();
    let loops: Vec<(usize, usize)> = axes.iter().map(|&axis| (shape[axis], strides[axis])).collect();
    let count: usize = shape.iter().product();
    (0..count).map(move |mut number| {
        loops.iter().rev().fold(0, |place, &(size, stride)| {
            let digit = number % size;
            number /= size;
            place + digit * stride
        })
    })
}
