//! Minibatches: which examples a step sees, what it makes of them, and what the curvature is measured on meanwhile.
//!
//! The judge of whole runs is the float64 network of `reference_mlp`, stepped on the same examples.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use edgewalk::cli::Error;
use edgewalk::config::{MeasureOn, MeasuringSet};
use edgewalk::data::Examples;
use edgewalk::folder::RunDir;
use edgewalk::folder::rows::CurvatureRow;
use edgewalk::folder::tables::{read_curvature, read_metrics};
use edgewalk::model::{Activation, Layout, Loss, Mlp, Reduction, params_from_safetensors};
use edgewalk::optim::{Batches, Cursor, Rule};
use nalgebra::DVector;
use safetensors::SafeTensors;

use super::objective_cases::{close, mnist, reference, sam_step, some_params, widen};
use super::reference_mlp;
use super::training::{tables, train, write_init};

#[test]
fn every_epoch_shows_every_example_once() {
    let (examples, batch) = (10, 4);
    let mut batches = Batches::new(examples, batch, 3).unwrap();
    // Five batches are two epochs, and the third batch belongs to both.
    let seen: Vec<usize> = (0..5).flat_map(|step| batches.indices(step)).collect();
    let epochs: Vec<&[usize]> = seen.chunks(examples).collect();
    for epoch in &epochs {
        let mut sorted = epoch.to_vec();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..examples).collect::<Vec<_>>());
    }
    assert_ne!(epochs[0], epochs[1], "every epoch has its own order");
    assert_ne!(epochs[0], (0..examples).collect::<Vec<_>>());
    assert_eq!(batches.cursor(2), Cursor { epoch: 0, position: 8 });
    assert_eq!(batches.cursor(5), Cursor { epoch: 2, position: 0 });
}

#[test]
fn a_batch_follows_from_seed_and_step_alone() {
    let in_order = |seed: u64| {
        let mut batches = Batches::new(50, 7, seed).unwrap();
        (0..100).map(|step| batches.indices(step)).collect::<Vec<_>>()
    };
    let sequential = in_order(1);
    assert_eq!(sequential, in_order(1));
    assert_ne!(sequential, in_order(2));
    let mut batches = Batches::new(50, 7, 1).unwrap();
    for step in [99, 0, 42, 41, 43, 7, 7, 98] {
        assert_eq!(batches.indices(step), sequential[step as usize], "step {step}");
    }
    let mut whole = Batches::new(5, 5, 1).unwrap().indices(3);
    whole.sort_unstable();
    assert_eq!(whole, [0, 1, 2, 3, 4]);
}

const EXAMPLES: usize = 300;
const BATCH: usize = 64;
const STEPS: u64 = 20;
const SEED: u64 = 5;

/// A smooth network, so that float32 and float64 stay together.
fn mlp() -> Mlp {
    Mlp { inputs: 784, width: 16, depth: 3, outputs: 10, activation: Activation::Tanh }
}

/// Runs `mlp` on minibatches from `some_params` under `more` settings.
fn run(folder: &Path, name: &str, more: &[&str]) -> RunDir {
    let init = folder.join("init.safetensors");
    write_init(&init, &Layout::of(&mlp()).unwrap(), &some_params(&mlp(), 1));
    let sets = [
        "width=16",
        "depth=3",
        "activation=tanh",
        "train=300",
        "test=0",
        "batch=64",
        "steps=20",
        "seed=5",
        "lr=0.5",
        "rho=0.1",
        "measure.every=10",
        "measure.top=1",
    ];
    train(None, &folder.join(name), &[&sets[..], more].concat(), Some(&init)).unwrap()
}

fn last_params(run: &RunDir, step: u64) -> Vec<f64> {
    let bytes = fs::read(run.checkpoint(step).join("params.safetensors")).unwrap();
    widen(&params_from_safetensors(&Layout::of(&mlp()).unwrap(), &bytes).unwrap())
}

fn on(examples: &Examples) -> reference_mlp::Mlp {
    reference(&mlp(), Loss::Mse(Reduction::Mean), examples)
}

