//! Why an ONNX file is not read as a network, with advice.

use std::path::PathBuf;

/// Why a file is refused. Names from the file are shown without control characters.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// The system refused.
    #[error("cannot read {}: {cause}; check the path and its permissions", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        cause: std::io::Error,
    },
    /// Another kind of file, or a damaged one.
    #[error("it is no ONNX model ({0}); export it again")]
    Format(String),
    /// A version of the operators that is not known.
    #[error(
        "its operators have version {0}; versions {first} to {last} are read: set opset_version in the export",
        first = super::OPSETS.start(),
        last = super::OPSETS.end()
    )]
    Opset(i64),
    /// Operators that are not read, all of them.
    #[error("{0}")]
    Unsupported(String),
    /// An array of the file is damaged or of a type that is not read.
    #[error("its array `{name}`: {problem}; export it again with all values in the file")]
    Array {
        /// Its name.
        name: String,
        /// The fault.
        problem: String,
    },
    /// A value that no node makes.
    #[error("its value `{0}` is used, and no node makes it; export it again")]
    Missing(String),
    /// Nodes that wait for each other.
    #[error("its node {0} depends on its own result; export it again")]
    Circle(String),
    /// Not one input and one output.
    #[error("{0}; export the forward pass of one input to one output")]
    Shape(String),
    /// Several of these.
    #[error("{0}")]
    Several(String),
    /// A node cannot be computed.
    #[error("its node {node}: {problem}")]
    Node {
        /// The node, with its operator.
        node: String,
        /// The fault, with advice.
        problem: String,
    },
}
