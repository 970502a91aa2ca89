//! The errors of data, each with advice.

use std::path::PathBuf;

use super::DataName;

/// The reasons that numbers are not [`Examples`](super::Examples).
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ExamplesError {
    /// There are no examples.
    #[error("there is no example; give at least one")]
    NoExamples,
    /// An example of no numbers.
    #[error("examples of shape {shape:?} hold no numbers; each axis must have at least one")]
    NoFeatures {
        /// The shape.
        shape: Vec<usize>,
    },
    /// There are fewer than two classes.
    #[error("there are 0 classes; labels need at least one")]
    NoClasses,
    /// The features end within an example.
    #[error(
        "{features} features are no whole number of examples of shape {shape:?}; give every example all of its numbers"
    )]
    Ragged {
        /// How many there are.
        features: usize,
        /// Shape of an example.
        shape: Vec<usize>,
    },
    /// Labels and examples differ in number.
    #[error("{labels} labels were given for {examples} examples of {each} labels each; give {} of them", examples * each)]
    Labels {
        /// How many were given.
        labels: usize,
        /// Examples that the features make.
        examples: usize,
        /// Labels of an example: one, or one per token.
        each: usize,
    },
    /// A label beyond the classes.
    #[error(
        "label {label} of example {example} is none of the {classes} classes, which count from 0; correct it, or raise `classes`"
    )]
    Label {
        /// The label.
        label: u32,
        /// The example's number, from 0.
        example: usize,
        /// How many classes there are.
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
    /// There is no example of this number.
    #[error("example {number} was asked for, and there are {examples}, which count from 0")]
    NoSuchExample {
        /// Its number.
        number: usize,
        /// How many there are.
        examples: usize,
    },
    /// More numbers than memory holds.
    #[error("{examples} examples of shape {shape:?} are more than memory holds; take fewer, or smaller ones")]
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
    /// The files of a data set are in none of the usual places.
    #[error(
        "data set {name} is not in the usual places ({searched}). Fetch it with `edgewalk data fetch {name}`, or set \
         data.path to a folder with {files}, or set EDGEWALK_DATA to the folder whose subfolder {folder}/ holds them"
    )]
    NotHere {
        /// The data set.
        name: DataName,
        /// The folders searched.
        searched: String,
        /// The names of its files.
        files: String,
        /// The name of its folder.
        folder: &'static str,
    },
    /// A path was given for the data inside the binary.
    #[error(
        "data.name = \"embedded\" reads no files, but data.path = {path:?} is set; \
         remove data.path, or set data.name to \"mnist\" to read that folder"
    )]
    PathForEmbedded {
        /// The path given.
        path: PathBuf,
    },
    /// A custom text needs a path.
    #[error("data.name = \"text\" reads a file of your own; set data.path to it, or to a folder with input.txt")]
    NoPathForText,
    /// None of the accepted spellings of a file exists in the folder.
    #[error(
        "{folder:?} has none of {names}; put one of them there (`edgewalk data fetch` can), \
         or point data.path at the folder that has it"
    )]
    Missing {
        /// The folder that was searched.
        folder: PathBuf,
        /// The file names searched.
        names: String,
    },
    /// The file cannot be read.
    #[error("cannot read {file}: {source}; check the path and its permissions")]
    Io {
        /// The file.
        file: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is damaged or another.
    #[error("{file}: expected {expected}, found {found}; {advice}")]
    Malformed {
        /// The file.
        file: String,
        /// The expected content.
        expected: String,
        /// The actual content.
        found: String,
        /// What to do next.
        advice: &'static str,
    },
    /// A web page instead of data.
    #[error(
        "{file} is an HTML page, not data: what it was fetched from asks to log in or has moved; fetch the file again"
    )]
    Page {
        /// The file.
        file: String,
    },
    /// There are fewer examples than requested.
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
    /// Windows of no characters.
    #[error("model.seq_len is 0, and a window of text needs at least one character to read; raise it")]
    NoWindow,
    /// The numbers read are not valid examples.
    #[error(transparent)]
    Examples(#[from] ExamplesError),
    /// A text is shorter than one window.
    #[error(
        "{file} has {held} characters, but one window takes {needed} (model.seq_len + 1); \
         take a longer text, or lower model.seq_len"
    )]
    TooShort {
        /// The file and its part.
        file: String,
        /// Its number of characters.
        held: usize,
        /// Characters of one window.
        needed: usize,
    },
}
