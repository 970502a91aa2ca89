//! `edgewalk curvature` against a float64 network: every quantity of the whole Hessian and of one layer's block.

use std::fs;
use std::path::Path;

use edgewalk::analysis::{Analysis, AnalysisRequest, Finding, Part, analyse};
use edgewalk::cli::Error;
use edgewalk::curvature::{DensityOptions, EigenOptions, TraceOptions};
use edgewalk::folder::RunDir;
use edgewalk::folder::manifest::Ended;
use edgewalk::model::{Activation, Layout, Loss, Mlp, Reduction, WeightLayout, params_from_safetensors};
use edgewalk::objective::HessianOperator;
use edgewalk::results::Format;
use edgewalk::results::compare::{CompareRequest, compare};
use nalgebra::{DMatrix, SymmetricEigen};

use super::cli::edgewalk;
use super::objective_cases::{Case, close, mnist, reference, widen};
use super::reference_mlp::{self, top_eigenpairs};
use super::training::train;

const EXAMPLES: usize = 60;

fn mlp() -> Mlp {
    Mlp { inputs: 784, width: 4, depth: 2, outputs: 10, activation: Activation::Tanh }
}

fn small_run(folder: &Path) -> RunDir {
    let sets = ["width=4", "depth=2", "activation=tanh", "train=60", "test=0", "steps=6", "measure.every=0"];
    train(None, &folder.join("run"), &sets, None).unwrap()
}

fn request(path: &Path) -> AnalysisRequest {
    AnalysisRequest {
        path: path.into(),
        config: None,
        sets: vec![],
        weights: None,
        layout: WeightLayout::Edgewalk,
        eigen: EigenOptions { top: 3, bottom: 1, tol: 1e-4, max_iterations: 300, ..Default::default() },
        trace: Some(TraceOptions { products: 90, ..Default::default() }),
        density: Some(DensityOptions { probes: 8, steps: 30, ..Default::default() }),
        split: true,
        blocks: vec![],
        examples: 0,
        out: None,
        format: Format::Svg,
        adapter: super::device::adapter(),
    }
}

/// The float64 network at a run's last parameters.
fn reference_of(run: &RunDir) -> (reference_mlp::Mlp, Vec<f64>) {
    let bytes = fs::read(run.checkpoint(6).join("params.safetensors")).unwrap();
    let w = params_from_safetensors(&Layout::of(&mlp()).unwrap(), &bytes).unwrap();
    (reference(&mlp(), Loss::Mse(Reduction::Mean), &mnist(EXAMPLES)), widen(&w))
}

fn find(analysis: &Analysis, part: Part) -> &Finding {
    analysis.findings.iter().find(|finding| finding.part == part).unwrap()
}

