//! The official code's substitute for H·v, for comparison: (∇L(w + h·v) − ∇L(w − h·v)) / (2h + 1e-5), h = 1e-3.
//!
//! As there, everything is float32, and the 1e-5 makes each product 0.4975 % too small. On a network with kinks it does
//! not approximate the Hessian, since the two points lie on different sides of some kinks.

use super::Objective;
use super::vectors::{at, record};
use crate::device::{Buffer, DeviceError, Recording};
use crate::graph::Graph;

/// h
const STEP: f64 = 1e-3;
/// The divisor of the difference.
const DIVISOR: f64 = 2.0 * STEP + 1e-5;

impl Objective {
    /// Records `result` = the official code's difference of gradients at `w` along the unit vector `v`.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn difference(&mut self, w: &Buffer, v: &Buffer, result: &Buffer) -> Result<Recording, DeviceError> {
        [w, v, result].into_iter().try_for_each(|vector| self.check_vector(vector))?;
        let device = self.device().clone();
        let len = w.len();
        let [above, below, subtrahend] = [self.vector("w + h v")?, self.vector("w - h v")?, self.vector("a gradient")?];

        let mut g = Graph::new();
        let (x, dx) = (g.input_f32("w", &[len]), g.input_f32("v", &[len]));
        let step = g.scale(dx, STEP);
        let ends = [(g.add(x, step), at(2, 0)), (g.sub(x, step), at(3, 0))];
        let inputs = [(x, at(0, 0)), (dx, at(1, 0))];
        let part = record(&device, "the ends of a difference", &g, &inputs, &ends, &[w, v, &above, &below])?;

        let mut g = Graph::new();
        let (a, b) = (g.input_f32("a", &[len]), g.input_f32("b", &[len]));
        let change = g.sub(a, b);
        let quotient = (g.scale(change, 1.0 / DIVISOR), at(0, 0));
        let inputs = [(a, at(0, 0)), (b, at(1, 0))];
        let divide = record(&device, "a difference quotient", &g, &inputs, &[quotient], &[result, &subtrahend])?;

        let gradients = self.gradient(&above, result, None)?.then(&self.gradient(&below, &subtrahend, None)?);
        Ok(part.then(&gradients).then(&divide))
    }
}
