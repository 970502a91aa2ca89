//! Parameters as safetensors: float32 tensors by name, checked against the model's layout.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView, serialize};

use super::Layout;
use crate::graph::len;

/// Why parameters could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Not a safetensors file.
    #[error("not a readable safetensors file ({0}); write it with one float32 tensor per parameter")]
    Format(#[from] SafeTensorError),
    /// A tensor of the model is not in the file.
    #[error("tensor `{name}` is missing; the file has: {found}")]
    Missing {
        /// The model's name for it.
        name: String,
        /// What the file has.
        found: String,
    },
    /// The file has a tensor the model does not.
    #[error("tensor `{name}` is not part of this model, whose tensors are: {known}")]
    Unknown {
        /// Name in the file.
        name: String,
        /// Names of the model.
        known: String,
    },
    /// Wrong shape.
    #[error("tensor `{name}` has shape {found:?}, and this model needs {wanted:?}; adapt the model's configuration")]
    Shape {
        /// Its name.
        name: String,
        /// Shape in the file.
        found: Vec<usize>,
        /// Shape in the model.
        wanted: Vec<usize>,
    },
    /// Wrong element type.
    #[error("tensor `{name}` has type {found:?}; save it as float32")]
    Type {
        /// Its name.
        name: String,
        /// Type in the file.
        found: Dtype,
    },
    /// NaN or infinity.
    #[error("tensor `{name}` has the value {value} at index {index}; parameters must be finite")]
    NotFinite {
        /// Its name.
        name: String,
        /// Flat index.
        index: usize,
        /// The value.
        value: f32,
    },
}

/// Reads the flat parameter vector from the bytes of a safetensors file.
///
/// # Errors
/// [`StoreError`] that names the tensor.
pub fn params_from_safetensors(layout: &Layout, bytes: &[u8]) -> Result<Vec<f32>, StoreError> {
    let file = SafeTensors::deserialize(bytes)?;
    let join = |names: Vec<&str>| names.join(", ");
    let known: Vec<&str> = layout.iter().map(|(p, _)| p.name.as_str()).collect();
    if let Some(name) = file.names().into_iter().find(|name| !known.contains(name)) {
        return Err(StoreError::Unknown { name: name.to_owned(), known: join(known) });
    }
    let mut params = Vec::with_capacity(layout.len());
    for (param, _) in layout.iter() {
        let name = param.name.clone();
        let Ok(tensor) = file.tensor(&name) else {
            return Err(StoreError::Missing { name, found: join(file.names()) });
        };
        if tensor.dtype() != Dtype::F32 {
            return Err(StoreError::Type { name, found: tensor.dtype() });
        }
        if tensor.shape() != param.shape {
            return Err(StoreError::Shape { name, found: tensor.shape().to_vec(), wanted: param.shape.clone() });
        }
        for (index, b) in tensor.data().chunks_exact(4).enumerate() {
            let value = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            if !value.is_finite() {
                return Err(StoreError::NotFinite { name, index, value });
            }
            params.push(value);
        }
    }
    Ok(params)
}

/// The bytes of a safetensors file with the flat parameter vector.
///
/// # Errors
/// [`StoreError::Format`] when the vector does not have the layout's length.
pub fn params_to_safetensors(layout: &Layout, params: &[f32]) -> Result<Vec<u8>, StoreError> {
    let bytes: Vec<u8> = params.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut views = HashMap::new();
    for (param, offset) in layout.iter() {
        let (first, end) = (offset.saturating_mul(4), offset.saturating_add(len(&param.shape)).saturating_mul(4));
        let range = bytes.get(first..end).unwrap_or_default();
        views.insert(param.name.as_str(), TensorView::new(Dtype::F32, param.shape.clone(), range)?);
    }
    Ok(serialize(views, None)?)
}
