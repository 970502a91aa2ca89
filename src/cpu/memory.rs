//! Memory that tasks on several threads read and write at once, as a device's buffers are.
//!
//! A [`View`] is a buffer during a run. Elements go in and out by copies, and every copy checks its bounds; what
//! remains is that no two tasks touch an element of which one of them writes it. That is a property of plans: a step
//! never reads, except in place, what it writes (`plan`), its tasks write different elements (`step`), and one run
//! takes place at a time (`device`). [`multiply`] hands views to `gemm` under the same conditions.

use std::cell::UnsafeCell;
use std::sync::Arc;

use gemm_common::Parallelism;

use super::element::Element;
use super::layout::Runs;
use crate::graph::Binary;

/// Zeroed memory.
#[derive(Debug)]
pub(super) struct Memory(Box<[UnsafeCell<u64>]>);

#[allow(unsafe_code, reason = "a device's memory is shared between threads")]
// SAFETY: see the module text.
unsafe impl Sync for Memory {}

impl Memory {
    /// Memory of so many bytes, if there is as much.
    pub fn new(bytes: usize) -> Option<Arc<Self>> {
        let words = bytes.div_ceil(8);
        let mut memory = Vec::new();
        memory.try_reserve_exact(words).ok()?;
        memory.resize_with(words, || UnsafeCell::new(0));
        Some(Arc::new(Self(memory.into_boxed_slice())))
    }

    /// All of it as elements.
    pub fn view<T: Element>(&self) -> View<T> {
        View { start: UnsafeCell::raw_get(self.0.as_ptr()).cast(), len: self.0.len() * 8 / size_of::<T>() }
    }
}

/// A buffer as elements. See the module text.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<T> {
    start: *mut T,
    len: usize,
}

#[allow(unsafe_code, reason = "a device's memory is shared between threads")]
// SAFETY: see the module text.
unsafe impl<T: Send> Send for View<T> {}
#[allow(unsafe_code, reason = "a device's memory is shared between threads")]
// SAFETY: see the module text.
unsafe impl<T: Sync> Sync for View<T> {}

