//! Recorded products with the Hessian or the Gauss–Newton matrix: the part that depends on the parameters runs once,
//! the part that is linear in the vector runs for every vector.
//!
//! If the kept values of all chunks fit the memory set aside for them, a product costs about one and a half gradients
//! instead of two. Otherwise chunks take turns in one set of buffers, and every product computes them again.

use std::ops::Range;

use super::problem::{Matrix, Quantity, SLOTS};
use super::{Buffers, Objective};
use crate::device::{Buffer, DeviceError, Loaded, Recording};
use crate::kernel::KernelError;
use crate::plan::PlanError;

/// The most memory for kept values, in bytes, unless [`Objective::keep_at_most`] sets another limit.
pub(crate) const KEPT_BYTES: u64 = 3 << 29;

/// The vectors of a block product: their number, and buffers that hold them side by side, tensor by tensor.
pub(super) struct Vectors<'a> {
    pub count: usize,
    /// The chunks whose share of the matrix is meant.
    pub chunks: Range<usize>,
    pub v: &'a Buffer,
    pub result: &'a Buffer,
}

/// A matrix, and its parameters.
#[derive(Clone, Copy)]
struct MatrixAt<'a> {
    matrix: Matrix,
    w: &'a Buffer,
}

/// Recorded products at the same parameters.
pub(super) struct Products {
    /// Must run once after the parameters have changed; empty if every product repeats it.
    pub keep: Recording,
    /// One for each of the vectors.
    pub products: Vec<Recording>,
}

