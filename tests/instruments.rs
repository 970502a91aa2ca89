//! What a run measures beside the top of the spectrum: at midpoints, over windows of updates, and of sets that grow. The
//! judge is the float64 network of `reference_mlp`.

use std::path::Path;

use edgewalk::config::resolve;
use edgewalk::folder::RunDir;
use edgewalk::folder::tables::read_oscillation;
use edgewalk::folder::tables::{read_curvature, read_metrics};
use edgewalk::model::{Activation, Layout, Loss, Mlp, Reduction};
use edgewalk::optim::{Ascent, Rule};
use edgewalk::run::oscillation::{drift_rate, period, two_cycle};
use nalgebra::DVector;

use super::objective_cases::{close, mnist, reference, sam_step, some_params, widen};
use super::reference_mlp;
use super::training::{train, write_init};

const EXAMPLES: usize = 200;
const RULE: Rule = Rule::sam(0.5, 0.1);

/// A smooth network, so that float32 and float64 stay together.
fn mlp() -> Mlp {
    Mlp { inputs: 784, width: 16, depth: 3, outputs: 10, activation: Activation::Tanh }
}

fn run(folder: &Path, name: &str, more: &[&str]) -> RunDir {
    let init = folder.join("init.safetensors");
    write_init(&init, &Layout::of(&mlp()).unwrap(), &some_params(&mlp(), 1));
    let sets = ["width=16", "depth=3", "activation=tanh", "train=200", "test=0", "lr=0.5", "rho=0.1"];
    train(None, &folder.join(name), &[&sets[..], more].concat(), Some(&init)).unwrap()
}

/// The reference and its iterates 0 to `steps`.
fn iterates(steps: usize) -> (reference_mlp::Mlp, Vec<DVector<f64>>) {
    let reference = reference(&mlp(), Loss::Mse(Reduction::Mean), &mnist(EXAMPLES));
    let mut all = vec![DVector::from_vec(widen(&some_params(&mlp(), 1)))];
    for step in 0..steps {
        all.push(sam_step(&reference, &all[step], RULE));
    }
    (reference, all)
}

fn top(reference: &reference_mlp::Mlp, w: &DVector<f64>) -> (f64, DVector<f64>) {
    let here = reference.at(w.as_slice());
    reference_mlp::top_eigenpair(w.len(), 200, |v| here.hvp(v))
}

#[test]
fn midpoints_are_those_of_the_run_which_they_leave_alone() {
    let folder = tempfile::tempdir().unwrap();
    let sets = ["steps=8", "measure.every=3", "measure.tol=1e-6"];
    let plain = run(folder.path(), "plain", &sets);
    let with =
        |name: &str, more: &[&str]| run(folder.path(), name, &[&sets[..], &["measure.at=midpoint"], more].concat());
    let midpoint = with("midpoint", &[]);
    assert!(
        read_metrics(&plain.metrics()).unwrap().iter().zip(read_metrics(&midpoint.metrics()).unwrap()).all(|(a, b)| (
            a.step,
            a.loss,
            a.grad_norm
        )
            == (b.step, b.loss, b.grad_norm))
    );
    let (reference, w) = iterates(9);
    let rows = read_curvature(&midpoint.curvature()).unwrap();
    assert_eq!(rows.iter().map(|row| row.step).collect::<Vec<_>>(), [0, 3, 6, 8]);
    for row in &rows {
        let step = row.step as usize;
        let mean = (&w[step.saturating_sub(1)] + &w[step] * 2.0 + &w[step + 1]) / 4.0;
        let (lambda, _) = top(&reference, &mean);
        close("λ₁ at the midpoint", &[row.lambdas[0]], &[lambda], 1e-4);
        close("loss at the iterate", &[row.loss], &[reference.at(w[step].as_slice()).loss], 1e-4);
        assert!(
            (lambda - row.lambdas[0]).abs() <= row.errors[0] + 1e-5 * lambda,
            "{} ± {}",
            row.lambdas[0],
            row.errors[0]
        );
    }
    // A momentum is put back too.
    let momentum = ["momentum=0.5", "lr=0.2"];
    let [a, b] = ["a", "b"].map(|name| match name {
        "a" => run(folder.path(), name, &[&sets[..], &momentum].concat()),
        _ => with(name, &momentum),
    });
    let losses = |run: &RunDir| read_metrics(&run.metrics()).unwrap().iter().map(|row| row.loss).collect::<Vec<_>>();
    assert!(losses(&a) == losses(&b));
    let curvature = |run: &RunDir| read_curvature(&run.curvature()).unwrap()[2].lambdas[0];
    assert_ne!(curvature(&a), curvature(&b));
}

