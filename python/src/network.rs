//! The network of an ONNX file, before it has examples.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::{PyResult, Python, pyclass, pymethods};

use crate::error::refused;

/// A network from a file or its bytes.
#[pyclass(frozen)]
pub struct Network(pub Arc<edgewalk::onnx::Network>);

#[pymethods]
impl Network {
    /// Reads a file.
    #[staticmethod]
    fn read(py: Python<'_>, path: PathBuf, freeze: Vec<String>) -> PyResult<Self> {
        let network = py.detach(|| edgewalk::onnx::Network::read(&path, &freeze)).map_err(|error| refused(&error))?;
        Ok(Self(Arc::new(network)))
    }

    /// Reads the bytes of a file that holds all of its values.
    #[staticmethod]
    fn of_bytes(py: Python<'_>, bytes: Vec<u8>, freeze: Vec<String>) -> PyResult<Self> {
        let network = py.detach(|| edgewalk::onnx::Network::of_bytes(&bytes, None, &freeze));
        Ok(Self(Arc::new(network.map_err(|error| refused(&error))?)))
    }

    /// Whether it reads whole numbers.
    #[getter]
    fn reads_tokens(&self) -> bool {
        self.0.input().tokens
    }
}
