//! Trace and spectral density: exact where they claim to be, and elsewhere within their intervals as often as they say.

use edgewalk::curvature::{
    CurvatureError, DensityOptions, Estimate, FnOperator, SpectralDensity, TraceOptions, spectral_density, trace,
};

use super::curvature::{Known, outliers};

const SEEDS: u64 = 200;

/// How many intervals of 95 % may miss in 200: 10 are expected, and 4 to 20 hold with 98.6 % if the level is exact. Student's
/// interval for a dozen draws that are not normal is allowed the upper end only.
const MOST_MISSES: usize = 20;

fn misses(truth: f64, estimates: impl Iterator<Item = Estimate>) -> usize {
    estimates.filter(|e| truth < e.interval.0 || truth > e.interval.1).count()
}

/// A spectrum that decays like 1/i², alternating in sign.
fn decaying(n: usize) -> Known {
    Known::new((1..=n).map(|i| 100.0 / (i * i) as f64 * if i % 3 == 0 { -1.0 } else { 1.0 }).collect(), 1)
}

#[test]
fn trace_intervals_cover_the_truth_as_often_as_they_say() {
    for matrix in [
        decaying(150),
        Known::new(outliers(150), 2),
        Known::new(vec![1.0; 75].into_iter().chain(vec![-0.5; 75]).collect(), 3),
    ] {
        let truth: f64 = matrix.values.iter().sum();
        let estimate = |seed, level| {
            trace(&mut matrix.operator(), &TraceOptions { products: 36, seed, level, ..Default::default() }).unwrap()
        };
        let missed = misses(truth, (0..SEEDS).map(|seed| estimate(seed, 0.95).estimate));
        let missed_half = misses(truth, (0..SEEDS).map(|seed| estimate(seed, 0.5).estimate));
        println!("missed {missed} of {SEEDS} at 95 %, {missed_half} at 50 %");
        assert!(missed <= MOST_MISSES, "{missed}");
        // 100 ± 3 · √50.
        assert!((79..=121).contains(&missed_half), "{missed_half}");
        assert!((0..SEEDS).all(|seed| estimate(seed, 0.95).products == 36));
    }
}

#[test]
fn hutch_plus_plus_beats_plain_sampling_where_the_spectrum_decays() {
    let matrix = decaying(300);
    let truth: f64 = matrix.values.iter().sum();
    let budget = 30;
    let mean_square = |errors: &[f64]| errors.iter().map(|e| e * e).sum::<f64>() / errors.len() as f64;
    let better: Vec<f64> = (0..SEEDS)
        .map(|seed| {
            let options = TraceOptions { products: budget, seed, ..Default::default() };
            trace(&mut matrix.operator(), &options).unwrap().estimate.value - truth
        })
        .collect();
    // gᵀAg over as many random signs, drawn here.
    let plain: Vec<f64> = (0..SEEDS)
        .map(|seed| {
            let draw = |i: u64| {
                let noise = super::curvature::noise(300, seed * 1000 + i);
                let g: Vec<f64> = noise.iter().map(|x| x.signum()).collect();
                super::curvature::dot(&g, &matrix.product(&g))
            };
            (0..budget as u64).map(draw).sum::<f64>() / budget as f64 - truth
        })
        .collect();
    let (better, plain) = (mean_square(&better).sqrt(), mean_square(&plain).sqrt());
    println!("root mean square error: Hutch++ {better:.4}, plain {plain:.4}, truth {truth:.2}");
    assert!(better < plain / 5.0, "{better} {plain}");
}