#[test]
fn a_window_shows_how_the_parameters_move() {
    let folder = tempfile::tempdir().unwrap();
    let found = run(folder.path(), "window", &["steps=20", "measure.every=10", "window=8", "measure.tol=1e-6"]);
    let rows = read_oscillation(&found.oscillation()).unwrap();
    assert_eq!(rows.iter().map(|row| (row.step, row.updates)).collect::<Vec<_>>(), [(0, 8), (10, 8)]);
    let (reference, w) = iterates(18);
    for row in rows {
        let origin = &w[row.step as usize];
        let (lambda, v1) = top(&reference, origin);
        close("λ₁", &[row.lambda_1], &[lambda], 1e-4);
        let moved: Vec<DVector<f64>> = (0..=8).map(|i| &w[row.step as usize + i] - origin).collect();
        let along: Vec<f64> = moved.iter().map(|m| m.dot(&v1)).collect();
        let swing = along.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum::<f64>() / 16.0;
        close("amplitude", &[row.amplitude], &[swing], 2e-3);
        assert_eq!(row.amplitude_predicted, two_cycle(&RULE, row.lambda_1));
        // ∇λ₁ by a difference of H v₁ along v₁.
        let h = 1e-4;
        let product = |h: f64| reference.at((origin + &v1 * h).as_slice()).hvp(v1.as_slice());
        let gradient = (product(h) - product(-h)) / (2.0 * h);
        let rise = &gradient - &v1 * gradient.dot(&v1);
        let n = rise.normalize();
        let drift: Vec<f64> = moved.iter().map(|m| m.dot(&n)).collect();
        let expected = ((drift[7] + drift[8]) - (drift[0] + drift[1])) / 2.0 / 7.0;
        close("drift", &[row.drift], &[expected], 5e-3);
        let slope = reference.at(origin.as_slice()).gradient.dot(&n);
        close("drift of the gradient", &[row.drift_of_gradient], &[-RULE.lr * slope], 5e-3);
        let predicted = drift_rate(&RULE, lambda).map(|rate| rate * rise.norm());
        close("drift predicted", &[row.drift_predicted.unwrap()], &[predicted.unwrap()], 5e-3);
        // With the share of the gradient along v₁, and the swing as it was.
        let g = &reference.at(origin.as_slice()).gradient;
        let cosine = (g.dot(&v1) / g.norm()).abs();
        let aligned = RULE.lr * RULE.rho * cosine * lambda / (2.0 - RULE.lr * lambda);
        close("amplitude by alignment", &[row.amplitude_aligned.unwrap()], &[aligned], 2e-3);
        let aligned = -0.5 * RULE.lr * (swing + RULE.rho * cosine).powi(2) * rise.norm();
        close("drift by alignment", &[row.drift_aligned.unwrap()], &[aligned], 5e-3);
    }
}

#[test]
fn a_tracked_set_ends_with_its_first_member_below_the_fraction() {
    let folder = tempfile::tempdir().unwrap();
    let sets = ["steps=10", "measure.every=5", "top=30", "track=0.6", "bottom=1", "max_iterations=300"];
    for row in read_curvature(&run(folder.path(), "track", &sets).curvature()).unwrap() {
        let (last, others) = row.lambdas.split_last().unwrap();
        assert!((0..29).contains(&others.len()), "{:?} of {}", row.lambdas, row.sam_edge);
        assert!(others.iter().all(|lambda| lambda.abs() >= 0.6 * row.sam_edge));
        assert!(last.abs() < 0.6 * row.sam_edge);
        assert_eq!(row.bottoms.len(), 1);
        assert!(row.lambda_min.unwrap().value <= row.bottoms[0]);
        assert!(row.lambda_max.unwrap().value >= row.lambdas[0]);
    }
}

#[test]
fn periods_of_known_series_are_found() {
    let series = |f: &dyn Fn(usize) -> f64| (0..16).map(f).collect::<Vec<_>>();
    let wave = |length: f64| move |i: usize| (i as f64 * std::f64::consts::TAU / length + 0.3).sin();
    let flip = |i: usize| if i.is_multiple_of(2) { 1.0 } else { -1.0 };
    assert_eq!(period(&series(&flip)), Some(2));
    // About any straight line, growing or shrinking.
    assert_eq!(period(&series(&|i| 5.0 + 0.7 * i as f64 + flip(i))), Some(2));
    assert_eq!(period(&series(&|i| flip(i) * 0.97_f64.powi(i as i32))), Some(2));
    for length in [3, 4, 6] {
        assert_eq!(period(&series(&wave(length as f64))), Some(length));
    }
    // No wave at all: a parabola, a constant, noise.
    assert_eq!(period(&series(&|i| (i as f64 - 7.0).powi(2))), None);
    assert_eq!(period(&series(&|_| 3.0)), None);
    let noise = |i: usize| ((i * i * 7 + 3 * i) % 17) as f64;
    assert_eq!(period(&series(&noise)), None);
}

#[test]
fn predictions_are_made_where_theory_has_them() {
    let sam = Rule::sam(0.5, 0.1);
    // ηρλ/(2 − ηλ) at λ = 2, and −2ηρ²/(2 − ηλ)².
    assert_eq!(two_cycle(&sam, 2.0), Some(0.1));
    assert!((drift_rate(&sam, 2.0).unwrap() + 0.01).abs() < 1e-15);
    assert!((two_cycle(&Rule { weight_decay: 1.0, ..sam }, 2.0).unwrap() - 0.2).abs() < 1e-15);
    assert!((two_cycle(&Rule { momentum: 0.5, ..sam }, 2.0).unwrap() - 0.05).abs() < 1e-15);
    // None above the edge of gradient descent, along negative curvature, and for other rules.
    for (rule, lambda) in [
        (sam, 4.0),
        (sam, -1.0),
        (Rule::gd(0.5), 2.0),
        (Rule { ascent: Ascent::Usam, ..sam }, 2.0),
        (Rule { ascent_steps: 2, ..sam }, 2.0),
    ] {
        assert_eq!((two_cycle(&rule, lambda), drift_rate(&rule, lambda)), (None, None), "{rule:?} {lambda}");
    }
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    for (sets, advice) in [
        (&["measure.every=5", "window=8"][..], "measure.window"),
        (&["window=4"], "measure.window"),
        (&["method=power", "track=0.5"], "lanczos"),
        (&["method=power", "bottom=1"], "lanczos"),
        (&["top=60", "bottom=60"], "max_iterations"),
    ] {
        let sets: Vec<String> = sets.iter().map(|&set| set.into()).collect();
        let error = resolve(None, &sets).unwrap_err().to_string();
        assert!(error.contains(advice), "{error}");
    }
}