#[test]
fn the_whole_hessian_and_its_parts() {
    let folder = tempfile::tempdir().unwrap();
    let run = small_run(folder.path());
    let analysis = analyse(&request(run.path()), &()).unwrap();
    let (network, w) = reference_of(&run);
    let here = network.at(&w);
    assert_eq!((analysis.step, analysis.examples, analysis.findings.len()), (Some(6), EXAMPLES, 3));
    close("loss", &[analysis.loss], &[here.loss], 1e-6);
    close("‖g‖", &[analysis.grad_norm], &[here.gradient.norm()], 1e-5);

    let unit = |i: usize| {
        let mut e = vec![0.0; w.len()];
        e[i] = 1.0;
        e
    };
    let trace = |product: &dyn Fn(&[f64]) -> f64| (0..w.len()).map(|i| product(&unit(i))).sum::<f64>();
    for (part, product) in [
        (Part::Hessian, &(|v: &[f64]| here.hvp(v)) as &dyn Fn(&[f64]) -> nalgebra::DVector<f64>),
        (Part::GaussNewton, &|v| here.gnvp(v)),
        (Part::Rest, &|v| here.hvp(v) - here.gnvp(v)),
    ] {
        let finding = find(&analysis, part);
        let expected = top_eigenpairs(w.len(), 3, 400, product);
        let largest = expected[0].0.abs();
        for (pair, (lambda, vector)) in finding.spectrum.pairs.iter().zip(&expected) {
            assert!(pair.converged && (pair.value - lambda).abs() <= pair.error, "{part:?}: {pair:?} for {lambda}");
            assert!(pair.error < 1e-3 * largest, "{part:?}: {} ± {}", pair.value, pair.error);
            let along = pair.vector.iter().zip(vector).map(|(a, b)| a * b).sum::<f64>().abs();
            assert!(along > 1.0 - 1e-4, "{part:?}: an eigenvector is off by {:e}", 1.0 - along);
        }
        let exact = trace(&|e| product(e).iter().zip(e).map(|(a, b)| a * b).sum());
        for estimate in [finding.trace.unwrap().estimate, finding.density.as_ref().unwrap().trace()] {
            // Four standard errors: seeds are fixed, and one in some thousand would fail.
            assert!(
                (estimate.value - exact).abs() <= 4.0 * estimate.standard_error,
                "{part:?}: {estimate:?} of {exact}"
            );
        }
        let density = finding.density.as_ref().unwrap();
        let (low, high) = (density.lambda_min.value, density.lambda_max.value);
        assert!(low >= -1.001 * largest && high <= 1.001 * largest && (density.cumulative(high) - 1.0).abs() < 1e-9);
    }
    let [g, alignment] = [0, 1].map(|_| find(&analysis, Part::Hessian));
    let (_, v) = &top_eigenpairs(w.len(), 1, 400, |v| here.hvp(v))[0];
    let expected = here.gradient.dot(v).abs() / here.gradient.norm();
    assert!((alignment.alignments[0] - expected).abs() < 1e-3, "{} {expected}", alignment.alignments[0]);
    assert!(g.subspace[0] >= expected - 1e-3 && g.subspace[0] <= 1.0);

    // What is on disk is what was returned.
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(analysis.out.join("curvature.json")).unwrap()).unwrap();
    assert_eq!(json["findings"][0]["eigenvalues"][0]["value"], g.spectrum.pairs[0].value);
    assert_eq!(json["findings"][2]["matrix"], "rest");
    let table = fs::read_to_string(analysis.out.join("density-all.csv")).unwrap();
    assert!(table.starts_with("lambda,hessian,gauss_newton,rest\n") && table.lines().count() > 500);
    assert!(fs::read_to_string(analysis.out.join("density-all.svg")).unwrap().contains("<svg"));
    let text = analysis.to_string();
    assert!(text.contains("Hessian H of all parameters (3190)") && text.contains("trace"), "{text}");
}

#[test]
fn the_block_of_one_layer_has_the_spectrum_of_the_dense_matrix() {
    let folder = tempfile::tempdir().unwrap();
    let run = small_run(folder.path());
    let checkpoint = run.checkpoint(6);
    let wanted = AnalysisRequest {
        eigen: EigenOptions { top: 5, bottom: 2, block: 2, ..request(run.path()).eigen },
        blocks: vec!["dense1".into()],
        split: false,
        ..request(&checkpoint)
    };
    let analysis = analyse(&wanted, &()).unwrap();
    let (network, w) = reference_of(&run);
    let here = network.at(&w);
    let (first, n) = (785 * 4, 50);
    let column = |j: usize| {
        let mut e = vec![0.0; w.len()];
        e[first + j] = 1.0;
        here.hvp(&e)
    };
    let dense = DMatrix::from_columns(&(0..n).map(|j| column(j).rows(first, n).into_owned()).collect::<Vec<_>>());
    let mut values = SymmetricEigen::new(dense.clone()).eigenvalues.as_slice().to_vec();
    values.sort_by(f64::total_cmp);
    let finding = &analysis.findings[0];
    assert_eq!((finding.block.as_str(), finding.parameters), ("dense1", n));
    for (i, pair) in finding.spectrum.bottom.iter().enumerate() {
        assert!((pair.value - values[i]).abs() <= pair.residual + pair.error, "{pair:?} for {}", values[i]);
    }
    values.sort_by(|a, b| b.abs().total_cmp(&a.abs()));
    for pair in &finding.spectrum.pairs {
        // Eigenvalues repeat, once for each output: a pair is one of the dense matrix's.
        let away = values.iter().map(|x| (x - pair.value).abs()).fold(f64::INFINITY, f64::min);
        assert!(pair.converged && away <= pair.error, "{} ± {} is off by {away:e}", pair.value, pair.error);
    }
    assert!((finding.spectrum.pairs[0].value - values[0]).abs() <= finding.spectrum.pairs[0].error);
    // 90 products of a matrix of 50 rows: nothing is left to chance.
    let trace = finding.trace.unwrap();
    close("an exact trace", &[trace.estimate.value], &[dense.trace()], 1e-5);
    let (low, high) = trace.estimate.interval;
    assert_eq!(trace.estimate.standard_error, 0.0);
    assert!(low < dense.trace() && dense.trace() < high, "{trace:?} of {}", dense.trace());
    assert!(high - low < 1e-3 * dense.trace().abs(), "{trace:?}");

    // A folder, its run and a file with a configuration are the same parameters.
    let file = AnalysisRequest {
        path: checkpoint.join("params.safetensors"),
        config: Some(run.config().to_string_lossy().into_owned()),
        out: Some(folder.path().join("elsewhere")),
        ..wanted.clone()
    };
    let again = analyse(&file, &()).unwrap();
    assert_eq!(again.findings[0].spectrum, finding.spectrum);
    assert!(folder.path().join("elsewhere/density-dense1.svg").is_file());
    let each =
        analyse(&AnalysisRequest { blocks: vec!["each".into()], trace: None, density: None, ..wanted }, &()).unwrap();
    assert_eq!(each.findings.iter().map(|f| f.block.as_str()).collect::<Vec<_>>(), ["dense0", "dense1"]);
}

