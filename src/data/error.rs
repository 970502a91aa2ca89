//! What can be wrong with data, each with what to do about it.

use std::path::PathBuf;

use super::DataName;
use crate::text::counted;

/// Why numbers are no [`Examples`](super::Examples).
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ExamplesError {
    /// There is nothing to learn from.
    #[error("there is no example; give at least one")]
    NoExamples,
    /// An example of no numbers.
    #[error("examples of shape {shape:?} hold no numbers; each axis must have at least one")]
    NoFeatures {
        /// The shape.
        shape: Vec<usize>,
    },
    /// There is no class to tell from another.
    #[error("there are 0 classes; labels need at least one")]
    NoClasses,
    /// The features end within an example.
    #[error(
        "{} cannot be cut into examples of shape {shape:?}; give every example all of its numbers",
        counted(*features, "feature")
    )]
    Ragged {
        /// How many there are.
        features: usize,
        /// Shape of an example.
        shape: Vec<usize>,
    },
    /// Labels and examples differ in number.
    #[error(
        "{} for {} of {} each; give {}",
        counted(*labels, "label"), counted(*examples, "example"), counted(*each, "label"), examples * each
    )]
    Labels {
        /// How many were given.
        labels: usize,
        /// Examples that the features make.
        examples: usize,
        /// Labels of an example: one, or one per token.
        each: usize,
    },
    /// A label beyond the classes.
    #[error("label {label} of example {example} is not below `classes` = {classes}; correct it, or raise `classes`")]
    Label {
        /// The label.
        label: u32,
        /// The example's number, from 0.
        example: usize,
        /// How many classes there are.
        classes: usize,
    },
    /// There is no label to learn from.
    #[error("every label is ignored; correct loss.ignore_index, or the labels")]
    AllIgnored,
    /// A target that is not finite, or a sign other than −1 and 1.
    #[error(
        "the target of example {example} is {value}; targets must be finite, and those of data.targets = \"signs\" \
         must be −1 or 1"
    )]
    Target {
        /// The value.
        value: f32,
        /// The example's number, from 0.
        example: usize,
    },
    /// Tokens with signs or numbers as targets.
    #[error("examples of tokens need classes as labels, one for each token; give whole numbers")]
    TokensToNumbers,
    /// Signs for other than two classes, or for tokens.
    #[error("signs stand for 2 classes with one label an example, and there are {classes}; choose two by data.classes")]
    NotTwo {
        /// How many there are.
        classes: usize,
    },
    /// NaN or infinity among the features.
    #[error("feature {feature} of example {example} is {value}; features must be finite")]
    NotFinite {
        /// Its place in the example, from 0.
        feature: usize,
        /// The example's number, from 0.
        example: usize,
        /// The value.
        value: f32,
    },
    /// An example that is not there was asked for.
    #[error("example {number} was asked for, and there are {examples}, which count from 0")]
    NoSuchExample {
        /// Its number.
        number: usize,
        /// How many there are.
        examples: usize,
    },
    /// Numbers that memory does not hold.
    #[error("memory does not hold {} of shape {shape:?}; take fewer, or smaller ones", counted(*examples, "example"))]
    TooMany {
        /// How many were asked for.
        examples: usize,
        /// Shape of an example.
        shape: Vec<usize>,
    },
}

/// Why a data set could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A data set that lives in files was asked for, and is in none of the usual places.
    #[error(
        "data set {name} is not in the usual places ({searched}). Fetch it with `edgewalk data fetch {name}`, or set \
         data.path to a folder with {files}, or set EDGEWALK_DATA to the folder whose subfolder {folder}/ holds them"
    )]
    NotHere {
        /// The data set.
        name: DataName,
        /// Where it was looked for.
        searched: String,
        /// The names of its files.
        files: String,
        /// The name of its folder.
        folder: &'static str,
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
    /// A folder was given for examples that are computed.
    #[error("data.name = \"{name}\" reads no files, but data.path is set; remove data.path")]
    PathForComputed {
        /// The data set.
        name: DataName,
    },
    /// A text of one's own was asked for without saying which.
    #[error("data.name = \"text\" reads a file of your own; set data.path to it, or to a folder with input.txt")]
    NoPathForText,
    /// Arrays of one's own were asked for without saying which.
    #[error(
        "data.name = \"arrays\" reads files of your own; set data.path to a file (.npz, .safetensors or .csv), or to a \
         folder of .npy files"
    )]
    NoPathForArrays,
    /// A chosen class that no example has.
    #[error("{file} has no example of class {class}; correct data.classes")]
    NoSuchClass {
        /// The file or folder.
        file: String,
        /// The class.
        class: u32,
    },
    /// A share for testing where there is a test set.
    #[error(
        "data.test = {share} divides the examples of one file, and {file} has a test set of its own; set data.test to \
         a number of examples"
    )]
    ShareOfTwo {
        /// The file or data set.
        file: String,
        /// The share.
        share: f64,
    },
    /// None of the accepted spellings of a file exists in the folder.
    #[error(
        "{folder:?} has none of {names}; put one of them there (`edgewalk data fetch` can), \
         or point data.path at the folder that has it"
    )]
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
    /// A web page, an archive or a pointer in the place of data.
    #[error("{file} is {what}, not data: {advice}")]
    Foreign {
        /// The file.
        file: String,
        /// What it is.
        what: &'static str,
        /// What to do next.
        advice: &'static str,
    },
    /// More examples were asked for than there are.
    #[error("{file} holds {}, but the first {asked} were asked for; {advice}", counted(*held, "example"))]
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
    /// Windows that have nothing to read.
    #[error("model.seq_len is 0, and a window of text needs at least one character to read; raise it")]
    NoWindow,
    /// What was read makes no examples.
    #[error(transparent)]
    Examples(#[from] ExamplesError),
    /// A text has not one window.
    #[error(
        "{file} has {}, but one window takes {needed} (model.seq_len + 1); \
         take a longer text, or lower model.seq_len",
        counted(*held, "character")
    )]
    TooShort {
        /// The file, and which part of it.
        file: String,
        /// Characters there.
        held: usize,
        /// Characters of one window.
        needed: usize,
    },
}

impl DataError {
    /// The error of a file that the system cannot read.
    pub(super) fn io(file: &str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { file: file.into(), source }
    }
}
