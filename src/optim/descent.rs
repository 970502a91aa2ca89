//! The descent: w ← w − η d with d = the followed gradient + c w, through a velocity if there is momentum. Velocity and
//! parameters have a program each, because a program cannot read a value that it has overwritten.

use super::rule::Rule;
use super::settings;
use crate::device::{Buffer, Device, DeviceError, Recording};
use crate::graph::{Graph, NodeId};
use crate::objective::vectors::{at, record};
use crate::plan::Place;

/// The rule and the vectors of a descent.
pub(super) struct Descent<'a> {
    pub rule: &'a Rule,
    pub w: &'a Buffer,
    pub settings: &'a Buffer,
    pub velocity: Option<&'a Buffer>,
}

impl Descent<'_> {
    /// v ← βv + d if there is a velocity; then w ← w − η d, w ← w − η v, or for Nesterov w ← w − η (d + βv)
    pub fn along(&self, device: &Device, gradient: &Buffer) -> Result<Recording, DeviceError> {
        let Self { rule, w, settings, velocity } = *self;
        let Some(velocity) = velocity else {
            let mut step = Update::new(w.len());
            let d = step.decayed(rule);
            return step.descend(device, d, &[w, gradient, settings]);
        };
        let buffers = [w, gradient, settings, velocity];
        let mut gather = Update::new(w.len());
        let d = gather.decayed(rule);
        let kept = gather.kept();
        let next = gather.graph.add(kept, d);
        let gather = record(device, "velocity", &gather.graph, &gather.inputs, &[(next, at(3, 0))], &buffers)?;

        let mut step = Update::new(w.len());
        let slope = if rule.nesterov {
            let d = step.decayed(rule);
            let ahead = step.kept();
            step.graph.add(d, ahead)
        } else {
            step.velocity()
        };
        Ok(gather.then(&step.descend(device, slope, &buffers)?))
    }
}

/// A graph over w, the gradient, the settings and the velocity, which lie in slots 0 to 3.
struct Update {
    graph: Graph,
    inputs: Vec<(NodeId, Place)>,
    w: NodeId,
}

impl Update {
    fn new(len: usize) -> Self {
        let mut graph = Graph::new();
        let w = graph.input_f32("w", &[len]);
        Self { graph, inputs: vec![(w, at(0, 0))], w }
    }

    fn vector(&mut self, name: &str, slot: usize) -> NodeId {
        let shape = self.graph.shape(self.w).to_vec();
        let vector = self.graph.input_f32(name, &shape);
        self.inputs.push((vector, at(slot, 0)));
        vector
    }

    /// A setting times a vector.
    fn scaled(&mut self, name: &str, offset: usize, vector: NodeId) -> NodeId {
        let scalar = self.graph.input_f32(name, &[]);
        self.inputs.push((scalar, at(2, offset)));
        let shape = self.graph.shape(vector).to_vec();
        let scale = self.graph.broadcast(scalar, &shape, &[]);
        self.graph.mul(vector, scale)
    }

    /// d
    fn decayed(&mut self, rule: &Rule) -> NodeId {
        let gradient = self.vector("g", 1);
        if rule.weight_decay == 0.0 {
            return gradient;
        }
        let pull = self.scaled("weight decay", settings::DECAY, self.w);
        self.graph.add(gradient, pull)
    }

    fn velocity(&mut self) -> NodeId {
        self.vector("v", 3)
    }

    /// βv
    fn kept(&mut self) -> NodeId {
        let velocity = self.velocity();
        self.scaled("momentum", settings::MOMENTUM, velocity)
    }

    /// w ← w − η slope
    fn descend(mut self, device: &Device, slope: NodeId, buffers: &[&Buffer]) -> Result<Recording, DeviceError> {
        let step = self.scaled("lr", settings::LR, slope);
        let next = self.graph.sub(self.w, step);
        record(device, "descent", &self.graph, &self.inputs, &[(next, at(0, 0))], buffers)
    }
}
