//! Every update rule against the same rule written again in float64, on the network of `reference_mlp`.

use std::sync::Arc;

use edgewalk::model::{Activation, Loss, Mlp, Reduction};
use edgewalk::objective::Objective;
use edgewalk::optim::{Ascent, Optimizer, Rule};
use nalgebra::DVector;

use super::device::{gpu, relative_error};
use super::objective_cases::{OnDevice, close, mnist, reference, some_params, widen};
use super::reference_mlp;

const EXAMPLES: usize = 100;
const STEPS: u64 = 30;

/// A smooth network, so that float32 and float64 stay together.
fn mlp() -> Mlp {
    Mlp { inputs: 784, width: 16, depth: 3, outputs: 10, activation: Activation::Tanh }
}

const LOSS: Loss = Loss::Mse(Reduction::Mean);

/// The gradient at the top of the climb from `w`.
fn perturbed_gradient(mlp: &reference_mlp::Mlp, w: &DVector<f64>, rule: &Rule) -> DVector<f64> {
    let mut at = w.clone();
    let rho = rule.rho / rule.ascent_steps as f64;
    for _ in 0..rule.ascent_steps {
        let g = mlp.at(at.as_slice()).gradient;
        at += match rule.ascent {
            Ascent::Sam => &g * (rho / (g.norm() + rule.epsilon)),
            Ascent::Usam => &g * rho,
            Ascent::Asam { eta } => {
                let t = at.map(|x| x.abs() + eta);
                let tg = t.component_mul(&g);
                t.component_mul(&tg) * (rho / (tg.norm() + rule.epsilon))
            }
        };
    }
    mlp.at(at.as_slice()).gradient
}

/// `STEPS` updates in float64, with the velocity at the end.
fn follow(mlp: &reference_mlp::Mlp, mut w: DVector<f64>, rule: &Rule) -> [DVector<f64>; 2] {
    let mut v = DVector::zeros(w.len());
    for step in 0..STEPS {
        let on = step >= rule.sam_from && (rule.sam_until == 0 || step < rule.sam_until) && rule.rho > 0.0;
        let g = if on { perturbed_gradient(mlp, &w, rule) } else { mlp.at(w.as_slice()).gradient };
        let d = g + &w * rule.weight_decay;
        v = &v * rule.momentum + &d;
        w -= if rule.nesterov { d + &v * rule.momentum } else { v.clone() } * rule.lr;
    }
    [w, v]
}

fn rules() -> Vec<(&'static str, Rule)> {
    let (gd, sam) = (Rule::gd(0.5), Rule::sam(0.5, 0.1));
    let usam = Rule { ascent: Ascent::Usam, rho: 0.5, ..sam };
    let asam = Rule { ascent: Ascent::Asam { eta: 0.01 }, rho: 0.5, ..sam };
    vec![
        ("GD", gd),
        ("SAM", sam),
        ("USAM", usam),
        ("ASAM", asam),
        ("ASAM, eta 0.1", Rule { ascent: Ascent::Asam { eta: 0.1 }, ..asam }),
        ("SAM, ε 0.05", Rule { epsilon: 0.05, ..sam }),
        ("SAM, 3 steps of ascent", Rule { ascent_steps: 3, rho: 0.3, ..sam }),
        ("USAM, 3 steps of ascent", Rule { ascent_steps: 3, rho: 2.0, ..usam }),
        ("ASAM, 2 steps of ascent", Rule { ascent_steps: 2, ..asam }),
        ("SAM from 10", Rule { sam_from: 10, ..sam }),
        ("SAM until 20", Rule { sam_until: 20, ..sam }),
        ("SAM from 5 until 20", Rule { sam_from: 5, sam_until: 20, ..sam }),
        ("Polyak", Rule { momentum: 0.8, lr: 0.2, ..gd }),
        ("Nesterov", Rule { momentum: 0.8, nesterov: true, lr: 0.2, ..gd }),
        ("weight decay", Rule { weight_decay: 0.1, ..gd }),
        ("SAM, Nesterov and decay", Rule { momentum: 0.8, nesterov: true, lr: 0.2, weight_decay: 0.1, ..sam }),
        ("SAM until 20, Polyak and decay", Rule { momentum: 0.5, weight_decay: 0.1, sam_until: 20, ..sam }),
    ]
}

