//! Convolutions as contractions: which patch element stands where in A.
//!
//! Nothing is copied into patches. With x, w and u the three sides of a convolution,
//!
//! | side | A[m, k] | m | k | n | B[k, n] |
//! |---|---|---|---|---|---|
//! | output | x where output position and kernel position meet | example, output position | kernel position, channel in | channel out | w |
//! | kernel | the same of x | kernel position, channel in | example, output position | channel out | u |
//! | input | u at the output position that brings the kernel position there | example, input position | kernel position, channel out | channel in | w, turned |
//!
//! and A is 0 where they meet nowhere. Products load through these indices, so a convolution is a direct one, with the
//! blocking of any other product.

use super::accesses::Unsuitable;
use super::code::{Body, Expr, Field, Name, Test};
use super::lower::Lowering;
use crate::graph::{ConvSide, NodeId, Window};
use crate::index::Idx;

/// A side of a convolution with its sizes.
pub(super) struct Patches {
    of: ConvSide,
    window: Window,
    /// Batch axes.
    lead: Vec<usize>,
    n: usize,
    channels_in: usize,
    channels_out: usize,
}

impl Patches {
    /// From the shapes of the op's operands.
    pub fn new(of: ConvSide, window: Window, shapes: [&[usize]; 2]) -> Self {
        let lead = shapes[0][..shapes[0].len() - 4].to_vec();
        let [first, second] = shapes.map(|shape| &shape[lead.len()..]);
        let (n, channels_in, channels_out) = match of {
            ConvSide::Input => (second[0], first[2], first[3]),
            ConvSide::Kernel => (first[0], first[3], second[3]),
            ConvSide::Output => (first[0], first[3], second[3]),
        };
        Self { of, window, lead, n, channels_in, channels_out }
    }

    /// The op's operands as A and B.
    pub fn operands(&self, [first, second]: [NodeId; 2]) -> [NodeId; 2] {
        match self.of {
            ConvSide::Input => [second, first],
            ConvSide::Kernel | ConvSide::Output => [first, second],
        }
    }

    /// Lengths of the axes behind b, m, n and k.
    pub fn axes(&self) -> [Vec<usize>; 4] {
        let Window { input, kernel, output, .. } = self.window;
        let at = |[height, width]: [usize; 2]| vec![self.n, height, width];
        let taps = |channels: usize| vec![kernel[0], kernel[1], channels];
        let (m, n, k) = match self.of {
            ConvSide::Input => (at(input), self.channels_in, taps(self.channels_out)),
            ConvSide::Kernel => (taps(self.channels_in), self.channels_out, at(output)),
            ConvSide::Output => (at(output), self.channels_out, taps(self.channels_in)),
        };
        [self.lead.clone(), m, vec![n], k]
    }

    /// Whether the channels of A, which are neighbours in memory, lie along k.
    pub fn a_along_k(&self) -> bool {
        self.of != ConvSide::Kernel
    }

    /// Element (b, m, k) of A.
    pub fn patch(&self, lowering: &mut Lowering, operand: NodeId, [b, m, k]: [&Idx; 3]) -> Result<Name, Unsuitable> {
        if self.window.input.contains(&0) || self.window.output.contains(&0) {
            return Ok(lowering.emit(Expr::Zero));
        }
        let [lead, m_axes, _, k_axes] = self.axes();
        let (m, k) = (m.unflatten(&m_axes), k.unflatten(&k_axes));
        let (place, tap) = if self.of == ConvSide::Kernel { (k, m) } else { (m, k) };
        let mut index = b.unflatten(&lead);
        index.push(place[0].clone());
        let mut inside = vec![];
        for axis in 0..2 {
            let (place, tap) = (&place[axis + 1], &tap[axis]);
            index.push(match self.of {
                ConvSide::Input => self.output_position(lowering, axis, place, tap, &mut inside)?,
                ConvSide::Kernel | ConvSide::Output => {
                    let meet = place.times(self.window.stride[axis] as u64).plus(tap);
                    lowering.bounded(&meet, self.window.low[axis], self.window.input[axis], &mut inside)?
                }
            });
        }
        index.push(tap[2].clone());
        lowering.masked(operand, &index, inside)
    }

    /// What A is read from; nothing if it has no elements.
    pub fn field(&self, lowering: &mut Lowering, operand: NodeId, batch: usize) -> Result<Option<Field>, Unsuitable> {
        if self.window.input.contains(&0) || self.window.output.contains(&0) {
            return Ok(None);
        }
        let Self { of, window, n, .. } = *self;
        let (positions, channels) = match of {
            ConvSide::Input => (window.output, self.channels_out),
            ConvSide::Kernel | ConvSide::Output => (window.input, self.channels_in),
        };
        let mut index = Idx::var("b", batch).unflatten(&self.lead);
        let [height, width] = positions;
        let axes = [("example", n), ("y", height), ("x", width), ("channel", channels)];
        index.extend(axes.map(|(name, len)| Idx::var(name, len)));
        let value = lowering.value(operand, &index)?;
        Ok(Some(Field { of, window, channels, body: Body { lines: lowering.take_lines(), value } }))
    }

    /// (input position + low − kernel position) ÷ stride, where that is an output position.
    fn output_position(
        &self,
        lowering: &mut Lowering,
        axis: usize,
        place: &Idx,
        tap: &Idx,
        inside: &mut Vec<Test>,
    ) -> Result<Idx, Unsuitable> {
        let Window { output, stride, low, .. } = self.window;
        if place.lane_stride() != Some(0) || tap.lane_stride() != Some(0) {
            return Err(Unsuitable);
        }
        // Wraps around below 0 to more than any output position has, divided by the stride or not.
        let plus = Some(low[axis]);
        let mut at = lowering.emit(Expr::Difference { from: place.clone(), plus, minus: tap.clone() });
        if stride[axis] > 1 {
            inside.push(Test::Divides(at, stride[axis]));
            at = lowering.emit(Expr::Quotient(at, stride[axis]));
        }
        inside.push(Test::Below(at, output[axis]));
        Ok(lowering.emit_index(Expr::AtMost(at, output[axis] - 1), output[axis]))
    }

    /// Index of element (b, k, n) of B, from b, n and k.
    pub fn right_index(&self, [b, n, k]: [&Idx; 3]) -> Vec<Idx> {
        let [lead, _, _, k_axes] = self.axes();
        let mut index = b.unflatten(&lead);
        index.extend(k.unflatten(&k_axes));
        match self.of {
            // The kernel has its channels out last, and they lie along k.
            ConvSide::Input => index.insert(index.len() - 1, n.clone()),
            ConvSide::Kernel | ConvSide::Output => index.push(n.clone()),
        }
        index
    }
}
