//! Runs with adaptive bases and schedules against the same formulas in float64, step by step: loss, ‖g‖, ν, λ₁ and the
//! preconditioned sharpness. The run in 64 bits is that of the native device; in 32 bits ε is larger, since the sign of a
//! gradient that is all rounding would decide the first update.

use std::fs;

use edgewalk::data::Examples;
use edgewalk::device::Precision;
use edgewalk::folder::tables::{read_curvature, read_metrics};
use edgewalk::model::{Activation, Layout, Mlp};
use edgewalk::optim::{Base, Decay, Rule, Schedule};
use nalgebra::DVector;
use safetensors::SafeTensors;

use super::objective_cases::{close, mnist, some_params, widen};
use super::optim::Follower;
use super::training::{train_on, write_init};

const STEPS: u64 = 40;

fn mlp() -> Mlp {
    Mlp { inputs: 784, width: 8, depth: 3, outputs: 10, activation: Activation::Tanh }
}

fn rules(eps: f64) -> Vec<(Rule, Vec<&'static str>)> {
    let adam = |decoupled: bool| Base::Adam { beta1: 0.9, beta2: 0.999, eps, decoupled };
    let rmsprop = Base::RmsProp { beta2: 0.99, eps };
    // A weight that only the decay moves has the eigenvalue c/(c|w| + ε): with a small ε there would be a crowd of them.
    let slow = Base::RmsProp { beta2: 0.99, eps: eps.max(1e-3) };
    let warm = Schedule { warmup: 10, decay: Decay::Cosine, until: STEPS, last: 0.1 };
    let with = |base: Base, rho: f64| Rule { base, ..Rule::sam(0.002, rho) };
    let schedule = ["schedule=cosine", "warmup=10", "final_lr=0.0002"];
    vec![
        (with(rmsprop, 0.0), vec!["base=rmsprop", "beta2=0.99"]),
        (with(adam(false), 0.0), vec!["base=adam"]),
        (Rule { schedule: warm, ..with(adam(false), 0.0) }, [&["base=adam"], &schedule[..]].concat()),
        (Rule { weight_decay: 0.1, ..with(adam(true), 0.0) }, vec!["base=adamw", "weight_decay=0.1"]),
        (Rule { weight_decay: 0.1, ..with(slow, 0.1) }, vec!["base=rmsprop", "beta2=0.99", "weight_decay=0.1"]),
        (Rule { schedule: warm, ..with(adam(false), 0.1) }, [&["base=adam"], &schedule[..]].concat()),
        (Rule { weight_decay: 0.1, ..with(adam(true), 0.1) }, vec!["base=adamw", "weight_decay=0.1"]),
    ]
}

