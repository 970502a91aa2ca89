//! Convolutions, directly: A of `plan::patches` is never written out.
//!
//! A *strip* is some rows of one example with the zeros around (and, for the input side of a stride, between) its
//! positions, so that place p and tap t meet at p·step + t of it, whatever the side. The taps of one kernel row at one
//! place are then neighbours in memory. Of B, columns are packed in panels of as many as a block of registers has.
//! Blocks of [`PLACES`] rows of the result stay in registers while their terms are added.

use super::compile::strided;
use super::element::Element;
use super::layout::{Runs, Scalar};
use super::memory::{Matrix, View, add_terms};
use crate::graph::{ConvSide, Window};
use crate::plan::Field;

/// Rows of a block of registers.
const PLACES: usize = 6;
/// Most columns of it, and so what panels are filled up to.
const MOST_LANES: usize = 16;
/// Elements of a strip and a panel that stay in the cache next to the core, for the kernel side.
const NEAR: usize = 1 << 12;
/// Elements of a tile of a product, and of the strip for it.
pub(super) const TILE: usize = 1 << 15;
/// No position.
const OUTSIDE: usize = usize::MAX;

/// Neighbouring positions in a row of a strip.
#[derive(Debug)]
struct Span {
    /// The first place in the strip.
    place: usize,
    position: usize,
    count: usize,
}

/// A convolution with the field that its patches are cut from; see the module text.
#[derive(Debug)]
pub(super) struct Convolution {
    pub binding: usize,
    base: Scalar,
    /// From one example, row, column and channel to the next.
    strides: [usize; 4],
    side: ConvSide,
    channels: usize,
    /// Columns of B.
    columns: usize,
    /// Positions with a patch, in an example.
    places: [usize; 2],
    kernel: [usize; 2],
    /// Of a strip from one place to the next.
    step: [usize; 2],
    /// The row of the field at each row of a strip, or none.
    rows: Vec<usize>,
    /// Columns of a strip, and those that lie in the field.
    width: usize,
    spans: Vec<Span>,
    /// Rows of places that are handled at once.
    band: usize,
}

/// What a convolution computes in one go.
pub(super) struct Part<'a, T> {
    pub convolution: &'a Convolution,
    pub field: View<T>,
    pub environment: &'a [u64],
    /// The first row of the result and their number: whole rows of places of one example, or all.
    pub rows: [usize; 2],
    /// Terms of a sum.
    pub terms: usize,
    pub right: Matrix<T>,
    pub result: Matrix<T>,
    pub accumulate: bool,
    /// Whether the panels in `packed` are not yet those of `right`.
    pub is_new: bool,
    pub packed: &'a mut [T],
}

impl Convolution {
    /// With so many columns of B; nothing if the field has no constant strides.
    pub fn new(field: &Field, columns: usize) -> Option<Self> {
        let Field { of: side, window, channels, .. } = *field;
        let (binding, base, strides) = strided(&field.body.lines, ["example", "y", "x", "channel"])?;
        let Window { input, output, kernel, stride, .. } = window;
        let (places, step) = if side == ConvSide::Input { (input, [1, 1]) } else { (output, stride) };
        let [rows, along] = [0, 1].map(|axis| positions(side, &window, axis, places[axis], step[axis]));
        let mut spans: Vec<Span> = vec![];
        for (place, &position) in along.iter().enumerate().filter(|(_, position)| **position != OUTSIDE) {
            match spans.last_mut() {
                Some(Span { place: first, position: from, count })
                    if *first + *count == place && *from + *count == position =>
                {
                    *count += 1;
                }
                _ => spans.push(Span { place, position, count: 1 }),
            }
        }
        let width = along.len();
        let of_row = (width * channels * step[0]).max(places[1] * columns.next_multiple_of(MOST_LANES)).max(1);
        let most = if side == ConvSide::Kernel { NEAR } else { TILE };
        let band = (most / of_row).clamp(1, places[0].max(1));
        Some(Self { binding, base, strides, side, channels, columns, places, kernel, step, rows, width, spans, band })
    }

    /// Whether the sum is over the places.
    pub fn is_over_places(&self) -> bool {
        self.side == ConvSide::Kernel
    }

    /// Elements of a row of the kernel, in each column of B.
    fn kernel_row(&self) -> usize {
        self.kernel[1] * self.channels
    }

