//! VGG-11 (Simonyan and Zisserman 2015, configuration A) as it is used for small images: eight 3 × 3 convolutions with
//! 1, 2, 4, 4, 8, 8, 8 and 8 times the first one's channels, five poolings of 2 × 2, and one dense layer.
//!
//! A layer is convolution ("SAME") → normalisation → activation; a convolution has a bias where no normalisation
//! follows.

use super::error::check_widths;
use super::layers::{add_bias, dense, dense_params, one_each};
use super::{Activation, Init, Model, ModelError, Norm, Param, Pool};
use crate::graph::{Graph, NodeId, Window};

/// Channels of each convolution, as multiples of the first one's, and whether a pooling follows.
const LAYERS: [(usize, bool); 8] =
    [(1, true), (2, true), (4, false), (4, true), (8, false), (8, true), (8, false), (8, true)];
/// Height and width of a kernel.
const KERNEL: [usize; 2] = [3, 3];
/// The smallest height and width of an image, of which five poolings leave one position.
const SMALLEST: usize = 32;

/// VGG-11. See the module text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vgg {
    /// Height, width and channels of the images; the first two at least 32.
    pub image: [usize; 3],
    /// Channels of the first layer; 64 is the network of the paper.
    pub channels: usize,
    /// After each convolution.
    pub norm: Norm,
    /// Groups of channels of [`Norm::Group`].
    pub groups: usize,
    /// After each normalisation.
    pub activation: Activation,
    /// The poolings; with [`Pool::None`] there are none.
    pub pool: Pool,
    /// Number of outputs.
    pub outputs: usize,
}

impl Vgg {
    fn check(&self) -> Result<(), ModelError> {
        let [height, width, channels] = self.image;
        check_widths([
            ("Vgg.image[0]", height),
            ("Vgg.image[1]", width),
            ("Vgg.image[2]", channels),
            ("Vgg.channels", self.channels),
            ("8 · Vgg.channels", self.channels.saturating_mul(8)),
            ("Vgg.outputs", self.outputs),
        ])?;
        for (size, value) in [("Vgg.image[0]", height), ("Vgg.image[1]", width)] {
            if value < SMALLEST && self.pool != Pool::None {
                let allowed = format!("{SMALLEST} or more, for five poolings to leave something");
                return Err(ModelError::Size { size, value, allowed });
            }
        }
        self.norm.check_groups("Vgg.groups", self.groups, [self.channels])
    }

    /// Height, width and channels of the dense layer's input.
    fn flattened(&self) -> [usize; 3] {
        let [height, width, _] = self.image;
        let halvings = LAYERS.iter().filter(|(_, pools)| *pools && self.pool != Pool::None).count();
        [height >> halvings, width >> halvings, self.channels.saturating_mul(8)]
    }
}

impl Model for Vgg {
    fn params(&self) -> Result<Vec<Param>, ModelError> {
        self.check()?;
        let mut params = vec![];
        let mut channels = self.image[2];
        for (i, (times, _)) in LAYERS.into_iter().enumerate() {
            let wide = times * self.channels;
            let fan_in = KERNEL.iter().product::<usize>() as f64 * channels as f64;
            params.push(Param {
                name: format!("conv{i}.kernel"),
                shape: vec![KERNEL[0], KERNEL[1], channels, wide],
                init: Init::ScaledNormal { variance: 2.0 / fan_in },
            });
            if self.norm == Norm::None {
                params.push(Param { name: format!("conv{i}.bias"), shape: vec![wide], init: Init::Zeros });
            }
            params.extend(self.norm.params(&format!("norm{i}"), wide));
            channels = wide;
        }
        let fan_in = self.flattened().iter().fold(1_usize, |product, &size| product.saturating_mul(size));
        let fan_out = self.outputs;
        params.extend(dense_params("dense0", fan_in, fan_out, Init::GlorotNormal { fan_in, fan_out }));
        Ok(params)
    }

    fn flattened_image(&self) -> Option<[usize; 3]> {
        self.check().is_ok().then(|| self.flattened())
    }

    fn mixes_examples(&self) -> bool {
        self.norm == Norm::Batch
    }

    fn forward(&self, g: &mut Graph, params: &[NodeId], x: NodeId) -> NodeId {
        let n = g.shape(x).first().copied().unwrap_or(1);
        let [height, width, channels] = self.image;
        let Some(params) = one_each(g, self.params(), params) else { return x };
        let mut params = params.iter().copied();
        let mut next = || params.next().expect("they are as many as the layers take");
        let mut h = g.reshape(x, &[n, height, width, channels]);
        for (_, pools) in LAYERS {
            let &[_, height, width, _] = g.shape(h) else { return h };
            h = g.conv(h, next(), Window::same([height, width], KERNEL, [1, 1]));
            if self.norm == Norm::None {
                h = add_bias(g, h, next());
            }
            h = self.norm.apply(g, h, self.groups, &mut next);
            h = self.activation.apply(g, h);
            if pools {
                h = self.pool.apply(g, h);
            }
        }
        let flat = self.flattened().iter().fold(1_usize, |product, &size| product.saturating_mul(size));
        let flat = g.reshape(h, &[n, flat]);
        dense(g, flat, next(), next())
    }
}