/// The method has order 4: half the step leaves a sixteenth of the distance from the flow, which no formula is told here.
#[test]
fn gradient_flow_converges_with_the_fourth_power_of_its_step() {
    let (params, layout) = (some_params(&mlp(), 3), Layout::of(&mlp()).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let init = folder.path().join("init.safetensors");
    write_init(&init, &layout, &params);
    let loss_at_time_8 = |number: usize, steps: u32| {
        let (lr, steps) = (format!("lr={}", 8.0 / f64::from(steps)), format!("steps={steps}"));
        let sets = [
            &["width=8", "depth=3", "activation=tanh", "test=0", "train=30", "run.precision=f64"][..],
            &["optim.kind=flow", "measure.every=0", &lr, &steps],
        ]
        .concat();
        let run = folder.path().join(format!("run{number}"));
        let run = train_on(Some("native".to_owned()), None, &run, &sets, Some(&init)).unwrap();
        read_metrics(&run.metrics()).unwrap().pop().unwrap().loss
    };
    let [coarse, middle, fine] = [(0, 40), (1, 80), (2, 160)].map(|(number, steps)| loss_at_time_8(number, steps));
    let order = ((coarse - middle) / (middle - fine)).log2();
    assert!((3.6..4.4).contains(&order), "{coarse} {middle} {fine}: order {order}");
}

/// With `schedule = "edge"` the learning rate is that of the gauge at every measurement, stays until the next, and the
/// run is that of float64 with the same learning rates.
#[test]
fn a_learning_rate_set_by_measurements_has_its_gauge() {
    let data = mnist(30);
    let (params, layout) = (some_params(&mlp(), 3), Layout::of(&mlp()).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let init = folder.path().join("init.safetensors");
    write_init(&init, &layout, &params);
    for (number, (base, more)) in [("sgd", "rho=0"), ("sgd", "rho=0.05"), ("adam", "rho=0")].into_iter().enumerate() {
        let rho = if more == "rho=0" { 0.0 } else { 0.05 };
        let cap = if base == "adam" { 0.05 } else { 0.35 };
        let (base_set, lr) = (format!("base={base}"), format!("lr={cap}"));
        let sets = [
            &["width=8", "depth=3", "activation=tanh", "test=0", "train=30", "steps=24", "run.precision=f64"][..],
            &["schedule=edge", "target_gauge=0.6", "warmup=3", "measure.every=4", "measure.top=1", "measure.tol=1e-9"],
            &[more, "eps=1e-3", &base_set, &lr],
        ]
        .concat();
        let path = folder.path().join(format!("run{number}"));
        let run = train_on(Some("native".to_owned()), None, &path, &sets, Some(&init)).unwrap();
        let (metrics, curvature) = (read_metrics(&run.metrics()).unwrap(), read_curvature(&run.curvature()).unwrap());
        let base = match base {
            "adam" => Base::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-3, decoupled: false },
            _ => Base::Sgd,
        };
        let schedule = Schedule { warmup: 3, decay: Decay::Edge { gauge: 0.6, factor: 1.0 }, ..Schedule::CONSTANT };
        let mut expected = Follower::new(
            &mlp(),
            &data,
            DVector::from_vec(widen(&params)),
            &Rule { base, schedule, ..Rule::sam(cap, rho) },
        );
        let (mut held, mut below) = (1.0, 0);
        for row in &metrics {
            let what = format!("{sets:?}, step {}", row.step);
            if let Some(measured) = curvature.iter().find(|measured| measured.step == row.step) {
                let felt = measured.update_sharpness.unwrap();
                let limit = if base == Base::Sgd { 2.0 } else { 38.0 };
                held = (0.6 * limit / felt / cap).min(1.0);
                // Warm-up and the largest learning rate keep the gauge below its target.
                let ramp = ((row.step + 1) as f64 / 3.0).min(1.0);
                close(&format!("gauge: {what}"), &[measured.gauge], &[felt * held * cap * ramp / limit], 1e-12);
                below += usize::from(held < 1.0);
                expected.hold(held);
            }
            close(&format!("lr: {what}"), &[row.lr.unwrap()], &[expected.learning_rate()], 1e-12);
            close(&format!("loss: {what}"), &[row.loss], &[expected.here().loss], 1e-9);
            expected.advance();
        }
        assert!(below >= 3, "{sets:?}: the gauge decided {below} times, last {held}");
    }
}

/// Every row of a run against float64.
fn follows(rule: &Rule, sets: &[&str], data: &Examples, precision: Precision, tolerance: f64) {
    let folder = tempfile::tempdir().unwrap();
    let (params, layout) = (some_params(&mlp(), 3), Layout::of(&mlp()).unwrap());
    let init = folder.path().join("init.safetensors");
    write_init(&init, &layout, &params);
    let [_, _, eps] = match rule.base {
        Base::Sgd | Base::Flow => [0.0; 3],
        Base::RmsProp { beta2, eps } => [0.0, beta2, eps],
        Base::Adam { beta1, beta2, eps, .. } => [beta1, beta2, eps],
    };
    let numbers = [
        format!("eps={eps}"),
        format!("rho={}", rule.rho),
        format!("steps={STEPS}"),
        format!("run.precision={precision}"),
        format!("train={}", data.len()),
    ];
    let common = ["width=8", "depth=3", "activation=tanh", "test=0", "lr=0.002", "measure.every=1", "measure.top=1"];
    let tol = if precision == Precision::F64 { "measure.tol=1e-6" } else { "measure.tol=1e-5" };
    let sets: Vec<&str> =
        common.into_iter().chain([tol]).chain(sets.iter().copied()).chain(numbers.iter().map(AsRef::as_ref)).collect();
    let adapter = if precision == Precision::F64 { Some("native".to_owned()) } else { super::device::adapter() };
    let run = train_on(adapter, None, &folder.path().join("run"), &sets, Some(&init)).unwrap();
    let (metrics, curvature) = (read_metrics(&run.metrics()).unwrap(), read_curvature(&run.curvature()).unwrap());
    assert_eq!((metrics.len() as u64, curvature.len() as u64), (STEPS + 1, STEPS + 1));
    let mut expected = Follower::new(&mlp(), data, DVector::from_vec(widen(&params)), rule);
    for (row, found) in metrics.iter().zip(&curvature) {
        let here = expected.here();
        let what = format!("{sets:?}, step {}", row.step);
        close(&format!("loss: {what}"), &[row.loss], &[here.loss], tolerance);
        close(&format!("‖g‖: {what}"), &[row.grad_norm], &[here.gradient.norm()], tolerance);
        close(&format!("lr: {what}"), &[row.lr.unwrap()], &[expected.learning_rate()], 1e-12);
        let (lambda, _) = super::reference_mlp::top_eigenpair(params.len(), 400, |v| here.hvp(v));
        close(&format!("λ₁: {what}"), &found.lambdas, &[lambda], tolerance);
        let it = found.preconditioned.unwrap();
        let sharpness = expected.preconditioned_sharpness();
        close(&format!("preconditioned: {what}"), &[it.sharpness], &[sharpness], tolerance);
        // The bar is for these parameters, which in 32 bits soon are others than those of the reference.
        if row.step == 0 || precision == Precision::F64 {
            let apart = (it.sharpness - sharpness).abs();
            assert!(apart <= it.error, "{what}: {} ± {}, and is {sharpness}", it.sharpness, it.error);
        }
        let (b, c) = match rule.base {
            Base::Sgd | Base::Flow | Base::RmsProp { .. } => (0.0, 0.0),
            Base::Adam { beta1, decoupled, .. } => (beta1, if decoupled { rule.weight_decay } else { 0.0 }),
        };
        let edge = (1.0 + b) * (2.0 / expected.learning_rate() - c) / (1.0 - b);
        close(&format!("edge: {what}"), &[it.edge, it.gauge * it.edge], &[edge, it.sharpness], 1e-12);
        assert_eq!((found.gauge, found.update_sharpness), (it.gauge, Some(it.sharpness)));
        assert!(found.sam_edge.is_nan() && found.edge_ratio.is_nan(), "no eigenvalue of H has an edge");
        assert!(it.participation > 0.0 && it.participation <= 1.0);
        expected.advance();
    }
    let state = fs::read(run.checkpoint(STEPS).join("state.safetensors")).unwrap();
    assert!(SafeTensors::deserialize(&state).unwrap().tensor("second_moment").is_ok());
}

#[test]
fn runs_with_adaptive_bases_follow_their_formulas() {
    let data = mnist(50);
    for (rule, sets) in rules(1e-8) {
        follows(&rule, &sets, &data, Precision::F64, 1e-6);
    }
}

#[test]
fn so_they_do_in_32_bits() {
    let data = mnist(50);
    for (rule, sets) in rules(1e-3) {
        follows(&rule, &sets, &data, Precision::F32, 1e-5);
    }
}
