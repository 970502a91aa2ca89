//! The errors of a configuration.

use std::path::PathBuf;

use crate::onnx::OnnxError;

/// The errors of a configuration. Each message names the key or file and the accepted values.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The name is neither a preset nor a file.
    #[error("there is no preset `{name}`{meant} (known presets: {known}; the name of a file must end in .toml)")]
    UnknownPreset {
        /// The name as given.
        name: String,
        /// A similar preset or a file in a folder, in words; empty if none.
        meant: String,
        /// Every preset, comma separated.
        known: String,
    },
    /// The file cannot be read.
    #[error("cannot read the config {}: {cause}; check the path{meant}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// A preset of its name, in words; empty if none.
        meant: String,
        /// The system's reason.
        cause: std::io::Error,
    },
    /// The file is not text.
    #[error("{} {problem}; save it as UTF-8, or correct that byte", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// Where.
        problem: String,
    },
    /// The file is not TOML.
    #[error("{} is not valid TOML; correct the marked line\n{message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The parser's message, with line and column.
        message: String,
    },
    /// A key that no section has.
    #[error("unknown key `{key}`{meant} (`edgewalk train --print-config` lists every key)")]
    UnknownKey {
        /// The key as given.
        key: String,
        /// A similar key, in words; empty if none.
        meant: String,
    },
    /// A short name that several sections share.
    #[error("the key `{key}` is ambiguous; write one of {candidates}")]
    AmbiguousKey {
        /// The short name as given.
        key: String,
        /// The full names it could stand for, comma separated.
        candidates: String,
    },
    /// A `--set` argument without `=`.
    #[error("`--set {argument}` has no value; write --set key=value, for example --set lr=0.1")]
    NotKeyValue {
        /// The argument as given.
        argument: String,
    },
    /// A value of the wrong type or out of range.
    #[error("`{key} = {value}` is not allowed; it must be {allowed}")]
    BadValue {
        /// The key, with its section.
        key: String,
        /// The value as TOML.
        value: String,
        /// The accepted values, in words.
        allowed: String,
    },
    /// `run.kernels` names no usable record.
    #[error("cannot take the kernels of {}: {problem}; run.kernels must be the manifest.json of a run", path.display())]
    Kernels {
        /// The file.
        path: PathBuf,
        /// Its fault.
        problem: String,
    },
    /// The network of `model.path` cannot be read.
    #[error("the network {}: {cause}", path.display())]
    Network {
        /// The file.
        path: PathBuf,
        /// Its fault.
        cause: OnnxError,
    },
    /// A network does not give the outputs that it should.
    #[error("{problem}")]
    Sample {
        /// The files, the largest difference and its place, with advice.
        problem: String,
    },
    /// Two values that exclude one another.
    #[error("{problem}; {remedy}")]
    Conflict {
        /// The conflicting keys and values.
        problem: String,
        /// The advice.
        remedy: &'static str,
    },
}
