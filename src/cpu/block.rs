//! One block of a step: the instructions of a tape, each a loop over its registers that the compiler makes vector code
//! of.

use super::element::Element;
use super::layout::Strides;
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

    /// Fills a register of floats by other registers.
    #[inline(always)]
    fn float(&mut self, to: Register, n: usize, fill: impl FnOnce(&Self, &mut [T])) {
        let mut register = std::mem::take(&mut self.floats[to]);
        fill(self, &mut register[..n]);
        self.floats[to] = register;
    }

    /// Fills a register of words by other registers.
    #[inline(always)]
    fn word(&mut self, to: Register, n: usize, fill: impl FnOnce(&Self, &mut [u32])) {
        let mut register = std::mem::take(&mut self.words[to]);
        fill(self, &mut register[..n]);
        self.words[to] = register;
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
    match operation {
        Operation::Load { binding, at, kind } => load(block, (*binding, at, *kind), [*to, first, n], registers),
        Operation::Root => registers.float(*to, n, |_, out| out.copy_from_slice(&block.root[..n])),
        Operation::Unary(f, x) => registers.float(*to, n, |from, out| unary(*f, &from.floats[*x][..n], out)),
        Operation::Binary(f, [x, y]) => {
            registers.float(*to, n, |from, out| zip(*f, &from.floats[*x][..n], &from.floats[*y][..n], out));
        }
        Operation::Compare(f, [x, y]) => {
            registers.float(*to, n, |from, out| compare(*f, &from.floats[*x][..n], &from.floats[*y][..n], out));
        }
        Operation::CompareWords(f, [x, y]) => {
            registers.float(*to, n, |from, out| compare(*f, &from.words[*x][..n], &from.words[*y][..n], out));
        }
        Operation::Select([mask, x, y]) => registers.float(*to, n, |from, out| {
            let [mask, x, y] = [mask, x, y].map(|register| &from.floats[*register][..n]);
            select(mask, x, y, out);
        }),
        Operation::SelectWords([mask, x, y]) => registers.word(*to, n, |from, out| {
            select(&from.floats[*mask][..n], &from.words[*x][..n], &from.words[*y][..n], out);
        }),
        Operation::Float(x) => registers.float(*to, n, |from, out| {
            out.iter_mut().zip(&from.words[*x][..n]).for_each(|(out, &x)| *out = T::from_u32(x));
        }),
        Operation::Spread(x) => registers.float(*to, n, |from, out| spread(&from.floats[*x], row, out)),
        Operation::SpreadWords(x) => registers.word(*to, n, |from, out| spread(&from.words[*x], row, out)),
        Operation::OverRow(f, x) => {
            registers.float(*to, n, |from, out| over_rows(*f, &from.floats[*x], row, out));
        }
        Operation::Masked(x, bound) => registers.float(*to, n, |from, out| masked(from, *x, *bound, out)),
        Operation::Positions(strides) => registers.word(*to, n, |_, out| positions(strides, block, first, out)),
        Operation::Sum(constant, terms) => registers.word(*to, n, |from, out| {
            out.fill(*constant);
            for (factor, x) in terms {
                let add = |(out, x): (&mut u32, &u32)| *out = out.wrapping_add(factor.wrapping_mul(*x));
                out.iter_mut().zip(&from.words[*x][..n]).for_each(add);
            }
        }),
        Operation::Divided(x, by) => words(registers, *to, *x, n, |x| x / by),
        Operation::Remainder(x, by) => words(registers, *to, *x, n, |x| x % by),
        Operation::AtMost(x, most) => words(registers, *to, *x, n, |x| x.min(*most)),
        Operation::Store { binding, at, kind, value, accumulate } => {
            store(block, (*binding, at, *kind), [*value, first, n], *accumulate, registers);
        }
        Operation::Accumulate(f, x) => {
            let values = &registers.floats[*x][..n];
            match f {
                Binary::Max => block.root.iter_mut().zip(values).for_each(|(root, &x)| *root = maximum(*root, x)),
                _ => block.root.iter_mut().zip(values).for_each(|(root, &x)| *root = binary(*f, *root, x)),
            }
        }
    }
}