    /// Rows of the result that are handled at once, and of how many that are of one example.
    pub fn rows_of_a_band(&self) -> [usize; 2] {
        [self.band.min(self.places[0]) * self.places[1], self.places[0] * self.places[1]]
    }

    /// Elements of a row of a strip.
    fn strip_row(&self) -> usize {
        self.width * self.channels
    }

    /// Rows of the strip for so many rows of places.
    fn strip_rows(&self, rows: usize) -> usize {
        (rows - 1) * self.step[0] + self.kernel[0]
    }

    /// Elements of the strip of a band, with what a block may read behind it.
    fn strip_len(&self) -> usize {
        self.strip_rows(self.band) * self.strip_row() + PLACES * (self.step[1] * self.channels + 1)
    }

    /// Elements to pack in.
    pub fn packed(&self) -> usize {
        let columns = self.columns.next_multiple_of(MOST_LANES);
        let of_kernel = self.kernel[0] * self.kernel_row().next_multiple_of(PLACES) * columns;
        let of_places = if self.is_over_places() { self.band * self.places[1] * columns } else { 0 };
        of_kernel + of_places + self.strip_len()
    }

    /// The strip for rows of places of an example, from row `y` on.
    #[inline(always)]
    fn fill<T: Element>(&self, part: &Part<'_, T>, example: usize, [y, rows]: [usize; 2], strip: &mut [T]) {
        let [each, row, step, stride] = self.strides;
        let base = self.base.value(part.environment) as usize + example * each;
        let channels = self.channels;
        let is_dense = stride == 1 && step == channels;
        let of_strip = &self.rows[y * self.step[0]..][..self.strip_rows(rows)];
        for (&y, out) in of_strip.iter().zip(strip.chunks_exact_mut(self.strip_row())) {
            out.fill(T::default());
            for span in self.spans.iter().filter(|_| y != OUTSIDE) {
                let at = base + y * row + span.position * step;
                let runs = if is_dense {
                    Runs::line(at, 1, span.count * channels)
                } else {
                    Runs { at, stride, len: channels, step, count: span.count }
                };
                part.field.load(runs, &mut out[span.place * channels..]);
            }
        }
    }
}

/// Positions of the field along one axis of a strip.
fn positions(side: ConvSide, window: &Window, axis: usize, places: usize, step: usize) -> Vec<usize> {
    let Window { input, kernel, output, stride, low } = window;
    let len = if places == 0 { 0 } else { (places - 1) * step + kernel[axis] };
    let position = |at: usize| match side {
        // Taps are counted from the last one, so that they go up with positions.
        ConvSide::Input => {
            let from = (at + low[axis] + 1).checked_sub(kernel[axis])?;
            (from % stride[axis] == 0 && from / stride[axis] < output[axis]).then(|| from / stride[axis])
        }
        ConvSide::Kernel | ConvSide::Output => at.checked_sub(low[axis]).filter(|&at| at < input[axis]),
    };
    (0..len).map(|at| position(at).unwrap_or(OUTSIDE)).collect()
}

impl<T: Element> pulp::NullaryFnOnce for Part<'_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let lanes = 64 / size_of::<T>();
        match if self.convolution.columns > lanes / 2 { lanes } else { lanes / 2 } {
            16 => self.with_lanes::<16>(),
            8 => self.with_lanes::<8>(),
            _ => self.with_lanes::<4>(),
        }
    }
}

