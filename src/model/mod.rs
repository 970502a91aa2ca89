//! Models: named parameters and a forward pass as a graph, without derivatives or devices. The parameters, in order,
//! form one flat vector ([`Layout`]), on which optimisers, eigensolvers and checkpoints work.

mod block;
mod cnn;
mod error;
mod init;
pub mod layers;
mod loss;
mod mlp;
mod norm;
mod onnx;
mod pytorch;
mod resnet;
mod store;
mod transformer;
mod vgg;
mod vit;

pub use cnn::{Cnn, Pool};
pub use error::ModelError;
pub use init::{Init, Initializer, initial_params};
pub use loss::{Loss, PerLabel, Reduction, wrong, wrong_probabilities};
pub use mlp::{Activation, Mlp};
pub use norm::Norm;
pub use onnx::OnnxModel;
pub use pytorch::params_from_pytorch;
pub use resnet::ResNet;
pub use store::{StoreError, params_from_safetensors, params_to_safetensors};
pub use transformer::Transformer;
pub use vgg::Vgg;
pub use vit::{Readout, Vit};

use std::collections::HashSet;
use std::sync::Arc;

use crate::choice::choice;
use crate::graph::{self, Graph, NodeId};

/// The most parameters of a model: as many as 32-bit indices reach, padding included.
pub(crate) const MOST_PARAMETERS: usize = u32::MAX as usize - DEVICE_MULTIPLE;
/// The vector's length on the device is a multiple of this.
const DEVICE_MULTIPLE: usize = 1024;

choice! {
    /// The names and axes of the tensors in a file of parameters.
    WeightLayout {
        /// Those of this program.
        Edgewalk = "edgewalk",
        /// Those of PyTorch, see [`params_from_pytorch`].
        Pytorch = "pytorch",
    }
}

/// One named parameter tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Name, as in checkpoints: `dense0.kernel`.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Its initial values.
    pub init: Init,
}

/// A tensor that a model needs beside its parameters, and that training leaves alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// Its name, for messages.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// The elements, in row-major order.
    pub values: Vec<f64>,
}

/// A network: parameters and a forward pass.
///
/// A forward pass that does not fit its operands, or returns something else, gives the graph an error, which computing
/// the graph returns; nothing panics.
pub trait Model: Send + Sync {
    /// The parameters, in the order of the flat vector.
    ///
    /// # Errors
    /// [`ModelError`] for sizes that make no network.
    fn params(&self) -> Result<Vec<Param>, ModelError>;

    /// Tensors that are no parameters; the forward pass gets them after the parameters.
    fn constants(&self) -> Vec<Constant> {
        vec![]
    }

    /// The values of the parameters, in the order of the flat vector, if the model brings its own.
    fn brought(&self) -> Option<Vec<f64>> {
        None
    }

    /// Adds the forward pass to a graph: parameters in order, then constants, and examples `[n, dim]`, `F32` or for
    /// tokens `U32`, to one row of outputs for every label, `[n · labels_each, classes]`.
    fn forward(&self, graph: &mut Graph, params: &[NodeId], x: NodeId) -> NodeId;

    /// Height, width and channels of what the model flattens in this order before its dense layers; `None` if it
    /// flattens no images.
    fn flattened_image(&self) -> Option<[usize; 3]> {
        None
    }

    /// Whether the outputs of an example depend on the other examples of its batch, as with batch normalisation. The loss
    /// is then a mean over batches, so chunks are never made smaller than asked for.
    fn mixes_examples(&self) -> bool {
        false
    }

    /// For a model that reads tokens, its number of codes; `None` if it takes any.
    fn vocabulary(&self) -> Option<usize> {
        None
    }
}

/// A model with another initialisation.
pub struct Initialized {
    /// The model.
    pub model: Arc<dyn Model>,
    /// The initial values of its kernels.
    pub initializer: Initializer,
}

impl Model for Initialized {
    fn params(&self) -> Result<Vec<Param>, ModelError> {
        let mut params = self.model.params()?;
        self.initializer.apply(&mut params);
        Ok(params)
    }

    fn constants(&self) -> Vec<Constant> {
        self.model.constants()
    }

    fn brought(&self) -> Option<Vec<f64>> {
        self.model.brought()
    }

    fn forward(&self, graph: &mut Graph, params: &[NodeId], x: NodeId) -> NodeId {
        self.model.forward(graph, params, x)
    }

    fn flattened_image(&self) -> Option<[usize; 3]> {
        self.model.flattened_image()
    }

    fn mixes_examples(&self) -> bool {
        self.model.mixes_examples()
    }

    fn vocabulary(&self) -> Option<usize> {
        self.model.vocabulary()
    }
}

/// Named ranges of the flat parameter vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    params: Vec<Param>,
    offsets: Vec<usize>,
    len: usize,
    /// See [`Model::flattened_image`].
    flattened: Option<[usize; 3]>,
    brought: Option<Vec<f64>>,
}

impl Layout {
    /// The layout of a model's parameters, one after the other.
    ///
    /// # Errors
    /// [`ModelError`] for invalid sizes, empty tensors, equal names, and more parameters than can be indexed.
    pub fn of(model: &dyn Model) -> Result<Self, ModelError> {
        let params = model.params()?;
        let mut len = 0_usize;
        let (mut offsets, mut names) = (vec![], HashSet::new());
        for Param { name, shape, .. } in &params {
            if !names.insert(name.as_str()) {
                return Err(ModelError::TwoTensors { name: name.clone() });
            }
            if shape.contains(&0) {
                return Err(ModelError::Empty { what: format!("tensor `{name}` of shape {shape:?}") });
            }
            offsets.push(len);
            let end = len.checked_add(graph::len(shape)).filter(|&end| end <= MOST_PARAMETERS);
            len = end.ok_or_else(|| ModelError::TooLarge { name: name.clone() })?;
        }
        if params.is_empty() {
            return Err(ModelError::Empty { what: "the model".to_owned() });
        }
        drop(names);
        Ok(Self { params, offsets, len, flattened: model.flattened_image(), brought: model.brought() })
    }

    /// Refuses a vector that does not fit this model.
    ///
    /// # Errors
    /// [`ModelError::Length`] or [`ModelError::NotFinite`].
    pub fn check(&self, values: &[impl Copy + Into<f64>]) -> Result<(), ModelError> {
        if values.len() != self.len {
            return Err(ModelError::Length { found: values.len(), needed: self.len });
        }
        let rounded = |&value: &_| -> f32 { Into::<f64>::into(value) as f32 };
        let Some(at) = values.iter().position(|value| !rounded(value).is_finite()) else { return Ok(()) };
        let tensor = self.offsets.partition_point(|&offset| offset <= at) - 1;
        let (name, index) = (self.params[tensor].name.clone(), at - self.offsets[tensor]);
        Err(ModelError::NotFinite { name, index, value: rounded(&values[at]) })
    }

    /// See [`Model::brought`].
    pub fn brought(&self) -> Option<&[f64]> {
        self.brought.as_deref()
    }

    /// Number of parameters.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no parameters.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Length of the vector on the device: filled up with zeros so that every reduction tree and vec4 load fits.
    pub fn device_len(&self) -> usize {
        self.len.next_multiple_of(DEVICE_MULTIPLE)
    }

    /// Every parameter with the first index of its range.
    pub fn iter(&self) -> impl Iterator<Item = (&Param, usize)> {
        self.params.iter().zip(self.offsets.iter().copied())
    }
}
