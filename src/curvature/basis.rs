//! Vector algebra of the eigensolvers: orthonormal sets of long vectors, and orthogonalisation against them.
//!
//! Vectors may have millions of entries, so everything runs in chunks that stay in cache while all basis vectors pass
//! over them. Sums are formed in a fixed order: same input, same bits.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

/// Entries per chunk: 32 KiB, a first-level cache.
const CHUNK: usize = 4096;

/// a · b, in eight interleaved sums so that it vectorises.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail: f64 = a8.remainder().iter().zip(b8.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a8.zip(b8) {
        for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
            *lane += x * y;
        }
    }
    lanes.iter().sum::<f64>() + tail
}

/// Euclidean length.
pub(super) fn norm(v: &[f64]) -> f64 {
    dot(v, v).sqrt()
}

/// y += a x.
pub(super) fn axpy(a: f64, x: &[f64], y: &mut [f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}

/// v *= a.
pub(super) fn scale(v: &mut [f64], a: f64) {
    v.iter_mut().for_each(|x| *x *= a);
}

/// Random directions, the same for the same seed on every machine.
pub(super) struct Directions(ChaCha8Rng);

impl Directions {
    pub(super) fn new(seed: u64) -> Self {
        Self::on_stream(seed, 0)
    }

    /// Another sequence of the same seed.
    pub(super) fn on_stream(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    /// 1 or −1.
    pub(super) fn sign(&mut self) -> f64 {
        if self.0.random() { 1.0 } else { -1.0 }
    }

    /// A vector of independent signs, 1 or −1.
    pub(super) fn signs(&mut self, dim: usize) -> Vec<f64> {
        (0..dim).map(|_| self.sign()).collect()
    }

    /// A vector of independent standard normal entries scaled to unit length: uniform over directions.
    pub(super) fn unit(&mut self, dim: usize) -> Vec<f64> {
        let mut v: Vec<f64> = StandardNormal.sample_iter(&mut self.0).take(dim).collect();
        let length = norm(&v);
        scale(&mut v, 1.0 / length);
        v
    }
}

/// Orthonormal vectors.
pub(super) struct Basis(pub(super) Vec<Vec<f64>>);

impl Basis {
    /// Makes `w` orthogonal to all vectors and returns the coefficients taken out. Classical Gram–Schmidt done twice,
    /// which is enough for orthogonality to rounding (Giraud, Langou, Rozložník, van den Eshof 2005).
    pub(super) fn orthogonalise(&self, w: &mut [f64]) -> Vec<f64> {
        let mut total = vec![0.0; self.0.len()];
        for _ in 0..2 {
            let mut coefficients = vec![0.0; self.0.len()];
            for (i, part) in w.chunks(CHUNK).enumerate() {
                let at = i * CHUNK;
                for (c, q) in coefficients.iter_mut().zip(&self.0) {
                    *c += dot(part, &q[at..at + part.len()]);
                }
            }
            for (i, part) in w.chunks_mut(CHUNK).enumerate() {
                let at = i * CHUNK;
                for (c, q) in coefficients.iter().zip(&self.0) {
                    axpy(-c, &q[at..at + part.len()], part);
                }
            }
            total.iter_mut().zip(coefficients).for_each(|(t, c)| *t += c);
        }
        total
    }

    /// A random unit vector orthogonal to all of these; there must be fewer of them than dimensions.
    pub(super) fn fresh(&self, dim: usize, directions: &mut Directions) -> Vec<f64> {
        loop {
            let mut v = directions.unit(dim);
            self.orthogonalise(&mut v);
            let length = norm(&v);
            // A remainder this short would be rounding; draw again.
            if length > 1e-8 {
                scale(&mut v, 1.0 / length);
                self.orthogonalise(&mut v);
                return v;
            }
        }
    }

    /// Σ cᵢ qᵢ.
    pub(super) fn combine<'a>(&self, coefficients: impl Iterator<Item = &'a f64>) -> Vec<f64> {
        let mut out = vec![0.0; self.0[0].len()];
        let coefficients: Vec<f64> = coefficients.copied().collect();
        for (i, part) in out.chunks_mut(CHUNK).enumerate() {
            let at = i * CHUNK;
            for (c, q) in coefficients.iter().zip(&self.0) {
                axpy(*c, &q[at..at + part.len()], part);
            }
        }
        out
    }

    /// Replaces the vectors by their combinations, one for each column of coefficients, chunk by chunk in place.
    pub(super) fn rotate(&mut self, columns: &[Vec<f64>]) {
        let dim = self.0[0].len();
        let mut old = vec![0.0; self.0.len() * CHUNK];
        for at in (0..dim).step_by(CHUNK) {
            let len = CHUNK.min(dim - at);
            for (copy, q) in old.chunks_mut(CHUNK).zip(&self.0) {
                copy[..len].copy_from_slice(&q[at..at + len]);
            }
            for (column, q) in columns.iter().zip(&mut self.0) {
                let part = &mut q[at..at + len];
                part.fill(0.0);
                for (c, copy) in column.iter().zip(old.chunks(CHUNK)) {
                    axpy(*c, &copy[..len], part);
                }
            }
        }
        self.0.truncate(columns.len());
    }
}