#[test]
fn wrong_input_is_refused_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    let run = small_run(folder.path());
    let check = |request: AnalysisRequest, code: u8, advice: &str| {
        let error = analyse(&request, &()).unwrap_err();
        let message = error.to_string();
        assert!(message.contains(advice), "{message}");
        assert_eq!(Error::from(error).exit_code(), code, "{message}");
    };
    check(AnalysisRequest { blocks: vec!["dense7".into()], ..request(run.path()) }, 2, "dense0, dense1");
    check(AnalysisRequest { examples: 61, ..request(run.path()) }, 2, "60 training examples");
    check(request(&folder.path().join("nowhere")), 1, "nowhere does not exist");
    let top = EigenOptions { top: 0, ..Default::default() };
    check(AnalysisRequest { eigen: top, ..request(run.path()) }, 2, "`--top = 0`");
    let eigen = |eigen: EigenOptions, advice: &str| {
        check(AnalysisRequest { eigen, ..request(run.path()) }, 2, advice);
    };
    let usual = request(run.path()).eigen;
    eigen(EigenOptions { block: 100_000, ..usual.clone() }, "`--eigen-block = 100000`");
    eigen(EigenOptions { block: 0, ..usual.clone() }, "`--eigen-block = 0`");
    eigen(EigenOptions { top: 60_000, ..usual.clone() }, "`--top = 60000` is not allowed; it must be from 1 to 100");
    eigen(EigenOptions { top: 90, max_iterations: 50, ..usual.clone() }, "`--max-products = 50`");
    eigen(EigenOptions { tol: 2.0, ..usual }, "`--tol = 2`");
    let traced = Some(TraceOptions { products: 5, ..Default::default() });
    check(AnalysisRequest { trace: traced, ..request(run.path()) }, 2, "`--trace-products = 5`");
    let density = |density: DensityOptions, advice: &str| {
        check(AnalysisRequest { density: Some(density), ..request(run.path()) }, 2, advice);
    };
    density(DensityOptions { probes: 1, ..Default::default() }, "`--probes = 1`");
    density(DensityOptions { steps: 0, ..Default::default() }, "`--density-steps = 0`");
    // Nothing was written by any of these.
    assert!(!run.path().join("analysis").exists());
    let bare = folder.path().join("bare.safetensors");
    fs::copy(run.checkpoint(6).join("params.safetensors"), &bare).unwrap();
    check(request(&bare), 1, "--config");
    check(AnalysisRequest { config: Some("quickstart".into()), ..request(&bare) }, 1, "shape");
    fs::remove_file(run.checkpoint(6).join("DONE")).unwrap();
    check(request(run.path()), 1, "step_00000006 is damaged (DONE:");
    fs::remove_dir_all(run.checkpoint(6)).unwrap();
    check(request(run.path()), 1, "its run has ended (done): train again with run.checkpoint_every");
    let mut manifest = run.read_manifest().unwrap();
    manifest.ended = Ended::Running;
    run.write_manifest(&manifest).unwrap();
    check(request(run.path()), 1, "no checkpoint yet");
    fs::write(run.path().join("sweep.toml"), "").unwrap();
    fs::create_dir_all(run.path().join("runs/lr=0.1")).unwrap();
    check(request(run.path()), 1, "is a sweep, not a run; give one of its runs, such as");
    let paths = vec![run.path().to_path_buf()];
    let error =
        compare(&CompareRequest { paths, out: folder.path().join("out"), by: vec![], look: Format::Svg.into() })
            .unwrap_err();
    assert!(error.to_string().contains("is a sweep"), "{error}");
    let output = edgewalk(folder.path(), &["curvature", "run"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_run_of_msam_is_looked_at_in_its_groups() {
    let folder = tempfile::tempdir().unwrap();
    let sets = ["width=4", "depth=2", "train=60", "test=0", "steps=3", "measure.every=0", "rho=0.05", "micro_batch=7"];
    let run = train(None, &folder.path().join("run"), &sets, None).unwrap();
    let wanted = AnalysisRequest { trace: None, density: None, split: false, ..request(run.path()) };
    let analysis = analyse(&wanted, &()).unwrap();
    assert!(analysis.findings[0].spectrum.pairs[0].converged && analysis.findings[0].subspace[1] > 0.0);
    // Fewer examples than a group make one.
    assert_eq!(analyse(&AnalysisRequest { examples: 5, ..wanted }, &()).unwrap().examples, 5);
}

#[test]
fn vectors_that_memory_does_not_hold_are_refused_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let run =
        train(None, &folder.path().join("run"), &["train=20", "test=0", "steps=1", "measure.every=0"], None).unwrap();
    let density = DensityOptions { probes: 60_000, block: 60_000, steps: 60_000, ..Default::default() };
    let error = analyse(&AnalysisRequest { density: Some(density), ..request(run.path()) }, &()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("this run needs") && text.contains("--density-steps") && text.contains("--block"), "{text}");
    assert_eq!(Error::from(error).exit_code(), 1);
    assert!(!run.path().join("analysis").exists());
}

#[test]
#[cfg(target_os = "linux")]
fn a_limit_on_the_process_is_a_refusal_and_no_abort() {
    let folder = tempfile::tempdir().unwrap();
    let sets = ["width=64", "train=20", "test=0", "steps=1", "measure.every=0"];
    train(None, &folder.path().join("run"), &sets, None).unwrap();
    // 4 · 1300 vectors of 59,210 numbers are 2.3 GiB.
    let script = format!(
        "ulimit -v 2300000; exec {} curvature run --density --density-steps 1300",
        env!("CARGO_BIN_EXE_edgewalk")
    );
    let output = std::process::Command::new("sh").current_dir(folder.path()).args(["-c", &script]).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("this run needs") && message.contains("--density-steps"), "{message}");
}

