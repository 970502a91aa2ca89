//! Whole runs through the front door: what they compute, that they repeat bit for bit, and what they leave on disk.
//!
//! The judge of the numbers is the float64 network of `reference_mlp`, which trains from the same parameters and
//! measures with its own eigensolver. Near the edge of stability rounding grows from step to step, so that f32 and f64
//! part after some tens of steps however good both are; until then they must agree.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use edgewalk::config::resolve;
use edgewalk::folder::RunDir;
use edgewalk::folder::rows::CurvatureRow;
use edgewalk::folder::tables::{read_curvature, read_metrics};
use edgewalk::model::{Activation, Layout, Loss, Mlp, Reduction};
use edgewalk::optim::Rule;
use edgewalk::results::summary;
use edgewalk::run::{self, Divergence, RunError, TrainRequest};
use nalgebra::DVector;
use safetensors::tensor::{Dtype, TensorView, serialize};

use super::objective_cases::{mnist, reference, sam_step, some_params, widen};
use super::reference_mlp;

/// Trains with the quickstart's settings under `sets`, on the tests' adapter.
pub fn train(target: Option<&str>, out: &Path, sets: &[&str], init: Option<&Path>) -> Result<RunDir, RunError> {
    train_on(super::device::adapter(), target, out, sets, init)
}

/// The same on this adapter.
pub fn train_on(
    adapter: Option<String>,
    target: Option<&str>,
    out: &Path,
    sets: &[&str],
    init: Option<&Path>,
) -> Result<RunDir, RunError> {
    // The default rules alone: no kernels that the user's runs have timed.
    let sets: Vec<String> = ["run.tune=0"].iter().chain(sets).map(|&set| set.into()).collect();
    let mut resolved = resolve(target, &sets)?;
    resolved.config.run.init = init.map(Path::to_path_buf);
    run::train(
        &TrainRequest {
            config: resolved.config,
            name: resolved.name,
            command_line: vec!["edgewalk".into(), "train".into()],
            out: Some(out.into()),
            adapter,
        },
        &(),
    )
}

