//! `verify-theory`: that all predictions hold on the adapter under test, and that a wrong one would be noticed.

use std::sync::Arc;

use edgewalk::cli::Error;
use edgewalk::data::{Examples, Features};
use edgewalk::graph::{Graph, NodeId};
use edgewalk::model::{Init, Loss, Model, ModelError, Param};
use edgewalk::objective::Objective;
use edgewalk::theory::{Check, Tally, TheoryError, TheorySection, TheoryVerdict, judge, verify};

use super::cli::{edgewalk, refuses, succeeds};
use super::device::the_device;
use super::objective_cases::{OnDevice, Product, close};

fn checks(sections: &[TheorySection]) -> impl Iterator<Item = &Check> {
    sections.iter().flat_map(|section| &section.checks)
}

#[test]
fn every_prediction_holds_and_none_would_if_it_were_a_percent_off() {
    let sections = verify(the_device()).unwrap();
    for check in checks(&sections) {
        println!("{:65} {:?} {} {:?}", check.prediction, check.predicted, check.measured, check.error());
        assert_ne!(check.verdict(), TheoryVerdict::Failed, "{check:?}");
    }
    let Tally { passed, observed } = judge(&sections, "the adapter").unwrap();
    assert_eq!(passed + observed, checks(&sections).count());
    assert!(passed >= 40, "{passed} predictions are not all of them");

    for check in checks(&sections).filter(|check| check.verdict() == TheoryVerdict::Passed) {
        for factor in [0.99, 1.01, -1.0] {
            let wrong = Check { predicted: check.predicted.map(|x| factor * x), ..check.clone() };
            assert_eq!(wrong.verdict(), TheoryVerdict::Failed, "{wrong:?}");
        }
        let broken = Check { measured: f64::NAN, ..check.clone() };
        assert_eq!(broken.verdict(), TheoryVerdict::Failed, "{broken:?}");
    }

    // One failure among them is an error of the program.
    let mut falsified = sections.clone();
    let predicted = falsified[2].checks[0].predicted.as_mut().unwrap();
    *predicted *= 1.01;
    let error = judge(&falsified, "the adapter").unwrap_err();
    assert!(matches!(&error, TheoryError::Refuted { failed: 1, checked, .. } if *checked == passed), "{error}");
    let error = Error::from(error);
    assert_eq!(error.exit_code(), 1);
    assert!(error.to_string().contains("the adapter") && error.to_string().contains("--adapter"), "{error}");
}

#[test]
fn the_command_prints_a_table_and_knows_its_arguments() {
    let folder = tempfile::tempdir().unwrap();
    let adapter = the_device().adapter().name.clone();
    let out = succeeds(edgewalk(folder.path(), &["verify-theory", "--adapter", &adapter]));
    assert!(out.starts_with(&adapter), "{out}");
    for part in ["predicted", "tolerance", "SAM-edge(‖g‖) = λ₁", "as measured", "predictions hold"] {
        assert!(out.contains(part), "{part} is not in\n{out}");
    }
    // One row is like another: the columns line up.
    let rows = out.lines().filter(|line| line.ends_with("  ok"));
    let widths: Vec<usize> = rows.map(|line| line.chars().count()).collect();
    assert!(widths.len() >= 40 && widths.iter().all(|&width| width == widths[0]), "{out}");

    refuses(edgewalk(folder.path(), &["verify-theory", "--adapter", "no such adapter"]), 1, &["no such adapter"]);
    let usage = edgewalk(folder.path(), &["verify-theory", "--tolerance", "1"]).output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
}

/// ¼ Σ xᵢ wᵢ⁴ for each example x: a loss, not a network.
struct Quartic;

impl Model for Quartic {
    fn params(&self) -> Result<Vec<Param>, ModelError> {
        Ok(vec![Param { name: "w".into(), shape: vec![3], init: Init::Ones }])
    }

    fn forward(&self, g: &mut Graph, params: &[NodeId], x: NodeId) -> NodeId {
        let shape = g.shape(x).to_vec();
        let square = g.mul(params[0], params[0]);
        let fourth = g.mul(square, square);
        let fourth = g.broadcast(fourth, &shape, &[1]);
        let terms = g.mul(x, fourth);
        let sum = g.reduce_sum(terms, &[1]);
        let quarter = g.scale(sum, 0.25);
        g.reshape(quarter, &[shape[0], 1])
    }
}

#[test]
fn an_output_can_be_the_loss() {
    let features = Features::Real(vec![1.0, 2.0, 3.0, 5.0, 0.0, 1.0]);
    // Labels that would matter to any other loss.
    let data = Examples::new(features, [3], vec![7, 2], 10).unwrap();
    let objective = Objective::new(the_device(), Arc::new(Quartic), Loss::Output, &data, 0).unwrap();
    let mut device = OnDevice::new(objective, &[1.0, -2.0, 0.5]);
    // The mean of the two examples is (3, 1, 2).
    let metrics = device.metrics();
    close("loss", &[metrics.loss], &[(3.0 + 16.0 + 2.0 / 16.0) / 4.0], 1e-6);
    assert_eq!(metrics.error, 0.0);
    close("gradient", &device.gradient(), &[3.0, -8.0, 0.25], 1e-6);
    let v = [1.0, 0.5, -1.0];
    close("H v", &device.product(Product::Hessian, &v), &[9.0, 6.0, -1.5], 1e-6);
    close("∇(vᵀHv)", &device.product(Product::CurvatureGrad, &v), &[18.0, -3.0, 6.0], 1e-6);
    assert_eq!(device.product(Product::GaussNewton, &v), [0.0; 3]);
}
