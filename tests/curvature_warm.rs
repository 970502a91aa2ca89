//! What warm starts are for: a check takes at most a third of the products of a cold one and at most a quarter of those of
//! power iteration at the same tolerance, on a matrix that turns slowly and on a network that trains, and finds the same.

use std::sync::Arc;

use edgewalk::curvature::{EigenOptions, Operator, Track, lanczos, power_iteration};
use edgewalk::data::{self, DataName, Request};
use edgewalk::model::{Activation, Loss, Mlp, Reduction, initial_params};
use edgewalk::objective::{HessianOperator, Objective};
use edgewalk::optim::{Optimizer, Rule};

use super::curvature::{Known, options, outliers};
use super::device::the_device;

/// Products of one check after another.
#[derive(Default)]
struct Counts {
    warm: Vec<usize>,
    cold: Vec<usize>,
    last: Option<Track>,
}

impl Counts {
    /// Solves warm and cold; the first check is warm for neither, and not counted.
    fn check(&mut self, operator: &mut dyn Operator, options: &EigenOptions) {
        let warm = lanczos(operator, self.last.as_ref(), options).unwrap();
        let cold = lanczos(operator, None, options).unwrap();
        for (i, (warm_pair, cold_pair)) in warm.pairs.iter().zip(&cold.pairs).enumerate() {
            assert!(warm_pair.converged && cold_pair.converged, "pair {i}");
            // Float32 products are off by some 1e-6 of λ₁ besides.
            let allowed = warm_pair.residual + cold_pair.residual + 1e-5 * warm.pairs[0].value.abs();
            let (warm, cold) = (warm_pair.value, cold_pair.value);
            assert!((warm - cold).abs() <= allowed, "{i}: {warm} {cold}");
        }
        if self.last.is_some() {
            self.warm.push(warm.products);
            self.cold.push(cold.products);
        }
        self.last = Some(warm.track);
    }

    /// Compares with cold checks, of which a warm one may take the fraction `most`, and with a last one by power iteration.
    fn judge(&self, operator: &mut dyn Operator, options: &EigenOptions, most: f64, case: &str) {
        let mean = |counts: &[usize]| counts.iter().sum::<usize>() as f64 / counts.len() as f64;
        let (warm, cold) = (mean(&self.warm), mean(&self.cold));
        let power = power_iteration(operator, None, options).unwrap();
        println!("{case}: {warm:.1} products warm, {cold:.1} cold, {} by power iteration", power.products);
        assert!(power.pairs.iter().all(|pair| pair.converged));
        assert!(warm <= most * cold, "{case}: {warm} {cold}");
        assert!(4.0 * warm <= power.products as f64, "{case}: {warm} {}", power.products);
    }
}

const THIRD: f64 = 1.0 / 3.0;

#[test]
fn on_a_matrix_that_turns_slowly() {
    for top in [1, 3] {
        let mut matrix = Known::new(outliers(2000), 1);
        let mut counts = Counts::default();
        for i in 0..8 {
            counts.check(&mut matrix.operator(), &options(top, 1e-3));
            // Turned along directions of its own each time, as by examples that cross kinks.
            matrix = matrix.turned(0.002, 50 + 2 * i);
        }
        counts.judge(&mut matrix.operator(), &options(top, 1e-3), THIRD, &format!("top {top}"));
    }
}

/// While a network leaves its start, an eigenvalue at the other end can overtake between two measurements, when the track
/// has only a rough value of it.
#[test]
fn an_eigenvalue_at_the_other_end_that_overtakes_is_found() {
    for seed in 0..12 {
        let bulk =
            |n: usize| (0..n).map(move |i| 12.0 * (-0.03 * i as f64).exp() * if i % 2 == 0 { 1.0 } else { -0.8 });
        let before: Vec<f64> = [33.0, 23.1, 18.4, -15.0].into_iter().chain(bulk(396)).collect();
        let mut after = before.clone();
        after[..4].copy_from_slice(&[18.6, 16.0, 14.0, -16.4]);
        let track = Known::new(before, seed).solve(lanczos, None, &options(2, 1e-6)).track;
        let moved = Known::new(after, seed).turned(0.15, 300 + 2 * seed);
        let found = moved.solve(lanczos, Some(&track), &options(2, 1e-6));
        let values: Vec<f64> = found.pairs.iter().map(|pair| pair.value).collect();
        assert!(found.pairs.iter().all(|pair| pair.converged), "seed {seed}");
        assert!((values[0] - 18.6).abs() < 1e-4 && (values[1] + 16.4).abs() < 1e-4, "seed {seed}: {values:?}");
    }
}