/// Writes a safetensors file with these parameters, in an order of its own.
pub fn write_init(path: &Path, layout: &Layout, params: &[f32]) {
    let tensors: HashMap<String, (Vec<usize>, Vec<u8>)> = layout
        .iter()
        .map(|(param, offset)| {
            let values = &params[offset..][..param.shape.iter().product()];
            let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            (param.name.clone(), (param.shape.clone(), bytes))
        })
        .collect();
    let views = tensors
        .iter()
        .map(|(name, (shape, bytes))| (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    fs::write(path, serialize(views, None).unwrap()).unwrap();
}

/// Trains on the adapter and in float64 from the same parameters: until step `exact` everything must agree to 1 %,
/// after it the medians of loss and edge ratio to 10 %.
fn follow(activation: Activation, rule: Rule, exact: u64, steps: u64) {
    const EVERY: u64 = 10;
    let mlp = Mlp { inputs: 784, width: 32, depth: 4, outputs: 10, activation };
    let folder = tempfile::tempdir().unwrap();
    let init = folder.path().join("init.safetensors");
    let params = some_params(&mlp, 1);
    write_init(&init, &Layout::of(&mlp).unwrap(), &params);
    let sets = [
        format!("lr={}", rule.lr),
        format!("rho={}", rule.rho),
        format!("steps={steps}"),
        format!("activation={activation:?}").to_lowercase(),
    ];
    let mut sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    sets.extend(["width=32", "test=0", "measure.top=2", "measure.every=10", "epsilon=1e-5"]);
    let run = train(None, &folder.path().join("run"), &sets, Some(&init)).unwrap();
    let metrics = read_metrics(&run.metrics()).unwrap();
    let curvature = read_curvature(&run.curvature()).unwrap();
    assert_eq!(metrics.iter().map(|row| row.step).collect::<Vec<_>>(), (0..=steps).collect::<Vec<_>>());

    let reference = reference(&mlp, Loss::Mse(Reduction::Mean), &mnist(1000));
    let mut w = DVector::from_vec(widen(&params));
    let (mut measured, mut worst) = (curvature.iter(), 0.0_f64);
    let (mut losses, mut ratios) = (vec![], vec![]);
    for row in &metrics {
        let mut close = |what: &str, found: f64, expected: f64, scale: f64| {
            let error = (found - expected).abs() / scale;
            if row.step <= exact {
                worst = worst.max(error);
                assert!(error <= 0.01, "step {}: {what} is {found}, not {expected}", row.step);
            } else {
                println!("rho {} step {} {what}: {found:.6} {expected:.6} {error:.2e}", rule.rho, row.step);
            }
        };
        let (loss, grad_norm);
        if row.step.is_multiple_of(EVERY) {
            let found = measured.next().unwrap();
            let expected = reference_mlp::train(&reference, &mut w, rule.lr, rule.rho, 1).remove(0);
            assert_eq!(found.step, row.step);
            close("measured loss", found.loss, expected.loss, expected.loss);
            close("‖H‖", found.hessian_norm, expected.hessian_norm, expected.hessian_norm);
            close("λ₁", found.lambdas[0], expected.lambda, expected.hessian_norm);
            close("SAM-edge", found.sam_edge, expected.sam_edge, expected.sam_edge);
            close("alignment", found.grad_alignment, expected.grad_alignment, 1.0);
            close("SAM alignment", found.sam_grad_alignment, expected.sam_grad_alignment, 1.0);
            ratios.push((row.step, found.edge_ratio, expected.hessian_norm / expected.sam_edge));
            (loss, grad_norm) = (expected.loss, expected.grad_norm);
        } else {
            let here = reference.at(w.as_slice());
            (loss, grad_norm) = (here.loss, here.gradient.norm());
            w = sam_step(&reference, &w, rule);
        }
        close("loss", row.loss, loss, loss);
        close("gradient norm", row.grad_norm, grad_norm, grad_norm);
        losses.push((row.step, row.loss, loss));
    }
    assert!(measured.next().is_none());
    println!("rho {}: off by at most {worst:.1e} until step {exact}", rule.rho);
    for (what, rows) in [("loss", losses), ("edge ratio", ratios)] {
        let late = || rows.iter().filter(|(step, ..)| *step > exact);
        let median = |values: Vec<f64>| summary::Spread::of(values).unwrap().median;
        let (found, expected) = (median(late().map(|row| row.1).collect()), median(late().map(|row| row.2).collect()));
        println!("rho {}: median {what} after step {exact}: {found:.4}, reference {expected:.4}", rule.rho);
        assert!((found / expected - 1.0).abs() <= 0.1, "median {what}: {found}, not {expected}");
    }
    let last = curvature.last().unwrap();
    assert!(last.edge_ratio > 0.8, "the comparison must include the way to the edge: {}", last.edge_ratio);
}

#[test]
fn a_sam_run_follows_the_reference() {
    follow(Activation::Tanh, Rule::sam(0.5, 0.1), 90, 100);
    // Among millions of arguments of relu some lie so near to 0 that rounding decides their sign: on SwiftShader the gradient
    // of step 70 differs in its fifth digit, at once, and the edge makes that 1 % within ten steps.
    follow(Activation::Relu, Rule::sam(0.5, 0.1), 60, 100);
}

#[test]
fn a_gradient_descent_run_follows_the_reference() {
    follow(Activation::Relu, Rule::gd(2.0), 40, 100);
}

/// A table without its times, the only columns that differ between two runs.
fn without_times(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let header: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let kept = |line: &str| {
        let cells = line.split(',').zip(&header).filter(|(_, name)| !["secs", "solve_secs"].contains(name));
        cells.map(|(cell, _)| cell).collect::<Vec<_>>().join(",")
    };
    text.lines().map(|line| kept(line) + "\n").collect()
}

/// Both tables, without their times.
pub fn tables(run: &RunDir) -> [String; 2] {
    [run.metrics(), run.curvature()].map(|path| without_times(&path))
}

const SMALL: [&str; 6] = ["width=16", "train=300", "test=50", "steps=25", "measure.every=10", "seed=5"];

#[test]
fn a_run_repeats_bit_for_bit_and_its_folder_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let first = train(None, &at("first"), &SMALL, None).unwrap();
    let second = train(None, &at("second"), &SMALL, None).unwrap();
    assert!(tables(&first) == tables(&second), "two runs with one seed differ");
    let again = train(first.config().to_str(), &at("again"), &[], None).unwrap();
    assert!(tables(&first) == tables(&again), "config.toml does not repeat its run");
    assert_eq!(fs::read(first.config()).unwrap(), fs::read(again.config()).unwrap());
    let other = train(None, &at("other"), &[&SMALL[..], &["seed=6"]].concat(), None).unwrap();
    assert!(tables(&first) != tables(&other), "the seed has no effect");

    // Logging and measuring watch the run without touching it.
    let quiet = [&SMALL[..], &["log_every=7", "measure.every=0"]].concat();
    let quiet = train(None, &at("quiet"), &quiet, None).unwrap();
    let (all, some) = (read_metrics(&first.metrics()).unwrap(), read_metrics(&quiet.metrics()).unwrap());
    assert_eq!(some.iter().map(|row| row.step).collect::<Vec<_>>(), [0, 7, 14, 21, 25]);
    for row in &some {
        let same = &all[row.step as usize];
        assert_eq!((row.loss, row.error, row.grad_norm), (same.loss, same.error, same.grad_norm), "step {}", row.step);
    }

    check_folder(&first);

    // The last checkpoint continues where the run stopped.
    let checkpoint = first.checkpoint(25).join("params.safetensors");
    let resumed = train(None, &at("resumed"), &[&SMALL[..], &["steps=1"]].concat(), Some(&checkpoint)).unwrap();
    let row = &read_metrics(&resumed.metrics()).unwrap()[0];
    assert_eq!((row.loss, row.error, row.grad_norm), (all[25].loss, all[25].error, all[25].grad_norm));
}

/// The files and columns that others rely on.
fn check_folder(run: &RunDir) {
    let header = |path: PathBuf| fs::read_to_string(path).unwrap().lines().next().unwrap().to_owned();
    assert!(header(run.metrics()).starts_with("step,secs,loss,error,grad_norm"));
    let columns = "step,secs,loss,grad_norm,lambda_1,lambda_2,lambda_3,residual_1,residual_2,residual_3,lambda_min,\
                   hessian_norm,gd_edge,sam_edge,edge_ratio,gauge,grad_alignment,sam_grad_alignment,hvps,\
                   measured_on,examples,measured_at,error_1,error_2,error_3,lambda_max,lambda_max_error,\
                   lambda_min_error,grad_subspace,sam_grad_subspace,solve_secs,converged_1,converged_2,converged_3,\
                   update_sharpness,update_error,follows_1,follows_2,follows_3";
    assert_eq!(header(run.curvature()), columns);
    for name in ["edges", "edges_sam_only", "alignment", "loss"] {
        let svg = fs::read_to_string(run.plots().join(format!("{name}.svg"))).unwrap();
        assert!(svg.contains("<svg"), "{name}");
    }
    for name in ["params.safetensors", "state.safetensors", "DONE"] {
        assert!(run.checkpoint(25).join(name).is_file(), "{name}");
    }
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(run.manifest()).unwrap()).unwrap();
    let keys = ["version", "commit", "command", "seed", "adapter", "driver", "limits", "kernel_choices", "wall_secs"];
    keys.iter().for_each(|key| assert!(manifest.get(key).is_some(), "{key}"));
    assert_eq!(
        (&manifest["ended"], &manifest["steps_done"], &manifest["seed"]),
        (&"done".into(), &25.into(), &5.into())
    );

    let metrics = read_metrics(&run.metrics()).unwrap();
    assert_eq!(metrics.len(), 26);
    for pair in metrics.windows(2) {
        assert!(pair[0].step + 1 == pair[1].step && pair[0].secs <= pair[1].secs);
    }
    let curvature = read_curvature(&run.curvature()).unwrap();
    assert_eq!(curvature.iter().map(|row| row.step).collect::<Vec<_>>(), [0, 10, 20, 25]);
    for row in &curvature {
        let CurvatureRow { lambdas, hessian_norm, gd_edge, sam_edge, edge_ratio, .. } = row;
        assert!(lambdas.windows(2).all(|pair| pair[0].abs() >= pair[1].abs()) && *hessian_norm == lambdas[0].abs());
        assert!(*gd_edge == 4.0 && sam_edge < gd_edge && *edge_ratio == hessian_norm / sam_edge);
        let logged = &metrics[row.step as usize];
        assert!((row.loss - logged.loss).abs() <= 1e-6 * logged.loss);
        assert!((row.grad_norm - logged.grad_norm).abs() <= 1e-6 * logged.grad_norm);
        assert!(logged.test_loss.is_some() && logged.test_error.is_some());
    }
}

