//! The ascent from w to the perturbed parameters, as recordings. Each step needs a norm first: partial sums of g², or
//! for ASAM of (Tg)². These and the factor ρ/(norm + ε) stay on the device.

use super::rule::Ascent;
use super::settings;
use crate::device::{Buffer, Device, DeviceError, Recording};
use crate::graph::{Graph, NodeId, Unary};
use crate::objective::vectors::{at, record};

/// Partial sums of a squared norm; the host may add them up in f64.
pub(super) const PARTIALS: usize = 256;

/// T v with T = diag(|x| + eta), or 1 where the mask is 0
fn rescaled(g: &mut Graph, x: NodeId, v: NodeId, eta: NodeId, mask: Option<NodeId>) -> NodeId {
    let shape = g.shape(x).to_vec();
    let down = g.neg(x);
    let size = g.max(x, down);
    let eta = g.broadcast(eta, &shape, &[]);
    let mut t = g.add(size, eta);
    if let Some(mask) = mask {
        let (scaled, negative) = (g.mul(mask, t), g.neg(mask));
        let rest = g.offset(negative, 1.0);
        t = g.add(scaled, rest);
    }
    g.mul(t, v)
}

/// The partial sums of ‖v‖².
fn sums_of_squares(g: &mut Graph, v: NodeId) -> NodeId {
    let len = g.shape(v)[0];
    let square = g.mul(v, v);
    let table = g.reshape(square, &[len / PARTIALS, PARTIALS]);
    g.reduce_sum(table, &[0])
}

/// The elements of `partials` from `offset` on = sums of g²
pub(super) fn squares(
    device: &Device,
    gradient: &Buffer,
    partials: &Buffer,
    offset: usize,
) -> Result<Recording, DeviceError> {
    let mut g = Graph::new();
    let x = g.input_f32("g", &[gradient.len()]);
    let sums = sums_of_squares(&mut g, x);
    record(device, "squares of the gradient", &g, &[(x, at(0, 0))], &[(sums, at(1, offset))], &[gradient, partials])
}

/// Records the steps of an ascent along gradients that lack a factor.
pub(super) struct Climber<'a> {
    pub device: &'a Device,
    pub ascent: Ascent,
    /// The factor of the given gradients: a group's share of all examples.
    pub share: f64,
    pub settings: &'a Buffer,
    /// 0 where the T of ASAM is 1; without it T is |w| + eta everywhere.
    pub mask: Option<&'a Buffer>,
}

impl Climber<'_> {
    /// partials = the input of [`Self::climb`]: sums of g² for SAM, of (Tg)² for ASAM, otherwise nothing
    pub fn measure(&self, w: &Buffer, gradient: &Buffer, partials: &Buffer) -> Result<Recording, DeviceError> {
        match self.ascent {
            Ascent::Sam => return squares(self.device, gradient, partials, 0),
            Ascent::Usam => return Ok(Recording::default()),
            Ascent::Asam { .. } => {}
        }
        let len = w.len();
        let mut g = Graph::new();
        let (x, dx, eta) = (g.input_f32("w", &[len]), g.input_f32("g", &[len]), g.input_f32("eta", &[]));
        let mask = self.mask.map(|mask| g.input_f32("mask", &[mask.len()]));
        let scaled = rescaled(&mut g, x, dx, eta, mask);
        let sums = sums_of_squares(&mut g, scaled);
        let mut inputs = vec![(x, at(0, 0)), (dx, at(1, 0)), (eta, at(2, settings::ETA))];
        inputs.extend(mask.map(|mask| (mask, at(4, 0))));
        let mut buffers = vec![w, gradient, self.settings, partials];
        buffers.extend(self.mask);
        record(self.device, "squares of the rescaled gradient", &g, &inputs, &[(sums, at(3, 0))], &buffers)
    }

    /// above = w + one step of the ascent along `gradient`; without `above`, w itself moves
    pub fn climb(
        &self,
        w: &Buffer,
        gradient: &Buffer,
        partials: &Buffer,
        above: Option<&Buffer>,
    ) -> Result<Recording, DeviceError> {
        let len = w.len();
        let mut g = Graph::new();
        let (x, dx) = (g.input_f32("w", &[len]), g.input_f32("g", &[len]));
        let partial = g.input_f32("partials", &[PARTIALS]);
        let (rho, epsilon) = (g.input_f32("rho", &[]), g.input_f32("epsilon", &[]));
        let eta = g.input_f32("eta", &[]);
        let mask = self.mask.map(|mask| g.input_f32("mask", &[mask.len()]));
        let direction = match self.ascent {
            Ascent::Sam | Ascent::Usam => dx,
            Ascent::Asam { .. } => {
                let scaled = rescaled(&mut g, x, dx, eta, mask);
                rescaled(&mut g, x, scaled, eta, mask)
            }
        };
        let scale = match self.ascent {
            Ascent::Usam => g.scale(rho, 1.0 / self.share),
            Ascent::Sam | Ascent::Asam { .. } => {
                // The share cancels in g/(‖g‖ + ε), except in ε.
                let sum = g.sum_all(partial);
                let norm = g.unary(Unary::Sqrt, sum);
                let epsilon = g.scale(epsilon, self.share);
                let norm = g.add(norm, epsilon);
                g.div(rho, norm)
            }
        };
        let scale = g.broadcast(scale, &[len], &[]);
        let step = g.mul(direction, scale);
        let sum = g.add(x, step);
        let mut inputs = vec![
            (x, at(0, 0)),
            (dx, at(1, 0)),
            (partial, at(2, 0)),
            (rho, at(3, settings::RHO)),
            (epsilon, at(3, settings::EPSILON)),
            (eta, at(3, settings::ETA)),
        ];
        let mut buffers = vec![w, gradient, partials, self.settings];
        buffers.extend(above);
        let place = if above.is_some() { at(4, 0) } else { at(0, 0) };
        inputs.extend(mask.map(|mask| (mask, at(buffers.len(), 0))));
        buffers.extend(self.mask);
        record(self.device, "ascent", &g, &inputs, &[(sum, place)], &buffers)
    }
}