impl<T: Element> Part<'_, T> {
    #[inline(always)]
    fn with_lanes<const N: usize>(self) {
        if self.convolution.is_over_places() {
            self.over_places::<N>();
        } else {
            self.over_taps::<N>();
        }
    }

    /// One row of B in panels: panel j begins at `at + j·distance`.
    #[inline(always)]
    fn pack<const N: usize>(right: &Matrix<T>, columns: usize, row: usize, out: &mut [T], at: usize, distance: usize) {
        let [step, stride] = right.strides;
        for first in (0..columns).step_by(N) {
            let out = &mut out[at + first / N * distance..][..N];
            let count = N.min(columns - first);
            right.view.load(Runs::line(right.at + row * step + first * stride, stride, count), out);
            out[count..].fill(T::default());
        }
    }

    /// Some columns of one row of the result.
    #[inline(always)]
    fn store<const N: usize>(&self, row: usize, first: usize, values: &[T; N]) {
        let [step, stride] = self.result.strides;
        let runs =
            Runs::line(self.result.at + row * step + first * stride, stride, N.min(self.convolution.columns - first));
        self.result.view.store(runs, values, self.accumulate);
    }

    /// Results at places: sums over taps and channels.
    #[inline(always)]
    fn over_taps<const N: usize>(mut self) {
        let Convolution { channels, columns, places: [height, across], kernel, step, .. } = *self.convolution;
        let (of_row, strip_row) = (self.convolution.kernel_row(), self.convolution.strip_row());
        let panel = kernel[0] * of_row * N;
        let packed = std::mem::take(&mut self.packed);
        let (panels, strip) = packed.split_at_mut(columns.div_ceil(N) * panel);
        if self.is_new {
            for (number, tap) in (0..kernel[0] * kernel[1]).enumerate() {
                // The strip of the input side counts taps from the last one.
                let is_turned = self.convolution.side == ConvSide::Input;
                let tap = if is_turned { kernel[0] * kernel[1] - 1 - tap } else { tap };
                for channel in 0..channels {
                    let at = (number * channels + channel) * N;
                    Self::pack::<N>(&self.right, columns, tap * channels + channel, panels, at, panel);
                }
            }
        }
        let [first, rows] = self.rows.map(|rows| rows / across);
        self.convolution.fill(&self, first / height, [first % height, rows], strip);
        for (number, panel) in panels.chunks_exact(panel).enumerate() {
            for y in 0..rows {
                for x in (0..across).step_by(PLACES) {
                    // The last block begins where it is whole; of it, what is done already is left alone.
                    let start = x.min(across.saturating_sub(PLACES));
                    let mut sums = [[T::default(); N]; PLACES];
                    for tap in 0..kernel[0] {
                        let left = &strip[(y * step[0] + tap) * strip_row + start * step[1] * channels..];
                        let right = &panel[tap * of_row * N..];
                        add_terms(&mut sums, (left, [step[1] * channels, 1]), right, of_row);
                    }
                    let end = across.min(start + PLACES) - start;
                    for (place, sums) in sums.iter().enumerate().take(end).skip(x - start) {
                        self.store(y * across + start + place, number * N, sums);
                    }
                }
            }
        }
    }

    /// Results at taps and channels: sums over places.
    #[inline(always)]
    fn over_places<const N: usize>(mut self) {
        let Convolution { channels, columns, places: [height, across], kernel, step, band, .. } = *self.convolution;
        let (of_row, strip_row) = (self.convolution.kernel_row(), self.convolution.strip_row());
        let blocks = of_row.div_ceil(PLACES);
        // Sums lie by panel, row of the kernel, and block of such a row.
        let place_of = |number: usize| (number / blocks / kernel[0], number / blocks % kernel[0], number % blocks);
        let panels = columns.div_ceil(N);
        let packed = std::mem::take(&mut self.packed);
        let (sums, packed) = packed.split_at_mut(panels * kernel[0] * blocks * PLACES * N);
        let sums = sums.as_chunks_mut::<N>().0.as_chunks_mut::<PLACES>().0;
        let (right, strip) = packed.split_at_mut(panels * band * across * N);
        sums.fill([[T::default(); N]; PLACES]);
        for example in 0..self.terms / (height * across).max(1) {
            for y in (0..height).step_by(band) {
                let rows = band.min(height - y);
                self.convolution.fill(&self, example, [y, rows], strip);
                let first = (example * height + y) * across;
                for place in 0..rows * across {
                    Self::pack::<N>(&self.right, columns, first + place, right, place * N, band * across * N);
                }
                for (number, sums) in sums.iter_mut().enumerate() {
                    let (panel, tap, block) = place_of(number);
                    for y in 0..rows {
                        let left = &strip[(y * step[0] + tap) * strip_row + block * PLACES..];
                        let right = &right[(panel * band + y) * across * N..];
                        add_terms(sums, (left, [1, step[1] * channels]), right, across);
                    }
                }
            }
        }
        for (number, sums) in sums.iter().enumerate() {
            let (panel, tap, block) = place_of(number);
            let first = block * PLACES;
            for (row, sums) in sums.iter().enumerate().take(of_row - first) {
                self.store(tap * of_row + first + row, panel * N, sums);
            }
        }
    }
}
