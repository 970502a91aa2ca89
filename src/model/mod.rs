//! Models: named parameters and a forward pass as a graph. Nothing here knows of derivatives or devices.
//!
//! A model lists its parameters in order; together they form one flat vector ([`Layout`]), of which each is a named
//! range. Optimisers, eigensolvers and checkpoints work on that vector.

mod cnn;
mod init;
pub mod layers;
mod loss;
mod mlp;
mod store;
mod transformer;

pub use cnn::{Cnn, Norm, Pool};
pub use init::{Init, initial_params};
pub use loss::{Loss, PerLabel, Reduction, wrong};
pub use mlp::{Activation, Mlp};
pub use store::{StoreError, params_from_safetensors, params_to_safetensors};
pub use transformer::Transformer;

use crate::graph::{Graph, NodeId, len};

/// One named parameter tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Name, as in checkpoints: `dense0.kernel`.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// How it is initialised.
    pub init: Init,
}

/// A network: parameters and a forward pass.
///
/// A forward pass that does not fit its operands, or that returns something else, is an error that the graph remembers and that
/// whoever computes the graph gets: nothing panics.
pub trait Model: Send + Sync {
    /// The parameters, in the order of the flat vector.
    fn params(&self) -> Vec<Param>;

    /// Adds the forward pass to a graph: parameters in order and examples `[n, dim]`, `F32` or for tokens `U32`, to one
    /// row of outputs for every label, `[n · labels_each, classes]`.
    fn forward(&self, graph: &mut Graph, params: &[NodeId], x: NodeId) -> NodeId;
}

/// Named ranges of the flat parameter vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    params: Vec<Param>,
    offsets: Vec<usize>,
    len: usize,
}

impl Layout {
    /// The layout of a model's parameters, one after the other.
    pub fn of(model: &dyn Model) -> Self {
        let params = model.params();
        let mut total: usize = 0;
        let offsets = params.iter().map(|p| {
            let offset = total;
            total = total.saturating_add(len(&p.shape));
            offset
        });
        let offsets = offsets.collect();
        Self { params, offsets, len: total }
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
        self.len.div_ceil(1024).saturating_mul(1024)
    }

    /// Every parameter with the first index of its range.
    pub fn iter(&self) -> impl Iterator<Item = (&Param, usize)> {
        self.params.iter().zip(self.offsets.iter().copied())
    }
}
