//! Parameters with the names and axes of PyTorch: the state of a `torch.nn.Sequential`, or of any module whose layers
//! stand in the order of their names.
//!
//! | layer of PyTorch | its tensors | here |
//! |---|---|---|
//! | `Linear` | `weight` [out, in], `bias` [out] | `dense{i}.kernel` [in, out], `dense{i}.bias` |
//! | `Conv2d` | `weight` [out, in, height, width], `bias` [out] | `conv{i}.kernel` [height, width, in, out], `conv{i}.bias` |
//! | a normalisation of channels | `weight` [channels], `bias` [channels] | `norm{i}.scale`, `norm{i}.bias` |
//!
//! PyTorch flattens images in the order channel, height, width, so the inputs of the dense layer after a convolution
//! are permuted.

use std::collections::BTreeMap;

use safetensors::tensor::SafeTensors;

use super::Layout;
use super::store::{StoreError, Stored, list, numbers};
use crate::text::visible;

/// The tensors of one layer, by the last part of their names.
#[derive(Default)]
struct Layer<'a> {
    name: &'a str,
    weight: Option<Tensor>,
    bias: Option<Tensor>,
}

struct Tensor {
    name: String,
    shape: Vec<usize>,
    values: Vec<f64>,
}

/// Reads the flat parameter vector from the bytes of a safetensors file with a PyTorch state.
///
/// # Errors
/// [`StoreError`] that names the tensor.
pub fn params_from_pytorch<V: Stored>(layout: &Layout, bytes: &[u8]) -> Result<Vec<V>, StoreError> {
    let file = SafeTensors::deserialize(bytes)?;
    let mut names = file.names();
    names.sort_by_cached_key(|name| natural(name));
    let mut layers: Vec<Layer<'_>> = vec![];
    for name in &names {
        let (layer, part) = name.rsplit_once('.').unwrap_or(("", name));
        if layers.last().is_none_or(|last| last.name != layer) {
            layers.push(Layer { name: layer, ..Layer::default() });
        }
        let tensor = file.tensor(name)?;
        let values = numbers(&tensor).ok_or_else(|| StoreError::Type { name: visible(name), found: tensor.dtype() })?;
        let tensor = Tensor { name: visible(name), shape: tensor.shape().to_vec(), values };
        match (part, layers.last_mut()) {
            ("weight", Some(layer)) => layer.weight = Some(tensor),
            ("bias", Some(layer)) => layer.bias = Some(tensor),
            _ => {
                let known = "the weight and bias of linear layers, convolutions and normalisations of channels";
                return Err(StoreError::Unknown { name: visible(name), known: known.to_owned() });
            }
        }
    }
    // Each kind of layer is counted by itself, as in the names here.
    let mut kinds: BTreeMap<&str, Vec<Layer<'_>>> = BTreeMap::new();
    for layer in layers {
        let rank = layer.weight.as_ref().map(|weight| weight.shape.len());
        let kind = match rank {
            Some(4) => "conv",
            Some(2) => "dense",
            _ => "norm",
        };
        kinds.entry(kind).or_default().push(layer);
    }
    let there = list(&names);
    let mut params = Vec::with_capacity(layout.len());
    for (param, _) in layout.iter() {
        let missing = || StoreError::Missing { name: format!("{} (as PyTorch's)", param.name), found: there.clone() };
        let (layer, part) = param.name.rsplit_once('.').ok_or_else(missing)?;
        let kind = layer.trim_end_matches(|c: char| c.is_ascii_digit());
        let number: usize = layer[kind.len()..].parse().map_err(|_| missing())?;
        let layer = kinds.get_mut(kind).and_then(|layers| layers.get_mut(number)).ok_or_else(missing)?;
        let tensor = if part == "bias" { layer.bias.take() } else { layer.weight.take() };
        let tensor = tensor.ok_or_else(missing)?;
        let flattened = layout.flattened.filter(|_| param.name == "dense0.kernel");
        params.extend(turned(tensor, &param.shape, flattened)?.into_iter().map(V::nearest));
    }
    let left = kinds.values().flatten().find_map(|layer| layer.weight.as_ref().or(layer.bias.as_ref()));
    match left {
        Some(tensor) => {
            let known: Vec<&str> = layout.iter().map(|(param, _)| param.name.as_str()).collect();
            Err(StoreError::Unknown { name: tensor.name.clone(), known: list(&known) })
        }
        None => Ok(params),
    }
}

/// The numbers of a tensor in the order of a parameter of shape `wanted`.
fn turned(tensor: Tensor, wanted: &[usize], flattened: Option<[usize; 3]>) -> Result<Vec<f64>, StoreError> {
    let Tensor { name, shape, values } = tensor;
    let in_pytorch = match *wanted {
        [inputs, outputs] => vec![outputs, inputs],
        [height, width, inputs, outputs] => vec![outputs, inputs, height, width],
        ref other => other.to_vec(),
    };
    if shape != in_pytorch {
        let advice = "adapt the model's configuration (the shapes are PyTorch's, with outputs first)";
        return Err(StoreError::Shape { name, found: shape, wanted: in_pytorch, advice });
    }
    if let Some(index) = values.iter().position(|value| !(*value as f32).is_finite()) {
        return Err(StoreError::NotFinite { name, index, value: values[index] });
    }
    Ok(match *wanted {
        [inputs, outputs] => {
            // The place of an input of ours among PyTorch's.
            let place = |input: usize| match flattened {
                Some([height, width, channels]) => input % channels * height * width + input / channels,
                None => input,
            };
            (0..inputs * outputs).map(|at| values[at % outputs * inputs + place(at / outputs)]).collect()
        }
        [height, width, inputs, outputs] => {
            let place = |at: usize| {
                let (output, input) = (at % outputs, at / outputs % inputs);
                let position = at / (outputs * inputs);
                (output * inputs + input) * height * width + position
            };
            (0..values.len()).map(|at| values[place(at)]).collect()
        }
        _ => values,
    })
}

/// A name as a key that sorts numbers in it by their size: `10.weight` after `9.weight`.
fn natural(name: &str) -> Vec<(bool, u64, String)> {
    let keys = |piece: &str| {
        let letters = piece.trim_end_matches(|c: char| c.is_ascii_digit());
        let number: u64 = piece[letters.len()..].parse().unwrap_or(0);
        [(!letters.is_empty(), 0, letters.to_owned()), (false, number, piece.to_owned())]
    };
    name.split('.').flat_map(keys).collect()
}