impl Objective {
    /// Records `result` = H(w)·v.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn hvp(&mut self, w: &Buffer, v: &Buffer, result: &Buffer) -> Result<Recording, DeviceError> {
        self.product(MatrixAt { matrix: Matrix::Hessian, w }, v, result)
    }

    /// Records `result` = G(w)·v, with G = Jᵀ·H_L·J the generalised Gauss–Newton matrix.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn ggn(&mut self, w: &Buffer, v: &Buffer, result: &Buffer) -> Result<Recording, DeviceError> {
        self.product(MatrixAt { matrix: Matrix::GaussNewton, w }, v, result)
    }

    fn product(&mut self, at: MatrixAt<'_>, v: &Buffer, result: &Buffer) -> Result<Recording, DeviceError> {
        let lens = self.kept_lens(at.matrix)?;
        let kept = self.shared_kept(&lens)?;
        self.in_turns(at, &Vectors { count: 1, chunks: 0..self.chunks.len(), v, result }, &kept)
    }

    /// Bytes kept by products with a matrix, for all chunks together, and whether they fit the memory set aside.
    ///
    /// # Errors
    /// Compilation errors.
    pub fn kept_bytes(&mut self, matrix: Matrix) -> Result<(u64, bool), DeviceError> {
        let lens = self.kept_lens(matrix)?;
        let bytes = self.bytes(&lens);
        Ok((bytes, bytes <= self.most_kept))
    }

    /// Sets the most memory for the kept values of products recorded from now on, in bytes. It changes no bit of a
    /// result.
    pub fn keep_at_most(&mut self, bytes: u64) {
        self.most_kept = bytes;
    }

    /// Whether `count` vectors at once, and their program, stay within the adapter's limits; chunks were cut for one
    /// vector.
    pub(super) fn block_fits(&mut self, matrix: Matrix, count: usize) -> Result<bool, DeviceError> {
        let mut load_all = || {
            self.device.check_size("a block of vectors", self.layout().device_len().saturating_mul(count))?;
            (0..self.chunks.len())
                .try_for_each(|chunk| self.load(Quantity::Product(matrix, count), chunk, chunk > 0).map(|_| ()))
        };
        match load_all() {
            Ok(()) => Ok(true),
            Err(
                DeviceError::BufferTooLarge { .. } | DeviceError::Kernel(KernelError::Plan(PlanError::TooLarge(_))),
            ) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Records products at `w` with each of `vectors`.
    pub(super) fn products(
        &mut self,
        matrix: Matrix,
        w: &Buffer,
        vectors: &[Vectors<'_>],
    ) -> Result<Products, DeviceError> {
        let (at, lens) = (MatrixAt { matrix, w }, self.kept_lens(matrix)?);
        let mut recorded = Products { keep: Recording::default(), products: vec![] };
        let own = if self.bytes(&lens) <= self.most_kept { self.own_kept(&lens)? } else { None };
        let Some(kept) = own else {
            let kept = self.shared_kept(&lens)?;
            for vectors in vectors {
                recorded.products.push(self.in_turns(at, vectors, &kept)?);
            }
            return Ok(recorded);
        };
        for (i, kept) in kept.iter().enumerate() {
            recorded.keep = recorded.keep.then(&self.keep(at, i, kept)?);
        }
        for vectors in vectors {
            let mut all = Recording::default();
            for i in vectors.chunks.clone() {
                all = all.then(&self.multiply(at, i, vectors, &kept[i])?);
            }
            recorded.products.push(all);
        }
        Ok(recorded)
    }

    /// A product whose chunks share one set of buffers for kept values.
    fn in_turns(&mut self, at: MatrixAt<'_>, vectors: &Vectors<'_>, kept: &[Buffer]) -> Result<Recording, DeviceError> {
        let mut all = Recording::default();
        for i in vectors.chunks.clone() {
            let keep = self.keep(at, i, kept)?;
            all = all.then(&keep).then(&self.multiply(at, i, vectors, kept)?);
        }
        Ok(all)
    }

    /// Size of buffers of these lengths.
    fn bytes(&self, lens: &[Vec<usize>]) -> u64 {
        (self.device.precision().bytes() * lens.iter().flatten().sum::<usize>()) as u64
    }

    /// Lengths of every chunk's buffers of kept values.
    fn kept_lens(&mut self, matrix: Matrix) -> Result<Vec<Vec<usize>>, DeviceError> {
        let lens = |loaded: Loaded| loaded.slots()[SLOTS..].to_vec();
        (0..self.chunks.len()).map(|i| self.load(Quantity::Kept(matrix), i, false).map(lens)).collect()
    }

    /// Buffers for every chunk's kept values; none if the device lacks the memory.
    fn own_kept(&self, lens: &[Vec<usize>]) -> Result<Option<Vec<Vec<Buffer>>>, DeviceError> {
        let of_chunk = |lens: &Vec<usize>| lens.iter().map(|&len| self.device.buffer("kept values", len)).collect();
        match lens.iter().map(of_chunk).collect() {
            Err(DeviceError::NoMemory(_)) => Ok(None),
            kept => kept.map(Some),
        }
    }

    /// Buffers for the kept values of any one chunk.
    fn shared_kept(&mut self, lens: &[Vec<usize>]) -> Result<Vec<Buffer>, DeviceError> {
        let slots = lens.iter().map(Vec::len).max().unwrap_or(0);
        for slot in 0..slots {
            let len = lens.iter().filter_map(|lens| lens.get(slot)).copied().max().unwrap_or(0);
            match self.kept.get_mut(slot) {
                Some(buffer) if buffer.len() >= len => {}
                Some(buffer) => *buffer = self.device.buffer("kept values", len)?,
                None => self.kept.push(self.device.buffer("kept values", len)?),
            }
        }
        Ok(self.kept[..slots].to_vec())
    }

    fn keep(&mut self, at: MatrixAt<'_>, chunk: usize, kept: &[Buffer]) -> Result<Recording, DeviceError> {
        let loaded = self.load(Quantity::Kept(at.matrix), chunk, false)?;
        self.bind(&loaded, &self.chunks[chunk], Buffers { w: at.w, v: None, result: None }, kept)
    }

    fn multiply(
        &mut self,
        MatrixAt { matrix, w }: MatrixAt<'_>,
        chunk: usize,
        &Vectors { count, ref chunks, v, result }: &Vectors<'_>,
        kept: &[Buffer],
    ) -> Result<Recording, DeviceError> {
        let loaded = self.load(Quantity::Product(matrix, count), chunk, chunk > chunks.start)?;
        self.bind(&loaded, &self.chunks[chunk], Buffers { w, v: Some(v), result: Some(result) }, kept)
    }
}
