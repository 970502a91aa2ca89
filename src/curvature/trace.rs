//! The trace from a few products, by Hutch++.
//!
//! gᵀAg has the trace for its mean when the entries of g are independent signs (M. F. Hutchinson 1990), but a few large
//! eigenvalues make it scatter. So a third of the products finds a subspace Q that holds most of those, a third takes
//! the trace there exactly, and the rest samples the remainder (R. A. Meyer, C. Musco, C. Musco, D. Woodruff, "Hutch++:
//! Optimal Stochastic Trace Estimation", SOSA 2021). The scatter of the samples gives the interval.

use super::basis::{Basis, Directions, dot, norm, scale};
use super::estimate::{Estimate, check_level};
use super::operator::Products;
use super::spectrum::{check_dim, refuse};
use super::{CurvatureError, Operator};

/// The effort spent on a trace.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceOptions {
    /// Matrix products, at least 6. As many as the dimension give the exact trace.
    pub products: usize,
    /// Vectors multiplied at a time; changes only the rounding.
    pub block: usize,
    /// Level of the confidence interval.
    pub level: f64,
    /// Seed of the random vectors.
    pub seed: u64,
}

impl Default for TraceOptions {
    fn default() -> Self {
        Self { products: 60, block: 4, level: 0.95, seed: 0 }
    }
}

impl TraceOptions {
    /// Refuses options out of range for a matrix of `dim` rows.
    ///
    /// # Errors
    /// [`CurvatureError::Option`], naming the field.
    pub fn check(&self, dim: usize) -> Result<(), CurvatureError> {
        check_level(self.level)?;
        if self.block == 0 {
            return Err(refuse("block", 0.0, "at least 1"));
        }
        if self.products < 6.min(dim) {
            return Err(refuse("products", self.products as f64, "at least 6, or the dimension where that is less"));
        }
        Ok(())
    }

    /// The most f64 vectors of `dim` numbers that [`trace`] holds at once: the sketch, and a block with its products.
    pub fn most_vectors(&self, dim: usize) -> usize {
        let sketch = if dim <= self.products { 0 } else { self.products / 3 };
        sketch + 2 * self.block.min(self.products).min(dim)
    }
}

/// A trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trace {
    /// tr A with its interval.
    pub estimate: Estimate,
    /// Matrix products spent.
    pub products: usize,
}

/// tr A of a symmetric operator. `products`/3 vectors of its dimension are kept.
///
/// # Errors
/// Options out of range, products that fail or are not finite.
pub fn trace(operator: &mut dyn Operator, options: &TraceOptions) -> Result<Trace, CurvatureError> {
    let dim = operator.dim();
    check_dim(dim, options.most_vectors(dim))?;
    options.check(dim)?;
    let mut form = Form { products: Products::new(operator), block: options.block };
    if dim <= options.products {
        let mut draw = (0..dim).map(|i| {
            let mut unit = vec![0.0; dim];
            unit[i] = 1.0;
            unit
        });
        let values = form.values(&mut draw)?;
        let estimate = Estimate::of(values.iter().sum(), &[], form.rounding(dim, &values), options.level);
        return Ok(Trace { estimate, products: dim });
    }

    let mut directions = Directions::new(options.seed);
    let sketch = options.products / 3;
    let mut q = Basis(vec![]);
    let mut largest = 0.0_f64;
    for count in blocks(sketch, options.block) {
        let probes: Vec<Vec<f64>> = (0..count).map(|_| directions.signs(dim)).collect();
        for mut image in form.multiply(&probes)? {
            largest = largest.max(norm(&image));
            q.orthogonalise(&mut image);
            let length = norm(&image);
            // A smaller remainder is rounding: the range of A is exhausted.
            if length > 1e-12 * largest {
                scale(&mut image, 1.0 / length);
                q.orthogonalise(&mut image);
                q.0.push(image);
            }
        }
    }
    let exact = form.values(&mut q.0.iter().cloned())?.iter().sum();
    let samples = options.products - form.products.spent;
    let draws = form.values(&mut (0..samples).map(|_| {
        let mut probe = directions.signs(dim);
        q.orthogonalise(&mut probe);
        probe
    }))?;
    let rounding = form.rounding(dim, &draws);
    Ok(Trace { estimate: Estimate::of(exact, &draws, rounding, options.level), products: form.products.spent })
}

/// `count` in parts of `block` and a rest.
pub(super) fn blocks(count: usize, block: usize) -> impl Iterator<Item = usize> {
    (0..count).step_by(block).map(move |at| block.min(count - at))
}

/// The quadratic form of an operator, a block of vectors at a time.
struct Form<'a> {
    products: Products<'a>,
    block: usize,
}

impl Form<'_> {
    /// A bound on the rounding error of a trace: of products, for vectors whose squared lengths add up to `dim`, and of
    /// sums of that many terms, `values` included.
    fn rounding(&self, dim: usize, values: &[f64]) -> f64 {
        let terms = values.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        dim as f64 * (self.products.rounding() + f64::EPSILON * terms)
    }

    fn multiply(&mut self, vectors: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, CurvatureError> {
        self.products.apply_block(&vectors.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    /// vᵀAv for every v.
    fn values(&mut self, vectors: &mut dyn Iterator<Item = Vec<f64>>) -> Result<Vec<f64>, CurvatureError> {
        let mut values = vec![];
        loop {
            let some: Vec<Vec<f64>> = vectors.take(self.block).collect();
            if some.is_empty() {
                return Ok(values);
            }
            for (v, image) in some.iter().zip(self.multiply(&some)?) {
                values.push(self.products.finite(dot(v, &image))?);
            }
        }
    }
}
