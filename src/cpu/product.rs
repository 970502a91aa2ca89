//! Contractions: `gemm` for the products, a tape for the epilogue.
//!
//! A large product is computed by all threads at once, where it is stored if possible, and its epilogue follows. Of
//! batches and convolutions each task computes tiles, whose epilogue runs while they are in the cache. Which of these
//! it is, and how large tiles are, follows from shapes.

use super::block::{BLOCK, Block};
use super::compile::{Compiler, Domain, in_plane, strided};
use super::convolve::{Convolution, Part, TILE};
use super::element::Element;
use super::layout::{BATCH, Runs, Scalar};
use super::loops::blocks_of_a_task;
use super::memory::{Matrix, View, multiply};
use super::pool::{Needs, Pool, Scratch};
use super::tape::Tape;
use crate::graph::DType;
use crate::plan::{Address, Body, Elements, Expr, Line, Name, Product as Planned};

/// Operations from which on all threads work on one product.
const LARGE: f64 = 4e6;
/// Operations that are worth a task of its own.
const TASK: f64 = 2e6;

/// A matrix for each batch.
#[derive(Debug)]
pub(super) struct Operand {
    pub binding: usize,
    pub base: Scalar,
    pub strides: [usize; 2],
}

/// What stands on the left.
#[derive(Debug)]
pub(super) enum Left {
    Matrix(Operand),
    Convolution(Convolution),
}

/// Where products go before the epilogue: elements side by side, from `base` on.
#[derive(Debug)]
struct Place {
    binding: usize,
    base: Scalar,
    accumulate: bool,
}

/// See the module text.
#[derive(Debug)]
pub(super) struct Product {
    batch: usize,
    /// m, n and k
    sizes: [usize; 3],
    /// Nothing where k has no values.
    operands: Option<(Left, Operand)>,
    /// In a buffer of the step's, if there is one for it.
    place: Option<Place>,
    /// Nothing where all that is wanted is the product at its place.
    finish: Option<Tape>,
    /// Rows of a tile, and of how many that begin with a tile.
    rows: [usize; 2],
    is_large: bool,
}

impl Operand {
    /// Of a body that only loads; `names` count rows and columns.
    pub fn new(body: &Body, names: [&str; 2]) -> Option<Self> {
        let (binding, base, strides) = strided(&body.lines, names)?;
        Some(Self { binding, base, strides })
    }

    fn matrix<T: Element>(&self, views: &[View<T>], environment: &[u64]) -> Matrix<T> {
        let at = self.base.value(environment) as usize;
        Matrix { view: views[self.binding], at, strides: self.strides }
    }
}

/// The single element of an operand.
pub(super) fn body(elements: &Elements) -> &Body {
    match elements {
        Elements::One(body) => body,
        Elements::Together { .. } | Elements::Apart { .. } => unreachable!("blocks read one by one"),
    }
}

impl Product {
    pub fn new(planned: &Planned, operands: Option<(Left, Operand)>) -> Self {
        let shape = &planned.shape;
        let (batch, sizes) = (shape.batch, [shape.m, shape.n, shape.k]);
        let domain = Domain::grid([("m", shape.m), ("n", shape.n)]);
        let place = place(&planned.finish, &domain);
        let is_all = matches!(&planned.finish[..], [Line::Store { .. }]) && place.is_some();
        let finish = (!is_all).then(|| {
            let mut compiler = Compiler::new(domain);
            compiler.take_root();
            compiler.lines(&planned.finish);
            compiler.finish()
        });
        let each = 2.0 * (shape.m * shape.n * shape.k) as f64;
        let is_matrix = matches!(operands, Some((Left::Matrix(_), _)));
        let is_large = is_matrix && batch == 1 && each >= LARGE && place.is_some();
        let place = place.filter(|place| is_large || finish.is_none() || !place.accumulate);
        let rows = match &operands {
            Some((Left::Convolution(convolution), _)) if !convolution.is_over_places() => convolution.rows_of_a_band(),
            // All terms of a sum are added by one task.
            Some((Left::Convolution(_), _)) => [shape.m; 2],
            _ => [whole_blocks(TILE / shape.n.max(1)).min(shape.m), shape.m],
        };
        Self { batch, sizes, operands, place, finish, rows, is_large }
    }

    pub fn needs(&self) -> Needs {
        let packed = match &self.operands {
            Some((Left::Convolution(convolution), _)) => convolution.packed(),
            Some((Left::Matrix(_), _)) | None => 0,
        };
        let tile = if self.place.is_some() { 0 } else { self.rows[0] * self.sizes[1] };
        let of_tape = self.finish.as_ref().map_or(Needs::default(), Needs::of);
        Needs { packed, tile: tile.max(BLOCK), ..of_tape }
    }

    /// Tiles of a batch.
    fn tiles(&self) -> usize {
        let [rows, period] = self.rows.map(|rows| rows.max(1));
        self.sizes[0] / period * period.div_ceil(rows)
    }

    /// The first row of a tile, and their number.
    fn rows_of(&self, tile: usize) -> [usize; 2] {
        let [rows, period] = self.rows;
        let tiles = period.div_ceil(rows);
        let first = tile % tiles * rows;
        [tile / tiles * period + first, rows.min(period - first)]
    }

    fn tiles_of_a_task(&self) -> usize {
        let [_, n, k] = self.sizes;
        let of_tile = 2.0 * (self.rows[0] * n * k) as f64;
        ((TASK / of_tile.max(1.0)) as usize).clamp(1, (self.batch * self.tiles()).max(1))
    }

    /// Whether it has work for several threads.
    pub fn is_shared(&self) -> bool {
        self.is_large || self.batch * self.tiles() > self.tiles_of_a_task()
    }