#[test]
fn a_warm_start_finds_both_ends_in_blocks_and_more_than_before() {
    let mut values = outliers(1000);
    (values[998], values[999]) = (-2.5, -2.6);
    let matrix = Known::new(values, 2);
    let small = matrix.solve(lanczos, None, &options(1, 1e-6));
    let turned = matrix.turned(0.002, 70);
    for (top, bottom, block) in [(3, 2, 1), (3, 2, 4), (20, 0, 1), (20, 3, 2), (1, 0, 1)] {
        let case = format!("top {top}, bottom {bottom}, block {block}");
        let options = EigenOptions { bottom, block, ..options(top, 1e-6) };
        let cold = turned.solve(lanczos, None, &options);
        for start in [&small, &matrix.solve(lanczos, None, &options)] {
            let warm = turned.solve(lanczos, Some(&start.track), &options);
            turned.check_claims(&warm, 1e-6, &case);
            for (warm, cold) in warm.pairs.iter().chain(&warm.bottom).zip(cold.pairs.iter().chain(&cold.bottom)) {
                assert!(
                    warm.converged && (warm.value - cold.value).abs() < 1e-5,
                    "{case}: {} {}",
                    warm.value,
                    cold.value
                );
            }
        }
    }
}

#[test]
fn an_eigenvalue_that_overtakes_from_the_bulk_is_seen_within_a_few_checks() {
    for from in [1, 3, 8, 30, 300] {
        let mut matrix = Known::new(outliers(2000), 3);
        let mut last = matrix.solve(lanczos, None, &options(2, 1e-3));
        matrix.values[from] = 12.0;
        let mut checks = 0;
        while (last.pairs[0].value - 12.0).abs() > 0.1 && checks < 100 {
            last = matrix.solve(lanczos, Some(&last.track), &options(2, 1e-3));
            checks += 1;
        }
        println!("from place {from}: after {checks} checks");
        assert!(checks <= if from == 1 { 1 } else { 15 }, "{from}: {checks}");
    }
}

#[test]
fn on_a_network_at_the_edge_at_the_midpoints_of_its_two_cycle() {
    // A network with kinks needs two products a pair, and one to look for others: of three pairs a third would be too
    // much to ask where a cold check takes 19.
    train_and_check(Activation::Relu, [(1, THIRD), (3, 0.4)]);
}

#[test]
fn on_a_smooth_network_at_the_edge() {
    train_and_check(Activation::Tanh, [(1, THIRD), (3, THIRD)]);
}

/// Trains to the edge and measures every five steps, asking for each number of pairs.
fn train_and_check(activation: Activation, tops: [(usize, f64); 2]) {
    let train = data::load(&Request { train: 300, ..Request::new(DataName::Embedded) }).unwrap().train;
    let (inputs, outputs) = (train.dim(), train.classes());
    let model = Arc::new(Mlp { inputs, width: 64, depth: 4, outputs, activation });
    let mut objective = Objective::new(the_device(), model, Loss::Mse(Reduction::Mean), &train, 0).unwrap();
    let w = objective.vector("the parameters").unwrap();
    the_device().write(&w, &initial_params(objective.layout(), 0)).unwrap();
    let optimizer = Optimizer::new(&mut objective, Rule::sam(0.5, 0.03), &w).unwrap();
    let midpoint = objective.vector("the midpoint").unwrap();
    let mut hessian = HessianOperator::new(&mut objective, &midpoint).unwrap();
    let step = || {
        the_device().run([&*optimizer.step(0).unwrap()]).unwrap();
        the_device().read::<f32>(&w).unwrap()
    };
    (0..399).for_each(|_| drop(step()));
    let (mut before, mut here) = (step(), step());
    let options = tops.map(|(top, _)| EigenOptions { top, max_iterations: 2000, ..Default::default() });
    let mut counts = [Counts::default(), Counts::default()];
    for i in 0..26 {
        let after = step();
        if i % 5 == 0 {
            let quarter = |((a, b), c): ((&f32, &f32), &f32)| (a + 2.0 * b + c) / 4.0;
            let middle: Vec<f32> = before.iter().zip(&here).zip(&after).map(quarter).collect();
            the_device().write(&midpoint, &middle).unwrap();
            counts.iter_mut().zip(&options).for_each(|(counts, options)| counts.check(&mut hessian, options));
        }
        (before, here) = (here, after);
    }
    for ((counts, options), (top, most)) in counts.iter().zip(&options).zip(tops) {
        counts.judge(&mut hessian, options, most, &format!("{activation:?}, top {top}, every 5 steps"));
    }
}
