//! A run that diverges: at which step that is noticed, what is kept, and what is said.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use edgewalk::data::{self, DataName, Request};
use edgewalk::folder::manifest::Ended;
use edgewalk::folder::tables::{read_curvature, read_metrics};
use edgewalk::folder::{RunDir, checkpoint};
use edgewalk::model::{Activation, Layout, Mlp, params_from_safetensors, params_to_safetensors};
use tempfile::tempdir;

use super::cli::{edgewalk, refuses, succeeds, text};

const TINY: [&str; 7] = ["width=4", "depth=2", "data.train=20", "data.test=0", "steps=50", "measure.every=0", "rho=0"];

fn train(folder: &Path, out: &str, sets: &[&str]) -> Command {
    let mut command = edgewalk(folder, &["train", "--out", out]);
    for set in TINY.iter().chain(sets) {
        command.args(["--set", set]);
    }
    command
}

/// Trains as asked, which must diverge. Returns the run, the step, and what was said.
fn diverges(folder: &Path, out: &str, sets: &[&str]) -> (RunDir, u64, String) {
    let Output { status, stderr, stdout } = train(folder, out, sets).output().unwrap();
    let (stdout, stderr) = (text(&stdout), text(&stderr));
    assert_eq!(status.code(), Some(1), "{sets:?}: {stderr}");
    let run = RunDir::open(&folder.join(out)).unwrap();
    let manifest = run.read_manifest().unwrap();
    let Ended::Diverged { step } = manifest.ended else { panic!("{sets:?}: {}, {stderr}", manifest.ended) };
    assert!(stderr.contains(&format!("diverged at step {step}: ")), "{sets:?}: {stderr}");
    assert_eq!(manifest.steps_done, step);
    assert!(!stdout.contains("NaN") && !stdout.contains("inf"), "{stdout}");
    (run, step, stderr)
}

/// The steps of the checkpoints, whose weights must be finite.
fn checkpoints(run: &RunDir) -> Vec<u64> {
    let mlp = Mlp { inputs: 784, width: 4, depth: 2, outputs: 10, activation: Activation::Relu };
    let step = |path: &std::path::PathBuf| {
        let bytes = fs::read(path.join(checkpoint::PARAMS)).unwrap();
        let params: Vec<f32> = params_from_safetensors(&Layout::of(&mlp).unwrap(), &bytes).unwrap();
        assert!(params.iter().all(|x| x.is_finite()), "{}", path.display());
        checkpoint::step_of(path).unwrap()
    };
    checkpoint::all(run).iter().map(step).collect()
}

#[test]
fn divergence_is_noticed_at_its_step_and_good_checkpoints_stay() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    let rules: [&[&str]; 7] = [
        &["lr=4"],
        &["lr=4", "rho=0.1"],
        &["lr=6", "momentum=0.9"],
        &["lr=4", "batch=5"],
        &["lr=4", "rho=0.1", "micro_batch=7"],
        &["lr=4", "optim.kind=usam", "rho=0.1", "ascent_steps=2"],
        &["lr=6", "rho=0.1", "sam_until=3"],
    ];
    for (i, rule) in rules.into_iter().enumerate() {
        let (logged, expected, _) = diverges(here, &format!("logged{i}"), &[rule, &["checkpoint_every=1"]].concat());
        assert!(expected > 2, "{rule:?} diverges at once");
        assert_eq!(checkpoints(&logged), [expected - 1, expected - 2], "{rule:?}");
        assert_eq!(read_metrics(&logged.metrics()).unwrap().len() as u64, expected);
        for (name, more) in [
            ("five", &["log_every=5", "checkpoint_every=1"][..]),
            ("never", &["log_every=1000", "checkpoint_every=1"]),
            // The run is over before the step that would show it.
            ("last", &["log_every=5", "checkpoint_every=1", &format!("steps={expected}")]),
        ] {
            let (run, step, _) = diverges(here, &format!("{name}{i}"), &[rule, more].concat());
            assert_eq!(step, expected, "{rule:?} {more:?}");
            assert_eq!(checkpoints(&run), [expected - 1, expected - 2], "{rule:?} {more:?}");
            let rows = read_metrics(&run.metrics()).unwrap();
            assert!(rows.iter().all(|row| row.step < step && row.loss.is_finite()));
        }
        // With no checkpoint before it there is none after it.
        let (run, step, _) = diverges(here, &format!("none{i}"), &[rule, &["checkpoint_every=0"]].concat());
        assert_eq!((step, checkpoints(&run)), (expected, vec![]), "{rule:?}");
    }
}

#[test]
fn a_perturbed_gradient_that_is_not_finite_is_divergence_at_that_step() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    for (name, more) in
        [("logged", &["log_every=1"][..]), ("not", &["log_every=9"]), ("measured", &["measure.every=1"])]
    {
        let sets = [&["rho=1e30", "sam_from=4", "checkpoint_every=1", "lr=0.01"][..], more].concat();
        let (run, step, said) = diverges(here, name, &sets);
        assert_eq!(step, 4, "{said}");
        assert!(said.contains("the perturbed gradient is not finite; lower lr or rho"), "{said}");
        // The fourth step begins at good weights.
        assert_eq!(checkpoints(&run), [3, 2]);
        if name == "measured" {
            let steps: Vec<u64> = read_curvature(&run.curvature()).unwrap().iter().map(|row| row.step).collect();
            assert_eq!(steps, [0, 1, 2, 3]);
        }
    }
}

