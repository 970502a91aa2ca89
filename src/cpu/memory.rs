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
use crate::graph::Binary;

/// Elements whose copy is worth a call; fewer are copied one by one.
const WORTH_A_CALL: usize = 32;

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
    fn check(&self, at: usize, stride: usize, n: usize) {
        assert!(n == 0 || at + stride * (n - 1) < self.len, "a step reaches beyond its buffer");
    }

    /// Copies elements at equal distances.
    #[inline(always)]
    pub fn load(&self, at: usize, stride: usize, to: &mut [T]) {
        self.check(at, stride, to.len());
        // SAFETY: the elements lie in the buffer; see also the module text.
        unsafe {
            let from = self.start.add(at);
            match stride {
                0 if !to.is_empty() => to.fill(*from),
                1 if to.len() >= WORTH_A_CALL => std::ptr::copy_nonoverlapping(from, to.as_mut_ptr(), to.len()),
                1 => to.iter_mut().enumerate().for_each(|(i, to)| *to = *from.add(i)),
                _ => to.iter_mut().enumerate().for_each(|(i, to)| *to = *from.add(i * stride)),
            }
        }
    }

    /// Copies the elements at these places.
    #[inline(always)]
    pub fn gather(&self, places: &[u32], to: &mut [T]) {
        for (to, &place) in to.iter_mut().zip(places) {
            self.check(place as usize, 0, 1);
            // SAFETY: the element lies in the buffer; see also the module text.
            *to = unsafe { *self.start.add(place as usize) };
        }
    }

    /// The same of words.
    #[inline(always)]
    pub fn load_words(&self, at: usize, stride: usize, to: &mut [u32]) {
        self.check(at, stride, to.len());
        for (i, to) in to.iter_mut().enumerate() {
            // SAFETY: the elements lie in the buffer; see also the module text. Words have the width of floats.
            *to = T::of_word(unsafe { *self.start.cast::<T::Word>().add(at + i * stride) });
        }
    }

    /// The same of truth values, which become 0 and 1.
    #[inline(always)]
    pub fn load_flags(&self, at: usize, stride: usize, to: &mut [T]) {
        self.check(at, stride, to.len());
        let (zero, one) = (T::default(), T::from_f64(1.0));
        for (i, to) in to.iter_mut().enumerate() {
            // SAFETY: the elements lie in the buffer; see also the module text. Words have the width of floats.
            let word = T::of_word(unsafe { *self.start.cast::<T::Word>().add(at + i * stride) });
            *to = if word == 0 { zero } else { one };
        }
    }

    /// The same of words.
    #[inline(always)]
    pub fn gather_words(&self, places: &[u32], to: &mut [u32]) {
        for (to, &place) in to.iter_mut().zip(places) {
            self.load_words(place as usize, 0, std::slice::from_mut(to));
        }
    }

    /// Replaces elements at equal distances, or adds to them.
    #[inline(always)]
    pub fn store(&self, at: usize, stride: usize, from: &[T], accumulate: bool) {
        self.check(at, stride, from.len());
        // SAFETY: the elements lie in the buffer; see also the module text.
        unsafe {
            let to = self.start.add(at);
            match (accumulate, stride) {
                (false, 1) => std::ptr::copy_nonoverlapping(from.as_ptr(), to, from.len()),
                (false, _) => from.iter().enumerate().for_each(|(i, &x)| *to.add(i * stride) = x),
                (true, _) => from.iter().enumerate().for_each(|(i, &x)| *to.add(i * stride) = *to.add(i * stride) + x),
            }
        }
    }

    /// Replaces truth values at equal distances: 1 for what is not 0.
    #[inline(always)]
    pub fn store_flags(&self, at: usize, stride: usize, from: &[T]) {
        self.check(at, stride, from.len());
        let [zero, one] = [0, 1].map(T::word);
        for (i, &x) in from.iter().enumerate() {
            // SAFETY: the elements lie in the buffer; see also the module text. Words have the width of floats.
            unsafe { *self.start.cast::<T::Word>().add(at + i * stride) = if x == T::default() { zero } else { one } };
        }
    }

    /// Copies the first elements to another buffer.
    pub fn copy(&self, to: &Self, at: usize, len: usize) {
        self.check(0, 1, len);
        to.check(at, 1, len);
        // SAFETY: the elements lie in the buffers, which are not the same; see also the module text.
        unsafe { std::ptr::copy_nonoverlapping(self.start, to.start.add(at), len) };
    }

    /// Replaces the word at a place.
    #[inline(always)]
    pub fn store_word(&self, at: usize, word: u32) {
        self.check(at, 0, 1);
        // SAFETY: the element lies in the buffer; see also the module text. Words have the width of floats.
        unsafe { *self.start.cast::<T::Word>().add(at) = T::word(word) };
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
            self.view.check(self.at + self.strides[0] * (rows - 1), self.strides[1], columns);
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