#[inline(always)]
fn load<T: Element>(
    block: &Block<'_, T>,
    (binding, at, kind): (usize, &At, Kind),
    [to, first, n]: [usize; 3],
    registers: &mut Registers<T>,
) {
    let view = &block.views[binding];
    match (kind, at) {
        (Kind::Float, At::Strided(strides)) => registers.float(to, n, |_, out| {
            // What comes again is copied from where it came first.
            let mut done = strides.period().map_or(n, |period| period.min(n));
            let run = |i: usize, at, stride, n: usize| view.load(at, stride, &mut out[i..i + n]);
            strides.runs(block.environment, first, done, run);
            while done < n {
                let more = done.min(n - done);
                out.copy_within(..more, done);
                done += more;
            }
        }),
        (Kind::Float, At::Each(places)) => {
            registers.float(to, n, |from, out| view.gather(&from.words[*places][..n], out));
        }
        (Kind::Word, At::Strided(strides)) => registers.word(to, n, |_, out| {
            let run = |i: usize, at, stride, n: usize| view.load_words(at, stride, &mut out[i..i + n]);
            strides.runs(block.environment, first, n, run);
        }),
        (Kind::Word, At::Each(places)) => {
            registers.word(to, n, |from, out| view.gather_words(&from.words[*places][..n], out));
        }
        (Kind::Flag, At::Strided(strides)) => registers.float(to, n, |_, out| {
            let run = |i: usize, at, stride, n: usize| view.load_flags(at, stride, &mut out[i..i + n]);
            strides.runs(block.environment, first, n, run);
        }),
        (Kind::Flag, At::Each(places)) => registers.float(to, n, |from, out| {
            let each = from.words[*places][..n].iter().zip(out);
            each.for_each(|(&place, out)| view.load_flags(place as usize, 0, std::slice::from_mut(out)));
        }),
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
    match (kind, at) {
        (Kind::Float, At::Strided(strides)) => {
            let values = &registers.floats[value];
            let run = |i: usize, at, stride, n: usize| view.store(at, stride, &values[i..i + n], accumulate);
            strides.runs(block.environment, first, n, run);
        }
        (Kind::Float, At::Each(_)) => {
            let values = &registers.floats[value];
            each_place(at, block.environment, [first, n], registers, |i, place| {
                view.store(place, 0, &values[i..=i], accumulate);
            });
        }
        (Kind::Word, _) => each_place(at, block.environment, [first, n], registers, |i, place| {
            view.store_word(place, registers.words[value][i]);
        }),
        (Kind::Flag, At::Strided(strides)) => {
            let values = &registers.floats[value];
            let run = |i: usize, at, stride, n: usize| view.store_flags(at, stride, &values[i..i + n]);
            strides.runs(block.environment, first, n, run);
        }
        (Kind::Flag, At::Each(_)) => {
            let values = &registers.floats[value];
            each_place(at, block.environment, [first, n], registers, |i, place| {
                view.store_flags(place, 0, &values[i..=i]);
            });
        }
    }
}

/// Calls `f` with the number and the place of each element.
#[inline(always)]
fn each_place<T>(
    at: &At,
    environment: &[u64],
    [first, n]: [usize; 2],
    registers: &Registers<T>,
    mut f: impl FnMut(usize, usize),
) {
    match at {
        At::Strided(strides) => strides.runs(environment, first, n, |i, at, stride, n| {
            (0..n).for_each(|j| f(i + j, at + j * stride));
        }),
        At::Each(places) => {
            registers.words[*places][..n].iter().enumerate().for_each(|(i, &place)| f(i, place as usize));
        }
    }
}

#[inline(always)]
fn positions<T>(strides: &Strides, block: &Block<'_, T>, first: usize, out: &mut [u32]) {
    strides.runs(block.environment, first, out.len(), |i, at, stride, n| {
        (0..n).for_each(|j| out[i + j] = (at + j * stride) as u32);
    });
}

#[inline(always)]
fn words<T: Element>(registers: &mut Registers<T>, to: Register, x: Register, n: usize, f: impl Fn(u32) -> u32) {
    registers.word(to, n, |from, out| out.iter_mut().zip(&from.words[x][..n]).for_each(|(out, &x)| *out = f(x)));
}

#[inline(always)]
fn unary<T: Element>(f: Unary, x: &[T], out: &mut [T]) {
    #[inline(always)]
    fn map<T: Element>(x: &[T], out: &mut [T], f: impl Fn(T) -> T) {
        out.iter_mut().zip(x).for_each(|(out, &x)| *out = f(x));
    }
    match f {
        Unary::Neg => map(x, out, |x| -x),
        Unary::Exp => map(x, out, T::exp),
        Unary::Expm1 => map(x, out, T::exp_m1),
        Unary::Log => map(x, out, T::ln),
        Unary::Sqrt => map(x, out, Element::sqrt),
        Unary::Rsqrt => map(x, out, |x| T::from_f64(1.0) / Element::sqrt(x)),
        Unary::Tanh => map(x, out, T::tanh),
        Unary::Logistic => map(x, out, T::logistic),
        Unary::Softplus => map(x, out, T::softplus),
        Unary::StopGradient => out.copy_from_slice(x),
    }
}

#[inline(always)]
fn zip<T: Element>(f: Binary, x: &[T], y: &[T], out: &mut [T]) {
    #[inline(always)]
    fn map<T: Element>(x: &[T], y: &[T], out: &mut [T], f: impl Fn(T, T) -> T) {
        out.iter_mut().zip(x).zip(y).for_each(|((out, &x), &y)| *out = f(x, y));
    }
    match f {
        Binary::Add => map(x, y, out, |x, y| x + y),
        Binary::Sub => map(x, y, out, |x, y| x - y),
        Binary::Mul => map(x, y, out, |x, y| x * y),
        Binary::Div => map(x, y, out, |x, y| x / y),
        Binary::Max => map(x, y, out, |x, y| binary(Binary::Max, x, y)),
    }
}

#[inline(always)]
fn compare<T: Element, W: Copy + PartialOrd>(f: Compare, x: &[W], y: &[W], out: &mut [T]) {
    let (zero, one) = (T::default(), T::from_f64(1.0));
    let flag = |is_so: bool| if is_so { one } else { zero };
    let all = out.iter_mut().zip(x).zip(y);
    match f {
        Compare::Gt => all.for_each(|((out, x), y)| *out = flag(x > y)),
        Compare::Ge => all.for_each(|((out, x), y)| *out = flag(x >= y)),
        Compare::Eq => all.for_each(|((out, x), y)| *out = flag(x == y)),
    }
}

#[inline(always)]
fn select<T: Element, W: Copy>(mask: &[T], x: &[W], y: &[W], out: &mut [W]) {
    let values = mask.iter().zip(x).zip(y);
    out.iter_mut().zip(values).for_each(|(out, ((&mask, &x), &y))| *out = if mask == T::default() { y } else { x });
}

#[inline(always)]
fn masked<T: Element>(from: &Registers<T>, x: Register, bound: Bound, out: &mut [T]) {
    let n = out.len();
    let all = |word: Register| from.floats[x][..n].iter().zip(&from.words[word][..n]);
    match bound {
        Bound::Below(word, extent) => {
            out.iter_mut().zip(all(word)).for_each(|(out, (&x, &w))| *out = if w < extent { x } else { T::default() });
        }
        Bound::Divides(word, by) => {
            out.iter_mut().zip(all(word)).for_each(|(out, (&x, &w))| *out = if w % by == 0 { x } else { T::default() });
        }
    }
}

#[inline(always)]
fn spread<W: Copy>(x: &[W], row: usize, out: &mut [W]) {
    out.chunks_exact_mut(row).zip(x).for_each(|(out, &x)| out.fill(x));
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
    if row < LANES {
        // Term by term for all rows, since rows do not wait for each other.
        out.fill(start);
        for term in 0..row {
            out.iter_mut().zip(x[term..].iter().step_by(row)).for_each(|(out, &x)| *out = f(*out, x));
        }
        return;
    }
    out.iter_mut().zip(x.chunks_exact(row)).for_each(|(out, row)| *out = over_row(row, start, &f));
}

#[inline(always)]
fn over_row<T: Element>(row: &[T], start: T, f: impl Fn(T, T) -> T) -> T {
    let mut lanes = [start; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder();
    chunks.for_each(|chunk| lanes.iter_mut().zip(chunk).for_each(|(lane, &x)| *lane = f(*lane, x)));
    lanes.iter_mut().zip(rest).for_each(|(lane, &x)| *lane = f(*lane, x));
    let mut half = LANES / 2;
    while half > 0 {
        (0..half).for_each(|i| lanes[i] = f(lanes[i], lanes[i + half]));
        half /= 2;
    }
    lanes[0]
}

/// The larger, as `eval` reduces: x only if it is above.
#[inline(always)]
fn maximum<T: Element>(max: T, x: T) -> T {
    if x > max { x } else { max }
}
