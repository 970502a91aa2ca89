//! A Vision Transformer (Dosovitskiy et al. 2021): the image is cut into square patches, each patch is a token, and blocks
//! of attention without a mask follow (`block`).
//!
//! h ← patch·W + b + position, by a convolution whose stride is its size; the blocks; then the outputs norm(h)·W + b of
//! one vector: an additional class token, or the mean over all tokens after the normalisation (Beyer et al. 2022).

use super::block::{Block, EPSILON};
use super::error::{check_layers, check_widths};
use super::layers::{add_bias, dense, dense_params, layer_norm, mean, norm_params, one_each};
use super::transformer::EMBEDDING_STD;
use super::{Init, Model, ModelError, Param};
use crate::choice::choice;
use crate::graph::{Graph, NodeId, Window};

choice! {
    /// The vector from which a [`Vit`] computes its outputs.
    Readout {
        /// The mean over all tokens.
        Mean = "mean",
        /// A token of its own, before those of the image.
        Class = "class",
    }
}

/// A Vision Transformer. See the module text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vit {
    /// Height, width and channels of the images.
    pub image: [usize; 3],
    /// Height and width of a patch, which divide those of the images.
    pub patch_size: usize,
    /// Blocks.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Size of a head's queries, keys and values.
    pub key_size: usize,
    /// Features of a token.
    pub model_size: usize,
    /// The vector that the outputs are computed from.
    pub readout: Readout,
    /// Number of outputs.
    pub outputs: usize,
}

impl Vit {
    fn check(&self) -> Result<(), ModelError> {
        check_layers([("Vit.layers", self.layers), ("Vit.heads", self.heads)])?;
        let [height, width, channels] = self.image;
        check_widths([
            ("Vit.image[0]", height),
            ("Vit.image[1]", width),
            ("Vit.image[2]", channels),
            ("Vit.patch_size", self.patch_size),
            ("Vit.key_size", self.key_size),
            ("Vit.model_size", self.model_size),
            ("Vit.outputs", self.outputs),
            (
                "the number of patches",
                self.patches().iter().fold(1, |product: usize, &n| product.saturating_mul(n.max(1))),
            ),
        ])?;
        if [height, width].iter().any(|size| !size.is_multiple_of(self.patch_size)) {
            let allowed = format!("a divisor of the images' height and width, {height} and {width}");
            return Err(ModelError::Size { size: "Vit.patch_size", value: self.patch_size, allowed });
        }
        Ok(())
    }

    /// Patches along the height and the width.
    fn patches(&self) -> [usize; 2] {
        let [height, width, _] = self.image;
        [height, width].map(|size| size / self.patch_size.max(1))
    }

    /// Tokens of the image, the class token not included.
    fn image_tokens(&self) -> usize {
        self.patches().iter().product()
    }

    fn block(&self) -> Block {
        let Self { heads, key_size, model_size, readout, .. } = *self;
        let length = self.image_tokens() + usize::from(readout == Readout::Class);
        Block { heads, key_size, model_size, length }
    }
}

impl Model for Vit {
    fn params(&self) -> Result<Vec<Param>, ModelError> {
        self.check()?;
        let (size, patch) = (self.model_size, self.patch_size);
        let fan_in = patch as f64 * patch as f64 * self.image[2] as f64;
        let param = |name: &str, shape: Vec<usize>, init| Param { name: name.to_owned(), shape, init };
        let mut params = vec![
            param(
                "patch.kernel",
                vec![patch, patch, self.image[2], size],
                Init::ScaledNormal { variance: 1.0 / fan_in },
            ),
            param("patch.bias", vec![size], Init::Zeros),
        ];
        if self.readout == Readout::Class {
            params.push(param("embed.class", vec![size], Init::Zeros));
        }
        let block = self.block();
        params.push(param("embed.position", vec![block.length, size], Init::TruncatedNormal { std: EMBEDDING_STD }));
        params.extend((0..self.layers).flat_map(|i| block.params(i, self.layers)));
        params.extend(norm_params("final_norm", size));
        let output = Init::TruncatedNormal { std: 1.0 / (size as f64).sqrt() };
        params.extend(dense_params("output", size, self.outputs, output));
        Ok(params)
    }

    fn forward(&self, g: &mut Graph, params: &[NodeId], x: NodeId) -> NodeId {
        let n = g.shape(x).first().copied().unwrap_or(1);
        let [height, width, channels] = self.image;
        let Some(params) = one_each(g, self.params(), params) else { return x };
        let mut params = params.iter().copied();
        let mut next = || params.next().expect("they are as many as the layers take");
        let (size, patch, block) = (self.model_size, self.patch_size, self.block());
        let image = g.reshape(x, &[n, height, width, channels]);
        let window = Window {
            input: [height, width],
            kernel: [patch; 2],
            output: self.patches(),
            stride: [patch; 2],
            low: [0; 2],
        };
        let patches = g.conv(image, next(), window);
        let patches = add_bias(g, patches, next());
        let mut tokens = g.reshape(patches, &[n, self.image_tokens(), size]);
        if self.readout == Readout::Class {
            let class = g.broadcast(next(), &[n, 1, size], &[2]);
            let class = g.pad(class, &[0, 0, 0], &[0, self.image_tokens(), 0]);
            let after = g.pad(tokens, &[0, 1, 0], &[0, 0, 0]);
            tokens = g.add(class, after);
        }
        let position = g.broadcast(next(), &[n, block.length, size], &[1, 2]);
        let tokens = g.add(tokens, position);
        let mut h = g.reshape(tokens, &[n.saturating_mul(block.length), size]);
        for _ in 0..self.layers {
            h = block.apply(g, h, n, None, &mut next);
        }
        let by_example = [n, block.length, size];
        let read = match self.readout {
            Readout::Mean => {
                let normed = layer_norm(g, h, next(), next(), EPSILON);
                let normed = g.reshape(normed, &by_example);
                mean(g, normed, &[1])
            }
            Readout::Class => {
                let tokens = g.reshape(h, &by_example);
                let class = g.slice(tokens, &[0; 3], &[n, 1, size]);
                let class = g.reshape(class, &[n, size]);
                layer_norm(g, class, next(), next(), EPSILON)
            }
        };
        dense(g, read, next(), next())
    }
}
