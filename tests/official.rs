//! The comparison with the official code: that it does what that code does, quirks included, and is shown beside the
//! exact values without touching them.

use std::fs;

use edgewalk::curvature::edge::alignment;
use edgewalk::curvature::{CurvatureError, EigenOptions, FnOperator, OfficialEstimate, Operator, lanczos, official};
use edgewalk::folder::RunDir;
use edgewalk::folder::rows::CurvatureRow;
use edgewalk::folder::tables::read_curvature;
use edgewalk::model::{Activation, Loss, Reduction};
use edgewalk::objective::{DifferenceOperator, HessianOperator};
use edgewalk::optim::Rule;
use edgewalk::results::summary::Summary;
use nalgebra::DVector;

use super::device::relative_error;
use super::objective_cases::{Case, close, direction};
use super::reference_mlp;
use super::training::{tables, train};

/// The estimate of a diagonal matrix.
fn of_diagonal(values: &[f64], stream: u64) -> OfficialEstimate {
    let mut operator = FnOperator::new(values.len(), |v: &[f64], out: &mut [f64]| {
        out.iter_mut().zip(v).zip(values).for_each(|((out, v), value)| *out = v * value);
        Ok(())
    });
    official(&mut operator, 7, stream).unwrap()
}

#[test]
fn it_finds_the_norm_and_drops_the_sign() {
    for sign in [1.0, -1.0] {
        let found = of_diagonal(&[1.0, 0.5, sign * 40.0, -10.0, 3.0], 0);
        assert!((found.hessian_norm / 40.0 - 1.0).abs() < 1e-3, "{found:?}");
        assert!(alignment(&found.vector, &[0.0, 0.0, 1.0, 0.0, 0.0]) > 0.99, "{found:?}");
        assert!(found.products < 10, "{found:?}");
    }
}

#[test]
fn its_vector_may_be_far_from_an_eigenvector() {
    // Close eigenvalues: the length settles long before the direction does.
    let found = of_diagonal(&[1.001, 1.0, -1.0, 0.999], 0);
    let alone = [1.0, 0.0, 0.0, 0.0];
    assert!((found.hessian_norm - 1.0).abs() < 2e-3 && alignment(&found.vector, &alone) < 0.9, "{found:?}");
}

#[test]
fn every_check_starts_afresh_and_repeats() {
    let values: Vec<f64> = (1..=50).map(f64::from).collect();
    assert_eq!(of_diagonal(&values, 3), of_diagonal(&values, 3));
    assert_ne!(of_diagonal(&values, 3), of_diagonal(&values, 4));
}

#[test]
fn it_stops_where_the_official_loop_does() {
    // The length before the first product counts as 1, so a matrix that keeps lengths takes one product.
    assert_eq!(of_diagonal(&[1.0, -1.0, 1.0], 0).products, 1);
    assert_eq!(of_diagonal(&[2.0, -2.0, 2.0], 0).products, 2);
    // Too small to look at twice, and nothing at all.
    assert_eq!(of_diagonal(&[5e-4, 5e-4], 0).products, 1);
    let nothing = of_diagonal(&[0.0, 0.0], 0);
    assert!(nothing.hessian_norm == 0.0 && nothing.products == 1 && nothing.vector.iter().all(|x| x.is_finite()));

    // Lengths that never settle.
    let mut calls = 0_u32;
    let mut restless = FnOperator::new(2, |v: &[f64], out: &mut [f64]| {
        calls += 1;
        out.iter_mut().zip(v).for_each(|(out, v)| *out = v * f64::from(1 + calls % 2));
        Ok(())
    });
    assert_eq!(official(&mut restless, 0, 0).unwrap().products, 100);

    let mut broken = FnOperator::new(2, |_: &[f64], out: &mut [f64]| {
        out.fill(f64::NAN);
        Ok(())
    });
    assert!(matches!(official(&mut broken, 0, 0), Err(CurvatureError::NonFinite { product: 1 })));
    let mut empty = FnOperator::new(0, |_: &[f64], _: &mut [f64]| Ok(()));
    assert!(matches!(official(&mut empty, 0, 0), Err(CurvatureError::Option { name: "dim", .. })));
}

fn apply(operator: &mut dyn Operator, v: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; v.len()];
    operator.apply(v, &mut out).unwrap();
    out
}

#[test]
fn where_the_loss_is_smooth_it_is_half_a_percent_low() {
    let case = Case::new(64, 1000, Activation::Gelu, Loss::Mse(Reduction::Mean));
    let mut device = case.on_device(0);
    let mut hessian = HessianOperator::new(&mut device.objective, &device.w).unwrap();
    let mut difference = DifferenceOperator::new(&mut device.objective, &device.w).unwrap();
    let exact = lanczos(&mut hessian, None, &EigenOptions { tol: 1e-5, ..Default::default() }).unwrap().pairs.remove(0);
    let along: f64 = apply(&mut difference, &exact.vector).iter().zip(&exact.vector).map(|(a, b)| a * b).sum();
    println!("difference ÷ exact along v₁: {}", along / exact.value);
    assert!((along / exact.value - 2e-3 / 2.01e-3).abs() <= 1e-5, "{}", along / exact.value);
    // The power method comes from below, and stops early.
    let estimate = official(&mut difference, 0, 0).unwrap();
    println!("official ÷ exact: {} after {}", estimate.hessian_norm / exact.value.abs(), estimate.products);
    assert!((0.98..0.9951).contains(&(estimate.hessian_norm / exact.value.abs())), "{estimate:?}");
    follows_reference(&case, &mut difference);
}

