//! The data stage: known bytes in, known numbers out, and a clear error for every way a file can be wrong.
//!
//! Good files are crafted here, byte by byte, from the format's description, so that the reader is never compared with
//! itself. Facts about MNIST come from the published data; the tests that need the full files are ignored
//! unless `EDGEWALK_DATA` names a folder that has `mnist/`.

use std::fs;
use std::io::Write;
use std::path::Path;

use edgewalk::data::idx::{self, IdxSource, read_pair};
use edgewalk::data::images::Images;
use edgewalk::data::{DATA_VARIABLE, DataError, DataName, Dataset, Examples, Request, Roots, Split, catalogue};
use proptest::prelude::*;
use serde::Deserialize;
use serde::de::IntoDeserializer;

use super::objective_cases::real;

/// Pixels of an image of MNIST.
const IMAGE_PIXELS: usize = 28 * 28;

/// The idx format: two zero bytes, 8 for "bytes", the number of dimensions, then each dimension, big-endian.
pub fn idx_file(dims: &[u32], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    dims.iter().for_each(|dim| bytes.extend(dim.to_be_bytes()));
    bytes.extend(payload);
    bytes
}

fn images_file(count: u32) -> Vec<u8> {
    let pixels: Vec<u8> = (0..count as usize * IMAGE_PIXELS).map(pixel).collect();
    idx_file(&[count, 28, 28], &pixels)
}

fn labels_file(count: u32) -> Vec<u8> {
    let labels: Vec<u8> = (0..count).map(|i| (i * 3 % 10) as u8).collect();
    idx_file(&[count], &labels)
}

fn load(name: DataName, path: Option<&Path>, train: usize, test: usize) -> Result<Dataset, DataError> {
    edgewalk::data::load(&Request { path: path.map(Into::into), train, test: test.into(), ..Request::new(name) })
}

