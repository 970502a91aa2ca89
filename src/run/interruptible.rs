//! An operator that can stop between two products.

use crate::curvature::{CurvatureError, Operator};
use crate::objective::BLOCK;
use crate::observer::Observer;

/// An operator that forms no products after a request to stop.
pub(super) struct Interruptible<'a, O>(pub O, pub &'a dyn Observer);

impl<O: Operator> Operator for Interruptible<'_, O> {
    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn rounding(&self) -> f64 {
        self.0.rounding()
    }

    fn form_errors(&mut self, vectors: &[&[f64]], values: &[f64]) -> Result<Vec<f64>, CurvatureError> {
        if self.1.is_stopped() { Err(CurvatureError::Interrupted) } else { self.0.form_errors(vectors, values) }
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), CurvatureError> {
        if self.1.is_stopped() { Err(CurvatureError::Interrupted) } else { self.0.apply(v, out) }
    }

    fn apply_block(&mut self, vectors: &[&[f64]], products: &mut [Vec<f64>]) -> Result<(), CurvatureError> {
        // In blocks of the device's size, so that the products are the same.
        for (vectors, products) in vectors.chunks(BLOCK).zip(products.chunks_mut(BLOCK)) {
            if self.1.is_stopped() {
                return Err(CurvatureError::Interrupted);
            }
            self.0.apply_block(vectors, products)?;
        }
        Ok(())
    }
}
