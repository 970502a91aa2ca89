//! What warm starts are for: a check takes at most a third of the products of a cold one and at most a quarter of those of
//! power iteration at the same tolerance, on a matrix that turns slowly and on a network that trains, and finds the same.

use std::sync::Arc;

use edgewalk::curvature::{EigenOptions, Operator, Spectrum, lanczos, power_iteration};
use edgewalk::data::{self, DataName, Request};
use edgewalk::model::{Activation, Loss, Mlp, Reduction, initial_params};
use edgewalk::objective::{HessianOperator, Objective};
use edgewalk::optim::{Optimizer, Sam};

use super::curvature::{Known, options, outliers};
use super::device::gpu;

/// Products of one check after another.
#[derive(Debug, Default)]
struct Counts {
    warm: usize,
    cold: usize,
    power: usize,
    power_warm: usize,
    checks: usize,
    last: Option<Spectrum>,
    last_power: Option<Spectrum>,
}

impl Counts {
    /// Solves in all four ways; the first check is warm for none, and not counted.
    fn check(&mut self, operator: &mut dyn Operator, options: &EigenOptions) {
        let warm = lanczos(operator, self.last.as_ref(), options).unwrap();
        let cold = lanczos(operator, None, options).unwrap();
        let power = power_iteration(operator, None, options).unwrap();
        let power_warm = power_iteration(operator, self.last_power.as_ref(), options).unwrap();
        for (i, pair) in warm.pairs.iter().enumerate() {
            assert!(pair.converged && cold.pairs[i].converged && power.pairs[i].converged, "pair {i}");
            // Float32 products are off by some 1e-6 of λ₁ besides.
            let allowed = pair.residual + cold.pairs[i].residual + 1e-5 * warm.pairs[0].value.abs();
            assert!((pair.value - cold.pairs[i].value).abs() <= allowed, "{i}: {} {}", pair.value, cold.pairs[i].value);
        }
        if self.last.is_some() {
            self.warm += warm.products;
            self.cold += cold.products;
            self.power += power.products;
            self.power_warm += power_warm.products;
            self.checks += 1;
        }
        self.last = Some(warm);
        self.last_power = Some(power_warm);
    }

    fn judge(&self, case: &str) {
        let mean = |count: usize| count as f64 / self.checks as f64;
        println!(
            "{case}: {:.1} products warm, {:.1} cold, {:.1} by power iteration ({:.1} warm)",
            mean(self.warm),
            mean(self.cold),
            mean(self.power),
            mean(self.power_warm)
        );
        assert!(3 * self.warm <= self.cold, "{case}: {} {}", self.warm, self.cold);
        assert!(4 * self.warm <= self.power, "{case}: {} {}", self.warm, self.power);
    }
}

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
        counts.judge(&format!("top {top}"));
    }
}

#[test]
fn on_a_network_at_the_edge_at_the_midpoints_of_its_two_cycle() {
    let train = data::load(&Request { train: 1000, ..Request::new(DataName::Embedded) }).unwrap().train;
    for (activation, top) in [(Activation::Relu, 1), (Activation::Tanh, 1), (Activation::Tanh, 3)] {
        let (inputs, outputs) = (train.dim(), train.classes);
        let model = Arc::new(Mlp { inputs, width: 64, depth: 4, outputs, activation });
        let mut objective = Objective::new(gpu(), model, Loss::Mse(Reduction::Mean), &train, 0).unwrap();
        let w = objective.vector("the parameters").unwrap();
        gpu().write(&w, &initial_params(objective.layout(), 0));
        let rule = Sam { lr: 0.5, rho: 0.03, epsilon: 1e-5 };
        let optimizer = Optimizer::new(&mut objective, rule, &w).unwrap();
        let midpoint = objective.vector("the midpoint").unwrap();
        let mut hessian = HessianOperator::new(&mut objective, &midpoint).unwrap();
        let step = || {
            gpu().run([&optimizer.step]).unwrap();
            gpu().read::<f32>(&w).unwrap()
        };
        (0..399).for_each(|_| drop(step()));
        let (mut before, mut here) = (step(), step());
        let mut counts = Counts::default();
        for i in 0..16 {
            let after = step();
            if i % 5 == 0 {
                let quarter = |((a, b), c): ((&f32, &f32), &f32)| (a + 2.0 * b + c) / 4.0;
                let middle: Vec<f32> = before.iter().zip(&here).zip(&after).map(quarter).collect();
                gpu().write(&midpoint, &middle);
                counts.check(&mut hessian, &EigenOptions { top, max_iterations: 2000, ..Default::default() });
            }
            (before, here) = (here, after);
        }
        counts.judge(&format!("{activation:?}, top {top}, every 5 steps"));
    }
}