#[test]
fn a_trace_is_exact_where_it_can_be() {
    let exact = |values: Vec<f64>, products: usize| {
        let truth: f64 = values.iter().sum();
        let found =
            trace(&mut Known::new(values, 4).operator(), &TraceOptions { products, ..Default::default() }).unwrap();
        let scale = truth.abs().max(1e-300);
        assert!((found.estimate.value - truth).abs() <= 1e-12 * scale, "{found:?} {truth}");
        assert!(found.estimate.standard_error <= 1e-12 * scale, "{found:?}");
        found.products
    };
    assert_eq!(exact(outliers(40), 40), 40);
    assert_eq!(exact(vec![-2.5], 6), 1);
    assert_eq!(exact(vec![3.0, 1.0], 2), 2);
    // Rank 4: the sketch of 6 holds all there is.
    exact([vec![5.0, 3.0, -1.0, 2.0], vec![0.0; 100]].concat(), 18);
    exact(vec![0.0; 100], 18);
}

#[test]
fn blocks_change_a_trace_and_a_density_by_rounding_only() {
    let matrix = Known::new(outliers(120), 5);
    let traced = |block| {
        trace(&mut matrix.operator(), &TraceOptions { block, products: 20, seed: 7, ..Default::default() }).unwrap()
    };
    let dense = |block| {
        let options = DensityOptions { block, probes: 5, steps: 12, seed: 7, ..Default::default() };
        spectral_density(&mut matrix.operator(), &options).unwrap()
    };
    for block in [1, 3, 100] {
        assert!((traced(block).estimate.value - traced(4).estimate.value).abs() < 1e-12);
        assert_eq!(dense(block), dense(4));
    }
    assert_eq!(traced(4), traced(4));
}

#[test]
fn density_moments_cover_the_truth_as_often_as_they_say() {
    let matrix = Known::new(outliers(150), 6);
    let densities: Vec<_> = (0..SEEDS)
        .map(|seed| {
            let options = DensityOptions { probes: 12, steps: 6, seed, ..Default::default() };
            spectral_density(&mut matrix.operator(), &options).unwrap()
        })
        .collect();
    let n = matrix.values.len() as f64;
    for k in 1..=4 {
        let truth = matrix.values.iter().map(|x| x.powi(k)).sum::<f64>() / n;
        let missed = misses(truth, densities.iter().map(|density| density.moment(k)));
        println!("moment {k}: missed {missed} of {SEEDS}");
        assert!(missed <= MOST_MISSES, "moment {k}: {missed}");
    }
    let truth: f64 = matrix.values.iter().sum();
    assert!(misses(truth, densities.iter().map(SpectralDensity::trace)) <= MOST_MISSES);
}

#[test]
fn density_shows_the_spectrum() {
    // Half of the eigenvalues at −1, a third at 2, the rest at 5: three nodes tell all.
    let values = [vec![-1.0; 150], vec![2.0; 100], vec![5.0; 50]].concat();
    let options = DensityOptions { probes: 60, steps: 20, ..Default::default() };
    let density = spectral_density(&mut Known::new(values, 7).operator(), &options).unwrap();
    assert_eq!(density.products, 60 * 3, "an invariant subspace ends a probe");
    assert!(density.probes.iter().all(|nodes| nodes.len() == 3));
    for (x, want) in [(-1.5, 0.0), (0.0, 0.5), (3.0, 5.0 / 6.0), (5.5, 1.0)] {
        let got = density.cumulative(x);
        // Each probe's share of 300 scatters by at most 0.041, so 60 by 0.0053.
        assert!((got - want).abs() < 4.0 * 0.0053, "{x}: {got} {want}");
    }
    assert!((density.lambda_min.value + 1.0).abs() < 1e-12 && (density.lambda_max.value - 5.0).abs() < 1e-12);
    // The smoothed density integrates to 1 and peaks where the eigenvalues are.
    let (sigma, step) = (0.1, 0.01);
    let grid: Vec<f64> = (0..1000).map(|i| -3.0 + step * f64::from(i)).collect();
    let curve: Vec<f64> = grid.iter().map(|&x| density.density(x, sigma)).collect();
    assert!((curve.iter().sum::<f64>() * step - 1.0).abs() < 1e-9);
    let peak = 1.0 / (sigma * (2.0 * std::f64::consts::PI).sqrt());
    assert!((density.density(-1.0, sigma) / peak - 0.5).abs() < 0.022);
    assert!(density.density(0.5, sigma) < 1e-12 * peak);
}