#[test]
fn the_setting_that_is_out_of_scale_is_named() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    let sam = ["rho=0.05", "lr=0.1"];
    for (name, sets, advice) in [
        ("eta", &["optim.kind=asam", "asam_eta=1e25"][..], "lower asam_eta, rho or lr"),
        ("decay", &["weight_decay=1e6"], "lower weight_decay or lr"),
        ("momentum", &["weight_decay=50", "momentum=0.9"], "lower weight_decay or lr"),
        ("plain", &["optim.kind=gd", "lr=1e6"], "lower lr\n"),
        ("sam", &["lr=1e6"], "lower lr or rho\n"),
        ("asam", &["optim.kind=asam", "lr=1e6"], "lower lr or rho\n"),
    ] {
        let (_, _, said) = diverges(here, name, &[&sam[..], sets, &["steps=200"]].concat());
        assert!(said.contains(advice), "{name}: {said}");
        let resumed = succeeds(edgewalk(here, &["resume", name]));
        assert!(resumed.contains(&format!("begin a new run, and {}", advice.trim_end())), "{resumed}");
    }
}

/// Weights whose outputs are the mean of the labels whatever the image: a stationary point, to the last bit.
fn stationary(here: &Path, examples: usize) -> String {
    let mlp = Mlp { inputs: 784, width: 4, depth: 2, outputs: 10, activation: Activation::Relu };
    let layout = Layout::of(&mlp).unwrap();
    let data = data::load(&Request { train: examples, ..Request::new(DataName::Embedded) }).unwrap();
    let labels = data.train.labels();
    let mut params = vec![0.0_f32; layout.len()];
    let (_, bias) = layout.iter().last().unwrap();
    labels.iter().for_each(|&label| params[bias + label as usize] += 1.0 / examples as f32);
    fs::write(here.join("stationary.safetensors"), params_to_safetensors(&layout, &params).unwrap()).unwrap();
    "run.init=stationary.safetensors".into()
}

#[test]
fn a_zero_gradient_without_epsilon_is_named() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    // A power of two: the mean of so many labels is exact, and so are the terms of its gradient.
    let init = stationary(here, 16);
    let sets = ["data.train=16", "reduction=half-sum", "rho=0.1", "epsilon=0", &init, "log_every=7"];
    let (_, step, said) = diverges(here, "zero", &sets);
    assert_eq!(step, 0);
    assert!(
        said.contains("optim.epsilon = 0 divides by the norm of the gradient") && !said.contains("lower lr"),
        "{said}"
    );
}

#[test]
fn at_a_stationary_point_epsilon_decides() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    let init = stationary(here, 16);
    let sets = ["data.train=16", "reduction=half-sum", "lr=0.5", "rho=0.1", &init, "measure.every=1", "steps=2"];
    succeeds(train(here, "run", &sets));
    // Next to it an update follows g + (ρ/ε)Hg, so its gauge is (η/2)(λ + ρλ²/ε).
    for row in read_curvature(&here.join("run/curvature.csv")).unwrap() {
        let lambda = row.lambdas[0];
        let expected = 0.25 * (lambda + 0.1 * lambda * lambda / 1e-5);
        assert!(row.grad_norm == 0.0 && lambda > 0.0);
        assert!((row.gauge / expected - 1.0).abs() < 1e-12, "{} {expected}", row.gauge);
    }
    let text = fs::read_to_string(here.join("run/curvature.csv")).unwrap();
    assert!(!text.contains("inf") && !text.contains("NaN"), "{text}");
    let analysis = succeeds(edgewalk(here, &["curvature", "run"]));
    assert!(
        analysis.contains("gauge of the update") && !analysis.contains("inf") && !analysis.contains("NaN"),
        "{analysis}"
    );
}

#[test]
fn the_row_of_a_diverged_step_is_not_there_to_be_judged() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    for (name, more) in [("batch", "batch=5"), ("full", "batch=0"), ("fixed", "measure.on=fixed")] {
        let (run, step, _) = diverges(here, name, &["lr=1e5", "measure.every=1", more]);
        let rows = read_curvature(&run.curvature()).unwrap();
        assert!(!rows.is_empty() && rows.iter().all(|row| row.step < step), "{name}");
        for table in [run.metrics(), run.curvature()] {
            let text = fs::read_to_string(table).unwrap();
            assert!(!text.contains("inf") && !text.contains("NaN"), "{text}");
        }
    }
}

#[test]
fn weights_that_are_not_finite_are_refused() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    let mlp = Mlp { inputs: 784, width: 4, depth: 2, outputs: 10, activation: Activation::Relu };
    let layout = Layout::of(&mlp).unwrap();
    for bad in [f32::NAN, f32::INFINITY] {
        let mut params = vec![0.5_f32; layout.len()];
        *params.last_mut().unwrap() = bad;
        fs::write(here.join("bad.safetensors"), params_to_safetensors(&layout, &params).unwrap()).unwrap();
        fs::write(here.join("tiny.toml"), "[model]\nwidth = 4\ndepth = 2\n[data]\ntrain = 20\n").unwrap();
        let parts = ["bad.safetensors: tensor `", "parameters must be finite"];
        refuses(edgewalk(here, &["curvature", "bad.safetensors", "--config", "tiny.toml"]), 1, &parts);
        refuses(train(here, "run", &["run.init=bad.safetensors"]), 1, &parts);
    }
    // Finite weights whose loss is not.
    fs::write(here.join("big.safetensors"), params_to_safetensors(&layout, &vec![1e30; layout.len()]).unwrap())
        .unwrap();
    let parts = ["the loss is not finite at the parameters big.safetensors; take the parameters of an earlier step"];
    refuses(edgewalk(here, &["curvature", "big.safetensors", "--config", "tiny.toml"]), 1, &parts);
}
