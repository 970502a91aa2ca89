//! The density of eigenvalues, by stochastic Lanczos quadrature.
//!
//! m Lanczos steps from a random unit vector v give m nodes and weights that integrate every polynomial of degree below
//! 2m against the spectral measure of v (Golub and Welsch). On average over v this measure weighs all eigenvalues
//! alike, so a few vectors show the whole spectrum (S. Ubaru, J. Chen, Y. Saad, SIAM J. Matrix Anal. Appl. 38, 2017;
//! for networks B. Ghorbani, S. Krishnan, Y. Xiao, ICML 2019). Every step is orthogonalised against all earlier ones;
//! otherwise copies of the outliers would appear.

use nalgebra::{DMatrix, SymmetricEigen};

use super::basis::{Basis, Directions, norm, scale};
use super::estimate::{Estimate, check_level};
use super::operator::Products;
use super::spectrum::{check_dim, refuse};
use super::trace::blocks;
use super::{CurvatureError, Operator, RitzValue};

/// A new direction this small against the products is rounding: the basis spans an invariant subspace.
const BREAKDOWN: f64 = 1e-12;

/// The largest number of random vectors; their scatter is 1/256 of that of one.
const MOST_PROBES: usize = 1 << 16;

/// The resolution of a density; it takes probes × steps products.
#[derive(Clone, Debug, PartialEq)]
pub struct DensityOptions {
    /// Random vectors to average over, at least 2.
    pub probes: usize,
    /// Lanczos steps from each: the number of nodes, at most the dimension.
    pub steps: usize,
    /// Probes run side by side, their vectors multiplied together. block × steps vectors of the operator's dimension are
    /// kept.
    pub block: usize,
    /// Level of the confidence intervals.
    pub level: f64,
    /// Seed of the random vectors.
    pub seed: u64,
}

impl Default for DensityOptions {
    fn default() -> Self {
        Self { probes: 8, steps: 40, block: 4, level: 0.95, seed: 0 }
    }
}

impl DensityOptions {
    /// Refuses options out of range.
    ///
    /// # Errors
    /// [`CurvatureError::Option`], naming the field.
    pub fn check(&self) -> Result<(), CurvatureError> {
        check_level(self.level)?;
        if !(2..=MOST_PROBES).contains(&self.probes) {
            let expected = "from 2, since one has no scatter to judge it by, to 65536";
            return Err(refuse("probes", self.probes as f64, expected));
        }
        for (name, count) in [("steps", self.steps), ("block", self.block)] {
            if count == 0 {
                return Err(refuse(name, 0.0, "at least 1"));
            }
        }
        Ok(())
    }

    /// The most f64 vectors of `dim` numbers that [`spectral_density`] holds at once: the bases of a block of probes,
    /// and a product of each.
    pub fn most_vectors(&self, dim: usize) -> usize {
        let steps = self.steps.min(dim).saturating_add(1);
        self.block.min(self.probes).min(dim).saturating_mul(steps)
    }
}

/// A point mass of the density.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuadratureNode {
    /// The position: a Ritz value, in the units of an eigenvalue.
    pub value: f64,
    /// The weight, as a fraction of the spectrum; those of a probe add up to 1.
    pub weight: f64,
}

/// The density of a symmetric operator's eigenvalues.
#[derive(Clone, Debug, PartialEq)]
pub struct SpectralDensity {
    /// The nodes of each probe, by rising value. A probe that met an invariant subspace has fewer.
    pub probes: Vec<Vec<QuadratureNode>>,
    /// Rows of the operator, and so the number of eigenvalues.
    pub dim: usize,
    /// The lowest Ritz value of all, an upper bound on the smallest eigenvalue.
    pub lambda_min: RitzValue,
    /// The largest, a lower bound on the largest eigenvalue.
    pub lambda_max: RitzValue,
    /// The most that rounding of the products may have moved a node.
    pub rounding: f64,
    /// Level of the intervals that the methods return.
    pub level: f64,
    /// Matrix products spent.
    pub products: usize,
}

impl SpectralDensity {
    /// The density at x when every node is smoothed to a Gaussian of standard deviation `sigma` > 0; its integral over x is 1.
    /// In units of 1/x: times [`dim`](Self::dim) and an interval's length it is the number of eigenvalues there.
    pub fn density(&self, x: f64, sigma: f64) -> f64 {
        let height = 1.0 / (sigma * (2.0 * std::f64::consts::PI).sqrt());
        self.mean(|node| node.weight * height * (-0.5 * ((x - node.value) / sigma).powi(2)).exp())
    }

    /// The fraction of eigenvalues up to and including x.
    pub fn cumulative(&self, x: f64) -> f64 {
        self.mean(|node| if node.value <= x { node.weight } else { 0.0 })
    }

    /// The mean of λᵏ over the eigenvalues, tr(Aᵏ)/dim, with its interval; exact for each probe where k < 2·steps.
    pub fn moment(&self, k: i32) -> Estimate {
        // A node that moves by r moves its power by k·λᵏ⁻¹·r.
        let largest = self.lambda_max.value.abs().max(self.lambda_min.value.abs());
        let slope = if k == 0 { 0.0 } else { f64::from(k).abs() * largest.powi(k - 1) };
        self.estimate(slope * self.rounding, |value| value.powi(k))
    }

