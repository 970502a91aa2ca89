//! A network from an ONNX file ([`crate::onnx`]) as a model: its parameters keep their names and values.

use std::sync::Arc;

use super::{Constant, Init, Model, ModelError, Param};
use crate::graph::{DType, Graph, GraphError, NodeId, Type, len};
use crate::onnx::{NamedArray, Network};

/// The order of an example's numbers, given row after row.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Axes {
    /// The shape that the network reads.
    Same(Vec<usize>),
    /// Height, width, channels, where the network reads channels, height, width.
    ChannelsLast([usize; 3]),
}

/// A network from a file, for examples of one shape. See the module text.
#[derive(Clone, Debug, PartialEq)]
pub struct OnnxModel {
    network: Arc<Network>,
    axes: Axes,
}

impl OnnxModel {
    /// The network for examples of this shape. Images with the channels last are turned to channels first if the file
    /// asks for that; other shapes must be those of the file, or as many numbers.
    ///
    /// # Errors
    /// [`ModelError::Input`] if the file asks for another shape.
    pub fn new(network: Arc<Network>, example: &[usize]) -> Result<Self, ModelError> {
        let declared = &network.input().shape;
        let fits = |shape: &[usize]| {
            shape.len() == declared.len()
                && shape.iter().zip(declared).all(|(&size, open)| open.is_none_or(|it| it == size))
        };
        let fixed: Option<Vec<usize>> = declared.iter().copied().collect();
        let axes = match (example, fixed) {
            (example, _) if fits(example) => Axes::Same(example.to_vec()),
            (&[height, width, channels], _) if fits(&[channels, height, width]) => {
                Axes::ChannelsLast([height, width, channels])
            }
            (example, Some(shape)) if len(&shape) == len(example) => Axes::Same(shape),
            _ => {
                let size = |size: &Option<usize>| size.map_or_else(|| "?".to_owned(), |size| size.to_string());
                let wanted = declared.iter().map(size).collect::<Vec<_>>().join(", ");
                return Err(ModelError::Input { found: example.to_vec(), wanted: format!("[{wanted}]") });
            }
        };
        Ok(Self { network, axes })
    }
}

impl Model for OnnxModel {
    fn params(&self) -> Result<Vec<Param>, ModelError> {
        let param = |it: &NamedArray| Param { name: it.name.clone(), shape: it.shape.clone(), init: Init::Given };
        Ok(self.network.params().iter().map(param).collect())
    }

    fn constants(&self) -> Vec<Constant> {
        let constant =
            |it: &NamedArray| Constant { name: it.name.clone(), shape: it.shape.clone(), values: it.values.clone() };
        self.network.constants().iter().map(constant).collect()
    }

    fn brought(&self) -> Option<Vec<f64>> {
        Some(self.network.params().iter().flat_map(|param| param.values.iter().copied()).collect())
    }

    fn forward(&self, g: &mut Graph, params: &[NodeId], x: NodeId) -> NodeId {
        let n = g.shape(x).first().copied().unwrap_or(1);
        let x = match &self.axes {
            Axes::Same(shape) => g.reshape(x, &[&[n], &shape[..]].concat()),
            &Axes::ChannelsLast([height, width, channels]) => {
                let x = g.reshape(x, &[n, height, width, channels]);
                g.transpose(x, &[0, 3, 1, 2])
            }
        };
        match self.network.forward(g, params, x) {
            Ok(y) => {
                // One row of outputs for each label.
                let shape = g.shape(y).to_vec();
                let width = if shape.len() < 2 { 1 } else { shape[shape.len() - 1] };
                let rows = len(&shape) / width.max(1);
                g.reshape(y, &[rows, width])
            }
            Err(error) => {
                let (op, reason) = ("the network of an ONNX file".to_owned(), error.to_string());
                let ty = Type { shape: vec![n, 1], dtype: DType::F32 };
                g.refuse(GraphError::Type { op, reason }, ty)
            }
        }
    }
}
