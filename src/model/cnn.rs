//! Convolutional networks for images: blocks of 3 × 3 convolutions, a 2 × 2 pooling after each block, one dense layer.
//!
//! A layer is convolution ("SAME") → activation → normalisation, of the channels at each position as in the code of Long
//! and Bartlett; without the normalisation and with equal channels in all blocks it is the `cnn-*` family of Cohen et al.
//! (2021). The last block's output is flattened in the order height, width, channel.

use super::error::{check_layers, check_widths};
use super::layers::{add_bias, average_pool, dense, dense_params, max_pool, one_each};
use super::{Activation, Init, Model, ModelError, Norm, Param};
use crate::choice::choice;
use crate::graph::{Graph, NodeId, Window, len};

/// Height and width of a kernel.
const KERNEL: [usize; 2] = [3, 3];

choice! {
    /// The last part of a block.
    Pool {
        /// The maximum of 2 × 2, at ties the first.
        Max = "max",
        /// The mean of 2 × 2.
        Average = "average",
        /// Nothing.
        None = "none",
    }
}

impl Pool {
    /// Applies it to images.
    pub(super) fn apply(self, g: &mut Graph, x: NodeId) -> NodeId {
        match self {
            Self::Max => max_pool(g, x, 2),
            Self::Average => average_pool(g, x, 2),
            Self::None => x,
        }
    }
}

/// A convolutional network. See the module text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cnn {
    /// Height, width and channels of the images.
    pub image: [usize; 3],
    /// Number of blocks.
    pub blocks: usize,
    /// Convolutions in a block.
    pub layers_per_block: usize,
    /// Channels of the first block's layers.
    pub channels: usize,
    /// Factor from the channels of one block to those of the next.
    pub growth: usize,
    /// Stride of each block's first convolution.
    pub stride: usize,
    /// After each convolution and its bias.
    pub activation: Activation,
    /// After each activation.
    pub norm: Norm,
    /// Groups of channels of [`Norm::Group`].
    pub groups: usize,
    /// After each block.
    pub pool: Pool,
    /// Number of classes.
    pub outputs: usize,
}

/// One convolution of the network.
struct Layer {
    window: Window,
    channels_in: usize,
    channels_out: usize,
    /// Whether it is the last of its block.
    last_of_block: bool,
}

impl Cnn {
    /// The network of Long and Bartlett (`channels` = 16): two blocks of one convolution with layer normalisation and
    /// maximum pooling, the second with twice the channels.
    pub fn paper(image: [usize; 3], channels: usize, outputs: usize) -> Self {
        Self {
            image,
            blocks: 2,
            layers_per_block: 1,
            channels,
            growth: 2,
            stride: 1,
            activation: Activation::Relu,
            norm: Norm::Layer,
            groups: 1,
            pool: Pool::Max,
            outputs,
        }
    }

    /// Height, width and channels of the dense layer's input. 0 means too many blocks for the images; `None` that a
    /// size is out of range, such as channels beyond 32 bits.
    pub fn flattened(&self) -> Option<[usize; 3]> {
        self.checked_layers().ok().map(|(_, flattened)| flattened)
    }

    /// The same for sizes in range.
    fn checked_layers(&self) -> Result<(Vec<Layer>, [usize; 3]), ModelError> {
        let [height, width, channels] = self.image;
        check_widths([
            ("Cnn.image[0]", height),
            ("Cnn.image[1]", width),
            ("Cnn.image[2]", channels),
            ("Cnn.channels", self.channels),
            ("Cnn.growth", self.growth),
            ("Cnn.stride", self.stride),
            ("Cnn.outputs", self.outputs),
        ])?;
        check_layers([
            ("Cnn.blocks", self.blocks),
            ("Cnn.layers_per_block", self.layers_per_block),
            ("Cnn.blocks · Cnn.layers_per_block", self.blocks.saturating_mul(self.layers_per_block)),
        ])?;
        let most = self.growth.checked_pow(self.blocks as u32 - 1).and_then(|last| last.checked_mul(self.channels));
        if most.is_none_or(|most| u32::try_from(most).is_err()) {
            return Err(ModelError::Size {
                size: "Cnn.blocks",
                value: self.blocks,
                allowed: "so small that the last block's channels, channels · growth^(blocks − 1), fit 32 bits".into(),
            });
        }
        let (layers, flattened) = self.layers();
        self.norm.check_groups("Cnn.groups", self.groups, layers.iter().map(|layer| layer.channels_out))?;
        Ok((layers, flattened))
    }

