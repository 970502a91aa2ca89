//! Top eigenpairs by simultaneous power iteration (subspace iteration), for repeated eigenvalues and as a check on
//! Lanczos.
//!
//! Each iteration multiplies and orthonormalises all wanted vectors. A Rayleigh–Ritz step in their span gives signed
//! eigenvalues in order and separates λ from −λ; it needs no further products, so the reported residuals are measured.
//! The error falls by |λ_{k+1}/λ_k| an iteration, which is slow at the edge of stability: one pair of an MLP on 1,000
//! digits to tol 1e-3 took 58 products (71 from the vector of five steps before), where [`lanczos`](super::lanczos)
//! took 15.7 and 3.3. With `top` = 1 and eigenvalues λ and −λ of equal magnitude it does not converge, and reports
//! that.

use nalgebra::{DMatrix, SymmetricEigen};

use super::basis::{Basis, Directions, axpy, dot, norm, scale};
use super::operator::Products;
use super::spectrum::{check_dim, check_start, refuse};
use super::track::Track;
use super::{CurvatureError, EigenOptions, Eigenpair, Operator, Order, RitzValue, Spectrum};

/// The `options.top` eigenpairs of largest magnitude, with signs, by simultaneous power iteration.
///
/// `start` is the track of a solve with nearby pairs; missing vectors are drawn at random, and those beyond `top` are
/// ignored. 2·top vectors of the operator's dimension are kept. `lambda_min` and `lambda_max` of the result are among
/// the Ritz values found, and there is no runner-up; [`EigenOptions::bottom`], [`EigenOptions::above`] and
/// [`Order::Algebraic`] are refused.
/// When `max_iterations` products do not allow another iteration (`top` products), pairs are returned with `converged`
/// false where they are not.
///
/// # Errors
/// Options out of range or not for this method, a start of another size, products that fail or are not finite.
pub fn power_iteration(
    operator: &mut dyn Operator,
    start: Option<&Track>,
    options: &EigenOptions,
) -> Result<Spectrum, CurvatureError> {
    let dim = operator.dim();
    let options = &options.within(dim)?;
    if options.bottom > 0 {
        return Err(refuse("bottom", options.bottom as f64, "0 for power iteration; lanczos finds both ends"));
    }
    if let Some(above) = options.above {
        return Err(refuse("above", above, "absent for power iteration, which cannot grow; lanczos can"));
    }
    if options.order == Order::Algebraic {
        return Err(CurvatureError::Unordered);
    }
    let top = options.top;
    // The vectors, their products, and the track at the end.
    check_dim(dim, 3 * top)?;
    check_start(start, dim)?;
    let mut directions = Directions::new(options.seed);
    let mut products = Products::new(operator);
    let near = start.iter().flat_map(|track| &track.vectors[..track.wanted]);
    let mut images: Vec<Vec<f64>> = near.take(top).cloned().collect();
    images.resize_with(top, || directions.unit(dim));
    loop {
        let mut x = orthonormal(images, dim, &mut directions);
        let mut ax = Basis(products.apply_block(&x.0.iter().map(Vec::as_slice).collect::<Vec<_>>())?);
        let ritz = rayleigh_ritz(&mut x, &mut ax, &products)?;
        let largest = ritz[0].value.abs();
        let converged = |slot: usize| ritz[slot].residual <= options.threshold(ritz[slot].value, largest);
        if (0..top).all(converged) || products.spent + top > options.max_iterations {
            let track = Track::new(ritz.iter().map(|at| at.value).collect(), x.0.clone(), top, None);
            let vectors: Vec<&[f64]> = x.0.iter().map(Vec::as_slice).collect();
            let values: Vec<f64> = ritz.iter().map(|ritz| ritz.value).collect();
            let errors = products.form_errors(&vectors, &values)?;
            let pairs = (x.0.into_iter().enumerate())
                .map(|(slot, vector)| Eigenpair {
                    value: ritz[slot].value,
                    vector,
                    residual: ritz[slot].residual,
                    error: ritz[slot].residual + errors[slot],
                    converged: converged(slot),
                })
                .collect();
            let extreme = |better: fn(f64, f64) -> bool| {
                ritz.iter().copied().fold(ritz[0], |best, new| if better(new.value, best.value) { new } else { best })
            };
            return Ok(Spectrum {
                pairs,
                bottom: vec![],
                runner_up: None,
                lambda_max: extreme(|new, best| new > best),
                lambda_min: extreme(|new, best| new < best),
                products: products.spent,
                track,
            });
        }
        images = ax.0;
    }
}

/// Turns orthonormal vectors and their products to the Ritz vectors in their span, by falling magnitude.
fn rayleigh_ritz(x: &mut Basis, ax: &mut Basis, products: &Products<'_>) -> Result<Vec<RitzValue>, CurvatureError> {
    let top = x.0.len();
    let t = DMatrix::from_fn(top, top, |i, j| (dot(&x.0[i], &ax.0[j]) + dot(&x.0[j], &ax.0[i])) / 2.0);
    for c in t.iter() {
        products.finite(*c)?;
    }
    let eigen = SymmetricEigen::new(t);
    let mut order: Vec<usize> = (0..top).collect();
    let value = |i: usize| eigen.eigenvalues[i];
    order.sort_by(|&a, &b| value(b).abs().total_cmp(&value(a).abs()));
    let columns: Vec<Vec<f64>> =
        order.iter().map(|&i| eigen.eigenvectors.column(i).iter().copied().collect()).collect();
    x.rotate(&columns);
    ax.rotate(&columns);
    let pairs = x.0.iter().zip(&ax.0).zip(order);
    Ok(pairs.map(|((v, av), i)| RitzValue { value: value(i), residual: residual(value(i), v, av) }).collect())
}

/// ‖av − θ v‖.
fn residual(theta: f64, v: &[f64], av: &[f64]) -> f64 {
    let mut r = av.to_vec();
    axpy(-theta, v, &mut r);
    norm(&r)
}

/// Gram–Schmidt in the given order; a vector that depends on those before it is replaced by a random one.
fn orthonormal(vectors: Vec<Vec<f64>>, dim: usize, directions: &mut Directions) -> Basis {
    let mut basis = Basis(Vec::new());
    for mut v in vectors {
        let before = norm(&v);
        basis.orthogonalise(&mut v);
        let after = norm(&v);
        if after > 1e-12 * before {
            scale(&mut v, 1.0 / after);
            basis.orthogonalise(&mut v);
        } else {
            v = basis.fresh(dim, directions);
        }
        basis.0.push(v);
    }
    basis
}
