//! Data sets as plain numbers: what to load, how much of it, and how its inputs are centred.
//!
//! One idea: whatever the source (files on disk or the subset inside the binary), a data set leaves this folder as flat
//! `f32` rows and `u32` labels, already centred; nothing downstream knows about files. [`idx`] reads the bytes,
//! `embedded` holds the bytes that ship with the program, and this file chooses between them and centres.
//!
//! Inputs are pixels/256 minus the per-pixel mean over the training examples *in use* (after "the first n"), as in the
//! official code of Long and Bartlett, "Sharpness-Aware Minimization and the Edge of Stability" (arXiv 2309.12488).

mod embedded;
pub mod idx;

use std::path::{Path, PathBuf};

use crate::choice::choice;
use idx::{Images, Split};

/// The environment variable that names the folder holding `mnist/` and `fashion-mnist/`.
pub const DATA_VARIABLE: &str = "EDGEWALK_DATA";

/// What a network reads of its examples, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Features {
    /// Numbers, such as centred pixels.
    Real(Vec<f32>),
    /// Token codes; 0 is padding, whose label does not count.
    Tokens(Vec<u32>),
}

impl Features {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Real(values) => values.len(),
            Self::Tokens(codes) => codes.len(),
        }
    }

    /// Whether there is no element at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Labelled examples, one row of features each: an image with its class, or a window of text with the character that
/// follows each of its characters.
#[derive(Clone, Debug, PartialEq)]
pub struct Examples {
    /// The inputs, `len() × dim()`, in file order; real ones are centred.
    pub features: Features,
    /// Shape of one example's features: `[28, 28, 1]` (height, width, channel) or `[length]`.
    pub shape: Vec<usize>,
    /// Classes, each below `classes`: `labels_each()` of every example.
    pub labels: Vec<u32>,
    /// Number of classes.
    pub classes: usize,
}

impl Examples {
    /// Features per example.
    pub fn dim(&self) -> usize {
        self.shape.iter().product()
    }

    /// Labels per example: one, or one per token.
    pub fn labels_each(&self) -> usize {
        match self.features {
            Features::Real(_) => 1,
            Features::Tokens(_) => self.dim(),
        }
    }

    /// The number of examples.
    pub fn len(&self) -> usize {
        self.labels.len() / self.labels_each()
    }

    /// Whether there is no example at all.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// For tokens, the weight of every label in the mean: 1/n where its token is one of the n that are not padding.
    /// `None` for real features: all labels weigh the same.
    pub fn label_weights(&self) -> Option<Vec<f32>> {
        let Features::Tokens(codes) = &self.features else { return None };
        let counted = codes.iter().filter(|&&code| code != 0).count();
        let weight = (1.0 / counted.max(1) as f64) as f32;
        Some(codes.iter().map(|&code| if code == 0 { 0.0 } else { weight }).collect())
    }

    /// The examples of these numbers, in this order.
    ///
    /// # Panics
    /// When a number is not below `len()`.
    #[must_use]
    pub fn select(&self, numbers: &[usize]) -> Self {
        fn rows<T: Copy>(values: &[T], each: usize, numbers: &[usize]) -> Vec<T> {
            numbers.iter().flat_map(|&i| values[i * each..(i + 1) * each].iter().copied()).collect()
        }
        let features = match &self.features {
            Features::Real(values) => Features::Real(rows(values, self.dim(), numbers)),
            Features::Tokens(codes) => Features::Tokens(rows(codes, self.dim(), numbers)),
        };
        let labels = rows(&self.labels, self.labels_each(), numbers);
        Self { features, labels, shape: self.shape.clone(), classes: self.classes }
    }
}

/// A training set and, where one was asked for, a test set centred by the same mean.
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
    }
}

