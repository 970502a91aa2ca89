//! The data of the quickstart, inside the binary: the first 1,000 training and 500 test examples of MNIST, as gzipped
//! idx files (`assets/mnist-subset`, with source and licence) that the reader for files on disk reads.

use super::idx::{self, IdxSource};
use super::images::Images;
use super::{DataError, Split};

const TRAIN_IMAGES: &[u8] = include_bytes!("../../assets/mnist-subset/train-images-idx3-ubyte.gz");
const TRAIN_LABELS: &[u8] = include_bytes!("../../assets/mnist-subset/train-labels-idx1-ubyte.gz");
const TEST_IMAGES: &[u8] = include_bytes!("../../assets/mnist-subset/t10k-images-idx3-ubyte.gz");
const TEST_LABELS: &[u8] = include_bytes!("../../assets/mnist-subset/t10k-labels-idx1-ubyte.gz");

/// The first `first_n` embedded examples of a split (0 = all).
///
/// # Errors
/// [`DataError::TooFew`] beyond the 1,000 training or 500 test examples.
pub fn read(split: Split, first_n: usize) -> Result<Images, DataError> {
    let (name, images, labels) = match split {
        Split::Train => ("the embedded training set", TRAIN_IMAGES, TRAIN_LABELS),
        Split::Test => ("the embedded test set", TEST_IMAGES, TEST_LABELS),
    };
    let images = IdxSource::bytes(name, images)?;
    let labels = IdxSource::bytes(name, labels)?;
    idx::read_pair(images, labels, first_n).map_err(|error| match error {
        DataError::TooFew { file, held, asked, .. } => DataError::TooFew {
            file,
            held,
            asked,
            advice: "ask for fewer, or set data.name = \"mnist\" and data.path to read the full set from files",
        },
        other => other,
    })
}
