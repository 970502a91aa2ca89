//! Patches of a convolution, copied for some positions at a time: rows of A as `plan::patches` defines it, or for the
//! kernel side rows of its transpose.

use super::compile::strided;
use super::element::Element;
use super::layout::Scalar;
use super::memory::View;
use crate::graph::{ConvSide, Window};
use crate::plan::Field;

/// No position.
const OUTSIDE: usize = usize::MAX;

/// Where patches are cut from, and how.
#[derive(Debug)]
pub(super) struct Patches {
    pub binding: usize,
    base: Scalar,
    /// From one example, row, column and channel to the next.
    strides: [usize; 4],
    channels: usize,
    /// Positions with a patch, in an example.
    places: [usize; 2],
    kernel: [usize; 2],
    /// For each axis the position in the field of each tap at each place, or none.
    positions: [Vec<usize>; 2],
    /// Whether neighbouring taps are neighbouring positions that lie side by side.
    joins_taps: bool,
}

impl Patches {
    /// Nothing if the field has no constant strides.
    pub fn new(field: &Field) -> Option<Self> {
        let Field { of, window, channels, .. } = *field;
        let (binding, base, strides) = strided(&field.body.lines, ["example", "y", "x", "channel"])?;
        let places = if of == ConvSide::Input { window.input } else { window.output };
        let positions = [0, 1].map(|axis| positions(of, &window, axis, places[axis]));
        let joins_taps = of != ConvSide::Input && strides[3] == 1 && strides[2] == channels;
        let kernel = window.kernel;
        Some(Self { binding, base, strides, channels, places, kernel, positions, joins_taps })
    }

    /// Elements of a patch.
    pub fn len(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.channels
    }

    /// Copies the patches of `count` places from `first` on, one after the other.
    pub fn pack<T: Element>(&self, view: &View<T>, environment: &[u64], first: usize, count: usize, out: &mut [T]) {
        let base = self.base.value(environment) as usize;
        let [height, width] = self.places;
        let row = self.kernel[1] * self.channels;
        for (place, patch) in (first..first + count).zip(out.chunks_exact_mut(self.len())) {
            let (example, y, x) = (place / (height * width), place / width % height, place % width);
            let at = base + example * self.strides[0];
            let rows = &self.positions[0][y * self.kernel[0]..][..self.kernel[0]];
            let columns = &self.positions[1][x * self.kernel[1]..][..self.kernel[1]];
            for (&y, out) in rows.iter().zip(patch.chunks_exact_mut(row)) {
                match y {
                    OUTSIDE => out.fill(T::default()),
                    y => self.pack_row(view, at + y * self.strides[1], columns, out),
                }
            }
        }
    }

    /// The taps of one row of the kernel.
    fn pack_row<T: Element>(&self, view: &View<T>, at: usize, columns: &[usize], out: &mut [T]) {
        let (channels, [.., step, stride]) = (self.channels, self.strides);
        if self.joins_taps {
            let inside = columns.iter().take_while(|&&x| x == OUTSIDE).count();
            let taps = columns[inside..].iter().take_while(|&&x| x != OUTSIDE).count();
            let (from, to) = (inside * channels, (inside + taps) * channels);
            out[..from].fill(T::default());
            out[to..].fill(T::default());
            if taps > 0 {
                view.load(at + columns[inside] * step, 1, &mut out[from..to]);
            }
            return;
        }
        for (&x, out) in columns.iter().zip(out.chunks_exact_mut(channels)) {
            match x {
                OUTSIDE => out.fill(T::default()),
                x => view.load(at + x * step, stride, out),
            }
        }
    }
}

/// Along one axis, place by place and tap by tap.
fn positions(of: ConvSide, window: &Window, axis: usize, places: usize) -> Vec<usize> {
    let Window { input, kernel, output, stride, low } = window;
    let position = |place: usize, tap: usize| match of {
        ConvSide::Input => {
            let from = (place + low[axis]).checked_sub(tap)?;
            (from % stride[axis] == 0 && from / stride[axis] < output[axis]).then(|| from / stride[axis])
        }
        ConvSide::Kernel | ConvSide::Output => {
            (place * stride[axis] + tap).checked_sub(low[axis]).filter(|&at| at < input[axis])
        }
    };
    let taps = |place| (0..kernel[axis]).map(move |tap| position(place, tap).unwrap_or(OUTSIDE));
    (0..places).flat_map(taps).collect()
}