/// The estimate against the same iteration on the reference's differences.
fn follows_reference(case: &Case, difference: &mut DifferenceOperator) {
    let (reference, w) = (case.reference(), DVector::from_vec(case.w64()));
    let mut by_reference = FnOperator::new(w.len(), |v: &[f64], out: &mut [f64]| {
        out.copy_from_slice(reference_difference(&reference, &w, &DVector::from_column_slice(v)).as_slice());
        Ok(())
    });
    let found = official(difference, 0, 0).unwrap();
    let expected = official(&mut by_reference, 0, 0).unwrap();
    let (norms, same) = (found.hessian_norm / expected.hessian_norm, alignment(&found.vector, &expected.vector));
    println!("{} and {} products, norms {norms}, vectors {same}", found.products, expected.products);
    // Two runs of the loop may stop a product apart, where lengths change by a thousandth.
    assert!((norms - 1.0).abs() <= 1e-3 && same > 0.999, "{norms} {same}");
}

/// (∇L(w + 1e-3 v) − ∇L(w − 1e-3 v)) / (2e-3 + 1e-5) in f64.
fn reference_difference(mlp: &reference_mlp::Mlp, w: &DVector<f64>, v: &DVector<f64>) -> DVector<f64> {
    let gradient = |h: f64| mlp.at((w + v * h).as_slice()).gradient;
    (gradient(1e-3) - gradient(-1e-3)) / (2e-3 + 1e-5)
}

#[test]
fn across_kinks_it_is_another_operator() {
    let case = Case::new(64, 1000, Activation::Relu, Loss::Mse(Reduction::Mean));
    let (reference, w) = (case.reference(), DVector::from_vec(case.w64()));
    let mut device = case.on_device(300);
    let mut difference = DifferenceOperator::new(&mut device.objective, &device.w).unwrap();
    let unit = |v: DVector<f64>| v.normalize();
    let here = reference.at(w.as_slice());
    let (_, top) = reference_mlp::top_eigenpair(w.len(), 400, |v| here.hvp(v));
    for (name, v) in [("a random direction", unit(DVector::from_vec(direction(w.len(), 61)))), ("v₁", top)] {
        // The direction as the adapter gets it.
        let v = v.map(|x| f64::from(x as f32));
        let found = apply(&mut difference, v.as_slice());
        let expected = reference_difference(&reference, &w, &v);
        close(&format!("difference along {name}"), &found, expected.as_slice(), 1e-3);
        let from_exact = relative_error(&found, here.hvp(v.as_slice()).as_slice());
        println!("difference against H v along {name}: {from_exact:.3}");
        assert!(from_exact > 0.02, "{name}: {from_exact}");
    }
    follows_reference(&case, &mut difference);
}

#[test]
fn a_run_shows_it_beside_exact_values_and_repeats() {
    const SMALL: [&str; 6] = ["width=16", "train=300", "test=0", "steps=20", "measure.every=10", "seed=5"];
    let folder = tempfile::tempdir().unwrap();
    let with = |name: &str, more: &[&str]| train(None, &folder.path().join(name), &[&SMALL[..], more].concat(), None);
    let plain = with("plain", &[]).unwrap();
    let first = with("first", &["method=official"]).unwrap();
    let second = with("second", &["method=official"]).unwrap();
    assert!(tables(&first) == tables(&second), "two runs with one seed differ");

    let header = fs::read_to_string(first.curvature()).unwrap().lines().next().unwrap().to_owned();
    let columns = ",official_hessian_norm,official_edge_ratio,official_grad_alignment,official_sam_grad_alignment,\
                   official_hvps";
    assert!(header.contains(columns), "{header}");
    assert!(!fs::read_to_string(plain.curvature()).unwrap().contains("official"));

    let rows = read_curvature(&first.curvature()).unwrap();
    let exact: Vec<CurvatureRow> =
        rows.iter().map(|row| CurvatureRow { secs: 0.0, solve_secs: None, official: None, ..row.clone() }).collect();
    let mut alone = read_curvature(&plain.curvature()).unwrap();
    alone.iter_mut().for_each(|row| (row.secs, row.solve_secs) = (0.0, None));
    assert_eq!(exact, alone, "the estimate changes the run it watches");
    for row in &rows {
        let estimate = row.official.as_ref().unwrap();
        println!("step {}: {} exact {}, {estimate:?}", row.step, row.hessian_norm, row.grad_alignment);
        assert_eq!(estimate.edge_ratio, estimate.hessian_norm / row.sam_edge);
        // With so few examples the kinks weigh much.
        assert!((1.1..3.0).contains(&(estimate.hessian_norm / row.hessian_norm)), "{row:?}");
        assert!((0.0..=1.0).contains(&estimate.grad_alignment) && (0.0..=1.0).contains(&estimate.sam_grad_alignment));
        assert!(estimate.grad_alignment != row.grad_alignment && (2..=100).contains(&estimate.hvps));
    }
    let summary = Summary::of(&[], &rows, Rule::sam(1.0, 1.0)).to_string();
    assert!(summary.contains("official method ÷ exact"), "{summary}");
    assert!(!Summary::of(&[], &alone, Rule::sam(1.0, 1.0)).to_string().contains("official"));
    let picture = |run: &RunDir| fs::read_to_string(run.plots().join("edges.svg")).unwrap();
    assert!(picture(&first).contains("official") && !picture(&plain).contains("official"));
}