#[test]
fn a_matrix_of_zeros_is_said_to_be_one() {
    let folder = tempfile::tempdir().unwrap();
    // The outputs are linear in the weights: nothing is left of H − G.
    let sets = ["depth=1", "train=60", "test=0", "steps=3", "measure.every=0"];
    let run = train(None, &folder.path().join("run"), &sets, None).unwrap();
    let eigen = EigenOptions { top: 1, max_iterations: 60, ..Default::default() };
    let analysis = analyse(&AnalysisRequest { eigen, trace: None, ..request(run.path()) }, &()).unwrap();
    let text = analysis.to_string();
    assert!(text.contains("density of a matrix whose eigenvalues are all 0") && !text.contains("100.00 %"), "{text}");
}

#[test]
fn the_three_largest_eigenvalues_of_a_network_of_depth_4_and_width_64_on_a_thousand_images() {
    let case = Case::new(64, 1000, Activation::Relu, Loss::Mse(Reduction::Mean));
    let reference = case.reference();
    let here = reference.at(&case.w64());
    let expected = top_eigenpairs(case.w.len(), 3, 300, |v| here.hvp(v));
    let mut device = case.on_device(0);
    let mut hessian = HessianOperator::new(&mut device.objective, &device.w).unwrap();
    let options = EigenOptions { top: 3, tol: 1e-4, ..Default::default() };
    let found = edgewalk::curvature::lanczos(&mut hessian.linearise().unwrap(), None, &options).unwrap();
    for (i, (pair, (lambda, _))) in found.pairs.iter().zip(&expected).enumerate() {
        close(&format!("λ{} by {} products", i + 1, found.products), &[pair.value], &[*lambda], 1e-4);
        assert!((pair.value - lambda).abs() <= pair.error, "{} ± {:e}, not {lambda}", pair.value, pair.error);
    }
}