#[test]
fn a_diverging_run_stops_and_keeps_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    for (name, every) in [("unmeasured", "measure.every=0"), ("measured", "measure.every=1")] {
        let out = folder.path().join(name);
        let sets = [&SMALL[..], &["lr=1e6", "steps=200", every]].concat();
        let error = train(None, &out, &sets, None).expect_err("a rate of a million diverges");
        let RunError::Diverged(Divergence { step, .. }) = error else { panic!("{error}") };
        assert!(error.to_string().contains(&format!("step {step}")), "{error}");
        assert!(step > 0 && step < 200, "{step}");

        let run = RunDir::open(&out).unwrap();
        let metrics = read_metrics(&run.metrics()).unwrap();
        assert_eq!(metrics.iter().map(|row| row.step).collect::<Vec<_>>(), (0..step).collect::<Vec<_>>());
        assert!(metrics.iter().all(|row| row.loss.is_finite() && row.grad_norm.is_finite()));
        let curvature = read_curvature(&run.curvature()).unwrap();
        assert!(curvature.iter().all(|row| row.hessian_norm.is_finite() && row.step < step));
        let manifest: serde_json::Value = serde_json::from_slice(&fs::read(run.manifest()).unwrap()).unwrap();
        assert_eq!(manifest["ended"], format!("diverged at step {step}"));
        assert!(run.plots().join("loss.svg").is_file());
    }
}

#[test]
fn sam_walks_to_its_edge() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let run =
        train(None, &out, &["width=32", "steps=160", "test=0", "measure.top=1", "measure.tol=1e-2"], None).unwrap();
    let rows = read_curvature(&run.curvature()).unwrap();
    let edge = summary::EdgeSummary::of(&rows, &Rule::sam(1.0, 1.0)).unwrap();
    println!("{edge:?}");
    assert!(rows[0].edge_ratio < 0.8, "a run that starts at the edge shows nothing: {}", rows[0].edge_ratio);
    assert!((0.85..1.15).contains(&edge.ratio.unwrap().median), "{edge:?}");
}
