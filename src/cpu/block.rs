//! One block of a step: the instructions of a tape, each a loop over its registers that the compiler makes vector code
//! of.

use super::element::Element;
use super::layout::{Runs, Strides};
use super::memory::View;
use super::tape::{At, Bound, Instruction, Kind, Operation, Tape};
use super::vector::{accumulate, compare, floats_of, map, masked, merge, over_rows, select, spread, unary, zip};

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

/// Handles elements of a buffer, with their place in the block, in runs as [`Strides::runs`] has them or one by one. It
/// is no function, since the closure that one would call has no vector instructions.
macro_rules! each_runs {
    ($at:expr, $environment:expr, [$first:expr, $n:expr], $registers:expr, |$i:ident, $runs:ident| $body:expr) => {
        match $at {
            At::Strided(strides) => {
                for ($i, $runs) in strides.runs($environment, $first, $n) {
                    $body;
                }
            }
            At::Each(places) => {
                for ($i, &place) in $registers.words[*places][..$n].iter().enumerate() {
                    let $runs = Runs::one(place as usize);
                    $body;
                }
            }
        }
    };
}

#[inline(always)]
fn step<T: Element>(instruction: &Instruction, row: usize, block: &mut Block<'_, T>, registers: &mut Registers<T>) {
    let Instruction { operation, to, per_row } = instruction;
    let width = if *per_row { 1 } else { row };
    let (first, n, environment) = (block.first * width, block.count * width, block.environment);
    /// Fills the register `to` of this file: while it is out, all others can be read.
    macro_rules! fill {
        ($file:ident, $out:ident => $fill:expr) => {{
            let mut register = std::mem::take(&mut registers.$file[*to]);
            let $out = &mut register[..n];
            $fill;
            registers.$file[*to] = register;
        }};
    }
    /// The elements of a register.
    macro_rules! of {
        ($file:ident[$register:expr]) => {
            &registers.$file[*$register][..n]
        };
    }
    match operation {
        Operation::Load { binding, at, kind } => {
            let view = &block.views[*binding];
            match kind {
                Kind::Float => fill!(floats, out => load(view, at, environment, first, registers, out)),
                Kind::Flag => fill!(floats, out => {
                    each_runs!(at, environment, [first, n], registers, |i, runs| view.load_flags(runs, &mut out[i..]));
                }),
                Kind::Word => fill!(words, out => {
                    each_runs!(at, environment, [first, n], registers, |i, runs| view.load_words(runs, &mut out[i..]));
                }),
            }
        }
        Operation::Root => fill!(floats, out => out.copy_from_slice(&block.root[..n])),
        Operation::Unary(f, x) => fill!(floats, out => unary(*f, of!(floats[x]), out)),
        Operation::Binary(f, [x, y]) => fill!(floats, out => zip(*f, of!(floats[x]), of!(floats[y]), out)),
        Operation::Compare(f, [x, y]) => fill!(floats, out => compare(*f, of!(floats[x]), of!(floats[y]), out)),
        Operation::CompareWords(f, [x, y]) => fill!(floats, out => compare(*f, of!(words[x]), of!(words[y]), out)),
        Operation::Select([mask, x, y]) => {
            fill!(floats, out => select(of!(floats[mask]), of!(floats[x]), of!(floats[y]), out));
        }
        Operation::SelectWords([mask, x, y]) => {
            fill!(words, out => select(of!(floats[mask]), of!(words[x]), of!(words[y]), out));
        }
        Operation::Float(x) => fill!(floats, out => floats_of(of!(words[x]), out)),
        Operation::Spread(x) => fill!(floats, out => spread(&registers.floats[*x], row, out)),
        Operation::SpreadWords(x) => fill!(words, out => spread(&registers.words[*x], row, out)),
        Operation::OverRow(f, x) => fill!(floats, out => over_rows(*f, &registers.floats[*x], row, out)),
        Operation::Masked(x, Bound::Below(word, limit)) => {
            fill!(floats, out => masked(of!(floats[x]), of!(words[word]), out, |word| word < *limit));
        }
        Operation::Masked(x, Bound::Divides(word, by)) => {
            fill!(floats, out => masked(of!(floats[x]), of!(words[word]), out, |word| word % by == 0));
        }
        Operation::Positions(strides) => fill!(words, out => positions(strides, block, first, out)),
        Operation::Sum(constant, terms) => fill!(words, out => {
            out.fill(*constant);
            for (factor, x) in terms {
                merge(of!(words[x]), out, |sum, x| sum.wrapping_add(factor.wrapping_mul(x)));
            }
        }),
        Operation::Divided(x, by) => fill!(words, out => map(of!(words[x]), out, |x| x / by)),
        Operation::Remainder(x, by) => fill!(words, out => map(of!(words[x]), out, |x| x % by)),
        Operation::AtMost(x, most) => fill!(words, out => map(of!(words[x]), out, |x| x.min(*most))),
        Operation::Store { binding, at, kind, value, accumulate } => {
            let view = &block.views[*binding];
            each_runs!(at, environment, [first, n], registers, |i, runs| match kind {
                Kind::Float => view.store(runs, &registers.floats[*value][i..], *accumulate),
                Kind::Word => view.store_words(runs, &registers.words[*value][i..]),
                Kind::Flag => view.store_flags(runs, &registers.floats[*value][i..]),
            });
        }
        Operation::Accumulate(f, x) => accumulate(*f, of!(floats[x]), block.root),
    }
}

/// Floats of a buffer.
#[inline(always)]
fn load<T: Element>(
    view: &View<T>,
    at: &At,
    environment: &[u64],
    first: usize,
    registers: &Registers<T>,
    out: &mut [T],
) {
    let n = out.len();
    // What comes again is copied from where it came first.
    let mut done = at.period().map_or(n, |period| period.min(n));
    each_runs!(at, environment, [first, done], registers, |i, runs| view.load(runs, &mut out[i..]));
    while done < n {
        let more = done.min(n - done);
        out.copy_within(..more, done);
        done += more;
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
