//! One block of a step: the instructions of a tape, each a loop over its registers that the compiler makes vector code
//! of.

use super::element::Element;
use super::layout::{Runs, Strides};
use super::memory::View;
use super::tape::{At, Bound, Instruction, Kind, Operation, Register, Tape};
use super::vector::{accumulate, compare, map, over_rows, select, spread, unary, zip};

/// Elements of a register.
pub(super) const BLOCK: usize = 512;

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
