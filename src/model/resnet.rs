//! Residual networks for small images (He et al. 2016, section 4.2): a 3 × 3 convolution, three stages of n blocks with
//! once, twice and four times the channels, the mean over all positions, and a dense layer; 6n + 2 layers.
//!
//! A block is x ↦ act(shortcut(x) + norm(conv(act(norm(conv(x)))))) with 3 × 3 convolutions. The first block of the
//! second and third stage halves the image, and its shortcut is a 1 × 1 convolution of stride 2 with a normalisation;
//! other shortcuts are the identity. Convolutions have biases where no normalisation follows.

use super::error::{check_layers, check_widths};
use super::layers::{add_bias, dense, dense_params, mean, one_each};
use super::{Activation, Init, Model, ModelError, Norm, Param};
use crate::graph::{Graph, NodeId, Window};

/// Stages of a network.
const STAGES: usize = 3;
/// Height and width of a kernel on the main path.
const KERNEL: usize = 3;

/// A residual network. See the module text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResNet {
    /// Height, width and channels of the images.
    pub image: [usize; 3],
    /// Blocks of a stage, n.
    pub blocks: usize,
    /// Channels of the first stage.
    pub channels: usize,
    /// After each convolution.
    pub norm: Norm,
    /// Groups of channels of [`Norm::Group`].
    pub groups: usize,
    /// After the first normalisation of a block, and after the sum.
    pub activation: Activation,
    /// Number of outputs.
    pub outputs: usize,
}

/// One convolution with its normalisation.
struct Conv {
    name: String,
    window: Window,
    channels_in: usize,
    channels_out: usize,
}

/// Two convolutions and a shortcut, which is the identity if it is `None`.
struct Block {
    convs: [Conv; 2],
    shortcut: Option<Conv>,
}

impl Conv {
    fn new(name: String, image: [usize; 2], kernel: usize, stride: usize, channels: [usize; 2]) -> Self {
        // As many zeros on each side, as He et al. and PyTorch have them; "SAME" would begin a stride of 2 without zeros.
        let window = Window { low: [kernel / 2; 2], ..Window::same(image, [kernel; 2], [stride; 2]) };
        Self { name, window, channels_in: channels[0], channels_out: channels[1] }
    }

    /// He's initialisation (He et al. 2015).
    fn params(&self, norm: Norm) -> Vec<Param> {
        let Self { name, window, channels_in, channels_out } = self;
        let [height, width] = window.kernel;
        let fan_in = (height * width) as f64 * *channels_in as f64;
        let kernel = Param {
            name: format!("{name}.kernel"),
            shape: vec![height, width, *channels_in, *channels_out],
            init: Init::ScaledNormal { variance: 2.0 / fan_in },
        };
        let bias = Param { name: format!("{name}.bias"), shape: vec![*channels_out], init: Init::Zeros };
        let mut params = vec![kernel];
        params.extend((norm == Norm::None).then_some(bias));
        params.extend(norm.params(&format!("{name}.norm"), *channels_out));
        params
    }
}

impl ResNet {
    /// The layers of a network with n blocks in a stage, 6n + 2.
    pub fn depth(&self) -> usize {
        self.blocks.saturating_mul(2 * STAGES).saturating_add(2)
    }

    fn check(&self) -> Result<(), ModelError> {
        let [height, width, channels] = self.image;
        check_widths([
            ("ResNet.image[0]", height),
            ("ResNet.image[1]", width),
            ("ResNet.image[2]", channels),
            ("ResNet.channels", self.channels),
            ("4 · ResNet.channels", self.channels.saturating_mul(4)),
            ("ResNet.outputs", self.outputs),
        ])?;
        check_layers([("ResNet.blocks", self.blocks), ("6 · ResNet.blocks + 2", self.depth())])?;
        self.norm.check_groups("ResNet.groups", self.groups, [self.channels])
    }

    /// The first convolution and the blocks.
    fn layers(&self) -> (Conv, Vec<Block>) {
        let [height, width, channels] = self.image;
        let stem = Conv::new("stem".to_owned(), [height, width], KERNEL, 1, [channels, self.channels]);
        let (mut image, mut channels) = ([height, width], self.channels);
        let mut blocks = vec![];
        for stage in 0..STAGES {
            for block in 0..self.blocks {
                let wide = self.channels << stage;
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let name = |part: &str| format!("stage{stage}.block{block}.{part}");
                let first = Conv::new(name("conv0"), image, KERNEL, stride, [channels, wide]);
                let halved = first.window.output;
                let second = Conv::new(name("conv1"), halved, KERNEL, 1, [wide, wide]);
                let shortcut = (stride > 1).then(|| Conv::new(name("shortcut"), image, 1, stride, [channels, wide]));
                blocks.push(Block { convs: [first, second], shortcut });
                (image, channels) = (halved, wide);
            }
        }
        (stem, blocks)
    }
}

impl Model for ResNet {
    fn params(&self) -> Result<Vec<Param>, ModelError> {
        self.check()?;
        let (stem, blocks) = self.layers();
        let mut params = stem.params(self.norm);
        for Block { convs, shortcut } in &blocks {
            params.extend(convs.iter().chain(shortcut).flat_map(|conv| conv.params(self.norm)));
        }
        let (fan_in, fan_out) = (self.channels << (STAGES - 1), self.outputs);
        params.extend(dense_params("dense0", fan_in, fan_out, Init::GlorotNormal { fan_in, fan_out }));
        Ok(params)
    }

    fn mixes_examples(&self) -> bool {
        self.norm == Norm::Batch
    }

    fn forward(&self, g: &mut Graph, params: &[NodeId], x: NodeId) -> NodeId {
        let n = g.shape(x).first().copied().unwrap_or(1);
        let [height, width, channels] = self.image;
        // Invalid sizes have no list of layers.
        let Some(params) = one_each(g, self.params(), params) else { return x };
        let mut params = params.iter().copied();
        let mut next = || params.next().expect("they are as many as the layers take");
        let (stem, blocks) = self.layers();
        let mut conv = |g: &mut Graph, x: NodeId, conv: &Conv| {
            let mut y = g.conv(x, next(), conv.window);
            if self.norm == Norm::None {
                y = add_bias(g, y, next());
            }
            self.norm.apply(g, y, self.groups, &mut next)
        };
        let x = g.reshape(x, &[n, height, width, channels]);
        let h = conv(g, x, &stem);
        let mut h = self.activation.apply(g, h);
        for Block { convs: [first, second], shortcut } in &blocks {
            let inner = conv(g, h, first);
            let inner = self.activation.apply(g, inner);
            let inner = conv(g, inner, second);
            let around = shortcut.as_ref().map_or(h, |shortcut| conv(g, h, shortcut));
            let sum = g.add(around, inner);
            h = self.activation.apply(g, sum);
        }
        let pooled = mean(g, h, &[1, 2]);
        dense(g, pooled, next(), next())
    }
}
