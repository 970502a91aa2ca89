//! Losses beside the two of the paper: binary cross-entropy, label smoothing, labels that do not count, and networks that
//! compute their own. The judges are `torch.nn.functional` in float64 (`scripts/pytorch_reference.py`), differences of
//! values, closed forms, and the same examples without those that do not count.

use std::path::Path;
use std::sync::Arc;

use edgewalk::autodiff::grad;
use edgewalk::data::{Examples, Features, IGNORED, Targets};
use edgewalk::graph::{DType, Graph, Tensor, eval};
use edgewalk::model::{Activation, Loss, Mlp, wrong_probabilities};
use edgewalk::objective::Objective;

use super::device::{native, the_device};
use super::objective_cases::{OnDevice, Product, close, direction, some_params};
use super::oracle::Numbers;
use super::program::{edgewalk, refuses, succeeds};
use super::reference_mlp::pseudo_normal;
use super::weights::{check_values, expected, fixture};

/// Each loss of the file: its network, its examples and its settings.
const OF_PYTORCH: [(&str, &str, &str, &[&str]); 7] = [
    ("smoothed", "mlp/net.onnx", "mlp/set.npz", &["loss.kind=cross-entropy", "label_smoothing=0.1"]),
    ("ignored", "mlp/net.onnx", "mlp/set.npz", &["loss.kind=cross-entropy", "ignore_index=1"]),
    ("binary", "mlp/net.onnx", "losses/probabilities.npz", &["loss.kind=binary-cross-entropy"]),
    ("binary classes", "mlp/net.onnx", "mlp/set.npz", &["loss.kind=binary-cross-entropy"]),
    ("output", "losses/own.onnx", "mlp/set.npz", &["loss.kind=output"]),
    ("tokens", "gpt/net.onnx", "losses/tokens.npz", &["loss.kind=cross-entropy", "ignore_index=-100"]),
    (
        "tokens smoothed",
        "gpt/net.onnx",
        "losses/tokens.npz",
        &["loss.kind=cross-entropy", "ignore_index=-100", "label_smoothing=0.2"],
    ),
];

#[test]
fn losses_and_their_hessians_are_those_of_pytorch_whatever_the_chunks() {
    let expected = expected("losses");
    for (name, net, set, settings) in OF_PYTORCH {
        for (more, tolerance) in [
            (&["--set", "run.chunk=0"][..], 1e-4),
            (&["--set", "run.chunk=1"], 1e-4),
            (&["--set", "run.chunk=4", "--adapter", "native", "--set", "run.precision=f64"], 1e-6),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let (net, set) = (fixture(net), fixture(set));
            let arguments =
                ["curvature", net.to_str().unwrap(), "--data", set.to_str().unwrap(), "--top", "3", "--tol", "1e-6"];
            let mut command = edgewalk(folder.path(), &arguments);
            command.args(["--out", "found"]).args(more);
            settings.iter().for_each(|setting| _ = command.args(["--set", setting]));
            succeeds(command);
            check_values(folder.path(), name, &expected[name], tolerance);
        }
    }
}

/// The losses of logits against labels, and the gradient of their sum.
fn of_logits(loss: Loss, logits: &Tensor, labels: &Tensor, dtype: DType) -> [Vec<f64>; 2] {
    let mut g = Graph::new();
    let z = g.input_f32("z", &logits.shape);
    let y = g.input("y", &labels.shape, dtype);
    let losses = loss.per_label(&mut g, z, y);
    let sum = g.sum_all(losses);
    let gradient = grad(&mut g, sum, &[z])[0];
    let found = eval(&g, &[losses, gradient], &[(z, logits.clone()), (y, labels.clone())]).unwrap();
    found.into_iter().map(|it| it.data).collect::<Vec<_>>().try_into().unwrap()
}

