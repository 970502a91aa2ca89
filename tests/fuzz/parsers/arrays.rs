//! Arrays of one's own. What is accepted is read a second time here from the plain bytes.

use std::path::Path;

use edgewalk::data::{self, DataError, DataName, Dataset, Examples, Features, Options, Request, Targets, TestSize};

use super::{bounded, in_folder, parts, put, refused};

fn load(path: &Path, bytes: usize, options: Options) -> Result<Dataset, DataError> {
    let test = if options.split_seed % 2 == 1 { TestSize::Share(0.3) } else { TestSize::First(0) };
    let request = Request { path: Some(path.into()), test, options, ..Request::new(DataName::Arrays) };
    bounded(bytes, || data::load(&request))
}

/// What every data set must be, and whether there is one.
fn checked(read: &Result<Dataset, DataError>) -> bool {
    match read {
        Ok(Dataset { train, test }) => {
            for examples in std::iter::once(train).chain(test) {
                let again =
                    Examples::with_targets(examples.features().clone(), examples.shape(), examples.targets().clone());
                assert_eq!(again.as_ref(), Ok(examples));
            }
            true
        }
        Err(error) => {
            refused(error, "e");
            false
        }
    }
}

/// Options (tokens), x and y as files of numpy.
pub fn npy(input: &[u8]) -> bool {
    let [options, x, y] = parts(input);
    let option = options.first().copied().unwrap_or_default();
    in_folder(|folder| {
        put(&folder.join("x_train.npy"), x);
        put(&folder.join("y_train.npy"), y);
        let options = Options { tokens: option & 1 > 0, ..Options::default() };
        let read = load(folder, x.len() + y.len(), options);
        if let Ok(data) = &read {
            let [x, y] = [x, y].map(|file| plain_elements(file).expect("a good file has its elements at its end"));
            let rounded = |plain: Vec<f64>| plain.into_iter().map(|value| value as f32);
            match data.train.features() {
                Features::Real(values) => assert!(values.iter().copied().eq(rounded(x))),
                Features::Tokens(codes) => assert!(codes.iter().map(|&code| f64::from(code)).eq(x)),
            }
            match data.train.targets() {
                Targets::Classes { labels, .. } => assert!(labels.iter().map(|&label| f64::from(label)).eq(y)),
                Targets::Signs(values) | Targets::Numbers { values, .. } => {
                    assert!(values.iter().copied().eq(rounded(y)));
                }
            }
        }
        checked(&read)
    })
}

/// The elements of a file of numpy in its rows' order, if it is one.
fn plain_elements(file: &[u8]) -> Option<Vec<f64>> {
    let wide = *file.get(6)? > 1;
    let len = if wide {
        u32::from_le_bytes(file[8..12].try_into().ok()?)
    } else {
        u16::from_le_bytes([file[8], file[9]]).into()
    };
    let (header, elements) = file[if wide { 12 } else { 10 }..].split_at_checked(len as usize)?;
    let header = std::str::from_utf8(header).ok()?;
    let value = |key: &str| Some(header.rsplit_once(key)?.1.split_once(':')?.1.trim_start());
    let descr = value("descr")?.get(1..)?;
    let (order, kind) = (descr.get(..1)?, descr.get(1..3)?);
    let mut elements = elements.to_vec();
    let size: usize = kind[1..].parse().ok()?;
    if order == ">" {
        elements.chunks_mut(size).for_each(<[u8]>::reverse);
    }
    let number = |bytes: &[u8]| -> f64 {
        let word = bytes.iter().rev().fold(0_u64, |word, &byte| word << 8 | u64::from(byte));
        let signed = (word << (64 - 8 * size)) as i64 >> (64 - 8 * size);
        match kind {
            "b1" => f64::from(word != 0),
            "f2" => {
                let (sign, exponent, mantissa) = (word >> 15, (word >> 10 & 31) as i32, (word & 1023) as f64);
                let size = if exponent == 0 {
                    mantissa * 2f64.powi(-24)
                } else {
                    (1024.0 + mantissa) * 2f64.powi(exponent - 25)
                };
                if sign == 1 { -size } else { size }
            }
            "f4" => f64::from(f32::from_bits(word as u32)),
            "f8" => f64::from_bits(word),
            kind if kind.starts_with('i') => signed as f64,
            _ => word as f64,
        }
    };
    let numbers: Vec<f64> = elements.chunks(size).map(number).collect();
    let shape = value("shape")?.split_once('(')?.1.split_once(')')?.0;
    let sizes = shape.split(',').filter_map(|size| size.trim().trim_end_matches('L').parse::<usize>().ok());
    let shape: Vec<usize> = sizes.collect();
    if !value("fortran_order")?.starts_with("True") {
        return Some(numbers);
    }
    // Place of the element with each row-major number.
    let place = |mut number: usize| {
        let digits: Vec<usize> = shape
            .iter()
            .rev()
            .map(|size| {
                let digit = number % size;
                number /= size;
                digit
            })
            .collect();
        let (place, _) = digits
            .iter()
            .rev()
            .zip(&shape)
            .fold((0, 1), |(place, stride), (digit, size)| (place + digit * stride, stride * size));
        place
    };
    Some((0..numbers.len()).map(|number| numbers[place(number)]).collect())
}

/// Options (which form), an archive of numpy or a file of safetensors.
pub fn archive(input: &[u8]) -> bool {
    let [options, file] = parts(input);
    let option = options.first().copied().unwrap_or_default();
    in_folder(|folder| {
        let path = folder.join(if option & 1 > 0 { "set.safetensors" } else { "set.npz" });
        put(&path, file);
        // What is deflated is a thousand times larger at most.
        let bytes = if option & 1 > 0 { file.len() } else { 16 * file.len() };
        checked(&load(&path, bytes, Options { split_seed: u64::from(option >> 1 & 1), ..Options::default() }))
    })
}

/// Options (the column), a table.
pub fn table(input: &[u8]) -> bool {
    let [options, file] = parts(input);
    let target = if options.first().is_some_and(|option| option & 1 > 0) { "a".to_owned() } else { String::new() };
    in_folder(|folder| {
        let path = folder.join("set.csv");
        put(&path, file);
        checked(&load(&path, file.len(), Options { target, ..Options::default() }))
    })
}
