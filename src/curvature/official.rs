//! ‖H‖ as the official code of Long and Bartlett (arXiv 2309.12488) reports it, for comparison only.
//!
//! It is the power method: at most 100 products from a random start, drawn anew at every check, until the length of the
//! product changes by no more than a thousandth. That length is the estimate, so the sign is lost; the last product,
//! normalised, stands for the eigenvector whether or not it has converged.

use super::basis::{Directions, norm, scale};
use super::operator::Products;
use super::spectrum::check_dim;
use super::{CurvatureError, Operator};

/// The most products.
const MAX_PRODUCTS: usize = 100;
/// The iteration stops at this relative change, and at lengths below this.
const TOL: f64 = 1e-3;

/// The report of the official code.
#[derive(Clone, Debug, PartialEq)]
pub struct OfficialEstimate {
    /// The length of the last product; never negative.
    pub hessian_norm: f64,
    /// The last product scaled to unit length, or the vector whose product is zero.
    pub vector: Vec<f64>,
    /// Products spent.
    pub products: usize,
}

/// The official code's estimate of the largest |λ| of `operator`, normally its difference of gradients. The start is
/// drawn from stream `stream` of the generator seeded with `seed`.
///
/// # Errors
/// An operator of no dimensions, and products that fail or are not finite.
pub fn official(operator: &mut dyn Operator, seed: u64, stream: u64) -> Result<OfficialEstimate, CurvatureError> {
    let dim = operator.dim();
    check_dim(dim, 2)?;
    let mut vector = Directions::on_stream(seed, stream).unit(dim);
    let mut products = Products::new(operator);
    let mut last = 1.0;
    loop {
        let mut image = products.apply(&vector)?;
        let length = norm(&image);
        if length > 0.0 {
            scale(&mut image, 1.0 / length);
            vector = image;
        }
        let settled = (length - last).abs() <= TOL * length || length <= TOL;
        if settled || products.spent == MAX_PRODUCTS {
            return Ok(OfficialEstimate { hessian_norm: length, vector, products: products.spent });
        }
        last = length;
    }
}
