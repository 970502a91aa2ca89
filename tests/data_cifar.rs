//! CIFAR-10's binary files: records made here by the format's description, every way they can be wrong, and what is
//! published about the real ones.

use std::fs;
use std::path::Path;

use edgewalk::data::{DataError, DataName, Dataset, Request};
use tempfile::TempDir;

use super::objective_cases::real;

/// Bytes of a record: a label, then the red, green and blue planes of 32 × 32.
const RECORD: usize = 3073;

/// A record whose colours are functions of row and column.
fn record(label: u8, colours: [fn(usize, usize) -> usize; 3]) -> Vec<u8> {
    let mut bytes = vec![label];
    for colour in colours {
        (0..32).for_each(|y| bytes.extend((0..32).map(|x| colour(y, x) as u8)));
    }
    bytes
}

/// Records of one grey each.
fn plain(labels: &[u8]) -> Vec<u8> {
    labels.iter().flat_map(|&label| record(label, [|_, _| 16; 3])).collect()
}

fn folder_with(files: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, bytes)| fs::write(folder.path().join(name), bytes).unwrap());
    folder
}

fn load(folder: &Path, train: usize, test: usize) -> Result<Dataset, DataError> {
    let path = Some(folder.into());
    edgewalk::data::load(&Request { path, train, test: test.into(), ..Request::new(DataName::Cifar10) })
}

/// Asserts that loading fails with a message that contains each of `parts`.
fn refused(folder: &TempDir, train: usize, test: usize, parts: &[&str]) {
    let message = load(folder.path(), train, test).unwrap_err().to_string();
    parts.iter().for_each(|part| assert!(message.contains(part), "{part:?} is not in {message:?}"));
}

#[test]
fn planes_become_channels_and_are_centred_over_the_training_examples_in_use() {
    // Red grows downwards, green to the right, blue is even. With a black picture beside it, the mean is half of that.
    let ramp = record(6, [|y, _| 8 * y, |_, x| 8 * x, |_, _| 64]);
    let black = record(9, [|_, _| 0; 3]);
    let bright = record(1, [|_, _| 255; 3]);
    let folder = folder_with(&[
        ("data_batch_1.bin", [ramp, black.clone(), bright].concat()),
        ("test_batch.bin", [black.clone(), black].concat()),
    ]);
    let Dataset { train, test } = load(folder.path(), 2, 1).unwrap();
    let test = test.unwrap();
    assert_eq!((train.shape(), train.classes(), train.len(), test.len()), (&[32, 32, 3][..], 10, 2, 1));
    assert_eq!((train.labels(), test.labels()), (&[6, 9][..], &[9][..]));
    let half = |y: usize, x: usize| [y as f32 / 64.0, x as f32 / 64.0, 0.125];
    let expected: Vec<f32> = (0..32).flat_map(|y| (0..32).flat_map(move |x| half(y, x))).collect();
    let negated: Vec<f32> = expected.iter().map(|x| -x).collect();
    assert_eq!(real(&train), [expected, negated.clone()].concat());
    assert_eq!(real(&test), negated);
}

#[test]
fn batches_are_read_in_the_order_of_their_numbers() {
    // 10 comes after 2, and files of other names are not data.
    let folder = folder_with(&[
        ("data_batch_10.bin", plain(&[5])),
        ("data_batch_2.bin", plain(&[3, 4])),
        ("data_batch_1.bin", plain(&[1, 2])),
        ("data_batch_x.bin", plain(&[9])),
        ("batches.meta.txt", b"airplane\n".to_vec()),
    ]);
    for n in 1..=5 {
        assert_eq!(*load(folder.path(), n, 0).unwrap().train.labels(), [1, 2, 3, 4, 5][..n]);
    }
    assert_eq!(load(folder.path(), 0, 0).unwrap().train.len(), 5);
    refused(&folder, 6, 0, &["5 examples", "first 6", "data.train", folder.path().to_str().unwrap()]);
    refused(&folder, 0, 1, &["test_batch.bin", "data.path"]);
}

#[test]
fn missing_files_are_named() {
    let folder = folder_with(&[("test_batch.bin", plain(&[1]))]);
    refused(&folder, 0, 0, &["data_batch_1.bin", folder.path().to_str().unwrap()]);
    let message = load(&folder.path().join("nowhere"), 0, 0).unwrap_err().to_string();
    assert!(message.contains("nowhere") && message.contains("data_batch_1.bin"), "{message}");
}

#[test]
fn a_web_page_is_called_one() {
    let page = b"<!doctype HTML>\n<p>moved</p>".to_vec();
    let folder = folder_with(&[("data_batch_1.bin", page.clone())]);
    refused(&folder, 0, 0, &["data_batch_1.bin is an HTML page"]);
    // Though it is as long as a record.
    let mut long = page;
    long.resize(3073, b' ');
    refused(&folder_with(&[("data_batch_1.bin", long)]), 0, 0, &["data_batch_1.bin is an HTML page"]);
}

#[test]
fn a_wrong_length_or_label_is_refused_by_file_and_byte() {
    let two = plain(&[1, 2]);
    let shorter =
        folder_with(&[("data_batch_1.bin", plain(&[0])), ("data_batch_2.bin", two[..2 * RECORD - 1].to_vec())]);
    // Whether or not the record is needed.
    for n in [0, 1] {
        refused(
            &shorter,
            n,
            0,
            &["data_batch_2.bin", "records of 3073 bytes", "6145 bytes", "byte 3073 has only 3072"],
        );
    }
    let longer = folder_with(&[("data_batch_1.bin", [two, vec![0]].concat())]);
    refused(&longer, 0, 0, &["data_batch_1.bin", "6147 bytes", "byte 6146 has only 1", "edgewalk data fetch cifar10"]);
    let empty = folder_with(&[("data_batch_1.bin", vec![])]);
    refused(&empty, 0, 0, &["data_batch_1.bin", "an empty file"]);
    let label = folder_with(&[("data_batch_1.bin", plain(&[9])), ("data_batch_2.bin", plain(&[0, 1, 10]))]);
    refused(&label, 0, 0, &["data_batch_2.bin", "a label from 0 to 9 at byte 6146", "found 10"]);
    assert_eq!(load(label.path(), 3, 0).unwrap().train.labels(), [9, 0, 1]);
    let test = folder_with(&[("data_batch_1.bin", plain(&[9])), ("test_batch.bin", plain(&[255]))]);
    refused(&test, 0, 1, &["test_batch.bin", "at byte 0", "found 255"]);
}
