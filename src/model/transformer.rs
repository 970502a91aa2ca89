//! A Transformer that predicts every next token: pre-normalised blocks with causal attention, an untied output.
//!
//! h ← embedding + position; h ← h + attention(norm(h)), h ← h + MLP(norm(h)) in every block; norm(h)·W + b. Attention
//! is softmax(q·k/√key) over the tokens up to the present one that are not padding (code 0). Embedding rows are chosen
//! by a contraction with one-hot tokens, whose reverse is deterministic.

use super::error::{check_layers, check_widths};
use super::layers::{Exponentials, dense, dense_params, exponentials, layer_norm, norm_params, one_each};
use super::{Activation, Init, Model, ModelError, Param};
use crate::graph::{Compare, DotDims, Graph, NodeId};

/// ε of the layer normalisation.
const EPSILON: f32 = 1e-5;
/// Score of a token that is not attended to.
const MASKED: f32 = -1e30;
/// Standard deviation of the embeddings before their truncation.
const EMBEDDING_STD: f64 = 0.02;
/// Width of the MLP in a block, in model sizes.
const WIDENING: usize = 4;

/// A Transformer over windows of `length` tokens. See the module text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transformer {
    /// Blocks.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Size of a head's queries, keys and values.
    pub key_size: usize,
    /// Features of a token between blocks.
    pub model_size: usize,
    /// Tokens of a window.
    pub length: usize,
    /// Number of token codes.
    pub vocabulary: usize,
}

impl Model for Transformer {
    fn params(&self) -> Result<Vec<Param>, ModelError> {
        check_layers([("Transformer.layers", self.layers), ("Transformer.heads", self.heads)])?;
        check_widths([
            ("Transformer.key_size", self.key_size),
            ("Transformer.model_size", self.model_size),
            ("Transformer.length", self.length),
            ("Transformer.vocabulary", self.vocabulary),
        ])?;
        let size = self.model_size;
        let embedding = |name: &str, rows: usize| Param {
            name: format!("embed.{name}"),
            shape: vec![rows, size],
            init: Init::TruncatedNormal { std: EMBEDDING_STD },
        };
        let mut params = vec![embedding("token", self.vocabulary), embedding("position", self.length)];
        let heads = self.heads.saturating_mul(self.key_size);
        let wide = size.saturating_mul(WIDENING);
        for i in 0..self.layers {
            let block_dense = |name: &str, fan_in: usize, fan_out: usize| {
                let init = Init::ScaledNormal { variance: 2.0 / (self.layers as f64 * fan_in as f64) };
                dense_params(&format!("block{i}.{name}"), fan_in, fan_out, init)
            };
            params.extend(norm_params(&format!("block{i}.norm0"), size));
            for name in ["attn.query", "attn.key", "attn.value"] {
                params.extend(block_dense(name, size, heads));
            }
            params.extend(block_dense("attn.out", heads, size));
            params.extend(norm_params(&format!("block{i}.norm1"), size));
            params.extend(block_dense("mlp.dense0", size, wide));
            params.extend(block_dense("mlp.dense1", wide, size));
        }
        params.extend(norm_params("final_norm", size));
        let output = Init::TruncatedNormal { std: 1.0 / (size as f64).sqrt() };
        params.extend(dense_params("output", size, self.vocabulary, output));
        Ok(params)
    }

    fn vocabulary(&self) -> Option<usize> {
        Some(self.vocabulary)
    }

    fn forward(&self, g: &mut Graph, params: &[NodeId], x: NodeId) -> NodeId {
        let n = g.shape(x).first().copied().unwrap_or(1);
        let tokens = n.saturating_mul(self.length);
        let Some(params) = one_each(g, self.params(), params) else { return x };
        let mut params = params.iter().copied();
        let mut next = || params.next().expect("they are as many as the layers take");
        let flat = g.reshape(x, &[tokens]);
        let chosen = g.one_hot(flat, self.vocabulary);
        let embedded = g.matmul(chosen, next());
        let position = g.broadcast(next(), &[n, self.length, self.model_size], &[1, 2]);
        let position = g.reshape(position, &[tokens, self.model_size]);
        let mut h = g.add(embedded, position);
        let visible = self.visible(g, x);
        for _ in 0..self.layers {
            let normed = layer_norm(g, h, next(), next(), EPSILON);
            let [query, key, value] = std::array::from_fn(|_| {
                let projected = dense(g, normed, next(), next());
                g.reshape(projected, &[n, self.length, self.heads, self.key_size])
            });
            let mixed = self.attention(g, [query, key, value], visible);
            let mixed = dense(g, mixed, next(), next());
            h = g.add(h, mixed);
            let normed = layer_norm(g, h, next(), next(), EPSILON);
            let wide = dense(g, normed, next(), next());
            let wide = Activation::Gelu.apply(g, wide);
            let narrow = dense(g, wide, next(), next());
            h = g.add(h, narrow);
        }
        let normed = layer_norm(g, h, next(), next(), EPSILON);
        dense(g, normed, next(), next())
    }
}

impl Transformer {
    /// The attention mask, `[n, heads, length, length]`: earlier tokens and the present one that are not padding.
    fn visible(&self, g: &mut Graph, x: NodeId) -> NodeId {
        let n = g.shape(x).first().copied().unwrap_or(1);
        let shape = [n, self.heads, self.length, self.length];
        let (from, to) = (g.iota(&shape, 2), g.iota(&shape, 3));
        let causal = g.compare(Compare::Ge, from, to);
        let codes = g.to_f32(x);
        let codes = g.broadcast(codes, &shape, &[0, 3]);
        let zero = g.full(0.0, &shape);
        // A later token counts as padding.
        let codes = g.select(causal, codes, zero);
        g.compare(Compare::Gt, codes, zero)
    }

    /// softmax(q·kᵀ/√key)·v of each head, from `[n, length, heads, key]` to `[n · length, heads · key]`, head by head.
    fn attention(&self, g: &mut Graph, [query, key, value]: [NodeId; 3], visible: NodeId) -> NodeId {
        let by_head = |lhs_batch: [usize; 2], contract: [usize; 2]| DotDims {
            lhs_batch: lhs_batch.to_vec(),
            rhs_batch: vec![0, 2],
            lhs_contract: vec![contract[0]],
            rhs_contract: vec![contract[1]],
        };
        let scores = g.dot_general(query, key, by_head([0, 2], [3, 3]));
        let shape = g.shape(scores).to_vec();
        let scores = g.scale(scores, 1.0 / (self.key_size as f64).sqrt());
        let masked = g.full(MASKED, &shape);
        let scores = g.select(visible, scores, masked);
        let Exponentials { exp, sum, .. } = exponentials(g, scores);
        let sum = g.broadcast_over(sum, &shape, &[3]);
        let weights = g.div(exp, sum);
        let mixed = g.dot_general(weights, value, by_head([0, 1], [3, 1]));
        let mixed = g.transpose(mixed, &[0, 2, 1, 3]);
        let tokens = g.shape(mixed)[0].saturating_mul(self.length);
        g.reshape(mixed, &[tokens, self.heads.saturating_mul(self.key_size)])
    }
}