#[test]
fn gradients_are_differences_of_values() {
    let mut numbers = Numbers::new(7);
    let logits = numbers.tensor(&[5, 4]);
    let classes = Tensor { shape: vec![5], data: vec![0.0, 3.0, 2.0, 1.0, 3.0] };
    let probabilities = Tensor { shape: vec![5, 4], data: (0..20).map(|i| f64::from(i) / 19.0).collect() };
    for (loss, labels, dtype) in [
        (Loss::Smoothed(0.1), &classes, DType::U32),
        (Loss::Smoothed(0.9), &classes, DType::U32),
        (Loss::BinaryCrossEntropy, &classes, DType::U32),
        (Loss::BinaryCrossEntropy, &probabilities, DType::F32),
    ] {
        let [_, gradient] = of_logits(loss, &logits, labels, dtype);
        let at = |place: usize, step: f64| {
            let mut moved = logits.clone();
            moved.data[place] += step;
            of_logits(loss, &moved, labels, dtype)[0].iter().sum::<f64>()
        };
        let differences: Vec<f64> = (0..20).map(|place| (at(place, 1e-4) - at(place, -1e-4)) / 2e-4).collect();
        close(&format!("{loss:?}"), &gradient, &differences, 1e-7);
    }
}

#[test]
fn smoothing_of_nothing_is_cross_entropy_and_of_all_forgets_the_label() {
    let logits = Numbers::new(8).tensor(&[3, 5]);
    let classes = |data: [f64; 3]| Tensor { shape: vec![3], data: data.to_vec() };
    let of = |loss, labels: [f64; 3]| of_logits(loss, &logits, &classes(labels), DType::U32);
    close("0", &of(Loss::Smoothed(0.0), [0.0, 1.0, 4.0])[0], &of(Loss::CrossEntropy, [0.0, 1.0, 4.0])[0], 1e-15);
    close("1", &of(Loss::Smoothed(1.0), [0.0, 1.0, 4.0])[0], &of(Loss::Smoothed(1.0), [3.0, 2.0, 0.0])[0], 1e-15);
}

#[test]
fn binary_cross_entropy_keeps_its_digits_for_large_logits() {
    // log(1 + e⁻ᶻ) of a logit on the right side is e⁻ᶻ, and on the wrong side |z|.
    let logits = [-700.0, -80.0, -30.0, 30.0, 80.0, 700.0];
    let column = |data: &[f64]| Tensor { shape: vec![data.len(), 1], data: data.to_vec() };
    for target in [0.0, 1.0] {
        let [losses, gradient] =
            of_logits(Loss::BinaryCrossEntropy, &column(&logits), &column(&[target; 6]), DType::F32);
        for (i, z) in logits.into_iter().enumerate() {
            let right = if target == 1.0 { z } else { -z };
            let (loss, slope) = if right > 0.0 { ((-right).exp(), (-right).exp()) } else { (-right, 1.0) };
            let signed = if target == 1.0 { -slope } else { slope };
            assert!((losses[i] - loss).abs() <= 1e-12 * loss, "{z} for {target}: {} not {loss}", losses[i]);
            assert!((gradient[i] - signed).abs() <= 1e-12 * slope, "{z} for {target}: {} not {signed}", gradient[i]);
        }
    }
    let mut g = Graph::new();
    let (z, t) = (g.input_f32("z", &[4, 2]), g.input_f32("t", &[4, 2]));
    let wrong = wrong_probabilities(&mut g, z, t);
    let tensor = |data: [f64; 8]| Tensor { shape: vec![4, 2], data: data.to_vec() };
    let outputs = tensor([1.0, -1.0, 1.0, 1.0, -2.0, f64::NAN, 0.0, 3.0]);
    let targets = tensor([0.9, 0.1, 0.2, 0.8, 0.6, 1.0, 1.0, 0.5]);
    assert_eq!(eval(&g, &[wrong], &[(z, outputs), (t, targets)]).unwrap()[0].data, [0.0, 0.5, 1.0, 1.0]);
}

const CLASSES: usize = 3;

/// 11 examples, of which those with the label 1 do not count, or are left out.
fn some(left_out: bool) -> Examples {
    let numbers: Vec<f32> = pseudo_normal(11 * 4, 5).iter().map(|&x| x as f32).collect();
    let rows = (0..11).filter(|i| !left_out || i % 3 != 1);
    let features = rows.clone().flat_map(|i| numbers[4 * i..4 * (i + 1)].to_vec()).collect();
    let labels = rows.map(|i| if i % 3 == 1 { IGNORED } else { (i % 3) as u32 }).collect();
    Examples::new(Features::Real(features), [4], labels, CLASSES).unwrap()
}

