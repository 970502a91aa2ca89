//! Normalisations of the channels of images `[n, height, width, channels]`, each (x − mean)/√(variance + ε)·scale + bias
//! with a scale and a bias of every channel. They differ in the values that share a mean and a variance.

use super::layers::{mean, norm_params, scaled, standardised, standardised_by};
use super::{ModelError, Param};
use crate::choice::choice;
use crate::graph::{Graph, NodeId};

/// ε of layer normalisation, as in Haiku.
const LAYER_EPSILON: f32 = 1e-6;
/// ε of group and batch normalisation, as in PyTorch.
const EPSILON: f32 = 1e-5;

choice! {
    /// The normalisation of a convolutional layer.
    Norm {
        /// Over the channels at each position (Ba, Kiros and Hinton 2016).
        Layer = "layer",
        /// Over all positions of each group of channels (Wu and He 2018).
        Group = "group",
        /// Over all positions and examples of each channel (Ioffe and Szegedy 2015). The loss of a batch is then one
        /// function of all its examples, see [`super::Model::mixes_examples`].
        Batch = "batch",
        /// Nothing.
        None = "none",
    }
}

/// Group normalisation of `[n, positions, channels]` without its scale and bias. Sums over positions come first, so that
/// the large ones run along whole rows of channels.
fn standardised_groups(g: &mut Graph, x: NodeId, groups: usize) -> NodeId {
    let shape = g.shape(x).to_vec();
    let &[n, _, channels] = &shape[..] else { return x };
    let grouped = [n, groups, channels / groups.max(1)];
    let means = |g: &mut Graph, x: NodeId| {
        let by_channel = mean(g, x, &[1]);
        let apart = g.reshape(by_channel, &grouped);
        mean(g, apart, &[2])
    };
    let spread = |g: &mut Graph, means: NodeId| {
        let by_channel = g.broadcast_over(means, &grouped, &[2]);
        let by_channel = g.reshape(by_channel, &[n, channels]);
        g.broadcast_over(by_channel, &shape, &[1])
    };
    standardised_by(g, x, EPSILON, means, spread)
}

impl Norm {
    /// The parameters `name.scale` and `name.bias` of so many channels.
    pub(super) fn params(self, name: &str, channels: usize) -> Vec<Param> {
        if self == Self::None { vec![] } else { norm_params(name, channels).to_vec() }
    }

    /// Applies it, with `next` for the nodes of its parameters. Groups divide the channels, see [`check_groups`].
    pub(super) fn apply(self, g: &mut Graph, x: NodeId, groups: usize, mut next: impl FnMut() -> NodeId) -> NodeId {
        let shape = g.shape(x).to_vec();
        let normed = match (self, &shape[..]) {
            (Self::None, _) => return x,
            (Self::Layer, _) => standardised(g, x, &[shape.len().saturating_sub(1)], LAYER_EPSILON),
            (Self::Batch, _) => standardised(g, x, &[0, 1, 2], EPSILON),
            (Self::Group, &[n, height, width, channels]) => {
                let positions = g.reshape(x, &[n, height.saturating_mul(width), channels]);
                let normed = standardised_groups(g, positions, groups);
                g.reshape(normed, &shape)
            }
            // The convolution before it has refused other shapes.
            (Self::Group, _) => x,
        };
        let (scale, bias) = (next(), next());
        scaled(g, normed, scale, bias)
    }

    /// Refuses groups that do not divide these numbers of channels.
    pub(super) fn check_groups(
        self,
        size: &'static str,
        groups: usize,
        channels: impl IntoIterator<Item = usize>,
    ) -> Result<(), ModelError> {
        let divides = |channels: usize| groups > 0 && channels.is_multiple_of(groups);
        match channels.into_iter().find(|&channels| self == Self::Group && !divides(channels)) {
            Some(channels) => Err(ModelError::Size {
                size,
                value: groups,
                allowed: format!("a divisor of the {channels} channels of a layer"),
            }),
            None => Ok(()),
        }
    }
}
