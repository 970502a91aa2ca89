//! Numbers and signs as targets: against an independent network, on the devices of the tests and natively, and through
//! the program.

use std::fs;
use std::sync::Arc;

use edgewalk::adapter::Precision;
use edgewalk::data::{Examples, Features, Targets};
use edgewalk::device::{Device, DeviceError};
use edgewalk::folder::tables::{read_curvature, read_metrics};
use edgewalk::model::{Activation, Loss, Mlp, Reduction};
use edgewalk::objective::Objective;
use nalgebra::DMatrix;

use super::device::the_device;
use super::objective_cases::{close, direction, some_params, widen};
use super::program::{edgewalk, refuses, succeeds};
use super::reference_mlp::{self, pseudo_normal};

const EXAMPLES: usize = 30;

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    pseudo_normal(count, seed).iter().map(|&x| x as f32).collect()
}

fn examples(targets: Targets) -> Examples {
    Examples::with_targets(Features::Real(numbers(4 * EXAMPLES, 1)), [4], targets).unwrap()
}

fn mlp(outputs: usize) -> Mlp {
    Mlp { inputs: 4, width: 6, depth: 3, outputs, activation: Activation::Tanh }
}

/// Loss, error, gradient and H·v against the independent network.
fn check(gpu: &Device, targets: Targets, reduction: Reduction, tolerance: f64) {
    let (outputs, values) = match &targets {
        Targets::Signs(values) => (1, widen(values)),
        Targets::Numbers { values, width } => (*width, widen(values)),
        Targets::Classes { .. } => panic!("classes have tests of their own"),
    };
    let is_signs = matches!(targets, Targets::Signs(_));
    let (data, mlp) = (examples(targets), mlp(outputs));
    let w = some_params(&mlp, 3);
    let x = numbers(4 * EXAMPLES, 1);
    let reference = reference_mlp::Mlp {
        widths: vec![4, 6, 6, outputs],
        activation: reference_mlp::Activation::Tanh,
        loss: match reduction {
            Reduction::Mean => reference_mlp::Loss::MseMean,
            Reduction::HalfSum => reference_mlp::Loss::MseHalfSum,
        },
        x: DMatrix::from_row_slice(EXAMPLES, 4, &widen(&x)),
        y: DMatrix::from_row_slice(EXAMPLES, outputs, &values),
    };
    let here = reference.at(&widen(&w));
    let v = direction(w.len(), 5);
    // Chunks of 7 leave a shorter last one.
    for chunk in [0, 7] {
        let mut objective = Objective::new(gpu, Arc::new(mlp.clone()), Loss::Mse(reduction), &data, chunk).unwrap();
        let [at, along, result] = ["w", "v", "result"].map(|what| objective.vector(what).unwrap());
        gpu.write(&at, &w).unwrap();
        gpu.write(&along, &v).unwrap();
        let partials = gpu.buffer("partial sums", objective.partials_len()).unwrap();
        let recording = objective.gradient(&at, &result, Some(&partials)).unwrap();
        gpu.run([&recording]).unwrap();
        let metrics = objective.metrics(&gpu.read(&partials).unwrap());
        close("loss", &[metrics.loss], &[here.loss], tolerance);
        close("gradient", &objective.read::<f64>(&result).unwrap(), here.gradient.as_slice(), 10.0 * tolerance);
        let recording = objective.hvp(&at, &along, &result).unwrap();
        gpu.run([&recording]).unwrap();
        close("H v", &objective.read::<f64>(&result).unwrap(), here.hvp(&v).as_slice(), 100.0 * tolerance);
        match is_signs {
            false => assert!(metrics.error.is_nan()),
            true => {
                let wrong = here.outputs.iter().zip(&values).filter(|(answer, sign)| **answer * **sign <= 0.0).count();
                assert!((1..EXAMPLES).contains(&wrong), "{wrong} of them tell nothing");
                close("error", &[metrics.error], &[wrong as f64 / EXAMPLES as f64], 1e-6);
            }
        }
    }
}

fn check_all(gpu: &Device, tolerance: f64) {
    let signs = |values: Vec<f32>| values.into_iter().map(f32::signum).collect();
    for reduction in [Reduction::Mean, Reduction::HalfSum] {
        for width in [1, 3] {
            let values = numbers(width * EXAMPLES, 9);
            check(gpu, Targets::Numbers { values, width }, reduction, tolerance);
        }
        check(gpu, Targets::Signs(signs(numbers(EXAMPLES, 10))), reduction, tolerance);
    }
}

#[test]
fn targets_agree_with_an_independent_network() {
    check_all(the_device(), 1e-6);
}

#[test]
fn targets_agree_in_float64() {
    check_all(&Device::open_with(Some("native"), Precision::F64).unwrap(), 1e-12);
}

#[test]
fn cross_entropy_has_no_meaning_for_numbers() {
    let data = examples(Targets::Numbers { values: numbers(EXAMPLES, 2), width: 1 });
    let error = Objective::new(the_device(), Arc::new(mlp(1)), Loss::CrossEntropy, &data, 0).err().unwrap();
    assert!(matches!(&error, DeviceError::Mismatch(problem) if problem.contains("needs classes")), "{error}");
    let error = Objective::new(the_device(), Arc::new(mlp(2)), Loss::Mse(Reduction::Mean), &data, 0).err().unwrap();
    assert!(error.to_string().contains("[1, 1]"), "{error}");
}

