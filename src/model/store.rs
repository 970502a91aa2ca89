//! Parameters as safetensors: tensors of floats by name, checked against the model's layout. They are written in the
//! precision that they have in memory.

use std::collections::HashMap;

use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView, serialize};

use super::Layout;
use crate::graph::len;
use crate::text::{counted, visible};

/// Advice for a shape with the wrong axes.
const ADAPT: &str = "adapt the model's configuration, or take the parameters of this model";
/// Advice for a shape with the right axes in another order, as in PyTorch.
const TRANSPOSE: &str = "its axes fit in another order: save it transposed (here a kernel has its inputs first and \
                         its outputs last), or read a state of PyTorch with `--layout pytorch`";

/// Why parameters could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Not a safetensors file.
    #[error("not a readable safetensors file ({0}); write it with one tensor of floats per parameter")]
    Format(String),
    /// Another kind of file.
    #[error("it is {what}, not a safetensors file: {advice}")]
    Foreign {
        /// What it is.
        what: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// A tensor of the model is not in the file.
    #[error("tensor `{name}` is missing; the file has: {found}")]
    Missing {
        /// The model's name for it.
        name: String,
        /// The names in the file.
        found: String,
    },
    /// The file has a tensor that the model lacks.
    #[error("tensor `{name}` is not part of this model, whose tensors are: {known}")]
    Unknown {
        /// Name in the file.
        name: String,
        /// Names of the model.
        known: String,
    },
    /// Wrong shape.
    #[error("tensor `{name}` has shape {found:?}, and this model needs {wanted:?}; {advice}")]
    Shape {
        /// Its name.
        name: String,
        /// Shape in the file.
        found: Vec<usize>,
        /// Shape in the model.
        wanted: Vec<usize>,
        /// The advice.
        advice: &'static str,
    },
    /// Wrong element type.
    #[error("tensor `{name}` has type {found:?}; save it as float16, bfloat16, float32 or float64")]
    Type {
        /// Its name.
        name: String,
        /// Type in the file.
        found: Dtype,
    },
    /// NaN or infinity.
    #[error("tensor `{name}` has the value {value:?} at index {index}; parameters must be finite in float32")]
    NotFinite {
        /// Its name.
        name: String,
        /// Flat index.
        index: usize,
        /// The value.
        value: f64,
    },
}

impl From<SafeTensorError> for StoreError {
    fn from(error: SafeTensorError) -> Self {
        Self::Format(visible(&error.to_string()))
    }
}

/// The precision of parameters in memory.
pub trait Stored: Copy + Into<f64> {
    /// Type of the tensors that are written.
    const DTYPE: Dtype;
    /// The nearest.
    fn nearest(value: f64) -> Self;
    /// Adds the number to the bytes of a file.
    fn append(self, bytes: &mut Vec<u8>);
}

impl Stored for f32 {
    const DTYPE: Dtype = Dtype::F32;

    fn nearest(value: f64) -> Self {
        value as Self
    }

    fn append(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }
}

impl Stored for f64 {
    const DTYPE: Dtype = Dtype::F64;

    fn nearest(value: f64) -> Self {
        value
    }

    fn append(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }
}

/// Reads the flat parameter vector from the bytes of a safetensors file. Numbers of other precisions are widened or
/// rounded.
///
/// # Errors
/// [`StoreError`] that names the tensor.
pub fn params_from_safetensors<V: Stored>(layout: &Layout, bytes: &[u8]) -> Result<Vec<V>, StoreError> {
    let file = SafeTensors::deserialize(bytes)?;
    let known: Vec<&str> = layout.iter().map(|(p, _)| p.name.as_str()).collect();
    let mut there = file.names();
    there.sort_unstable();
    if let Some(name) = there.iter().find(|name| !known.contains(name)) {
        return Err(StoreError::Unknown { name: visible(name), known: list(&known) });
    }
    let mut params = Vec::with_capacity(layout.len());
    for (param, _) in layout.iter() {
        let name = param.name.clone();
        let Ok(tensor) = file.tensor(&name) else {
            return Err(StoreError::Missing { name, found: list(&there) });
        };
        let (found, wanted) = (tensor.shape().to_vec(), param.shape.clone());
        if found != wanted {
            let sorted = |shape: &[usize]| {
                let mut shape = shape.to_vec();
                shape.sort_unstable();
                shape
            };
            let advice = if sorted(&found) == sorted(&wanted) { TRANSPOSE } else { ADAPT };
            return Err(StoreError::Shape { name, found, wanted, advice });
        }
        let Some(values) = numbers(&tensor) else {
            return Err(StoreError::Type { name, found: tensor.dtype() });
        };
        for (index, value) in values.into_iter().enumerate() {
            if !(value as f32).is_finite() {
                return Err(StoreError::NotFinite { name, index, value });
            }
            params.push(V::nearest(value));
        }
    }
    Ok(params)
}

/// The numbers of a tensor; none of types other than floating point.
pub(super) fn numbers(tensor: &TensorView<'_>) -> Option<Vec<f64>> {
    fn each<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        bytes.as_chunks().0.iter().map(|&bytes| number(bytes)).collect()
    }
    let bytes = tensor.data();
    match tensor.dtype() {
        Dtype::F16 => Some(each(bytes, |bytes| f16::from_le_bytes(bytes).into())),
        Dtype::BF16 => Some(each(bytes, |bytes| bf16::from_le_bytes(bytes).into())),
        Dtype::F32 => Some(each(bytes, |bytes| f32::from_le_bytes(bytes).into())),
        Dtype::F64 => Some(each(bytes, f64::from_le_bytes)),
        _ => None,
    }
}

/// A list of names, shortened if it is long.
pub(super) fn list(names: &[&str]) -> String {
    const MOST: usize = 40;
    let shown = names.iter().take(MOST).map(|name| visible(name)).collect::<Vec<_>>().join(", ");
    if names.len() <= MOST { shown } else { format!("{shown} and {}", counted(names.len() - MOST, "other")) }
}

/// The bytes of a safetensors file with the flat parameter vector.
///
/// # Errors
/// [`StoreError::Format`] when the vector's length differs from the layout's.
pub fn params_to_safetensors<V: Stored>(layout: &Layout, params: &[V]) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::with_capacity(size_of_val(params));
    params.iter().for_each(|x| x.append(&mut bytes));
    let of = |elements: usize| elements.saturating_mul(size_of::<V>());
    let mut views = HashMap::new();
    for (param, offset) in layout.iter() {
        let (first, end) = (of(offset), of(offset.saturating_add(len(&param.shape))));
        let range = bytes.get(first..end).unwrap_or_default();
        views.insert(param.name.as_str(), TensorView::new(V::DTYPE, param.shape.clone(), range)?);
    }
    Ok(serialize(views, None)?)
}
