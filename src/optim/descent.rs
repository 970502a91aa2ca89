//! The descent: w ← w − η d with d = the followed gradient + c w, through a velocity if there is momentum, or through the
//! running means of an adaptive base. The state and the parameters have a program each, because a program cannot read a
//! value that it has overwritten.

use super::base::Base;
use super::rule::Rule;
use super::settings;
use super::state::{Moment, State};
use crate::device::{Buffer, Device, DeviceError, Recording};
use crate::graph::{Graph, NodeId, Unary};
use crate::objective::vectors::{at, record};
use crate::plan::Place;

/// The rule and the vectors of a descent.
pub(super) struct Descent<'a> {
    pub rule: &'a Rule,
    pub w: &'a Buffer,
    pub settings: &'a Buffer,
    pub state: &'a State,
}

impl Descent<'_> {
    /// The state after the update, if the rule has any; then w ← w − η times the [`Self::slope`].
    pub fn along(&self, device: &Device, gradient: &Buffer) -> Result<Recording, DeviceError> {
        let Self { rule, w, settings, state } = *self;
        let mut buffers = vec![w, gradient, settings];
        buffers.extend(state.iter().map(|(_, buffer)| buffer));
        let mut recording = Recording::default();
        if !state.is_empty() {
            let mut next = Update::new(w.len(), state);
            let d = next.decayed(rule);
            let outputs: Vec<(NodeId, Place)> = (state.iter().enumerate())
                .map(|(i, &(moment, _))| (next.moment(moment, d), at(STATE + i, 0)))
                .collect();
            recording = record(device, "optimizer state", &next.graph, &next.inputs, &outputs, &buffers)?;
        }
        let mut step = Update::new(w.len(), state);
        let slope = Self::slope(rule, &mut step);
        let moved = step.scaled(settings::LR, slope);
        let mut next = step.graph.sub(step.w, moved);
        if rule.base.decouples() && rule.weight_decay > 0.0 {
            let shrink = step.scaled(settings::SHRINK, step.w);
            next = step.graph.sub(next, shrink);
        }
        let descent = record(device, "descent", &step.graph, &step.inputs, &[(next, at(0, 0))], &buffers)?;
        Ok(recording.then(&descent))
    }

    /// d, v, or for Nesterov d + βv; or the quotient of an adaptive base, from the state after the update.
    fn slope(rule: &Rule, step: &mut Update<'_>) -> NodeId {
        let mean = match rule.base {
            // Gradient flow makes its update by itself.
            Base::Flow => return step.decayed(rule),
            Base::Sgd if rule.momentum == 0.0 => return step.decayed(rule),
            Base::Sgd if rule.nesterov => {
                let d = step.decayed(rule);
                let ahead = step.state_vector(Moment::Momentum);
                let ahead = step.scaled(settings::MOMENTUM, ahead);
                return step.graph.add(d, ahead);
            }
            Base::Sgd => return step.state_vector(Moment::Momentum),
            Base::RmsProp { .. } => step.decayed(rule),
            Base::Adam { .. } => {
                let mean = step.state_vector(Moment::First);
                step.scaled(settings::CORRECTION1, mean)
            }
        };
        let second = step.state_vector(Moment::Second);
        let second = step.scaled(settings::CORRECTION2, second);
        let root = step.graph.unary(Unary::Sqrt, second);
        let epsilon = step.setting(settings::BASE_EPSILON);
        let size = step.graph.add(root, epsilon);
        step.graph.div(mean, size)
    }
}

/// The slot of the first vector of the state.
const STATE: usize = 3;

/// A graph over w, the gradient and the settings in slots 0 to 2, and the state in those that follow.
struct Update<'a> {
    graph: Graph,
    inputs: Vec<(NodeId, Place)>,
    w: NodeId,
    state: &'a State,
}

impl<'a> Update<'a> {
    fn new(len: usize, state: &'a State) -> Self {
        let mut graph = Graph::new();
        let w = graph.input_f32("w", &[len]);
        Self { graph, inputs: vec![(w, at(0, 0))], w, state }
    }

    fn vector(&mut self, name: &str, slot: usize) -> NodeId {
        let shape = self.graph.shape(self.w).to_vec();
        let vector = self.graph.input_f32(name, &shape);
        self.inputs.push((vector, at(slot, 0)));
        vector
    }

    fn state_vector(&mut self, moment: Moment) -> NodeId {
        let slot = STATE + self.state.position(moment);
        self.vector(moment.word(), slot)
    }

    /// A setting in every element.
    fn setting(&mut self, offset: usize) -> NodeId {
        let scalar = self.graph.input_f32("setting", &[]);
        self.inputs.push((scalar, at(2, offset)));
        let shape = self.graph.shape(self.w).to_vec();
        self.graph.broadcast(scalar, &shape, &[])
    }

    /// A setting times a vector.
    fn scaled(&mut self, offset: usize, vector: NodeId) -> NodeId {
        let scale = self.setting(offset);
        self.graph.mul(vector, scale)
    }

    /// d
    fn decayed(&mut self, rule: &Rule) -> NodeId {
        let gradient = self.vector("g", 1);
        if rule.coupled_decay() == 0.0 {
            return gradient;
        }
        let pull = self.scaled(settings::DECAY, self.w);
        self.graph.add(gradient, pull)
    }

    /// A vector of the state after the update: βv + d, m + (1 − β₁)(d − m), or ν + (1 − β₂)(d² − ν).
    fn moment(&mut self, moment: Moment, d: NodeId) -> NodeId {
        let now = self.state_vector(moment);
        let (new, share) = match moment {
            Moment::Momentum => {
                let kept = self.scaled(settings::MOMENTUM, now);
                return self.graph.add(kept, d);
            }
            Moment::First => (d, settings::NEW1),
            Moment::Second => (self.graph.mul(d, d), settings::NEW2),
        };
        let change = self.graph.sub(new, now);
        let change = self.scaled(share, change);
        self.graph.add(now, change)
    }
}
