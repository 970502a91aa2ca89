//! The descent: w ← w − η d with d = the followed gradient + c w, through a velocity where there is momentum.

use crate::gpu::{Buffer, Gpu, GpuError, Recording};
use crate::graph::Graph;
use crate::objective::vectors::{at, record};

use super::rule::Rule;
use super::settings;

/// w ← w − η d; with a velocity v ← βv + d, and w ← w − η v or for Nesterov w ← w − η (d + βv)
pub(super) fn descent(
    gpu: &Gpu,
    rule: &Rule,
    w: &Buffer,
    gradient: &Buffer,
    settings: &Buffer,
    velocity: Option<&Buffer>,
) -> Result<Recording, GpuError> {
    let len = w.len();
    let mut g = Graph::new();
    let (x, dx) = (g.input_f32("w", &[len]), g.input_f32("g", &[len]));
    let mut inputs = vec![(x, at(0, 0)), (dx, at(1, 0))];
    let mut setting = |g: &mut Graph, name: &str, offset: usize| {
        let scalar = g.input_f32(name, &[]);
        inputs.push((scalar, at(2, offset)));
        g.broadcast(scalar, &[len], &[])
    };
    let lr = setting(&mut g, "lr", settings::LR);
    let mut d = dx;
    if rule.weight_decay > 0.0 {
        let decay = setting(&mut g, "weight decay", settings::DECAY);
        let pull = g.mul(x, decay);
        d = g.add(d, pull);
    }
    let mut outputs = vec![];
    let mut buffers = vec![w, gradient, settings];
    if let Some(velocity) = velocity {
        let beta = setting(&mut g, "momentum", settings::MOMENTUM);
        let v = g.input_f32("velocity", &[len]);
        inputs.push((v, at(3, 0)));
        buffers.push(velocity);
        let kept = g.mul(v, beta);
        let next = g.add(kept, d);
        outputs.push((next, at(3, 0)));
        d = if rule.nesterov {
            let ahead = g.mul(next, beta);
            g.add(d, ahead)
        } else {
            next
        };
    }
    let step = g.mul(d, lr);
    outputs.insert(0, (g.sub(x, step), at(0, 0)));
    record(gpu, "descent", &g, &inputs, &outputs, &buffers)
}
