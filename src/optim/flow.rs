//! One step of time along the gradient flow dw/dt = −∇L(w), by the classical Runge–Kutta method of order 4: with h = η and
//! k₁ = ∇L(w), k₂ = ∇L(w − h/2·k₁), k₃ = ∇L(w − h/2·k₂), k₄ = ∇L(w − h·k₃), w ← w − h/6·(k₁ + 2k₂ + 2k₃ + k₄).

use super::settings;
use crate::device::{Buffer, DeviceError, Recording};
use crate::graph::{Graph, NodeId};
use crate::objective::Objective;
use crate::objective::vectors::{at, record};
use crate::plan::Place;

/// Records the step from `w`, where `gradient` is ∇L(w), with the step of time in `settings`.
pub(super) fn step(
    objective: &mut Objective,
    w: &Buffer,
    gradient: &Buffer,
    settings: &Buffer,
) -> Result<Recording, DeviceError> {
    let [stage, slope, total] = ["a stage", "the slope of a stage", "the sum of slopes"];
    let (stage, slope, total) = (objective.vector(stage)?, objective.vector(slope)?, objective.vector(total)?);
    let device = objective.device().clone();
    let mut recording = Recording::default();
    // Each stage starts from w along the slope before it; `weight` is that slope's in the sum of sixths.
    for (from, share, weight) in [(gradient, 0.5, 1.0), (&slope, 0.5, 2.0), (&slope, 1.0, 2.0)] {
        // The first sum begins anew.
        let is_first = weight == 1.0;
        let mut next = Stage::new(w.len());
        let moved = next.moved(next.slope, share);
        let weighted = next.graph.scale(next.slope, weight);
        let sum = if is_first { next.slope } else { next.graph.add(next.total, weighted) };
        let outputs = [(moved, at(4, 0)), (sum, at(3, 0))];
        let buffers = [w, settings, from, &total, &stage];
        let name = "a stage of gradient flow";
        recording = recording.then(&record(&device, name, &next.graph, &next.inputs, &outputs, &buffers)?);
        recording = recording.then(&objective.gradient(&stage, &slope, None)?);
    }
    let mut last = Stage::new(w.len());
    let sum = last.graph.add(last.total, last.slope);
    let moved = last.moved(sum, 1.0 / 6.0);
    let buffers = [w, settings, &slope, &total];
    let update = record(&device, "gradient flow", &last.graph, &last.inputs, &[(moved, at(0, 0))], &buffers)?;
    Ok(recording.then(&update))
}

/// A graph over w, η, a slope and the sum of slopes, in slots 0 to 3.
struct Stage {
    graph: Graph,
    inputs: Vec<(NodeId, Place)>,
    w: NodeId,
    lr: NodeId,
    slope: NodeId,
    total: NodeId,
}

impl Stage {
    fn new(len: usize) -> Self {
        let mut graph = Graph::new();
        let (w, lr) = (graph.input_f32("w", &[len]), graph.input_f32("lr", &[]));
        let (slope, total) = (graph.input_f32("slope", &[len]), graph.input_f32("total", &[len]));
        let inputs = vec![(w, at(0, 0)), (lr, at(1, settings::LR)), (slope, at(2, 0)), (total, at(3, 0))];
        Self { graph, inputs, w, lr, slope, total }
    }

    /// w − share·η·direction
    fn moved(&mut self, direction: NodeId, share: f64) -> NodeId {
        let step = self.graph.scale(self.lr, share);
        let shape = self.graph.shape(self.w).to_vec();
        let step = self.graph.broadcast(step, &shape, &[]);
        let along = self.graph.mul(direction, step);
        self.graph.sub(self.w, along)
    }
}
