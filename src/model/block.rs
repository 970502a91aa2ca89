//! The block that the Transformers share: h ← h + attention(norm(h)), then h ← h + MLP(norm(h)), with tokens as rows
//! `[n · length, features]`. Attention is softmax(q·kᵀ/√key)·v in each head, over the tokens that a mask lets through.

use super::layers::{Exponentials, dense, dense_params, exponentials, layer_norm, norm_params};
use super::{Activation, Init, Param};
use crate::graph::{DotDims, Graph, NodeId};

/// ε of the layer normalisation.
pub(super) const EPSILON: f32 = 1e-5;
/// Score of a token that is not attended to.
const MASKED: f32 = -1e30;
/// Width of the MLP in a block, in model sizes.
const WIDENING: usize = 4;

/// The sizes of a block.
#[derive(Clone, Copy)]
pub(super) struct Block {
    /// Attention heads.
    pub heads: usize,
    /// Size of a head's queries, keys and values.
    pub key_size: usize,
    /// Features of a token.
    pub model_size: usize,
    /// Tokens of an example.
    pub length: usize,
}

impl Block {
    /// The parameters of block `i` of so many `layers`: kernels have variance 2/(layers · fan_in).
    pub fn params(self, i: usize, layers: usize) -> Vec<Param> {
        let size = self.model_size;
        let heads = self.heads.saturating_mul(self.key_size);
        let wide = size.saturating_mul(WIDENING);
        let block_dense = |name: &str, fan_in: usize, fan_out: usize| {
            let init = Init::ScaledNormal { variance: 2.0 / (layers as f64 * fan_in as f64) };
            dense_params(&format!("block{i}.{name}"), fan_in, fan_out, init)
        };
        let mut params = vec![];
        params.extend(norm_params(&format!("block{i}.norm0"), size));
        for name in ["attn.query", "attn.key", "attn.value"] {
            params.extend(block_dense(name, size, heads));
        }
        params.extend(block_dense("attn.out", heads, size));
        params.extend(norm_params(&format!("block{i}.norm1"), size));
        params.extend(block_dense("mlp.dense0", size, wide));
        params.extend(block_dense("mlp.dense1", wide, size));
        params
    }

    /// Applies it to the tokens of `n` examples, with `next` for the nodes of its parameters. `visible`,
    /// `[n, heads, length, length]`, says which tokens (last axis) each token attends to; all if `None`.
    pub fn apply(
        self,
        g: &mut Graph,
        h: NodeId,
        n: usize,
        visible: Option<NodeId>,
        mut next: impl FnMut() -> NodeId,
    ) -> NodeId {
        let normed = layer_norm(g, h, next(), next(), EPSILON);
        let [query, key, value] = std::array::from_fn(|_| {
            let projected = dense(g, normed, next(), next());
            g.reshape(projected, &[n, self.length, self.heads, self.key_size])
        });
        let mixed = self.attention(g, [query, key, value], visible);
        let mixed = dense(g, mixed, next(), next());
        let h = g.add(h, mixed);
        let normed = layer_norm(g, h, next(), next(), EPSILON);
        let wide = dense(g, normed, next(), next());
        let wide = Activation::Gelu.apply(g, wide);
        let narrow = dense(g, wide, next(), next());
        g.add(h, narrow)
    }

    /// softmax(q·kᵀ/√key)·v of each head, from `[n, length, heads, key]` to `[n · length, heads · key]`, head by head.
    fn attention(self, g: &mut Graph, [query, key, value]: [NodeId; 3], visible: Option<NodeId>) -> NodeId {
        let by_head = |lhs_batch: [usize; 2], contract: [usize; 2]| DotDims {
            lhs_batch: lhs_batch.to_vec(),
            rhs_batch: vec![0, 2],
            lhs_contract: vec![contract[0]],
            rhs_contract: vec![contract[1]],
        };
        let scores = g.dot_general(query, key, by_head([0, 2], [3, 3]));
        let shape = g.shape(scores).to_vec();
        let mut scores = g.scale(scores, 1.0 / (self.key_size as f64).sqrt());
        if let Some(visible) = visible {
            let masked = g.full(MASKED, &shape);
            scores = g.select(visible, scores, masked);
        }
        let Exponentials { exp, sum, .. } = exponentials(g, scores);
        let sum = g.broadcast_over(sum, &shape, &[3]);
        let weights = g.div(exp, sum);
        let mixed = g.dot_general(weights, value, by_head([0, 1], [3, 1]));
        let mixed = g.transpose(mixed, &[0, 2, 1, 3]);
        let tokens = g.shape(mixed)[0].saturating_mul(self.length);
        g.reshape(mixed, &[tokens, self.heads.saturating_mul(self.key_size)])
    }
}