/// An arbitrary picture, different in every image.
fn pixel(at: usize) -> u8 {
    (at * 7 + at / IMAGE_PIXELS * 31) as u8
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn read(images: &[u8], labels: &[u8], first_n: usize) -> Result<Images, DataError> {
    read_pair(IdxSource::bytes("IMAGES", images)?, IdxSource::bytes("LABELS", labels)?, first_n)
}

/// Asserts that reading fails with a message that names the file and contains each of `parts`.
fn refused(images: &[u8], labels: &[u8], first_n: usize, parts: &[&str]) {
    let message = read(images, labels, first_n).unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

fn folder_with(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

#[test]
fn every_accepted_spelling_gives_the_same_examples() {
    let spellings = [
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", false),
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", true),
        ("train-images.idx3-ubyte", "train-labels.idx1-ubyte", false),
        ("train-images.idx3-ubyte.gz", "train-labels.idx1-ubyte.gz", true),
        // What counts is the content: some mirrors unzip the file and keep its name.
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", false),
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", true),
    ];
    for (images, labels, zipped) in spellings {
        let pack = |bytes: Vec<u8>| if zipped { gzip(&bytes) } else { bytes };
        let folder = folder_with(&[(images, pack(images_file(5))), (labels, pack(labels_file(5)))]);
        let read = idx::read_folder(folder.path(), Split::Train, 0).unwrap();
        assert_eq!(read.labels, [0, 3, 6, 9, 2], "{images}");
        assert!(read.pixels.iter().enumerate().all(|(at, &value)| value == pixel(at)), "{images}");
        assert_eq!(read.pixels.len(), 5 * IMAGE_PIXELS);
    }
}

#[test]
fn the_first_n_are_a_prefix() {
    for zipped in [false, true] {
        let pack = |bytes: Vec<u8>| if zipped { gzip(&bytes) } else { bytes };
        let (images, labels) = (pack(images_file(5)), pack(labels_file(5)));
        let all = read(&images, &labels, 0).unwrap();
        for n in 1..=5 {
            let some = read(&images, &labels, n).unwrap();
            assert_eq!(some.labels, all.labels[..n]);
            assert_eq!(some.pixels, all.pixels[..n * IMAGE_PIXELS]);
        }
    }
}

#[test]
fn centring_uses_the_training_examples_in_use_and_only_those() {
    // Constant images of grey 64, 128 and 255; the first two are in use: the mean is (64 + 128)/2/256 = 0.375.
    let flat = |greys: &[u8]| {
        let pixels: Vec<u8> = greys.iter().flat_map(|&grey| [grey; IMAGE_PIXELS]).collect();
        idx_file(&[greys.len() as u32, 28, 28], &pixels)
    };
    let folder = folder_with(&[
        ("train-images-idx3-ubyte", flat(&[64, 128, 255])),
        ("train-labels-idx1-ubyte", labels_file(3)),
        ("t10k-images-idx3-ubyte", flat(&[0, 192])),
        ("t10k-labels-idx1-ubyte", labels_file(2)),
    ]);
    let data = load(DataName::FashionMnist, Some(folder.path()), 2, 2).unwrap();
    let test = data.test.unwrap();
    assert_eq!((data.train.len(), data.train.dim(), data.train.classes()), (2, 784, 10));
    assert_eq!(data.train.labels(), [0, 3]);
    let row = |examples: &Examples, i: usize| real(examples)[i * 784..(i + 1) * 784].to_vec();
    assert_eq!(row(&data.train, 0), [-0.125; 784]);
    assert_eq!(row(&data.train, 1), [0.125; 784]);
    assert_eq!(row(&test, 0), [-0.375; 784]);
    assert_eq!(row(&test, 1), [0.375; 784]);
}

#[test]
fn no_test_file_is_needed_without_test_examples() {
    let folder =
        folder_with(&[("train-images-idx3-ubyte", images_file(3)), ("train-labels-idx1-ubyte", labels_file(3))]);
    assert!(load(DataName::Mnist, Some(folder.path()), 0, 0).unwrap().test.is_none());
    let message = load(DataName::Mnist, Some(folder.path()), 0, 1).unwrap_err().to_string();
    assert!(message.contains("t10k-images-idx3-ubyte.gz") && message.contains("data.path"), "{message}");
}

#[test]
fn a_missing_folder_or_file_is_named() {
    let folder = folder_with(&[("train-images-idx3-ubyte", images_file(3))]);
    for (folder, name) in [(folder.path(), "train-labels"), (&folder.path().join("nowhere"), "train-images")] {
        let error = load(DataName::Mnist, Some(folder), 0, 0).unwrap_err();
        assert!(matches!(error, DataError::Missing { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains(name) && message.contains(folder.to_str().unwrap()), "{message}");
    }
    let message = IdxSource::file(&folder.path().join("nowhere")).err().unwrap().to_string();
    assert!(message.contains("nowhere") && message.contains("cannot read"), "{message}");
}

#[test]
fn every_malformed_header_is_an_error_that_says_what_was_found() {
    let (images, labels) = (images_file(3), labels_file(3));
    refused(&labels, &labels, 0, &["IMAGES", "0x00000803", "0x00000801", "swapped"]);
    refused(&images, &images, 0, &["LABELS", "0x00000801", "0x00000803", "swapped"]);
    refused(b"PK\x03\x04 an archive", &labels, 0, &["IMAGES is a zip archive", "unpack it"]);
    refused(b"PNG\x04 a picture", &labels, 0, &["IMAGES", "0x504e4704", "not an MNIST file"]);
    refused(b"", &labels, 0, &["IMAGES", "4 bytes of magic number", "only 0"]);
    refused(&images[..15], &labels, 0, &["IMAGES", "12 bytes of dimensions", "only 11"]);
    refused(&images, &labels[..7], 0, &["LABELS", "4 bytes of dimensions", "only 3"]);
    refused(&idx_file(&[3, 0, 28], &[]), &labels, 0, &["1 to 16777216 pixels", "0 × 28"]);
    refused(&idx_file(&[0, 28, 28], &[]), &labels_file(0), 0, &["IMAGES", "1 to", "found 0"]);
    refused(&images, &labels_file(4), 0, &["LABELS", "3 labels", "IMAGES", "found 4"]);
}

#[test]
fn a_web_page_is_called_one() {
    for page in ["<!DOCTYPE html><title>Sign in</title>", " \n<HTML lang=en>", "\u{feff}<html>"] {
        refused(page.as_bytes(), &labels_file(3), 0, &["IMAGES is an HTML page"]);
        refused(&images_file(3), page.as_bytes(), 0, &["LABELS is an HTML page"]);
    }
    refused(b"<htm", &labels_file(3), 0, &["magic number"]);
}

#[test]
fn a_header_that_claims_the_world_takes_no_memory() {
    refused(&idx_file(&[u32::MAX, 28, 28], &[]), &labels_file(3), 0, &["IMAGES", "4294967295"]);
    refused(&idx_file(&[3, u32::MAX, u32::MAX], &[]), &labels_file(3), 0, &["4294967295 × 4294967295"]);
    let million = 1_000_000;
    let few_labels = idx_file(&[million], &[1; 3]);
    refused(&idx_file(&[million, 28, 28], &[]), &few_labels, 0, &["LABELS", "1000000 bytes of labels", "only 3"]);
}

#[test]
fn every_malformed_payload_is_an_error_whether_or_not_it_was_needed() {
    let (images, labels) = (images_file(3), labels_file(3));
    let longer = |bytes: &[u8]| [bytes, &[0]].concat();
    let shorter = |bytes: &[u8]| bytes[..bytes.len() - 1].to_vec();
    refused(&shorter(&images), &labels, 0, &["IMAGES", "2352 bytes of images", "only 2351"]);
    refused(&shorter(&images), &labels, 1, &["IMAGES", "1 byte too short"]);
    refused(&images, &shorter(&labels), 0, &["LABELS", "3 bytes of labels", "only 2"]);
    for first_n in [0, 1] {
        refused(&longer(&images), &labels, first_n, &["IMAGES", "the end of the file", "more bytes"]);
        refused(&images, &longer(&labels), first_n, &["LABELS", "the end of the file", "more bytes"]);
        refused(&longer(&gzip(&images)), &labels, first_n, &["IMAGES", "gzip"]);
        for cut in [5, 20, 8, 1] {
            let zipped = gzip(&images);
            let cut = &zipped[..zipped.len() - cut];
            refused(cut, &labels, first_n, &["IMAGES", "a complete gzip stream", "ends early"]);
        }
        // One bit of the stored checksum: the pixels decode, and are not to be trusted.
        let mut damaged = gzip(&images);
        let checksum = damaged.len() - 8;
        damaged[checksum] ^= 1;
        refused(&damaged, &labels, first_n, &["IMAGES", "damaged"]);
    }
    refused(&[0x1f, 0x8b], &labels, 0, &["IMAGES", "gzip"]);
    refused(&images, &idx_file(&[3], &[1, 10, 2]), 0, &["LABELS", "0 to 9", "10 for example 1"]);
}

#[test]
fn asking_for_more_than_there_is_says_how_many_there_are() {
    refused(&images_file(3), &labels_file(3), 4, &["IMAGES", "3 examples", "first 4", "data.train (0 = all)"]);
    for (train, test, parts) in [(1001, 0, ["1000", "1001", "mnist"]), (0, 501, ["500", "501", "mnist"])] {
        let message = load(DataName::Embedded, None, train, test).unwrap_err().to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
}

#[test]
fn the_embedded_data_take_no_path_and_a_text_of_ones_own_needs_one() {
    let message = load(DataName::Embedded, Some(Path::new("somewhere")), 0, 0).unwrap_err().to_string();
    assert!(message.contains("somewhere") && message.contains("remove data.path"), "{message}");
    let message = load(DataName::Text, None, 0, 0).unwrap_err().to_string();
    assert!(message.contains("set data.path"), "{message}");
}

#[test]
fn data_are_found_under_the_variable_first_and_in_the_cache_otherwise() {
    let [variable, cache] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let roots = Roots { variable: Some(variable.path().into()), cache: Some(cache.path().into()) };
    for set in catalogue::DATA_SETS {
        let [in_variable, in_cache] = [&variable, &cache].map(|root| root.path().join(set.folder));
        // Neither has it: the message has every way out.
        let message = roots.find(set.name).unwrap_err().to_string();
        let fetch = format!("edgewalk data fetch {}", set.name);
        let folder = format!("subfolder {}/", set.folder);
        let places = [&in_variable, &in_cache].map(|place| place.to_str().unwrap());
        let files = set.files().iter().map(|file| file.name);
        let parts = files.chain(places).chain([&fetch, &folder, "data.path", DATA_VARIABLE]);
        parts.for_each(|part| assert!(message.contains(part), "{part:?} is not in {message:?}"));

        fs::create_dir(&in_cache).unwrap();
        assert_eq!(roots.find(set.name).unwrap(), in_cache);
        assert_eq!(Roots { variable: None, ..roots.clone() }.find(set.name).unwrap(), in_cache);
        fs::create_dir(&in_variable).unwrap();
        assert_eq!(roots.find(set.name).unwrap(), in_variable);
    }
}

#[test]
fn names_are_the_same_in_a_config_and_on_screen() {
    let names =
        ["embedded", "mnist", "fashion-mnist", "cifar10", "shakespeare", "text", "chebyshev", "spirals", "arrays"];
    assert_eq!(DataName::NAMES, names);
    for &spelling in DataName::NAMES {
        let text: serde::de::value::StrDeserializer<serde::de::value::Error> = spelling.into_deserializer();
        assert_eq!(DataName::deserialize(text).unwrap().to_string(), spelling);
    }
}

#[test]
fn the_embedded_subset_is_the_start_of_mnist() {
    let data = load(DataName::Embedded, None, 0, 500).unwrap();
    let test = data.test.unwrap();
    assert_eq!((data.train.len(), test.len()), (1000, 500));
    // How MNIST begins, as anyone who has looked at it will recognise.
    assert_eq!(data.train.labels()[..10], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
    assert_eq!(test.labels()[..10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
    // Centred: each feature sums to zero over the training set, up to one f32 rounding per term.
    for column in 0..data.train.dim() {
        let features = real(&data.train).iter().skip(column).step_by(data.train.dim());
        let sum: f64 = features.map(|&value| f64::from(value)).sum();
        assert!(sum.abs() < 1000.0 * f64::from(f32::EPSILON), "feature {column} sums to {sum}");
    }
    // The corner pixel is blank in every image, hence 0 once centred; the middle is not.
    assert!(real(&data.train).iter().step_by(784).all(|&value| value == 0.0));
    assert!(real(&data.train).iter().skip(14 * 28 + 14).step_by(784).any(|&value| value != 0.0));
}

proptest! {
    #[test]
    fn random_bytes_are_refused(images in prop::collection::vec(any::<u8>(), 0..200), zipped: bool) {
        // A valid file starts with 00 00 08 03, which 200 random bytes do not in practice; what matters is: no panic.
        let images = if zipped { gzip(&images) } else { images };
        prop_assert!(read(&images, &labels_file(3), 0).is_err());
    }

    #[test]
    fn damage_is_refused_or_confined_to_values(
        at in 0_usize..10_000, value: u8, keep in 0.0_f64..1.0, zipped: bool, in_labels: bool, cut: bool, first_n in 0_usize..5,
    ) {
        let pack = |bytes: Vec<u8>| if zipped { gzip(&bytes) } else { bytes };
        let mut files = [pack(images_file(3)), pack(labels_file(3))];
        let file = &mut files[usize::from(in_labels)];
        let at = at % file.len();
        file[at] = value;
        if cut {
            file.truncate((keep * file.len() as f64) as usize);
        }
        if let Ok(read) = read(&files[0], &files[1], first_n) {
            let count = if first_n == 0 { 3 } else { first_n };
            prop_assert!(!cut && count <= 3);
            prop_assert_eq!((read.labels.len(), read.pixels.len()), (count, count * IMAGE_PIXELS));
            prop_assert!(read.labels.iter().all(|&label| label < 10));
        }
    }
}
