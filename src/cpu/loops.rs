//! Steps without a contraction: a tape for every block of elements or rows, and reductions over what lies far apart.

use super::block::{BLOCK, Block};
use super::compile::{Compiler, Domain, one};
use super::element::Element;
use super::layout::TERM;
use super::memory::View;
use super::pool::{Needs, Pool};
use super::tape::Tape;
use crate::graph::Binary;
use crate::plan::{Body, Expr, Fold, Line};

/// Vector operations on single elements that are worth a task of its own, some 20 µs.
const TASK: usize = 1 << 18;

/// A tape for `count` rows, or elements where there are no rows.
#[derive(Debug)]
pub(super) struct Rows {
    pub tape: Tape,
    pub count: usize,
}

/// A reduction of `terms` terms for each of `count` elements: a tape that adds one term, and what is made of the
/// result.
#[derive(Debug)]
pub(super) struct Columns {
    pub count: usize,
    pub terms: usize,
    pub with: Binary,
    pub term: Tape,
    pub finish: Tape,
}

impl Rows {
    /// Lines for every value of a domain.
    pub fn new(domain: Domain, lines: &[Line]) -> Self {
        let count = domain.count;
        let mut compiler = Compiler::new(domain);
        compiler.lines(lines);
        Self { tape: compiler.finish(), count }
    }

    pub fn needs(&self) -> Needs {
        Needs::of(&self.tape)
    }

    fn rows_of_a_block(&self) -> usize {
        (BLOCK / self.tape.row).max(1)
    }

    fn blocks(&self) -> usize {
        self.count.div_ceil(self.rows_of_a_block())
    }

    pub fn tasks(&self) -> usize {
        self.blocks().div_ceil(blocks_of_a_task(&self.tape))
    }

    pub fn run<T: Element>(&self, pool: &Pool<T>, views: &[View<T>], environment: &[u64]) {
        let (rows, blocks, each) = (self.rows_of_a_block(), self.blocks(), blocks_of_a_task(&self.tape));
        pool.tasks(self.tasks(), environment, |task, scratch| {
            scratch.registers.fill(&self.tape);
            for block in task * each..blocks.min((task + 1) * each) {
                let first = block * rows;
                let count = rows.min(self.count - first);
                let environment = &scratch.environment;
                let mut block = Block { views, environment, first, count, root: &mut [] };
                pool.block(&self.tape, &mut scratch.registers, &mut block);
            }
        });
    }
}

/// Blocks that a task runs a tape on.
pub(super) fn blocks_of_a_task(tape: &Tape) -> usize {
    (TASK / (BLOCK * (tape.instructions.len() + 1))).max(1)
}

/// Either form of a reduction.
pub(super) enum Reduction {
    Rows(Rows),
    Columns(Columns),
}

/// The terms of an element as a row where they are neighbours, or where there are few elements; else one after the
/// other.
pub(super) fn reduction(fold: &Fold) -> Reduction {
    let Fold { count, with, terms, term, finish } = fold;
    let is_row = *terms <= BLOCK && (*count < 64 || term.as_ref().is_some_and(|body| are_neighbours(&body.lines)));
    if let (true, Some(Body { lines, value })) = (is_row, term) {
        let mut compiler = Compiler::new(Domain::rows(*count, *terms));
        compiler.lines(lines);
        compiler.reduce(*with, *value);
        compiler.lines(finish);
        return Reduction::Rows(Rows { tape: compiler.finish(), count: *count });
    }
    let flat = || Compiler::new(Domain::flat("i", *count));
    let mut of_term = flat();
    if let Some(body) = term {
        of_term.lines(&body.lines);
        of_term.accumulate(*with, body.value);
    }
    let mut of_result = flat();
    of_result.take_root();
    of_result.lines(finish);
    let (term, finish) = (of_term.finish(), of_result.finish());
    Reduction::Columns(Columns { count: *count, terms: *terms, with: *with, term, finish })
}

/// Whether a term's loads move along the terms by single elements.
fn are_neighbours(lines: &[Line]) -> bool {
    lines.iter().any(|line| matches!(line, Line::Let(_, Expr::Load { at, .. }) if one(at).stride("r") == Some(1)))
}

impl Columns {
    pub fn tasks(&self) -> usize {
        self.count.div_ceil(BLOCK)
    }

    pub fn needs(&self) -> Needs {
        Needs { tile: BLOCK, ..Needs::of(&self.term).or(Needs::of(&self.finish)) }
    }

    pub fn run<T: Element>(&self, pool: &Pool<T>, views: &[View<T>], environment: &[u64]) {
        let start = if self.with == Binary::Max { -T::INFINITY } else { T::default() };
        pool.tasks(self.tasks(), environment, |block, scratch| {
            let first = block * BLOCK;
            let count = BLOCK.min(self.count - first);
            let root = &mut scratch.tile[..count];
            root.fill(start);
            scratch.registers.fill(&self.term);
            for term in 0..self.terms {
                scratch.environment[TERM] = term as u64;
                let mut block = Block { views, environment: &scratch.environment, first, count, root };
                pool.block(&self.term, &mut scratch.registers, &mut block);
            }
            scratch.registers.fill(&self.finish);
            let mut block = Block { views, environment: &scratch.environment, first, count, root };
            pool.block(&self.finish, &mut scratch.registers, &mut block);
        });
    }
}
