//! Operators made of others: some rows and columns of one, or the difference of two. So every algorithm here also works
//! on one layer, or on the part of a Hessian that Gauss–Newton leaves out.

use std::ops::Range;

use super::basis::dot;
use super::operator::check_lengths;
use super::{CurvatureError, Operator};

/// The rows and columns of another operator that lie in given ranges, such as those of one layer's parameters.
///
/// Its vectors list the ranges one after the other, in the order given. A product costs one of the whole operator.
pub struct SubOperator<O> {
    operator: O,
    ranges: Vec<Range<usize>>,
    dim: usize,
}

impl<O: Operator> SubOperator<O> {
    /// The block of `operator` (or of a `&mut` to one) at `ranges`.
    ///
    /// # Errors
    /// [`CurvatureError::Range`] for a range that is empty, ends beyond the operator or overlaps one before it.
    pub fn new(operator: O, ranges: &[Range<usize>]) -> Result<Self, CurvatureError> {
        for (i, range) in ranges.iter().enumerate() {
            let overlaps = ranges[..i].iter().any(|other| range.start < other.end && other.start < range.end);
            if range.is_empty() || range.end > operator.dim() || overlaps {
                let Range { start, end } = *range;
                return Err(CurvatureError::Range { start, end, dim: operator.dim() });
            }
        }
        Ok(Self { operator, ranges: ranges.to_vec(), dim: ranges.iter().map(ExactSizeIterator::len).sum() })
    }

    /// A vector of the whole operator that is `v` in the ranges and 0 elsewhere.
    fn padded(&self, v: &[f64]) -> Vec<f64> {
        let (mut all, mut at) = (vec![0.0; self.operator.dim()], 0);
        for range in &self.ranges {
            all[range.clone()].copy_from_slice(&v[at..at + range.len()]);
            at += range.len();
        }
        all
    }
}

impl<O: Operator> Operator for SubOperator<O> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn rounding(&self) -> f64 {
        self.operator.rounding()
    }

    fn form_errors(&mut self, vectors: &[&[f64]], values: &[f64]) -> Result<Vec<f64>, CurvatureError> {
        let padded: Vec<Vec<f64>> = vectors.iter().map(|v| self.padded(v)).collect();
        self.operator.form_errors(&padded.iter().map(Vec::as_slice).collect::<Vec<_>>(), values)
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), CurvatureError> {
        check_lengths(self.dim, [v.len()], [out.len()])?;
        let mut products = [vec![0.0; out.len()]];
        self.apply_block(&[v], &mut products)?;
        out.copy_from_slice(&products[0]);
        Ok(())
    }

    fn apply_block(&mut self, vectors: &[&[f64]], products: &mut [Vec<f64>]) -> Result<(), CurvatureError> {
        check_lengths(self.dim, vectors.iter().map(|v| v.len()), products.iter().map(Vec::len))?;
        let whole = self.operator.dim();
        let padded: Vec<Vec<f64>> = vectors.iter().map(|v| self.padded(v)).collect();
        let mut images = vec![vec![0.0; whole]; padded.len()];
        self.operator.apply_block(&padded.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut images)?;
        for (out, image) in products.iter_mut().zip(images) {
            let mut at = 0;
            for range in &self.ranges {
                out[at..at + range.len()].copy_from_slice(&image[range.clone()]);
                at += range.len();
            }
        }
        Ok(())
    }
}

/// A − B, such as R = H − G, the part of the Hessian H that comes from the curvature of the network's outputs (G is the
/// Gauss–Newton matrix). A product costs one of each.
pub struct Minus<A, B>(A, B);

impl<A: Operator, B: Operator> Minus<A, B> {
    /// `a` − `b`, operators or `&mut` to them.
    ///
    /// # Errors
    /// [`CurvatureError::Option`] when their dimensions differ.
    pub fn new(a: A, b: B) -> Result<Self, CurvatureError> {
        if a.dim() != b.dim() {
            return Err(super::spectrum::refuse("dim", b.dim() as f64, "the same for both operators of a difference"));
        }
        Ok(Self(a, b))
    }
}

impl<A: Operator, B: Operator> Operator for Minus<A, B> {
    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn rounding(&self) -> f64 {
        self.0.rounding() + self.1.rounding()
    }

    /// The sum of both errors, which counts those as independent that cancel.
    fn form_errors(&mut self, vectors: &[&[f64]], values: &[f64]) -> Result<Vec<f64>, CurvatureError> {
        let mut taken = vec![vec![0.0; self.dim()]; vectors.len()];
        self.1.apply_block(vectors, &mut taken)?;
        let taken: Vec<f64> = vectors.iter().zip(&taken).map(|(v, image)| dot(v, image)).collect();
        let whole: Vec<f64> = values.iter().zip(&taken).map(|(value, taken)| value + taken).collect();
        let errors = self.0.form_errors(vectors, &whole)?;
        Ok(errors.into_iter().zip(self.1.form_errors(vectors, &taken)?).map(|(a, b)| a + b).collect())
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), CurvatureError> {
        check_lengths(self.dim(), [v.len()], [out.len()])?;
        let mut taken = vec![0.0; v.len()];
        self.0.apply(v, out)?;
        self.1.apply(v, &mut taken)?;
        out.iter_mut().zip(taken).for_each(|(x, y)| *x -= y);
        Ok(())
    }

    fn apply_block(&mut self, vectors: &[&[f64]], products: &mut [Vec<f64>]) -> Result<(), CurvatureError> {
        check_lengths(self.dim(), vectors.iter().map(|v| v.len()), products.iter().map(Vec::len))?;
        let mut taken = vec![vec![0.0; self.dim()]; vectors.len()];
        self.0.apply_block(vectors, products)?;
        self.1.apply_block(vectors, &mut taken)?;
        for (x, y) in products.iter_mut().flatten().zip(taken.iter().flatten()) {
            *x -= y;
        }
        Ok(())
    }
}