#[test]
fn density_of_a_continuous_spectrum_and_of_small_matrices() {
    // Equally spaced from 0 to 1: the fraction up to x is x.
    let n = 500;
    let matrix = Known::new((0..n).map(|i| (f64::from(i) + 0.5) / f64::from(n)).collect(), 8);
    let options = DensityOptions { probes: 20, steps: 30, ..Default::default() };
    let density = spectral_density(&mut matrix.operator(), &options).unwrap();
    for i in 1..10 {
        let x = f64::from(i) / 10.0;
        assert!((density.cumulative(x) - x).abs() < 0.03, "{x}: {}", density.cumulative(x));
    }
    for (values, products) in [(vec![-2.5], 8), (vec![0.0; 40], 8), (vec![3.0, -1.0], 16)] {
        let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(l, h), &x| (l.min(x), h.max(x)));
        let density = spectral_density(&mut Known::new(values, 9).operator(), &Default::default()).unwrap();
        assert_eq!(density.products, products);
        assert!((density.lambda_min.value - low).abs() < 1e-12 && (density.lambda_max.value - high).abs() < 1e-12);
        assert!(density.probes.iter().flatten().all(|node| node.weight.is_finite()));
        let total: f64 = density.probes[0].iter().map(|node| node.weight).sum();
        assert!((total - 1.0).abs() < 1e-12);
    }
    // With as many steps as dimensions the nodes are the eigenvalues.
    let matrix = Known::new(vec![4.0, 2.0, 1.0, -3.0], 10);
    let density = spectral_density(&mut matrix.operator(), &Default::default()).unwrap();
    assert!(density.probes.iter().flatten().all(|node| matrix.distance(node.value) < 1e-12));
}

#[test]
fn bad_options_are_refused_with_advice() {
    let refused = |result: Result<(), CurvatureError>, field: &str| {
        let error = result.unwrap_err();
        assert!(matches!(error, CurvatureError::Option { name, .. } if name == field), "{error}");
        assert!(error.to_string().contains("must be"), "{error}");
    };
    let matrix = Known::new(outliers(50), 11);
    let traced = |options: TraceOptions| trace(&mut matrix.operator(), &options).map(|_| ());
    let dense = |options: DensityOptions| spectral_density(&mut matrix.operator(), &options).map(|_| ());
    refused(traced(TraceOptions { products: 5, ..Default::default() }), "products");
    refused(traced(TraceOptions { block: 0, ..Default::default() }), "block");
    refused(traced(TraceOptions { level: 1.0, ..Default::default() }), "level");
    refused(dense(DensityOptions { probes: 1, ..Default::default() }), "probes");
    refused(dense(DensityOptions { steps: 0, ..Default::default() }), "steps");
    refused(dense(DensityOptions { block: 0, ..Default::default() }), "block");
    refused(dense(DensityOptions { level: f64::NAN, ..Default::default() }), "level");
    let mut empty = FnOperator::new(0, |_: &[f64], _: &mut [f64]| Ok(()));
    refused(trace(&mut empty, &TraceOptions::default()).map(|_| ()), "dim");
    refused(spectral_density(&mut empty, &DensityOptions::default()).map(|_| ()), "dim");
    let mut broken = FnOperator::new(20, |_: &[f64], out: &mut [f64]| {
        out.fill(f64::NAN);
        Ok(())
    });
    assert!(matches!(trace(&mut broken, &TraceOptions::default()), Err(CurvatureError::NonFinite { product: 1 })));
    let error = spectral_density(&mut broken, &DensityOptions::default());
    assert!(matches!(error, Err(CurvatureError::NonFinite { product: 1 })));
}