#[test]
fn a_minibatch_run_follows_the_reference_on_the_same_examples() {
    let folder = tempfile::tempdir().unwrap();
    let found = run(folder.path(), "run", &["measure.every=0"]);
    let rows = read_metrics(&found.metrics()).unwrap();
    assert_eq!(rows.len() as u64, STEPS + 1);
    let (data, mut batches) = (mnist(EXAMPLES), Batches::new(EXAMPLES, BATCH, SEED).unwrap());
    let mut w = DVector::from_vec(widen(&some_params(&mlp(), 1)));
    for row in &rows {
        let batch = on(&data.select(&batches.indices(row.step)).unwrap());
        let here = batch.at(w.as_slice());
        close(&format!("loss before step {}", row.step), &[row.loss], &[here.loss], 1e-5);
        close(&format!("gradient before step {}", row.step), &[row.grad_norm], &[here.gradient.norm()], 1e-5);
        if row.step < STEPS {
            w = sam_step(&batch, &w, Rule::sam(0.5, 0.1));
        }
    }
    close("last parameters", &last_params(&found, STEPS), w.as_slice(), 1e-5);
}

#[test]
fn a_batch_of_everything_is_gradient_descent_on_everything() {
    let folder = tempfile::tempdir().unwrap();
    let shuffled = run(folder.path(), "shuffled", &["batch=300", "steps=5"]);
    let plain = run(folder.path(), "plain", &["batch=0", "steps=5"]);
    close("parameters", &last_params(&shuffled, 5), &last_params(&plain, 5), 1e-6);
    assert_ne!(last_params(&shuffled, 5), last_params(&plain, 5), "the order has no effect on rounding");
}

#[test]
fn minibatch_runs_repeat_and_the_seed_orders_them() {
    let folder = tempfile::tempdir().unwrap();
    let first = run(folder.path(), "first", &[]);
    assert!(tables(&first) == tables(&run(folder.path(), "second", &[])), "two runs with one seed differ");
    let other = run(folder.path(), "other", &["seed=6"]);
    // The same parameters to begin with, and other examples.
    assert_ne!(read_metrics(&first.metrics()).unwrap()[0].loss, read_metrics(&other.metrics()).unwrap()[0].loss);
}

/// Loss, ‖g‖, ‖H‖ and the two alignments of a row against the reference on `examples` at `w`.
fn measured_on(row: &CurvatureRow, [examples, batch]: [&Examples; 2], w: &[f64], what: &str) {
    // The update divides by the norm of the minibatch's gradient, whatever is measured.
    let norm = on(batch).at(w).gradient.norm() + 1e-5;
    let sam_edge = norm / 0.2 * ((1.0 + 0.8 / (0.5 * norm)).sqrt() - 1.0);
    let mut w = DVector::from_column_slice(w);
    let expected = reference_mlp::train(&on(examples), &mut w, 0.5, 0.1, 1).remove(0);
    // An alignment is as good as the eigenvector, whose residual may be 1e-4.
    for (name, found, expected, tolerance) in [
        ("loss", row.loss, expected.loss, 1e-5),
        ("‖g‖", row.grad_norm, expected.grad_norm, 1e-5),
        ("‖H‖", row.hessian_norm, expected.hessian_norm, 1e-5),
        ("SAM-edge", row.sam_edge, sam_edge, 1e-5),
        ("alignment", row.grad_alignment, expected.grad_alignment, 1e-3),
        ("SAM alignment", row.sam_grad_alignment, expected.sam_grad_alignment, 1e-3),
    ] {
        close(&format!("{what}: {name}"), &[found], &[expected], tolerance);
    }
}

