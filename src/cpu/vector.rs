//! The loops of a tape's instructions over slices, which the compiler turns into vector code. All are inlined where
//! they are used: what is called, be it a closure, has only the vector instructions that every processor has.

use super::element::Element;
use super::functions::Series;
use super::memory::binary;
use crate::graph::{Binary, Compare, Unary};

/// Partial sums of a row.
const LANES: usize = 16;

#[inline(always)]
pub(super) fn accumulate<T: Element>(f: Binary, x: &[T], root: &mut [T]) {
    match f {
        Binary::Max => merge(x, root, maximum),
        _ => merge(x, root, |root, x| binary(f, root, x)),
    }
}

#[inline(always)]
pub(super) fn merge<W: Copy>(x: &[W], into: &mut [W], f: impl Fn(W, W) -> W) {
    for (into, &x) in into.iter_mut().zip(x) {
        *into = f(*into, x);
    }
}

#[inline(always)]
pub(super) fn map<A: Copy, B>(x: &[A], out: &mut [B], f: impl Fn(A) -> B) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = f(x);
    }
}

/// A loop with the value written out in it: a function that is passed on is called.
macro_rules! map {
    ($all:expr, $out:expr, $x:ident => $value:expr) => {
        for (out, &$x) in $out.iter_mut().zip($all) {
            *out = $value;
        }
    };
}

#[inline(always)]
pub(super) fn floats_of<T: Element>(words: &[u32], out: &mut [T]) {
    map!(words, out, word => T::from_u32(word));
}

#[inline(always)]
pub(super) fn unary<T: Element>(f: Unary, x: &[T], out: &mut [T]) {
    match f {
        Unary::Neg => map!(x, out, x => -x),
        Unary::Exp => map!(x, out, x => Series::exp(x)),
        Unary::Expm1 => map!(x, out, x => Series::exp_m1(x)),
        Unary::Log => map!(x, out, x => Series::ln(x)),
        Unary::Sqrt => map!(x, out, x => Element::sqrt(x)),
        Unary::Rsqrt => map!(x, out, x => T::from_f64(1.0) / Element::sqrt(x)),
        Unary::Tanh => map!(x, out, x => Series::tanh(x)),
        Unary::Logistic => map!(x, out, x => Series::logistic(x)),
        Unary::Softplus => map!(x, out, x => Series::softplus(x)),
        Unary::Erf => map!(x, out, x => Series::erf(x)),
        Unary::StopGradient => out.copy_from_slice(x),
    }
}

#[inline(always)]
pub(super) fn zip<T: Element>(f: Binary, x: &[T], y: &[T], out: &mut [T]) {
    match f {
        Binary::Add => map_two(x, y, out, |x, y| x + y),
        Binary::Sub => map_two(x, y, out, |x, y| x - y),
        Binary::Mul => map_two(x, y, out, |x, y| x * y),
        Binary::Div => map_two(x, y, out, |x, y| x / y),
        Binary::Max => map_two(x, y, out, |x, y| binary(Binary::Max, x, y)),
    }
}

#[inline(always)]
fn map_two<A: Copy, B>(x: &[A], y: &[A], out: &mut [B], f: impl Fn(A, A) -> B) {
    for ((out, &x), &y) in out.iter_mut().zip(x).zip(y) {
        *out = f(x, y);
    }
}

#[inline(always)]
pub(super) fn compare<T: Element, W: Copy + PartialOrd>(f: Compare, x: &[W], y: &[W], out: &mut [T]) {
    let (zero, one) = (T::default(), T::from_f64(1.0));
    match f {
        Compare::Gt => map_two(x, y, out, |x, y| if x > y { one } else { zero }),
        Compare::Ge => map_two(x, y, out, |x, y| if x >= y { one } else { zero }),
        Compare::Eq => map_two(x, y, out, |x, y| if x == y { one } else { zero }),
    }
}

#[inline(always)]
pub(super) fn select<T: Element, W: Copy>(mask: &[T], x: &[W], y: &[W], out: &mut [W]) {
    for (out, (&mask, (&x, &y))) in out.iter_mut().zip(mask.iter().zip(x.iter().zip(y))) {
        *out = if mask == T::default() { y } else { x };
    }
}

/// x where a condition on its word holds, and else 0.
#[inline(always)]
pub(super) fn masked<T: Element>(x: &[T], words: &[u32], out: &mut [T], holds: impl Fn(u32) -> bool) {
    for (out, (&x, &word)) in out.iter_mut().zip(x.iter().zip(words)) {
        *out = if holds(word) { x } else { T::default() };
    }
}

#[inline(always)]
pub(super) fn spread<W: Copy>(x: &[W], row: usize, out: &mut [W]) {
    match row {
        4 => spread_fixed::<4, W>(x, out),
        8 => spread_fixed::<8, W>(x, out),
        16 => spread_fixed::<16, W>(x, out),
        32 => spread_fixed::<32, W>(x, out),
        _ => {
            for (out, &x) in out.chunks_exact_mut(row).zip(x) {
                out.fill(x);
            }
        }
    }
}

#[inline(always)]
fn spread_fixed<const N: usize, W: Copy>(x: &[W], out: &mut [W]) {
    for (out, &x) in out.as_chunks_mut::<N>().0.iter_mut().zip(x) {
        *out = [x; N];
    }
}

/// The reduction of each row: element i goes to partial result i mod 16, and these are reduced by halves.
#[inline(always)]
pub(super) fn over_rows<T: Element>(f: Binary, x: &[T], row: usize, out: &mut [T]) {
    match f {
        Binary::Max => reduce_rows(x, row, out, -T::INFINITY, maximum),
        _ => reduce_rows(x, row, out, T::default(), |a, b| binary(f, a, b)),
    }
}

#[inline(always)]
fn reduce_rows<T: Element>(x: &[T], row: usize, out: &mut [T], start: T, f: impl Fn(T, T) -> T) {
    match row {
        4 => reduce_fixed::<4, T>(x, out, f),
        8 => reduce_fixed::<8, T>(x, out, f),
        16 => reduce_fixed::<16, T>(x, out, f),
        ..LANES => {
            // Term by term for all rows, since rows do not wait for each other.
            out.fill(start);
            for term in 0..row {
                for (out, &x) in out.iter_mut().zip(x[term..].iter().step_by(row)) {
                    *out = f(*out, x);
                }
            }
        }
        _ => {
            for (out, row) in out.iter_mut().zip(x.chunks_exact(row)) {
                *out = over_row(row, start, &f);
            }
        }
    }
}

#[inline(always)]
fn reduce_fixed<const N: usize, T: Element>(x: &[T], out: &mut [T], f: impl Fn(T, T) -> T) {
    for (out, row) in out.iter_mut().zip(x.as_chunks::<N>().0) {
        *out = by_halves(*row, &f);
    }
}

#[inline(always)]
fn by_halves<const N: usize, T: Copy>(mut x: [T; N], f: impl Fn(T, T) -> T) -> T {
    let mut half = N / 2;
    while half > 0 {
        for i in 0..half {
            x[i] = f(x[i], x[i + half]);
        }
        half /= 2;
    }
    x[0]
}

#[inline(always)]
fn over_row<T: Element>(row: &[T], start: T, f: impl Fn(T, T) -> T) -> T {
    let mut lanes = [start; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        merge(chunk, &mut lanes, &f);
    }
    merge(rest, &mut lanes, &f);
    by_halves(lanes, f)
}

/// The larger, as `eval` reduces: x only if it is above.
#[inline(always)]
fn maximum<T: Element>(max: T, x: T) -> T {
    if x > max { x } else { max }
}