#[allow(unsafe_code, reason = "a device's memory is shared between threads")]
impl<T: Element> View<T> {
    /// The memory of a slice that outlives the view's use.
    pub fn of(slice: &mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len() }
    }

    /// Refuses elements that do not all lie in the buffer.
    #[inline(always)]
    fn check(&self, runs: &Runs) {
        assert!(runs.len * runs.count == 0 || runs.last() < self.len, "a step reaches beyond its buffer");
    }

    /// Copies elements.
    #[inline(always)]
    pub fn load(&self, runs: Runs, to: &mut [T]) {
        self.load_with(runs, to, |x: T| x);
    }

    /// Copies words.
    #[inline(always)]
    pub fn load_words(&self, runs: Runs, to: &mut [u32]) {
        self.load_with(runs, to, T::of_word);
    }

    /// Copies truth values, which become 0 and 1.
    #[inline(always)]
    pub fn load_flags(&self, runs: Runs, to: &mut [T]) {
        let (zero, one) = (T::default(), T::from_f64(1.0));
        self.load_with(runs, to, |word| if T::of_word(word) == 0 { zero } else { one });
    }

    /// What `f` makes of elements, seen as `A`, whose width is that of floats.
    #[inline(always)]
    fn load_with<A: Copy, B: Copy>(&self, runs: Runs, to: &mut [B], f: impl Fn(A) -> B) {
        const { assert!(size_of::<A>() == size_of::<T>()) };
        self.check(&runs);
        let Runs { at, stride, len, step, count } = runs;
        let to = &mut to[..len * count];
        // SAFETY: the elements lie in the buffer; see also the module text.
        let from = unsafe { self.start.cast::<A>().cast_const().add(at) };
        match (stride, len) {
            (_, 0) => {}
            (1, 4) => load_fixed::<4, _, _>(from, step, to, f),
            (1, 8) => load_fixed::<8, _, _>(from, step, to, f),
            (1, 16) => load_fixed::<16, _, _>(from, step, to, f),
            (1, 32) => load_fixed::<32, _, _>(from, step, to, f),
            _ => {
                for (run, to) in to.chunks_exact_mut(len).enumerate() {
                    // SAFETY: as above.
                    let from = unsafe { from.add(run * step) };
                    match stride {
                        // SAFETY: as above.
                        0 => to.fill(f(unsafe { *from })),
                        1 => {
                            for (i, to) in to.iter_mut().enumerate() {
                                // SAFETY: as above.
                                *to = f(unsafe { *from.add(i) });
                            }
                        }
                        _ => {
                            for (i, to) in to.iter_mut().enumerate() {
                                // SAFETY: as above.
                                *to = f(unsafe { *from.add(i * stride) });
                            }
                        }
                    }
                }
            }
        }
    }

    /// Replaces elements, or adds to them.
    #[inline(always)]
    pub fn store(&self, runs: Runs, from: &[T], accumulate: bool) {
        if accumulate {
            self.store_with(runs, from, |old: T, x| old + x);
        } else {
            self.store_with(runs, from, |_: T, x| x);
        }
    }

    /// Replaces truth values: 1 for what is not 0.
    #[inline(always)]
    pub fn store_flags(&self, runs: Runs, from: &[T]) {
        let [zero, one] = [0, 1].map(T::word);
        self.store_with(runs, from, |_, x| if x == T::default() { zero } else { one });
    }

    /// Replaces words.
    #[inline(always)]
    pub fn store_words(&self, runs: Runs, from: &[u32]) {
        self.store_with(runs, from, |_, x| T::word(x));
    }

    /// Replaces elements, seen as `A`, whose width is that of floats, by what `f` makes of them and of others.
    #[inline(always)]
    fn store_with<A: Copy, B: Copy>(&self, runs: Runs, from: &[B], f: impl Fn(A, B) -> A) {
        const { assert!(size_of::<A>() == size_of::<T>()) };
        self.check(&runs);
        let Runs { at, stride, len, step, count } = runs;
        let from = &from[..len * count];
        // SAFETY: the elements lie in the buffer; see also the module text.
        let to = unsafe { self.start.cast::<A>().add(at) };
        match (stride, len) {
            (_, 0) => {}
            (1, 4) => store_fixed::<4, _, _>(to, step, from, f),
            (1, 8) => store_fixed::<8, _, _>(to, step, from, f),
            (1, 16) => store_fixed::<16, _, _>(to, step, from, f),
            (1, 32) => store_fixed::<32, _, _>(to, step, from, f),
            _ => {
                for (run, from) in from.chunks_exact(len).enumerate() {
                    for (i, &x) in from.iter().enumerate() {
                        // SAFETY: as above.
                        unsafe {
                            let to = to.add(run * step + i * stride);
                            *to = f(*to, x);
                        }
                    }
                }
            }
        }
    }

    /// Copies the first elements to another buffer.
    pub fn copy(&self, to: &Self, at: usize, len: usize) {
        self.check(&Runs::line(0, 1, len));
        to.check(&Runs::line(at, 1, len));
        // SAFETY: the elements lie in the buffers, which are not the same; see also the module text.
        unsafe { std::ptr::copy_nonoverlapping(self.start, to.start.add(at), len) };
    }
}

/// Runs of a length that the compiler knows, `step` apart.
#[allow(unsafe_code, reason = "the caller has checked the bounds")]
#[inline(always)]
fn load_fixed<const N: usize, A: Copy, B: Copy>(from: *const A, step: usize, to: &mut [B], f: impl Fn(A) -> B) {
    for (run, to) in to.as_chunks_mut::<N>().0.iter_mut().enumerate() {
        // SAFETY: `View::load_with` has checked that the elements lie in its buffer.
        let from: [A; N] = unsafe { *from.add(run * step).cast() };
        for (to, from) in to.iter_mut().zip(from) {
            *to = f(from);
        }
    }
}