/// A table of a plane with a hollow, and labels from it.
fn table(last: impl Fn(f64, f64) -> f64) -> String {
    let rows = (0..40).map(|i| {
        let (x, y) = (f64::from(i % 8) / 4.0 - 1.0, f64::from(i / 8) / 2.0 - 1.0);
        format!("{x},{y},{}\n", last(x, y))
    });
    std::iter::once("x,y,z\n".to_owned()).chain(rows).collect()
}

#[test]
fn a_regression_is_trained_measured_resumed_and_analysed() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::write(here.join("plane.csv"), table(|x, y| 0.5 * x - y * y + 0.25)).unwrap();
    let own = "[data]\nname = \"arrays\"\npath = \"plane.csv\"\ntest = 0.25\ncentre = true\nscale = 0.5\n\
               [model]\nwidth = 8\ndepth = 3\nactivation = \"tanh\"\n[optim]\nlr = 0.05\n[run]\nsteps = 12\n\
               [measure]\nevery = 6\ntop = 2\n";
    fs::write(here.join("own.toml"), own).unwrap();
    let plan = succeeds(edgewalk(here, &["train", "own.toml", "--dry-run"]));
    assert!(plan.contains("30") && plan.contains("examples"), "{plan}");
    succeeds(edgewalk(here, &["train", "own.toml", "--out", "run"]));
    let rows = read_metrics(&here.join("run/metrics.csv")).unwrap();
    assert!(rows.iter().all(|row| row.error.is_nan() && row.loss.is_finite()));
    assert!(rows[11].loss < rows[0].loss && rows[0].test_loss.is_some() && rows[0].test_error.is_none());
    assert_eq!(read_curvature(&here.join("run/curvature.csv")).unwrap().len(), 3);
    succeeds(edgewalk(here, &["report", "run"]));
    succeeds(edgewalk(here, &["resume", "run", "--set", "steps=14"]));
    let analysis = succeeds(edgewalk(here, &["curvature", "run", "--top", "1"]));
    assert!(analysis.contains("30"), "{analysis}");
    // Without its run: the share that is held out is the same.
    let file = "run/checkpoints/step_00000012/params.safetensors";
    fs::copy(here.join(file), here.join("weights.safetensors")).unwrap();
    let outside = ["curvature", "weights.safetensors", "--top", "1", "--config", "own.toml", "--out", "elsewhere"];
    succeeds(edgewalk(here, &outside));
    let swept = ["sweep", "own.toml", "--set", "lr=0.1,0.2", "--set", "steps=4", "--out", "sweep"];
    succeeds(edgewalk(here, &swept));
    // Another table is not the data of the run.
    fs::write(here.join("plane.csv"), table(|x, y| 0.5 * x - y + 0.25)).unwrap();
    refuses(edgewalk(here, &["curvature", "run"]), 2, &["arrays", "SHA-256"]);
}

#[test]
fn signs_are_trained_and_settings_without_meaning_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::write(here.join("half.csv"), table(|x, y| if x > y { 1.0 } else { -1.0 })).unwrap();
    fs::write(here.join("plane.csv"), table(|x, y| x - y + 0.125)).unwrap();
    let train = |path: &str, sets: &[&str]| {
        let path = format!("path={path}");
        let mut command = edgewalk(here, &["train", "--out", "run", "--set", "name=arrays", "--set", &path]);
        command.args(["--set", "width=4", "--set", "steps=3", "--set", "measure.every=0"]);
        command.args(sets.iter().flat_map(|set| ["--set", set]));
        command
    };
    for (path, sets, code, words) in [
        ("half.csv", &[][..], 1, "\"signs\""),
        ("half.csv", &["targets=signs", "loss.kind=cross-entropy"], 2, "cross-entropy"),
        ("plane.csv", &["loss.kind=cross-entropy"], 2, "needs classes"),
        ("plane.csv", &["until=error < 0.1"], 2, "run.until"),
        ("plane.csv", &["classes=[1, 2]"], 1, "data.classes"),
        ("plane.csv", &["data.test=10"], 1, "data.test"),
        ("plane.csv", &["model.kind=cnn"], 2, "model.kind"),
        ("plane.csv", &["model.kind=transformer"], 1, "tokens"),
        ("nowhere.csv", &[], 1, "nowhere.csv"),
    ] {
        println!("{path} {sets:?}");
        refuses(train(path, sets), code, &[words]);
    }
    refuses(edgewalk(here, &["train", "--set", "scale=255"]), 2, &["data.scale", "arrays"]);
    refuses(edgewalk(here, &["train", "--set", "data.test=0.5"]), 2, &["data.test", "arrays"]);
    refuses(edgewalk(here, &["train", "--set", "classes=[3]"]), 2, &["two classes"]);
    refuses(edgewalk(here, &["train", "--set", "classes=[3, 3]"]), 2, &["different"]);
    succeeds(train("half.csv", &["targets=signs", "data.test=0.5"]));
    let rows = read_metrics(&here.join("run/metrics.csv")).unwrap();
    assert!(rows.iter().all(|row| (0.0..=1.0).contains(&row.error)));
    let two = ["train", "--out", "two", "--set", "classes=[3, 5]", "--set", "train=40", "--set", "data.test=10"];
    succeeds(edgewalk(here, &[&two[..], &["--set", "targets=signs", "--set", "steps=2", "--set", "width=4"]].concat()));
}
