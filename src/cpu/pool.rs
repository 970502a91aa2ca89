//! Threads and what each of them has for itself: registers, and memory for patches and tiles.
//!
//! Tasks are numbered by shapes alone, so the number of threads changes which thread does what, and no bit of a result.

use std::sync::{Mutex, PoisonError};

use pulp::{Arch, NullaryFnOnce};
use rayon::ThreadPool;
use rayon::prelude::*;

use super::block::{BLOCK, Block, Registers, Run};
use super::element::Element;
use super::tape::Tape;

/// What a program needs of each thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// Registers of floats and of words.
    pub floats: usize,
    pub words: usize,
    /// Elements of packed patches, and of a tile of results.
    pub packed: usize,
    pub tile: usize,
}

impl Needs {
    /// Enough for either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            floats: self.floats.max(other.floats),
            words: self.words.max(other.words),
            packed: self.packed.max(other.packed),
            tile: self.tile.max(other.tile),
        }
    }

    /// Of a tape.
    pub fn of(tape: &Tape) -> Self {
        Self { floats: tape.floats, words: tape.words, ..Self::default() }
    }

    /// Bytes of it for so many threads and their caller, with elements of so many bytes.
    pub fn bytes(self, element: usize, threads: usize) -> u64 {
        let each = element * (self.floats * BLOCK + self.packed + self.tile) + 4 * self.words * BLOCK;
        (each * (threads + 1)) as u64
    }
}

/// Of one thread.
#[derive(Debug, Default)]
pub(super) struct Scratch<T> {
    pub registers: Registers<T>,
    /// Values of what is constant in a block.
    pub environment: Vec<u64>,
    pub packed: Vec<T>,
    pub tile: Vec<T>,
}

/// See the module text.
#[derive(Debug)]
pub(super) struct Pool<T> {
    threads: ThreadPool,
    /// Of each thread, and of the one that calls them.
    scratches: Vec<Mutex<Scratch<T>>>,
    arch: Arch,
}

impl<T: Element> Pool<T> {
    pub fn new(threads: ThreadPool) -> Self {
        let scratches = (0..=threads.current_num_threads()).map(|_| Mutex::new(Scratch::default())).collect();
        Self { threads, scratches, arch: Arch::new() }
    }

    /// Runs `work` on one of the threads, from which the others are reached sooner.
    pub fn enter<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.threads.install(work)
    }

    /// Makes sure that each thread has what is needed.
    pub fn reserve(&self, needs: Needs) {
        for scratch in &self.scratches {
            let mut scratch = scratch.lock().unwrap_or_else(PoisonError::into_inner);
            scratch.registers.reserve(needs.floats, needs.words);
            let (packed, tile) = (scratch.packed.len().max(needs.packed), scratch.tile.len().max(needs.tile));
            scratch.packed.resize(packed, T::default());
            scratch.tile.resize(tile, T::default());
        }
    }

    /// Runs tasks with the numbers from 0 on, on all threads if there are several.
    pub fn tasks(&self, count: usize, environment: &[u64], task: impl Fn(usize, &mut Scratch<T>) + Sync) {
        let run = |number: usize| {
            let thread = self.threads.current_thread_index().unwrap_or(self.scratches.len() - 1);
            let mut scratch = self.scratches[thread].lock().unwrap_or_else(PoisonError::into_inner);
            scratch.environment.clear();
            scratch.environment.extend_from_slice(environment);
            task(number, &mut scratch);
        };
        if count <= 1 {
            (0..count).for_each(run);
        } else {
            self.threads.install(|| (0..count).into_par_iter().for_each(run));
        }
    }

    /// Runs a tape on a block.
    pub fn block(&self, tape: &Tape, registers: &mut Registers<T>, block: &mut Block<'_, T>) {
        self.vectorised(Run { tape, block, registers });
    }

    /// Runs `work` with what vector instructions the processor has.
    pub fn vectorised(&self, work: impl NullaryFnOnce<Output = ()>) {
        self.arch.dispatch(work);
    }
}