#[test]
fn every_rule_follows_its_formula() {
    let (mlp, data) = (mlp(), mnist(EXAMPLES));
    let params = some_params(&mlp, 1);
    let start = DVector::from_vec(widen(&params));
    let reference = reference(&mlp, LOSS, &data);
    let objective = Objective::new(gpu(), Arc::new(mlp), LOSS, &data, 64).unwrap();
    let mut device = OnDevice::new(objective, &params);
    let mut ends: Vec<(&str, DVector<f64>)> = vec![];
    for (name, rule) in rules() {
        let optimizer = Optimizer::new(&mut device.objective, rule, &device.w).unwrap();
        let end = |logged: bool| {
            gpu().write(&device.w, &params);
            if let Some(velocity) = optimizer.velocity() {
                gpu().write(velocity, &vec![0.0_f32; velocity.len()]);
            }
            let recording = |step| if logged { optimizer.logged_step(step) } else { optimizer.step(step) };
            gpu().run((0..STEPS).map(recording)).unwrap();
            device.objective.read(optimizer.params()).unwrap()
        };
        let found = end(false);
        let [w, v] = follow(&reference, start.clone(), &rule);
        let moved = |w: &[f64]| w.iter().zip(start.iter()).map(|(w, start)| w - start).collect::<Vec<_>>();
        // Thirty steps of float32 rounding.
        close(name, &moved(&widen(&found)), &moved(w.as_slice()), 1e-5);
        assert_eq!(optimizer.velocity().is_some(), rule.momentum > 0.0);
        if let Some(velocity) = optimizer.velocity() {
            let velocity = widen(&device.objective.read(velocity).unwrap());
            close(&format!("{name}: velocity"), &velocity, v.as_slice(), 1e-5);
        }
        assert!(found == end(true), "{name}: logging changes the update");
        // No two rules end so near to one another that one would pass for the other.
        for (other, end) in &ends {
            let apart = relative_error(&moved(w.as_slice()), &moved(end.as_slice()));
            assert!(apart > 1e-3, "{name} and {other} do nearly the same: {apart:e}");
        }
        ends.push((name, w));
    }
}

#[test]
fn a_probe_shows_what_the_update_would_follow() {
    let (mlp, data) = (mlp(), mnist(EXAMPLES));
    let params = some_params(&mlp, 1);
    let reference = reference(&mlp, LOSS, &data);
    let w = DVector::from_vec(widen(&params));
    let objective = Objective::new(gpu(), Arc::new(mlp), LOSS, &data, 64).unwrap();
    let mut device = OnDevice::new(objective, &params);
    let usam = Rule { ascent: Ascent::Usam, ascent_steps: 2, sam_from: 3, ..Rule::sam(0.5, 0.5) };
    for rule in [usam, Rule { momentum: 0.9, ..usam }, Rule { ascent: Ascent::Asam { eta: 0.01 }, ..usam }] {
        let optimizer = Optimizer::new(&mut device.objective, rule, &device.w).unwrap();
        let here = reference.at(w.as_slice()).gradient;
        for (step, expected) in [(2, here.clone()), (3, perturbed_gradient(&reference, &w, &rule))] {
            gpu().run([optimizer.probe.recording(step)]).unwrap();
            let read = |buffer| widen(&device.objective.read(buffer).unwrap());
            close("∇L", &read(optimizer.probe.gradient()), here.as_slice(), 1e-5);
            close("followed", &read(optimizer.probe.update_gradient(step)), expected.as_slice(), 1e-5);
            let metrics = optimizer.probe.metrics(&device.objective, &gpu().read(optimizer.probe.row()).unwrap());
            close("‖g‖", &[metrics.grad_norm], &[here.norm()], 1e-6);
        }
        assert_eq!(device.objective.read(&device.w).unwrap(), params, "a probe moves nothing");
    }
}
