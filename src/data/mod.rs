//! Data sets as plain numbers. Every source, files or the subset inside the binary, is turned into flat rows of numbers
//! or tokens, and targets: classes, signs or numbers.
//!
//! [`idx`], [`cifar`], [`text`] and [`arrays`] read their formats and check every byte; `embedded` has the data of the
//! program, and `toys` computes some; [`images`] centres. [`catalogue`] lists the downloads, [`Roots`] the folders, and [`fetch`] downloads.

pub mod arrays;
pub mod catalogue;
pub mod cifar;
#[cfg(feature = "fetch")]
pub mod download;
mod embedded;
mod error;
mod examples;
#[cfg(feature = "fetch")]
pub mod fetch;
pub mod idx;
pub mod images;
#[cfg(feature = "fetch")]
mod incoming;
pub mod made_up;
pub(crate) mod page;
mod roots;
mod targets;
pub mod text;
mod toys;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::choice::choice;
use text::TestLines;

pub use error::{DataError, ExamplesError};
pub use examples::{Examples, Features, IGNORED};
pub use roots::{DATA_VARIABLE, Roots};
pub use targets::{TargetKind, Targets, TargetsAs};

/// A training set and, if requested, a test set centred by the same mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// The examples that the loss is averaged over.
    pub train: Examples,
    /// Held-out examples, only ever evaluated.
    pub test: Option<Examples>,
}

choice! {
    /// A data set that Edgewalk can read.
    DataName {
        /// The first 1,000 training and 500 test images of MNIST, inside the binary.
        Embedded = "embedded",
        /// MNIST handwritten digits, from files.
        Mnist = "mnist",
        /// Fashion-MNIST, from files of the same format and names.
        FashionMnist = "fashion-mnist",
        /// CIFAR-10 pictures, from its binary files.
        Cifar10 = "cifar10",
        /// tiny_shakespeare, whose last 10,000 lines are the test set.
        Shakespeare = "shakespeare",
        /// A custom text; the last quarter of its lines is the test set.
        Text = "text",
        /// Points of a Chebyshev polynomial, computed.
        Chebyshev = "chebyshev",
        /// Points on two spirals, computed.
        Spirals = "spirals",
        /// Arrays of one's own: `.npz`, a folder of `.npy`, `.safetensors` or `.csv`.
        Arrays = "arrays",
    }
}

choice! {
    /// The order of the axes of images in a file.
    ImageLayout {
        /// Examples, height, width, channels, as in TensorFlow and in this program.
        Nhwc = "nhwc",
        /// Examples, channels, height, width, as in PyTorch.
        Nchw = "nchw",
    }
}

/// The two halves of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// The training examples.
    Train,
    /// The test examples.
    Test,
}

/// How much of a data set is for testing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TestSize {
    /// So many test examples, from the start of the file; 0 is none, and needs no test file.
    First(usize),
    /// This share of the examples of arrays without a test set, chosen by [`Options::split_seed`].
    Share(f64),
}

impl From<usize> for TestSize {
    fn from(count: usize) -> Self {
        Self::First(count)
    }
}

/// How examples are prepared. Some options are for arrays alone: see docs/data.md.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The classes to keep, which are numbered anew in this order; empty is all.
    pub classes: Vec<u32>,
    /// The meaning of labels.
    pub targets: TargetsAs,
    /// Whether the mean of each feature over the training set is subtracted; `None`: of images yes, of arrays no.
    pub centre: Option<bool>,
    /// The degree of a Chebyshev polynomial.
    pub degree: u32,
    /// Features of arrays are divided by this.
    pub scale: f64,
    /// The axes of the arrays' images, which are turned to height, width, channels.
    pub layout: ImageLayout,
    /// The column of a table with the labels; empty is the last one.
    pub target: String,
    /// Whether the features of arrays are tokens.
    pub tokens: bool,
    /// Whether token 0 of arrays is padding, whose label does not count.
    pub padding: bool,
    /// The label of arrays that does not count.
    pub ignored: Option<i64>,
    /// The seed of [`TestSize::Share`].
    pub split_seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            classes: vec![],
            targets: TargetsAs::Auto,
            centre: None,
            degree: 4,
            scale: 1.0,
            layout: ImageLayout::Nhwc,
            target: String::new(),
            tokens: false,
            padding: true,
            ignored: None,
            split_seed: 0,
        }
    }
}

/// A data set to load.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The data set.
    pub name: DataName,
    /// The place of its files; `None` is the usual place.
    pub path: Option<PathBuf>,
    /// The number of training examples, from the start of the file; 0 is all.
    pub train: usize,
    /// The number of test examples, or their share.
    pub test: TestSize,
    /// Characters of a window of text; images ignore it.
    pub seq_len: usize,
    /// How they are prepared.
    pub options: Options,
}

impl Request {
    /// All training examples of a data set in its usual place, and no test examples.
    pub fn new(name: DataName) -> Self {
        Self { name, path: None, train: 0, test: TestSize::First(0), seq_len: 64, options: Options::default() }
    }
}

/// Loads a data set, from `request.path` or from where [`Roots`] finds it. The embedded subset takes no path; a custom
/// text needs one.
///
/// # Errors
/// [`DataError`]: no such folder, a missing or malformed file, or fewer examples than asked for.
pub fn load(request: &Request) -> Result<Dataset, DataError> {
    let name = request.name;
    let place = || request.path.clone().map_or_else(|| Roots::of_this_machine().find(name), Ok);
    match name {
        DataName::Embedded => match &request.path {
            None => images::load(request, embedded::read),
            Some(path) => Err(DataError::PathForEmbedded { path: path.into() }),
        },
        DataName::Mnist | DataName::FashionMnist => {
            let folder = place()?;
            images::load(request, |split, first_n| idx::read_folder(&folder, split, first_n))
        }
        DataName::Cifar10 => {
            let folder = place()?;
            images::load(request, |split, first_n| cifar::read_folder(&folder, split, first_n))
        }
        DataName::Shakespeare => text::read(&place()?, TestLines::Shakespeare, request),
        DataName::Text => text::read(&place()?, TestLines::LastQuarter, request),
        DataName::Chebyshev | DataName::Spirals if request.path.is_some() => Err(DataError::PathForComputed { name }),
        DataName::Chebyshev => toys::chebyshev(request),
        DataName::Spirals => toys::spirals(request),
        DataName::Arrays => arrays::read(&place()?, request),
    }
}

/// The shape and the elements of a `.npy` file.
///
/// # Errors
/// [`DataError`], naming the file.
pub fn read_npy(path: &Path) -> Result<(Vec<usize>, Vec<f64>), DataError> {
    arrays::read_npy(path)
}

/// The files that loading all of a data set from `place`, its folder or file, would read; none for the embedded one.
///
/// # Errors
/// [`DataError::Missing`] if one is not there, [`DataError::Io`] if the folder cannot be read.
pub fn files(name: DataName, place: &Path) -> Result<Vec<PathBuf>, DataError> {
    Ok(match name {
        DataName::Embedded | DataName::Chebyshev | DataName::Spirals => vec![],
        DataName::Mnist | DataName::FashionMnist => {
            [idx::files(place, Split::Train)?, idx::files(place, Split::Test)?].concat()
        }
        DataName::Cifar10 => [cifar::files(place, Split::Train)?, cifar::files(place, Split::Test)?].concat(),
        DataName::Shakespeare | DataName::Text => vec![text::file(place)?],
        DataName::Arrays => vec![place.into()],
    })
}