/// Why a data set could not be loaded, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A data set that lives in files was asked for, and nothing says where they are.
    #[error(
        "data set {name}: no folder given. Set data.path to a folder with {files} (each may end in .gz), \
         or set EDGEWALK_DATA to the folder whose subfolder {name}/ holds them"
    )]
    NoFolder {
        /// The data set.
        name: DataName,
        /// The canonical file names.
        files: String,
    },
    /// A path was given for the data that ship inside the binary.
    #[error(
        "data.name = \"embedded\" reads no files, but data.path = {path:?} is set; \
         remove data.path, or set data.name to \"mnist\" to read that folder"
    )]
    PathForEmbedded {
        /// The path given.
        path: PathBuf,
    },
    /// None of the accepted spellings of a file exists in the folder.
    #[error("{folder:?} has none of {names}; put one of them there, or point data.path at the folder that has it")]
    Missing {
        /// The folder that was searched.
        folder: PathBuf,
        /// The file names that were looked for.
        names: String,
    },
    /// The operating system refused.
    #[error("cannot read {file}: {source}; check the path and its permissions")]
    Io {
        /// The file.
        file: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is there, but is not what it should be.
    #[error("{file}: expected {expected}, found {found}; {advice}")]
    Malformed {
        /// The file.
        file: String,
        /// What a good file holds at this point.
        expected: String,
        /// What this one holds.
        found: String,
        /// What to do next.
        advice: &'static str,
    },
    /// More examples were asked for than there are.
    #[error("{file} holds {held} examples, but the first {asked} were asked for; {advice}")]
    TooFew {
        /// The file.
        file: String,
        /// Examples in the file.
        held: usize,
        /// Examples asked for.
        asked: usize,
        /// What to do next.
        advice: &'static str,
    },
}

/// What to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The data set.
    pub name: DataName,
    /// Where its files are; `None` is the usual place.
    pub path: Option<PathBuf>,
    /// The first so many training examples in file order; 0 is all of them.
    pub train: usize,
    /// The first so many test examples in file order; 0 is none, and then no test file is needed.
    pub test: usize,
    /// Characters of a window of text; images do not look at it.
    pub seq_len: usize,
}

impl Request {
    /// All training examples of a data set in its usual place, and no test examples.
    pub fn new(name: DataName) -> Self {
        Self { name, path: None, train: 0, test: 0, seq_len: 64 }
    }
}

/// Loads a data set.
///
/// `path` is the folder of the four canonical files; without it `$EDGEWALK_DATA/<name>` is used. The embedded subset
/// takes no path.
///
/// # Errors
/// [`DataError`]: no folder, a missing or malformed file, or fewer examples than asked for.
pub fn load(request: &Request) -> Result<Dataset, DataError> {
    let read: Box<dyn Fn(Split, usize) -> Result<Images, DataError>> = match (request.name, &request.path) {
        (DataName::Embedded, None) => Box::new(embedded::read),
        (DataName::Embedded, Some(path)) => {
            return Err(DataError::PathForEmbedded { path: path.into() });
        }
        (name @ (DataName::Mnist | DataName::FashionMnist), path) => {
            let folder = match (path, std::env::var_os(DATA_VARIABLE)) {
                (Some(path), _) => path.clone(),
                (None, Some(root)) => Path::new(&root).join(name.to_string()),
                (None, None) => {
                    let files = idx::canonical_names().join(", ");
                    return Err(DataError::NoFolder { name, files });
                }
            };
            Box::new(move |split, first_n| idx::read_folder(&folder, split, first_n))
        }
    };
    let train = read(Split::Train, request.train)?;
    let test = match request.test {
        0 => None,
        first_n => Some(read(Split::Test, first_n)?),
    };
    let mean = pixel_mean(&train);
    Ok(Dataset { test: test.map(|images| centre(&images, &mean)), train: centre(&train, &mean) })
}

/// Per-pixel mean of pixels/256, `[IMAGE_PIXELS]`. Sums of bytes are exact in `f64`, so the only rounding is the division.
fn pixel_mean(images: &Images) -> Vec<f64> {
    let mut sum = vec![0.0_f64; idx::IMAGE_PIXELS];
    for image in images.pixels.chunks_exact(idx::IMAGE_PIXELS) {
        for (sum, &pixel) in sum.iter_mut().zip(image) {
            *sum += f64::from(pixel);
        }
    }
    let scale = 1.0 / (256.0 * images.labels.len() as f64);
    sum.into_iter().map(|sum| sum * scale).collect()
}

/// pixels/256 − mean, subtracted in `f64` and rounded to `f32` once.
fn centre(images: &Images, mean: &[f64]) -> Examples {
    let features = images.pixels.chunks_exact(idx::IMAGE_PIXELS);
    let features = features.flat_map(|image| {
        let centred = image.iter().zip(mean);
        centred.map(|(&pixel, mean)| (f64::from(pixel) / 256.0 - mean) as f32)
    });
    Examples {
        features: Features::Real(features.collect()),
        shape: idx::IMAGE_SHAPE.to_vec(),
        labels: images.labels.iter().map(|&label| label.into()).collect(),
        classes: idx::CLASSES,
    }
}
