//! Runs of a network that a program brings: the run folder is that of any run, and only the program can go on with it.

use std::path::Path;
use std::sync::Arc;

use edgewalk::analysis::{AnalysisRequest, analyse};
use edgewalk::config::{build, resolve};
use edgewalk::curvature::EigenOptions;
use edgewalk::data::{Dataset, Request, load};
use edgewalk::folder::RunDir;
use edgewalk::folder::manifest::Ended;
use edgewalk::folder::tables::{read_curvature, read_metrics};
use edgewalk::graph::{Graph, NodeId};
use edgewalk::model::{Activation, Loss, Mlp, Reduction, WeightLayout};
use edgewalk::results::Format;
use edgewalk::run::{OwnTask, ResumeRequest, TrainRequest, resume, resume_own, train, train_own};

const SETS: [&str; 8] = [
    "width=5",
    "depth=2",
    "data.train=30",
    "data.test=7",
    "steps=6",
    "measure.every=3",
    "measure.top=2",
    "run.checkpoint_every=2",
];

fn request(out: &Path, sets: &[&str]) -> TrainRequest {
    let sets: Vec<String> = sets.iter().map(|&set| set.into()).collect();
    let request = TrainRequest::from(resolve(None, &sets).unwrap());
    TrainRequest { out: Some(out.into()), adapter: super::device::adapter(), ..request }
}

fn data(train: usize) -> Dataset {
    load(&Request { train, test: 7.into(), ..Request::new(edgewalk::data::DataName::Embedded) }).unwrap()
}

/// The network that the settings above describe, as a program would bring it.
fn own(request: &TrainRequest) -> OwnTask {
    let model = Mlp { inputs: 784, width: 5, depth: 2, outputs: 10, activation: Activation::Relu };
    OwnTask { model: Arc::new(model), loss: build::loss(&request.config), data: Arc::new(data(30)) }
}

fn resumption(path: &Path, steps: u64) -> ResumeRequest {
    let sets = vec![format!("steps={steps}")];
    ResumeRequest { path: path.into(), sets, command_line: vec![], adapter: None }
}

/// Rows without their times.
fn rows(run: &RunDir) -> (Vec<[f64; 4]>, Vec<Vec<f64>>) {
    let metrics = read_metrics(&run.metrics()).unwrap();
    let curvature = read_curvature(&run.curvature()).unwrap();
    (
        metrics.iter().map(|row| [row.step as f64, row.loss, row.error, row.grad_norm]).collect(),
        curvature.into_iter().map(|row| row.lambdas).collect(),
    )
}

#[test]
fn a_network_that_a_program_brings_is_trained_and_resumed_as_one_from_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let asked = request(&folder.path().join("own"), &SETS);
    let own = own(&asked);
    let run = train_own(&asked, &own, &()).unwrap();
    let same = train(&request(&folder.path().join("same"), &SETS), &()).unwrap();
    assert_eq!(rows(&run), rows(&same));
    let manifest = run.read_manifest().unwrap();
    assert!(manifest.ended == Ended::Done && manifest.data.is_own());
    assert_eq!((manifest.data.train, manifest.data.test, manifest.parameters), (30, 7, 784 * 5 + 5 + 5 * 10 + 10));
    let report = std::fs::read_to_string(run.path().join("report.html")).unwrap();
    assert!(report.contains("The network of the program that made this run; 3985 parameters in all"), "{report}");
    assert!(report.contains("30 training examples and 7 test examples of the program"), "{report}");

    // Both go on alike.
    resume_own(&resumption(run.path(), 9), &own, &()).unwrap();
    resume(&resumption(same.path(), 9), &()).unwrap();
    assert_eq!(rows(&run), rows(&same));
    assert_eq!(rows(&run).0.len(), 10);
}

#[test]
fn only_the_program_goes_on_with_its_network() {
    let folder = tempfile::tempdir().unwrap();
    // Settings that describe another network: they are not read.
    let mut asked = request(&folder.path().join("own"), &SETS);
    asked.config.model.width = 7;
    let own = own(&asked);
    let run = train_own(&asked, &own, &()).unwrap();
    let error = resume(&resumption(run.path(), 9), &()).unwrap_err().to_string();
    assert!(error.contains("a network that a program brought") && error.contains("docs/library.md"), "{error}");
    let request = AnalysisRequest {
        path: run.path().into(),
        config: None,
        sets: vec![],
        weights: None,
        layout: WeightLayout::Edgewalk,
        eigen: EigenOptions::default(),
        trace: None,
        density: None,
        split: false,
        blocks: vec![],
        examples: 0,
        out: None,
        format: Format::Svg,
        adapter: None,
    };
    let error = analyse(&request, &()).unwrap_err().to_string();
    assert!(error.contains("a network that a program brought"), "{error}");
    // Other examples, and a run from a configuration.
    let other = OwnTask { data: Arc::new(data(29)), ..own.clone() };
    let error = resume_own(&resumption(run.path(), 9), &other, &()).unwrap_err().to_string();
    assert!(error.contains("29 and 7 examples of own") && error.contains("30 and 7 examples of own"), "{error}");
    let plain = train(&self::request(&folder.path().join("plain"), &SETS), &()).unwrap();
    let error = resume_own(&resumption(plain.path(), 9), &own, &()).unwrap_err().to_string();
    assert!(error.contains("of embedded"), "{error}");
    assert_eq!(rows(&run).0.len(), 7);
}

/// The squared error less 1, which is below 0 from the start.
fn lowered(g: &mut Graph, outputs: NodeId, labels: NodeId) -> NodeId {
    let error = Loss::Mse(Reduction::Mean).per_label(g, outputs, labels);
    g.offset(error, -1.0)
}

#[test]
fn a_bound_below_zero_is_for_losses_that_can_be_below_it() {
    let folder = tempfile::tempdir().unwrap();
    let asked = request(&folder.path().join("own"), &[&SETS, &["until=loss < -0.5"][..]].concat());
    let own = own(&asked);
    let error = train_own(&asked, &own, &()).unwrap_err().to_string();
    assert!(error.contains("run.until = \"loss < -0.5\"") && error.contains("a number above 0"), "{error}");
    let lower = OwnTask { loss: Loss::Custom(lowered), ..own };
    let run = train_own(&asked, &lower, &()).unwrap();
    let reached = Ended::Reached { until: "loss < -0.5".into() };
    assert_eq!((run.read_manifest().unwrap().ended, rows(&run).0.len()), (reached, 2));
    // The configuration in the folder is read again.
    resume_own(&resumption(run.path(), 9), &lower, &()).unwrap();
}