#[test]
fn curvature_is_measured_on_the_set_that_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (data, mut batches) = (mnist(EXAMPLES), Batches::new(EXAMPLES, BATCH, SEED).unwrap());
    let first = |n: usize| (0..n).collect::<Vec<_>>();
    let mut trained = vec![];
    for (name, sets, set) in [
        ("fixed", &["measure.on=fixed", "measure.examples=100"][..], (MeasureOn::Fixed, 100)),
        ("all", &["measure.on=fixed", "measure.examples=0"], (MeasureOn::Fixed, EXAMPLES)),
        ("train", &["measure.on=train"], (MeasureOn::Train, EXAMPLES)),
        ("batch", &["measure.on=batch"], (MeasureOn::Batch, BATCH)),
    ] {
        let found = run(folder.path(), name, sets);
        let rows = read_curvature(&found.curvature()).unwrap();
        assert_eq!(rows.iter().map(|row| row.step).collect::<Vec<_>>(), [0, 10, STEPS]);
        let expected = MeasuringSet { on: set.0, examples: set.1 };
        assert!(rows.iter().all(|row| row.measured == Some(expected)), "{name}");
        let manifest: serde_json::Value = serde_json::from_slice(&fs::read(found.manifest()).unwrap()).unwrap();
        assert_eq!(manifest["measured"], serde_json::json!({ "on": set.0.to_string(), "examples": set.1 }));

        for (row, w) in [(&rows[0], widen(&some_params(&mlp(), 1))), (&rows[2], last_params(&found, STEPS))] {
            let chosen = match set.0 {
                MeasureOn::Batch => batches.indices(row.step),
                MeasureOn::Fixed | MeasureOn::Train => first(set.1),
            };
            let batch = batches.indices(row.step);
            let sets = [&chosen, &batch].map(|numbers| data.select(numbers).unwrap());
            measured_on(row, sets.each_ref(), &w, &format!("{name}, step {}", row.step));
            // The gauge is that of the mean update operator over minibatches in the order of an epoch.
            let groups: Vec<usize> = match set.0 {
                MeasureOn::Batch => (0..BATCH).collect(),
                MeasureOn::Fixed | MeasureOn::Train => Batches::new(set.1, BATCH, SEED).unwrap().first_epoch().to_vec(),
            };
            let groups: Vec<_> =
                groups.chunks(BATCH).map(|group| (on(&sets[0].select(group).unwrap()), group.len())).collect();
            let update = |v: &[f64]| -> DVector<f64> {
                let of = |(net, count): &(reference_mlp::Mlp, usize)| {
                    let here = net.at(&w);
                    let (felt, norm) = (here.hvp(v), here.gradient.norm() + 1e-5);
                    (here.hvp(felt.as_slice()) * (0.1 / norm) + felt) * (*count as f64 / set.1 as f64)
                };
                groups.iter().map(of).sum()
            };
            let (sharpness, _) = reference_mlp::top_eigenpair(w.len(), 60, update);
            close(&format!("{name}: the gauge"), &[row.gauge], &[0.25 * sharpness], 1e-4);
        }
        trained.push((name, tables(&found).into_iter().next().unwrap()));
    }
    // Whatever is measured, the same steps are made.
    for (name, metrics) in &trained {
        assert!(*metrics == trained[0].1, "{name} changes the run it watches");
    }
}

#[test]
fn the_minibatchs_own_sharpness_is_logged_whatever_is_measured_on() {
    let folder = tempfile::tempdir().unwrap();
    let (data, mut batches) = (mnist(EXAMPLES), Batches::new(EXAMPLES, BATCH, SEED).unwrap());
    let mut w = DVector::from_vec(widen(&some_params(&mlp(), 1)));
    let mut expected = vec![];
    for step in 0..=4 {
        let batch = on(&data.select(&batches.indices(step)).unwrap());
        let here = batch.at(w.as_slice());
        let g = &here.gradient;
        expected.push([g.dot(&here.hvp(g.as_slice())) / g.norm_squared(), g.norm()]);
        w = sam_step(&batch, &w, Rule::sam(0.5, 0.1));
    }
    for on in ["fixed", "train", "batch"] {
        let set = format!("measure.on={on}");
        let examples = if on == "fixed" { "measure.examples=50" } else { "measure.examples=0" };
        let found = run(folder.path(), on, &["steps=4", "measure.every=2", &set, examples]);
        let rows = read_curvature(&found.curvature()).unwrap();
        assert_eq!(rows.len(), 3);
        for row in rows {
            let batch = row.batch.unwrap();
            let found = [batch.sharpness, batch.grad_norm];
            close(&format!("on {on}, step {}", row.step), &found, &expected[row.step as usize], 1e-4);
        }
    }
    assert!(
        read_curvature(&run(folder.path(), "whole", &["batch=0", "steps=1"]).curvature()).unwrap()[0].batch.is_none()
    );
}