#[test]
fn labels_that_do_not_count_change_nothing() {
    let mlp = Mlp { inputs: 4, width: 6, depth: 3, outputs: CLASSES, activation: Activation::Gelu };
    let w = some_params(&mlp, 3);
    let v = direction(w.len(), 55);
    for (device, tolerance) in [(the_device(), 1e-5), (&native(), 1e-5)] {
        for loss in [Loss::CrossEntropy, Loss::Smoothed(0.2)] {
            let of = |data: &Examples, chunk: usize| {
                let objective = Objective::new(device, Arc::new(mlp.clone()), loss, data, chunk).unwrap();
                let mut it = OnDevice::new(objective, &w);
                let metrics = it.metrics();
                ([metrics.loss, metrics.error], it.gradient(), it.product(Product::Hessian, &v))
            };
            let expected = of(&some(true), 0);
            for chunk in [0, 1, 2, 5, 11] {
                let found = of(&some(false), chunk);
                close("metrics", &found.0, &expected.0, tolerance);
                close("gradient", &found.1, &expected.1, tolerance);
                close("H v", &found.2, &expected.2, tolerance);
            }
        }
    }
}

#[test]
fn a_minibatch_is_the_mean_over_its_own_labels_that_count() {
    let mlp = Mlp { inputs: 4, width: 6, depth: 3, outputs: CLASSES, activation: Activation::Tanh };
    let w = some_params(&mlp, 4);
    let (all, batch) = (some(false), [0, 1, 4, 5]);
    let model = || Arc::new(mlp.clone());
    let first = all.select(&[7, 8, 9, 10]).unwrap();
    let objective = Objective::new(&native(), model(), Loss::CrossEntropy, &first, 3).unwrap();
    objective.replace(&all.select(&batch).unwrap()).unwrap();
    let mut it = OnDevice::new(objective, &w);
    // Those of 1 and 4 do not count.
    let counted = Objective::new(&native(), model(), Loss::CrossEntropy, &all.select(&[0, 5]).unwrap(), 0).unwrap();
    close("gradient", &it.gradient(), &OnDevice::new(counted, &w).gradient(), 1e-6);
    // None counts.
    it.objective.replace(&all.select(&[1, 4, 7, 10]).unwrap()).unwrap();
    assert!(it.gradient().iter().all(|&x| x == 0.0) && it.metrics().loss == 0.0);
    // An objective without weights cannot take them.
    let plain = Objective::new(&native(), model(), Loss::CrossEntropy, &some(true).first(4), 0).unwrap();
    assert!(plain.replace(&all.select(&batch).unwrap()).is_err());
}

#[test]
fn examples_that_no_loss_can_use_are_refused() {
    let none = Examples::new(Features::Real(vec![0.0; 4]), [2], vec![IGNORED; 2], CLASSES);
    assert!(none.unwrap_err().to_string().contains("every label is ignored"));
    let targets = Targets::Numbers { values: vec![0.5, 1.5], width: 1 };
    let data = Examples::with_targets(Features::Real(vec![0.0; 4]), [2], targets).unwrap();
    let mlp = Mlp { inputs: 2, width: 2, depth: 2, outputs: 1, activation: Activation::Tanh };
    let refused = Objective::new(&native(), Arc::new(mlp), Loss::BinaryCrossEntropy, &data, 0);
    assert!(refused.err().unwrap().to_string().contains("example 1 is 1.5"));
}

#[test]
fn settings_that_contradict_a_loss_are_refused() {
    let here = Path::new(".");
    let with = |sets: &[&str], parts: &[&str]| {
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        refuses(edgewalk(here, &["train"].into_iter().chain(sets).collect::<Vec<_>>()), 2, parts);
    };
    with(&["label_smoothing=0.1"], &["loss.label_smoothing", "cross-entropy"]);
    with(&["loss.kind=cross-entropy", "label_smoothing=1"], &["below 1"]);
    with(&["loss.kind=cross-entropy", "ignore_index=-100"], &["ignore_index", "arrays"]);
    with(&["loss.kind=cross-entropy", "ignore_index=some"], &["ignore_index", "none"]);
    with(&["loss.kind=output"], &["onnx"]);
    with(&["loss.kind=binary-cross-entropy", "reduction=half-sum"], &["half-sum"]);
    let (net, set) = (fixture("mlp/net.onnx"), fixture("losses/probabilities.npz"));
    let arguments = ["curvature", net.to_str().unwrap(), "--data", set.to_str().unwrap(), "--loss"];
    let of = |loss: &str| edgewalk(here, &[&arguments[..], &[loss]].concat());
    refuses(of("cross-entropy"), 2, &["needs classes"]);
    refuses(of("output"), 1, &["[1, 3]", "[1, 1]"]);
}
