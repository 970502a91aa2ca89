//! A Transformer that predicts every next token: pre-normalised blocks with causal attention, an untied output.
//!
//! h ← embedding + position; the blocks (`block`); norm(h)·W + b. A token attends to the tokens up to the present one that
//! are not padding (code 0). Embedding rows are chosen by a contraction with one-hot tokens, whose reverse is
//! deterministic.

use super::block::{Block, EPSILON};
use super::error::{check_layers, check_widths};
use super::layers::{dense, dense_params, layer_norm, norm_params, one_each};
use super::{Init, Model, ModelError, Param};
use crate::graph::{Compare, Graph, NodeId};

/// Standard deviation of the embeddings before their truncation.
pub(super) const EMBEDDING_STD: f64 = 0.02;

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
        params.extend((0..self.layers).flat_map(|i| self.block().params(i, self.layers)));
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
            h = self.block().apply(g, h, n, Some(visible), &mut next);
        }
        let normed = layer_norm(g, h, next(), next(), EPSILON);
        dense(g, normed, next(), next())
    }
}

impl Transformer {
    fn block(&self) -> Block {
        let Self { heads, key_size, model_size, length, .. } = *self;
        Block { heads, key_size, model_size, length }
    }

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
}
