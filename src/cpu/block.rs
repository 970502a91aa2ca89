//! One block of a step: the instructions of a tape, each a loop over its registers that the compiler makes vector code
//! of.

use super::element::Element;
use super::functions::Series;
use super::layout::{Runs, Strides};
use super::memory::{View, binary};
use super::tape::{At, Bound, Instruction, Kind, Operation, Register, Tape};
use crate::graph::{Binary, Compare, Unary};

/// Elements of a register.
pub(super) const BLOCK: usize = 512;
/// Partial sums of a row.
const LANES: usize = 16;

/// Registers of one thread.
#[derive(Debug, Default)]
pub(super) struct Registers<T> {
    floats: Vec<Box<[T]>>,
    words: Vec<Box<[u32]>>,
}

impl<T: Element> Registers<T> {
    /// Makes sure that there are so many.
    pub fn reserve(&mut self, floats: usize, words: usize) {
        while self.floats.len() < floats {
            self.floats.push(vec![T::default(); BLOCK].into());
        }
        while self.words.len() < words {
            self.words.push(vec![0; BLOCK].into());
        }
    }

    /// Fills the registers of constants, before the first block of a tape.
    pub fn fill(&mut self, tape: &Tape) {
        for &(register, value) in &tape.constants {
            self.floats[register].fill(T::from_f64(value));
        }
    }

    /// Takes a register of floats, to fill it by others; [`Self::put`] brings it back.
    #[inline(always)]
    fn take(&mut self, register: Register) -> Box<[T]> {
        std::mem::take(&mut self.floats[register])
    }

    #[inline(always)]
    fn put(&mut self, register: Register, filled: Box<[T]>) {
        self.floats[register] = filled;
    }

    /// The same of a register of words.
    #[inline(always)]
    fn take_words(&mut self, register: Register) -> Box<[u32]> {
        std::mem::take(&mut self.words[register])
    }

    #[inline(always)]
    fn put_words(&mut self, register: Register, filled: Box<[u32]>) {
        self.words[register] = filled;
    }
}

/// What a block computes on.
pub(super) struct Block<'a, T> {
    pub views: &'a [View<T>],
    /// Values of what is constant in the block.
    pub environment: &'a [u64],
    /// The first row, or element where there are no rows, and their number.
    pub first: usize,
    pub count: usize,
    /// What the loop before the tape has computed, or is about to.
    pub root: &'a mut [T],
}

/// Runs a tape on a block of at most [`BLOCK`] elements, with what vector instructions the processor has.
pub(super) struct Run<'r, 'a, T> {
    pub tape: &'r Tape,
    pub block: &'r mut Block<'a, T>,
    pub registers: &'r mut Registers<T>,
}

impl<T: Element> pulp::NullaryFnOnce for Run<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for instruction in &self.tape.instructions {
            step(instruction, self.tape.row, self.block, self.registers);
        }
    }
}

#[inline(always)]
fn step<T: Element>(instruction: &Instruction, row: usize, block: &mut Block<'_, T>, registers: &mut Registers<T>) {
    let Instruction { operation, to, per_row } = instruction;
    let width = if *per_row { 1 } else { row };
    let (first, n) = (block.first * width, block.count * width);
    if let Operation::Store { binding, at, kind, value, accumulate } = operation {
        store(block, (*binding, at, *kind), [*value, first, n], *accumulate, registers);
    } else if let Operation::Accumulate(f, x) = operation {
        accumulate(*f, &registers.floats[*x][..n], block.root);
    } else if operation.gives_words() {
        let mut out = registers.take_words(*to);
        words(operation, row, first, block, registers, &mut out[..n]);
        registers.put_words(*to, out);
    } else {
        let mut out = registers.take(*to);
        floats(operation, row, first, block, registers, &mut out[..n]);
        registers.put(*to, out);
    }
}

/// Fills a register of floats.
#[inline(always)]
fn floats<T: Element>(
    operation: &Operation,
    row: usize,
    first: usize,
    block: &Block<'_, T>,
    registers: &Registers<T>,
    out: &mut [T],
) {
    let n = out.len();
    match operation {
        Operation::Load { binding, at, kind } => load(block, (*binding, at, *kind), first, registers, out),
        Operation::Root => out.copy_from_slice(&block.root[..n]),
        Operation::Unary(f, x) => unary(*f, &registers.floats[*x][..n], out),
        Operation::Binary(f, [x, y]) => zip(*f, &registers.floats[*x][..n], &registers.floats[*y][..n], out),
        Operation::Compare(f, [x, y]) => compare(*f, &registers.floats[*x][..n], &registers.floats[*y][..n], out),
        Operation::CompareWords(f, [x, y]) => compare(*f, &registers.words[*x][..n], &registers.words[*y][..n], out),
        Operation::Select([mask, x, y]) => {
            let mask = &registers.floats[*mask][..n];
            select(mask, &registers.floats[*x][..n], &registers.floats[*y][..n], out);
        }
        Operation::Float(x) => map(&registers.words[*x][..n], out, T::from_u32),
        Operation::Spread(x) => spread(&registers.floats[*x], row, out),
        Operation::OverRow(f, x) => over_rows(*f, &registers.floats[*x], row, out),
        Operation::Masked(x, bound) => masked(registers, &registers.floats[*x][..n], *bound, out),
        _ => unreachable!("it gives words or fills nothing"),
    }
}

