//! Curvature algorithms on an operator of one's own: the Laplacian of a graph, whose spectrum is known.
//!
//!     cargo run --release --example curvature_lab
//!
//! Everything in `edgewalk::curvature` sees an `Operator` and nothing else, so whatever multiplies a vector will do. Here it
//! is the Laplacian of a grid that wraps around, (Av)ᵢ = Σ over the four neighbours j of vᵢ − vⱼ, with eigenvalues
//! 4 − 2cos(2πk/a) − 2cos(2πl/b), on 60 × 31 points.

use std::error::Error;
use std::f64::consts::TAU;

use edgewalk::curvature::{DensityOptions, EigenOptions, FnOperator, TraceOptions, lanczos, spectral_density, trace};

const A: usize = 60;
const B: usize = 31;

fn main() -> Result<(), Box<dyn Error>> {
    let mut laplacian = FnOperator::new(A * B, |v: &[f64], out: &mut [f64]| {
        for (at, out) in out.iter_mut().enumerate() {
            let (i, j) = (at / B, at % B);
            let neighbours = [((i + 1) % A, j), ((i + A - 1) % A, j), (i, (j + 1) % B), (i, (j + B - 1) % B)];
            *out = neighbours.iter().map(|(i, j)| v[at] - v[i * B + j]).sum();
        }
        Ok(())
    });
    let wave = |k: usize, n: usize| 2.0 - 2.0 * (TAU * k as f64 / n as f64).cos();
    let mut known: Vec<f64> = (0..A * B).map(|at| wave(at / B, A) + wave(at % B, B)).collect();
    known.sort_by(|x, y| y.total_cmp(x));

    // Most eigenvalues are there twice or four times: a block of four sees all copies.
    let options = EigenOptions { top: 6, bottom: 2, block: 4, tol: 1e-6, max_iterations: 5000, ..Default::default() };
    let spectrum = lanczos(&mut laplacian, None, &options)?;
    println!("eigenvalues, {} products      known       found        error", spectrum.products);
    for (pair, known) in spectrum.pairs.iter().zip(&known) {
        println!("  largest                  {known:10.6}  {:10.6}  {:11.1e}", pair.value, pair.error);
    }
    for (pair, known) in spectrum.bottom.iter().zip(known.iter().rev()) {
        println!("  lowest                   {known:10.6}  {:10.6}  {:11.1e}", pair.value, pair.error);
    }

    let found = trace(&mut laplacian, &TraceOptions::default())?;
    let (low, high) = found.estimate.interval;
    let exact: f64 = known.iter().sum();
    println!(
        "trace, {} products: {exact:.1} is known, {:.1} found, {low:.1} to {high:.1} at 95 %",
        found.products, found.estimate.value
    );

    let density = spectral_density(&mut laplacian, &DensityOptions::default())?;
    println!("density, {} products; eigenvalues up to λ", density.products);
    for i in 1..=8 {
        let x = f64::from(i);
        let share = known.iter().filter(|&&value| value <= x).count() as f64 / known.len() as f64;
        let bar = "#".repeat((150.0 * density.density(x - 0.5, 0.25)) as usize);
        println!("  λ = {i}: known {share:.3}, found {:.3}   {bar}", density.cumulative(x));
    }
    Ok(())
}
