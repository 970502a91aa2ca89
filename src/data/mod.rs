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

/// Labelled examples, one row of features each.
#[derive(Clone, Debug, PartialEq)]
pub struct Examples {
    /// Centred inputs, `len() × dim`, row-major, in file order.
    pub features: Vec<f32>,
    /// The class of each example, below `classes`.
    pub labels: Vec<u32>,
    /// Features per example.
    pub dim: usize,
    /// Number of classes.
    pub classes: usize,
}

impl Examples {
    /// The number of examples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no example at all.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
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

/// Loads the first `train` training examples (0 = all) and the first `test` test examples (0 = none, and then no test
/// file is needed), in file order.
///
/// `path` is the folder of the four canonical files; without it `$EDGEWALK_DATA/<name>` is used. The embedded subset
/// takes no path.
///
/// # Errors
/// [`DataError`]: no folder, a missing or malformed file, or fewer examples than asked for.
pub fn load(name: DataName, path: Option<&Path>, train: usize, test: usize) -> Result<Dataset, DataError> {
    let read: Box<dyn Fn(Split, usize) -> Result<Images, DataError>> = match (name, path) {
        (DataName::Embedded, None) => Box::new(embedded::read),
        (DataName::Embedded, Some(path)) => {
            return Err(DataError::PathForEmbedded { path: path.into() });
        }
        (DataName::Mnist | DataName::FashionMnist, path) => {
            let folder = match (path, std::env::var_os(DATA_VARIABLE)) {
                (Some(path), _) => path.to_path_buf(),
                (None, Some(root)) => Path::new(&root).join(name.to_string()),
                (None, None) => {
                    let files = idx::canonical_names().join(", ");
                    return Err(DataError::NoFolder { name, files });
                }
            };
            Box::new(move |split, first_n| idx::read_folder(&folder, split, first_n))
        }
    };
    let train = read(Split::Train, train)?;
    let test = match test {
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
        features: features.collect(),
        labels: images.labels.iter().map(|&label| label.into()).collect(),
        dim: idx::IMAGE_PIXELS,
        classes: idx::CLASSES,
    }
}
