//! What can be wrong with data, each with what to do about it.

use std::path::PathBuf;

use super::DataName;

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
    /// A text of one's own was asked for without saying which.
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
    /// A web page in the place of data.
    #[error(
        "{file} is an HTML page, not data: what it was fetched from asks to log in or has moved; fetch the file again"
    )]
    Page {
        /// The file.
        file: String,
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
    /// A text has not one window.
    #[error(
        "{file} has {held} characters, but one window takes {needed} (model.seq_len + 1); \
         take a longer text, or lower model.seq_len"
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