/// Fills a register of words.
#[inline(always)]
fn words<T: Element>(
    operation: &Operation,
    row: usize,
    first: usize,
    block: &Block<'_, T>,
    registers: &Registers<T>,
    out: &mut [u32],
) {
    let n = out.len();
    match operation {
        Operation::Load { binding, at, .. } => load_words(block, (*binding, at), first, registers, out),
        Operation::SelectWords([mask, x, y]) => {
            let mask = &registers.floats[*mask][..n];
            select(mask, &registers.words[*x][..n], &registers.words[*y][..n], out);
        }
        Operation::SpreadWords(x) => spread(&registers.words[*x], row, out),
        Operation::Positions(strides) => positions(strides, block, first, out),
        Operation::Sum(constant, terms) => {
            out.fill(*constant);
            for (factor, x) in terms {
                for (out, x) in out.iter_mut().zip(&registers.words[*x][..n]) {
                    *out = out.wrapping_add(factor.wrapping_mul(*x));
                }
            }
        }
        Operation::Divided(x, by) => map(&registers.words[*x][..n], out, |x| x / by),
        Operation::Remainder(x, by) => map(&registers.words[*x][..n], out, |x| x % by),
        Operation::AtMost(x, most) => map(&registers.words[*x][..n], out, |x| x.min(*most)),
        _ => unreachable!("it gives floats or fills nothing"),
    }
}

#[inline(always)]
fn load<T: Element>(
    block: &Block<'_, T>,
    (binding, at, kind): (usize, &At, Kind),
    first: usize,
    registers: &Registers<T>,
    out: &mut [T],
) {
    let (view, n) = (&block.views[binding], out.len());
    match (kind, at) {
        (Kind::Float | Kind::Word, At::Strided(strides)) => {
            // What comes again is copied from where it came first.
            let mut done = strides.period().map_or(n, |period| period.min(n));
            for (i, runs) in strides.runs(block.environment, first, done) {
                view.load(runs, &mut out[i..]);
            }
            while done < n {
                let more = done.min(n - done);
                out.copy_within(..more, done);
                done += more;
            }
        }
        (Kind::Float | Kind::Word, At::Each(places)) => {
            for (&place, out) in registers.words[*places].iter().zip(out.chunks_exact_mut(1)) {
                view.load(Runs::one(place as usize), out);
            }
        }
        (Kind::Flag, At::Strided(strides)) => {
            for (i, runs) in strides.runs(block.environment, first, n) {
                view.load_flags(runs, &mut out[i..]);
            }
        }
        (Kind::Flag, At::Each(places)) => {
            for (&place, out) in registers.words[*places].iter().zip(out.chunks_exact_mut(1)) {
                view.load_flags(Runs::one(place as usize), out);
            }
        }
    }
}

#[inline(always)]
fn load_words<T: Element>(
    block: &Block<'_, T>,
    (binding, at): (usize, &At),
    first: usize,
    registers: &Registers<T>,
    out: &mut [u32],
) {
    let view = &block.views[binding];
    match at {
        At::Strided(strides) => {
            for (i, runs) in strides.runs(block.environment, first, out.len()) {
                view.load_words(runs, &mut out[i..]);
            }
        }
        At::Each(places) => {
            for (&place, out) in registers.words[*places].iter().zip(out.chunks_exact_mut(1)) {
                view.load_words(Runs::one(place as usize), out);
            }
        }
    }
}

#[inline(always)]
fn store<T: Element>(
    block: &Block<'_, T>,
    (binding, at, kind): (usize, &At, Kind),
    [value, first, n]: [usize; 3],
    accumulate: bool,
    registers: &Registers<T>,
) {
    let view = &block.views[binding];
    match at {
        At::Strided(strides) => {
            for (i, runs) in strides.runs(block.environment, first, n) {
                store_runs(view, kind, (i, runs), value, accumulate, registers);
            }
        }
        At::Each(places) => {
            for (i, &place) in registers.words[*places][..n].iter().enumerate() {
                store_runs(view, kind, (i, Runs::one(place as usize)), value, accumulate, registers);
            }
        }
    }
}