/// Runs of a length that the compiler knows, `step` apart.
#[allow(unsafe_code, reason = "the caller has checked the bounds")]
#[inline(always)]
fn store_fixed<const N: usize, A: Copy, B: Copy>(to: *mut A, step: usize, from: &[B], f: impl Fn(A, B) -> A) {
    for (run, from) in from.as_chunks::<N>().0.iter().enumerate() {
        // SAFETY: `View::store_with` has checked that the elements lie in its buffer.
        unsafe {
            let to: *mut [A; N] = to.add(run * step).cast();
            let mut all = *to;
            for (old, &x) in all.iter_mut().zip(from) {
                *old = f(*old, x);
            }
            *to = all;
        }
    }
}

/// A matrix in a buffer.
#[derive(Clone, Copy)]
pub(super) struct Matrix<T> {
    pub view: View<T>,
    /// The first element, and the distances to the next row and column.
    pub at: usize,
    pub strides: [usize; 2],
}

impl<T: Element> Matrix<T> {
    fn transposed(self) -> Self {
        let [row, column] = self.strides;
        Self { strides: [column, row], ..self }
    }

    fn check(&self, [rows, columns]: [usize; 2]) {
        if rows > 0 && columns > 0 {
            let [step, stride] = self.strides;
            self.view.check(&Runs { at: self.at, stride, len: columns, step, count: rows });
        }
    }
}

/// C = A·B, or C + A·B with `accumulate`, for A of m × k and B of k × n; on all threads if asked, which changes no bit.
#[allow(unsafe_code, reason = "`gemm` takes pointers")]
pub(super) fn multiply<T: Element>(
    [m, n, k]: [usize; 3],
    [a, b, c]: [Matrix<T>; 3],
    accumulate: bool,
    on_all_threads: bool,
) {
    // `gemm` is made for a C whose columns have near elements. Where its rows have, Cᵀ = BᵀAᵀ.
    if c.strides[1] < c.strides[0] {
        return multiply([n, m, k], [b, a, c].map(Matrix::transposed), accumulate, on_all_threads);
    }
    a.check([m, k]);
    b.check([k, n]);
    c.check([m, n]);
    let parallelism = if on_all_threads { Parallelism::Rayon(0) } else { Parallelism::None };
    let [[a_row, a_column], [b_row, b_column], [c_row, c_column]] =
        [a, b, c].map(|matrix| matrix.strides.map(|stride| stride as isize));
    // SAFETY: all elements lie in the buffers; see also the module text.
    unsafe {
        T::gemm()(
            m,
            n,
            k,
            c.view.start.add(c.at),
            c_column,
            c_row,
            accumulate,
            a.view.start.add(a.at).cast_const(),
            a_column,
            a_row,
            b.view.start.add(b.at).cast_const(),
            b_column,
            b_row,
            T::from_f64(1.0),
            T::from_f64(1.0),
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// sums[p] += Σ A[p, t]·B[t] over the terms t, with the strides of A for p and t, and rows of B side by side.
#[allow(unsafe_code, reason = "bounds are checked once")]
#[inline(always)]
pub(super) fn add_terms<T: Element, const P: usize, const N: usize>(
    sums: &mut [[T; N]; P],
    (left, [step, stride]): (&[T], [usize; 2]),
    right: &[T],
    terms: usize,
) {
    let right = &right.as_chunks::<N>().0[..terms];
    assert!(terms == 0 || (terms - 1) * stride + (P - 1) * step < left.len());
    let mut all = *sums;
    for (t, right) in right.iter().enumerate() {
        for (p, sums) in all.iter_mut().enumerate() {
            // SAFETY: the last of these elements is there.
            let x = unsafe { *left.get_unchecked(t * stride + p * step) };
            for (sum, &y) in sums.iter_mut().zip(right) {
                *sum = x.mul_add(y, *sum);
            }
        }
    }
    *sums = all;
}

/// f(a, b) of the definition in `eval`.
#[inline(always)]
pub(super) fn binary<T: Element>(f: Binary, a: T, b: T) -> T {
    match f {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Max if a > b => a,
        Binary::Max => b,
    }
}