    /// tr A with its interval.
    pub fn trace(&self) -> Estimate {
        self.estimate(self.dim as f64 * self.rounding, |value| self.dim as f64 * value)
    }

    fn estimate(&self, rounding: f64, f: impl Fn(f64) -> f64) -> Estimate {
        let draw = |nodes: &Vec<QuadratureNode>| nodes.iter().map(|node| node.weight * f(node.value)).sum();
        Estimate::of(0.0, &self.probes.iter().map(draw).collect::<Vec<f64>>(), rounding, self.level)
    }

    fn mean(&self, f: impl Fn(&QuadratureNode) -> f64) -> f64 {
        self.probes.iter().flatten().map(f).sum::<f64>() / self.probes.len() as f64
    }
}

/// The density of the eigenvalues of `operator`.
///
/// # Errors
/// Options out of range, products that fail or are not finite.
pub fn spectral_density(
    operator: &mut dyn Operator,
    options: &DensityOptions,
) -> Result<SpectralDensity, CurvatureError> {
    let dim = operator.dim();
    check_dim(dim, options.most_vectors(dim))?;
    options.check()?;
    // A block wider than the dimension gains nothing.
    let block = options.block.min(dim);
    let mut directions = Directions::new(options.seed);
    let mut products = Products::new(operator);
    let (mut probes, mut ritz) = (vec![], vec![]);
    for count in blocks(options.probes, block) {
        let mut running: Vec<DensityProbe> = (0..count).map(|_| DensityProbe::new(directions.unit(dim))).collect();
        for _ in 0..options.steps.min(dim) {
            let mut active: Vec<&mut DensityProbe> = running.iter_mut().filter(|probe| !probe.finished()).collect();
            if active.is_empty() {
                break;
            }
            let vectors: Vec<&[f64]> = active.iter().map(|probe| probe.latest()).collect();
            let images = products.apply_block(&vectors)?;
            for (probe, image) in active.iter_mut().zip(images) {
                products.finite(probe.advance(image))?;
            }
        }
        for probe in running {
            let (nodes, values) = probe.quadrature();
            probes.push(nodes);
            ritz.extend(values);
        }
    }
    let extreme =
        |sign: f64| ritz.iter().copied().max_by(|a: &RitzValue, b| (sign * a.value).total_cmp(&(sign * b.value)));
    let (Some(lambda_min), Some(lambda_max)) = (extreme(-1.0), extreme(1.0)) else {
        return Err(refuse("dim", dim as f64, "at least 1"));
    };
    Ok(SpectralDensity {
        probes,
        dim,
        lambda_min,
        lambda_max,
        rounding: products.rounding(),
        level: options.level,
        products: products.spent,
    })
}

/// Lanczos from one vector.
struct DensityProbe {
    basis: Basis,
    diagonal: Vec<f64>,
    /// The off-diagonal of the projected matrix: one entry a step, the last leads out of the subspace.
    below: Vec<f64>,
    largest_product: f64,
}

impl DensityProbe {
    fn new(start: Vec<f64>) -> Self {
        Self { basis: Basis(vec![start]), diagonal: vec![], below: vec![], largest_product: 0.0 }
    }

    /// Whether the basis spans an invariant subspace, with every vector multiplied.
    fn finished(&self) -> bool {
        self.basis.0.len() == self.diagonal.len()
    }

    fn latest(&self) -> &[f64] {
        &self.basis.0[self.diagonal.len()]
    }

    /// Takes the product with the latest vector; returns the new diagonal entry.
    fn advance(&mut self, mut image: Vec<f64>) -> f64 {
        self.largest_product = self.largest_product.max(norm(&image));
        let alpha = self.basis.orthogonalise(&mut image)[self.diagonal.len()];
        self.diagonal.push(alpha);
        let length = norm(&image);
        if length > BREAKDOWN * self.largest_product && self.basis.0.len() < image.len() {
            scale(&mut image, 1.0 / length);
            self.basis.0.push(image);
            self.below.push(length);
        } else {
            self.below.push(0.0);
        }
        alpha
    }

    /// Nodes and weights by rising value, and the nodes with their residuals.
    fn quadrature(&self) -> (Vec<QuadratureNode>, Vec<RitzValue>) {
        let m = self.diagonal.len();
        let eigen = SymmetricEigen::new(DMatrix::from_fn(m, m, |i, j| match i.abs_diff(j) {
            0 => self.diagonal[i],
            1 => self.below[i.min(j)],
            _ => 0.0,
        }));
        let mut order: Vec<usize> = (0..m).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[a].total_cmp(&eigen.eigenvalues[b]));
        let s = &eigen.eigenvectors;
        let node = |&i: &usize| QuadratureNode { value: eigen.eigenvalues[i], weight: s[(0, i)].powi(2) };
        let ritz =
            |&i: &usize| RitzValue { value: eigen.eigenvalues[i], residual: (self.below[m - 1] * s[(m - 1, i)]).abs() };
        (order.iter().map(node).collect(), order.iter().map(ritz).collect())
    }
}