#[inline(always)]
fn store_runs<T: Element>(
    view: &View<T>,
    kind: Kind,
    (i, runs): (usize, Runs),
    value: Register,
    accumulate: bool,
    registers: &Registers<T>,
) {
    match kind {
        Kind::Float => view.store(runs, &registers.floats[value][i..], accumulate),
        Kind::Word => view.store_words(runs, &registers.words[value][i..]),
        Kind::Flag => view.store_flags(runs, &registers.floats[value][i..]),
    }
}

#[inline(always)]
fn positions<T>(strides: &Strides, block: &Block<'_, T>, first: usize, out: &mut [u32]) {
    for (i, runs) in strides.runs(block.environment, first, out.len()) {
        let Runs { at, stride, len, step, count } = runs;
        for (run, out) in out[i..][..len * count].chunks_exact_mut(len.max(1)).enumerate() {
            let (at, stride) = ((at + run * step) as u32, stride as u32);
            if stride == 0 {
                out.fill(at);
            } else {
                for (j, out) in (0..).zip(out) {
                    *out = at + j * stride;
                }
            }
        }
    }
}

#[inline(always)]
fn accumulate<T: Element>(f: Binary, x: &[T], root: &mut [T]) {
    match f {
        Binary::Max => merge(x, root, maximum),
        _ => merge(x, root, |root, x| binary(f, root, x)),
    }
}

#[inline(always)]
fn merge<T: Element>(x: &[T], root: &mut [T], f: impl Fn(T, T) -> T) {
    for (root, &x) in root.iter_mut().zip(x) {
        *root = f(*root, x);
    }
}

#[inline(always)]
fn map<A: Copy, B>(x: &[A], out: &mut [B], f: impl Fn(A) -> B) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = f(x);
    }
}

/// Written out, since a function that is passed on is called, not inlined, and then has no vector instructions.
#[inline(always)]
fn unary<T: Element>(f: Unary, x: &[T], out: &mut [T]) {
    macro_rules! map {
        ($x:ident => $value:expr) => {
            for (out, &$x) in out.iter_mut().zip(x) {
                *out = $value;
            }
        };
    }
    match f {
        Unary::Neg => map!(x => -x),
        Unary::Exp => map!(x => Series::exp(x)),
        Unary::Expm1 => map!(x => Series::exp_m1(x)),
        Unary::Log => map!(x => Series::ln(x)),
        Unary::Sqrt => map!(x => Element::sqrt(x)),
        Unary::Rsqrt => map!(x => T::from_f64(1.0) / Element::sqrt(x)),
        Unary::Tanh => map!(x => Series::tanh(x)),
        Unary::Logistic => map!(x => Series::logistic(x)),
        Unary::Softplus => map!(x => Series::softplus(x)),
        Unary::StopGradient => out.copy_from_slice(x),
    }
}

#[inline(always)]
fn zip<T: Element>(f: Binary, x: &[T], y: &[T], out: &mut [T]) {
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
fn compare<T: Element, W: Copy + PartialOrd>(f: Compare, x: &[W], y: &[W], out: &mut [T]) {
    let (zero, one) = (T::default(), T::from_f64(1.0));
    match f {
        Compare::Gt => map_two(x, y, out, |x, y| if x > y { one } else { zero }),
        Compare::Ge => map_two(x, y, out, |x, y| if x >= y { one } else { zero }),
        Compare::Eq => map_two(x, y, out, |x, y| if x == y { one } else { zero }),
    }
}

#[inline(always)]
fn select<T: Element, W: Copy>(mask: &[T], x: &[W], y: &[W], out: &mut [W]) {
    for (out, (&mask, (&x, &y))) in out.iter_mut().zip(mask.iter().zip(x.iter().zip(y))) {
        *out = if mask == T::default() { y } else { x };
    }
}

#[inline(always)]
fn masked<T: Element>(registers: &Registers<T>, x: &[T], bound: Bound, out: &mut [T]) {
    let (Bound::Below(word, limit) | Bound::Divides(word, limit)) = bound;
    let words = &registers.words[word][..x.len()];
    for (out, (&x, &word)) in out.iter_mut().zip(x.iter().zip(words)) {
        let holds = match bound {
            Bound::Below(..) => word < limit,
            Bound::Divides(..) => word % limit == 0,
        };
        *out = if holds { x } else { T::default() };
    }
}

#[inline(always)]
fn spread<W: Copy>(x: &[W], row: usize, out: &mut [W]) {
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
fn over_rows<T: Element>(f: Binary, x: &[T], row: usize, out: &mut [T]) {
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