#[test]
fn the_mean_batch_sharpness_is_over_fresh_minibatches_and_changes_no_step() {
    let folder = tempfile::tempdir().unwrap();
    let found = |batches: &str| run(folder.path(), batches, &["steps=4", "measure.every=2", batches]);
    let [none, some] = [found("measure.batches=0"), found("measure.batches=6")];
    let metrics = |run: &RunDir| tables(run).into_iter().next().unwrap();
    assert!(metrics(&none) == metrics(&some), "fresh minibatches change the run");
    assert!(read_curvature(&none.curvature()).unwrap().iter().all(|row| row.batch.unwrap().fresh.is_none()));
    let rows = read_curvature(&some.curvature()).unwrap();
    let (data, batches) = (mnist(EXAMPLES), Batches::new(EXAMPLES, BATCH, SEED).unwrap());
    let w = widen(&some_params(&mlp(), 1));
    let fresh = rows[0].batch.unwrap().fresh.unwrap();
    let sharpness = |number: u64| {
        let examples = batches.fresh(0, number);
        let distinct: std::collections::BTreeSet<usize> = examples.iter().copied().collect();
        assert_eq!((examples.len(), distinct.len()), (BATCH, BATCH), "an example twice");
        let net = on(&data.select(&examples).unwrap());
        let here = net.at(&w);
        here.gradient.dot(&here.hvp(here.gradient.as_slice())) / here.gradient.norm_squared()
    };
    let all: Vec<f64> = (0..fresh.batches).map(sharpness).collect();
    let count = all.len() as f64;
    let mean = all.iter().sum::<f64>() / count;
    let variance = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0);
    close("mean and error", &[fresh.mean, fresh.error], &[mean, (variance / count).sqrt()], 1e-4);
    assert!((4..=6).contains(&fresh.batches) && (fresh.batches == 6 || fresh.error <= 0.02 * fresh.mean.abs()));
    assert_ne!(batches.fresh(0, 1), batches.fresh(1, 1), "other steps draw others");
}

#[test]
fn full_batch_runs_measure_on_part_of_the_data_or_on_what_they_train_on() {
    let folder = tempfile::tempdir().unwrap();
    let with = |name: &str, sets: &[&str]| {
        let found = run(folder.path(), name, &[&["batch=0", "steps=10"], sets].concat());
        let mut rows = read_curvature(&found.curvature()).unwrap();
        rows.iter_mut().for_each(|row| (row.secs, row.solve_secs) = (0.0, None));
        rows
    };
    let data = mnist(EXAMPLES);
    let part = with("part", &["measure.on=fixed", "measure.examples=50"]);
    let first = data.select(&(0..50).collect::<Vec<_>>()).unwrap();
    measured_on(&part[0], [&first; 2], &widen(&some_params(&mlp(), 1)), "part");
    let train = with("train", &["measure.on=train"]);
    measured_on(&train[0], [&data; 2], &widen(&some_params(&mlp(), 1)), "train");
    for (name, on, examples) in [("batch", MeasureOn::Batch, 0), ("fixed", MeasureOn::Fixed, 1000)] {
        let rows = with(name, &[&format!("measure.on={name}"), &format!("measure.examples={examples}")]);
        let set = MeasuringSet { on, examples: EXAMPLES };
        let renamed: Vec<_> = train.iter().map(|row| CurvatureRow { measured: Some(set), ..row.clone() }).collect();
        assert_eq!(rows, renamed);
    }
}

#[test]
fn the_state_says_where_in_the_data_the_run_stands() {
    let folder = tempfile::tempdir().unwrap();
    let state = |run: &RunDir| -> BTreeMap<String, u64> {
        let bytes = fs::read(run.checkpoint(STEPS).join("state.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let value = |data: &[u8]| u64::from_le_bytes(data.try_into().unwrap());
        let places = file.iter().filter(|(name, _)| *name == "step" || name.starts_with("data."));
        places.map(|(name, tensor)| (name.to_owned(), value(tensor.data()))).collect()
    };
    // 20 batches of 64 are 1,280 examples: four times 300, and 80.
    let minibatches = state(&run(folder.path(), "minibatches", &["measure.every=0"]));
    let expected = [("step", 20), ("data.epoch", 4), ("data.position", 80)];
    assert_eq!(minibatches, expected.map(|(name, value)| (name.to_owned(), value)).into());
    let full = state(&run(folder.path(), "full", &["batch=0", "measure.every=0"]));
    assert_eq!(full, [("step".to_owned(), 20)].into());
}

#[test]
fn a_batch_larger_than_the_training_set_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let error = train(None, &out, &["train=100", "test=0", "batch=101"], None).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("optim.batch = 101") && text.contains("100 training examples"), "{text}");
    assert_eq!(Error::from(error).exit_code(), 2);
    assert!(!out.exists());
}
