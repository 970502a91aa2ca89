//! Fully connected networks: `depth` dense layers with an activation between them, the last one linear.
//!
//! x ← act(x·Wᵢ + bᵢ) for i < depth − 1, then x·W + b. Depth 4 means three hidden layers.

use super::error::{check_layers, check_widths};
use super::layers::{dense, dense_params, one_each};
use super::{Init, Model, ModelError, Param};
use crate::choice::choice;
use crate::graph::{Compare, Graph, NodeId, Unary};

choice! {
    /// Elementwise non-linearity of the hidden layers.
    Activation {
        /// max(x, 0), with derivative 0 at 0.
        Relu = "relu",
        /// tanh x
        Tanh = "tanh",
        /// x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))), the tanh form of x·Φ(x).
        Gelu = "gelu",
        /// x for x > 0, eˣ − 1 otherwise.
        Elu = "elu",
        /// log(1 + eˣ)
        Softplus = "softplus",
    }
}

impl Activation {
    /// Applies the function.
    pub fn apply(self, g: &mut Graph, x: NodeId) -> NodeId {
        let shape = g.shape(x).to_vec();
        match self {
            Activation::Relu => {
                let zero = g.full(0.0, &shape);
                g.max(x, zero)
            }
            Activation::Tanh => g.unary(Unary::Tanh, x),
            Activation::Gelu => {
                let square = g.mul(x, x);
                let cube = g.mul(square, x);
                let cube = g.scale(cube, 0.044_715);
                let inner = g.add(x, cube);
                let inner = g.scale(inner, (2.0 / std::f64::consts::PI).sqrt());
                let tanh = g.unary(Unary::Tanh, inner);
                let gate = g.offset(tanh, 1.0);
                let half = g.scale(x, 0.5);
                g.mul(half, gate)
            }
            Activation::Elu => {
                let zero = g.full(0.0, &shape);
                let positive = g.compare(Compare::Gt, x, zero);
                // exp gets only arguments whose result is used, so it cannot overflow.
                let negative = g.select(positive, zero, x);
                let negative = g.unary(Unary::Expm1, negative);
                g.select(positive, x, negative)
            }
            Activation::Softplus => g.unary(Unary::Softplus, x),
        }
    }
}

/// A fully connected network. See the module text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mlp {
    /// Features of an example.
    pub inputs: usize,
    /// Width of the hidden layers.
    pub width: usize,
    /// Number of dense layers, at least 1.
    pub depth: usize,
    /// Outputs of the last layer.
    pub outputs: usize,
    /// Non-linearity between layers.
    pub activation: Activation,
}

impl Model for Mlp {
    fn params(&self) -> Result<Vec<Param>, ModelError> {
        // The width is that of hidden layers; a single layer has none.
        let width = if self.depth > 1 { self.width } else { 1 };
        check_layers([("Mlp.depth", self.depth)])?;
        check_widths([("Mlp.inputs", self.inputs), ("Mlp.width", width), ("Mlp.outputs", self.outputs)])?;
        let mut params = vec![];
        for layer in 0..self.depth {
            let fan_in = if layer == 0 { self.inputs } else { self.width };
            let fan_out = if layer + 1 == self.depth { self.outputs } else { self.width };
            let init = Init::GlorotNormal { fan_in, fan_out };
            params.extend(dense_params(&format!("dense{layer}"), fan_in, fan_out, init));
        }
        Ok(params)
    }

    fn forward(&self, g: &mut Graph, params: &[NodeId], x: NodeId) -> NodeId {
        let mut x = x;
        let Some(params) = one_each(g, self.params(), params) else { return x };
        for (layer, wb) in params.chunks_exact(2).enumerate() {
            x = dense(g, x, wb[0], wb[1]);
            if layer + 1 < self.depth {
                x = self.activation.apply(g, x);
            }
        }
        x
    }
}