    pub fn run<T: Element>(&self, pool: &Pool<T>, views: &[View<T>], environment: &[u64]) {
        if let (true, Some((Left::Matrix(left), right)), Some(place)) = (self.is_large, &self.operands, &self.place) {
            let c = self.stored(place, views, environment);
            let operands = [left.matrix(views, environment), right.matrix(views, environment), c];
            multiply(self.sizes, operands, place.accumulate, true);
            self.finish_all(pool, views, environment, c);
            return;
        }
        let (tiles, each) = (self.tiles(), self.tiles_of_a_task());
        pool.tasks((self.batch * tiles).div_ceil(each), environment, |task, scratch| {
            if let Some(tape) = &self.finish {
                scratch.registers.fill(tape);
            }
            let first = task * each;
            for tile in first..(self.batch * tiles).min(first + each) {
                scratch.environment[BATCH] = (tile / tiles) as u64;
                let is_new = tile == first || tile.is_multiple_of(tiles);
                self.tile(pool, views, scratch, self.rows_of(tile % tiles), is_new);
            }
        });
    }

    /// The matrix of results at its place.
    fn stored<T: Element>(&self, place: &Place, views: &[View<T>], environment: &[u64]) -> Matrix<T> {
        let at = place.base.value(environment) as usize;
        Matrix { view: views[place.binding], at, strides: [self.sizes[1], 1] }
    }

    /// The epilogue of all results.
    fn finish_all<T: Element>(&self, pool: &Pool<T>, views: &[View<T>], environment: &[u64], c: Matrix<T>) {
        let Some(tape) = &self.finish else { return };
        let count = self.sizes[0] * self.sizes[1];
        let blocks = count.div_ceil(BLOCK);
        let each = blocks_of_a_task(tape);
        pool.tasks(blocks.div_ceil(each), environment, |task, scratch| {
            scratch.registers.fill(tape);
            for block in task * each..blocks.min((task + 1) * each) {
                let first = block * BLOCK;
                let root = &mut scratch.tile[..BLOCK.min(count - first)];
                let count = root.len();
                c.view.load(Runs::line(c.at + first, 1, count), root);
                let mut block = Block { views, environment: &scratch.environment, first, count, root };
                pool.block(tape, &mut scratch.registers, &mut block);
            }
        });
    }

    /// Some rows of one batch; `is_new` if the tile before was of another one.
    fn tile<T: Element>(
        &self,
        pool: &Pool<T>,
        views: &[View<T>],
        scratch: &mut Scratch<T>,
        [first, rows]: [usize; 2],
        is_new: bool,
    ) {
        let n = self.sizes[1];
        let Scratch { registers, environment, packed, tile } = scratch;
        let (c, accumulate) = match &self.place {
            Some(place) => {
                let all = self.stored(place, views, environment);
                (Matrix { at: all.at + first * n, ..all }, place.accumulate)
            }
            None => (Matrix { view: View::of(tile), at: 0, strides: [n, 1] }, false),
        };
        match &self.operands {
            Some((Left::Convolution(convolution), right)) => {
                let (field, right) = (views[convolution.binding], right.matrix(views, environment));
                let (rows, terms) = ([first, rows], self.sizes[2]);
                pool.vectorised(Part {
                    convolution,
                    field,
                    environment,
                    rows,
                    terms,
                    right,
                    result: c,
                    accumulate,
                    is_new,
                    packed,
                });
            }
            Some((Left::Matrix(left), right)) => {
                let (all, right) = (left.matrix(views, environment), right.matrix(views, environment));
                let left = Matrix { at: all.at + first * all.strides[0], ..all };
                multiply([rows, n, self.sizes[2]], [left, right, c], accumulate, false);
            }
            None if accumulate => {}
            None => (0..rows * n).for_each(|i| c.view.store(Runs::one(c.at + i), &[T::default()], false)),
        }
        let Some(tape) = &self.finish else { return };
        let mut done = 0;
        while done < rows * n {
            let count = BLOCK.min(rows * n - done);
            let first = first * n + done;
            let mut copy = [T::default(); BLOCK];
            c.view.load(Runs::line(c.at + done, 1, count), &mut copy);
            let mut block = Block { views, environment, first, count, root: &mut copy[..count] };
            pool.block(tape, registers, &mut block);
            done += count;
        }
    }
}

/// Rows of a tile, in whole blocks of what `gemm` computes at once.
fn whole_blocks(rows: usize) -> usize {
    const BLOCK_ROWS: usize = 48;
    (rows / BLOCK_ROWS * BLOCK_ROWS).max(BLOCK_ROWS)
}

/// The left operand of a convolution, if its field has constant strides.
pub(super) fn convolution(planned: &Planned) -> Option<Left> {
    let field = planned.field.as_ref()?;
    Convolution::new(field, planned.shape.n).map(Left::Convolution)
}

/// Where products may lie before the epilogue: where a value of their type is stored side by side, in a buffer that the
/// epilogue does not load from. To add to a buffer is only possible where that is all there is to do.
fn place(finish: &[Line], domain: &Domain) -> Option<Place> {
    let is_loaded = |wanted: usize| {
        finish.iter().any(|line| matches!(line, Line::Let(_, Expr::Load { binding, .. }) if *binding == wanted))
    };
    finish.iter().find_map(|line| {
        let Line::Store { binding, at: Address::One(idx), value, dtype: DType::F32, accumulate } = line else {
            return None;
        };
        let is_alone = finish.len() == 1 && *value == Name::Root;
        let strides = in_plane(idx, domain)?;
        let is_dense = strides.single() == Some(1) || domain.count == 1;
        let is_free = is_alone || !accumulate && !is_loaded(*binding);
        (is_dense && is_free).then_some(Place { binding: *binding, base: strides.base, accumulate: *accumulate })
    })
}
