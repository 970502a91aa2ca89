//! The interface between algorithms and matrices: products with vectors, one at a time or several together. A device
//! reads the training set once for a block of vectors, so algorithms ask for blocks wherever they can.

use super::CurvatureError;
use super::basis::{dot, norm};

/// A symmetric linear operator on R^dim.
pub trait Operator {
    /// The number of rows, which is the number of columns.
    fn dim(&self) -> usize;

    /// An upper estimate of the error of the product with a unit vector, as a length, from the products formed so far;
    /// no eigenvalue is more accurate. 0 for an operator that is as good as float64.
    fn rounding(&self) -> f64 {
        0.0
    }

    /// Upper estimates of the error of vᵀAv for each of `vectors`, whatever their length, given the values as computed.
    /// It has two sources: a product as computed differs from that of the operator's entries, and the entries were
    /// computed too. So no eigenvalue with such an eigenvector is more accurate. May cost products.
    ///
    /// # Errors
    /// As for [`apply`](Self::apply).
    fn form_errors(&mut self, vectors: &[&[f64]], values: &[f64]) -> Result<Vec<f64>, CurvatureError> {
        let _ = values;
        Ok(vectors.iter().map(|v| self.rounding() * dot(v, v)).collect())
    }

    /// Writes A v to `out`; both have [`dim`](Self::dim) entries, and `out` may hold anything before.
    ///
    /// # Errors
    /// Any failure to form the product, as [`CurvatureError::Operator`]. Solvers check for entries that are not finite.
    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), CurvatureError>;

    /// Writes A vᵢ to `products[i]` for every vᵢ of `vectors`; there are as many of each, all with [`dim`](Self::dim)
    /// entries. The default forms one product after the other; each is the same as [`apply`](Self::apply) would give,
    /// up to rounding.
    ///
    /// # Errors
    /// As for [`apply`](Self::apply); `products` is then undefined.
    fn apply_block(&mut self, vectors: &[&[f64]], products: &mut [Vec<f64>]) -> Result<(), CurvatureError> {
        for (v, out) in vectors.iter().zip(products) {
            self.apply(v, out)?;
        }
        Ok(())
    }
}

/// An [`Operator`] from a closure `f(v, out)`, for matrices that exist on the host.
pub struct FnOperator<F> {
    dim: usize,
    product: F,
}

impl<F: FnMut(&[f64], &mut [f64]) -> Result<(), CurvatureError>> FnOperator<F> {
    /// The operator on R^dim whose product is `product(v, out)`; it must be linear and symmetric.
    pub fn new(dim: usize, product: F) -> Self {
        Self { dim, product }
    }
}

impl<F: FnMut(&[f64], &mut [f64]) -> Result<(), CurvatureError>> Operator for FnOperator<F> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), CurvatureError> {
        (self.product)(v, out)
    }
}

impl<O: Operator + ?Sized> Operator for &mut O {
    fn dim(&self) -> usize {
        (**self).dim()
    }

    fn rounding(&self) -> f64 {
        (**self).rounding()
    }

    fn form_errors(&mut self, vectors: &[&[f64]], values: &[f64]) -> Result<Vec<f64>, CurvatureError> {
        (**self).form_errors(vectors, values)
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), CurvatureError> {
        (**self).apply(v, out)
    }

    fn apply_block(&mut self, vectors: &[&[f64]], products: &mut [Vec<f64>]) -> Result<(), CurvatureError> {
        (**self).apply_block(vectors, products)
    }
}

/// Refuses vectors and places for their products that do not belong to an operator of `dim` rows.
pub(crate) fn check_lengths(
    dim: usize,
    vectors: impl IntoIterator<Item = usize>,
    products: impl IntoIterator<Item = usize>,
) -> Result<(), CurvatureError> {
    let (mut count, mut places) = (0, 0);
    let vectors = vectors.into_iter().inspect(|_| count += 1);
    let products = products.into_iter().inspect(|_| places += 1);
    if let Some(len) = vectors.chain(products).find(|&len| len != dim) {
        return Err(CurvatureError::Length { len, dim });
    }
    if count != places {
        return Err(CurvatureError::Count { vectors: count, products: places });
    }
    Ok(())
}

/// Counts and checks products.
pub(super) struct Products<'a> {
    operator: &'a mut dyn Operator,
    /// Vectors multiplied so far, alone or in blocks.
    pub(super) spent: usize,
}

impl<'a> Products<'a> {
    pub(super) fn new(operator: &'a mut dyn Operator) -> Self {
        Self { operator, spent: 0 }
    }

    pub(super) fn dim(&self) -> usize {
        self.operator.dim()
    }

    pub(super) fn rounding(&self) -> f64 {
        self.operator.rounding()
    }

    pub(super) fn form_errors(&mut self, vectors: &[&[f64]], values: &[f64]) -> Result<Vec<f64>, CurvatureError> {
        self.operator.form_errors(vectors, values)
    }

    pub(super) fn apply(&mut self, v: &[f64]) -> Result<Vec<f64>, CurvatureError> {
        Ok(self.apply_block(&[v])?.remove(0))
    }

    pub(super) fn apply_block(&mut self, vectors: &[&[f64]]) -> Result<Vec<Vec<f64>>, CurvatureError> {
        let mut out: Vec<Vec<f64>> = vectors.iter().map(|v| vec![0.0; v.len()]).collect();
        self.operator.apply_block(vectors, &mut out)?;
        for product in &out {
            self.spent += 1;
            self.finite(norm(product))?;
        }
        Ok(out)
    }

    /// Passes `x` on, unless it shows that the latest product was not finite.
    pub(super) fn finite(&self, x: f64) -> Result<f64, CurvatureError> {
        if x.is_finite() {
            return Ok(x);
        }
        Err(CurvatureError::NonFinite { product: self.spent })
    }
}