    /// The convolutions in order, and the last block's output.
    fn layers(&self) -> (Vec<Layer>, [usize; 3]) {
        let [mut height, mut width, mut channels] = self.image;
        let mut layers = vec![];
        for block in 0..self.blocks {
            for layer in 0..self.layers_per_block {
                let stride = if layer == 0 { self.stride } else { 1 };
                let window = Window::same([height, width], KERNEL, [stride; 2]);
                let growth = self.growth.saturating_pow(u32::try_from(block).unwrap_or(u32::MAX));
                let channels_out = self.channels.saturating_mul(growth);
                let last_of_block = layer + 1 == self.layers_per_block;
                layers.push(Layer { window, channels_in: channels, channels_out, last_of_block });
                [height, width] = window.output;
                channels = channels_out;
            }
            if self.pool != Pool::None {
                (height, width) = (height / 2, width / 2);
            }
        }
        (layers, [height, width, channels])
    }
}

impl Model for Cnn {
    fn params(&self) -> Result<Vec<Param>, ModelError> {
        let (layers, flattened) = self.checked_layers()?;
        let mut params = vec![];
        for (i, layer) in layers.iter().enumerate() {
            let (ci, co) = (layer.channels_in, layer.channels_out);
            let positions: usize = KERNEL.iter().product();
            params.push(Param {
                name: format!("conv{i}.kernel"),
                shape: vec![KERNEL[0], KERNEL[1], ci, co],
                init: Init::GlorotNormal {
                    fan_in: positions.saturating_mul(ci),
                    fan_out: positions.saturating_mul(co),
                },
            });
            params.push(Param { name: format!("conv{i}.bias"), shape: vec![co], init: Init::Zeros });
            params.extend(self.norm.params(&format!("norm{i}"), co));
        }
        let fan_in = len(&flattened);
        if fan_in == 0 {
            return Err(ModelError::Size {
                size: "Cnn.blocks",
                value: self.blocks,
                allowed: "so small that pooling leaves something of the images".into(),
            });
        }
        let fan_out = self.outputs;
        params.extend(dense_params("dense0", fan_in, fan_out, Init::GlorotNormal { fan_in, fan_out }));
        Ok(params)
    }

    fn flattened_image(&self) -> Option<[usize; 3]> {
        self.flattened()
    }

    fn mixes_examples(&self) -> bool {
        self.norm == Norm::Batch
    }

    fn forward(&self, g: &mut Graph, params: &[NodeId], x: NodeId) -> NodeId {
        let n = g.shape(x).first().copied().unwrap_or(1);
        let [height, width, channels] = self.image;
        // Invalid sizes have no list of layers.
        let Some(params) = one_each(g, self.params(), params) else { return x };
        let (layers, flattened) = self.layers();
        let mut params = params.iter().copied();
        let mut next = || params.next().expect("they are as many as the layers take");
        let mut h = g.reshape(x, &[n, height, width, channels]);
        for layer in layers {
            h = g.conv(h, next(), layer.window);
            h = add_bias(g, h, next());
            h = self.activation.apply(g, h);
            h = self.norm.apply(g, h, self.groups, &mut next);
            if layer.last_of_block {
                h = self.pool.apply(g, h);
            }
        }
        let flat = g.reshape(h, &[n, len(&flattened)]);
        dense(g, flat, next(), next())
    }
}
