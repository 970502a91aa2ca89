//! The run folder: never overwritten, never half written, and its tables read back to the same bits.

use std::fs;

use edgewalk::config::preset::PRESETS;
use edgewalk::config::{MeasureAt, MeasureOn, MeasuringSet};
use edgewalk::files::write_file;
use edgewalk::folder::manifest::Ended;
use edgewalk::folder::rows::{BatchRow, CurvatureColumns, CurvatureRow, Extreme, MetricsRow, OfficialRow};
use edgewalk::folder::tables::{CurvatureWriter, MetricsWriter, read_curvature, read_metrics};
use edgewalk::folder::{RunDir, check};
use edgewalk::optim::Rule;
use edgewalk::results::summary::{EdgeSummary, EdgeVerdict, Spread, Summary};
use proptest::prelude::*;

use super::sample_manifest::manifest;

fn curvature_row(step: u64, edge_ratio: f64) -> CurvatureRow {
    CurvatureRow {
        step,
        secs: 0.25,
        loss: 0.1,
        grad_norm: 1e-3,
        lambdas: vec![-3.0, 2.0],
        residuals: vec![1e-5, 2e-5],
        lambda_min: None,
        hessian_norm: 3.0,
        gd_edge: 5.0,
        sam_edge: 4.0,
        edge_ratio,
        gauge: 2.0 * edge_ratio,
        grad_alignment: 0.5,
        sam_grad_alignment: 0.75,
        hvps: 12,
        ..Default::default()
    }
}

#[test]
fn a_folder_in_use_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("metrics.csv");
    fs::write(&kept, "precious").unwrap();
    for error in [check(folder.path()).unwrap_err(), RunDir::create(Some(folder.path()), "x").unwrap_err()] {
        let text = error.to_string();
        assert!(text.contains("not empty") && text.contains("--out"), "{text}");
    }
    assert_eq!(fs::read_to_string(&kept).unwrap(), "precious");
    assert!(check(&kept).unwrap_err().to_string().contains("is not a folder"));
    assert!(RunDir::create(Some(&kept.join("below")), "x").is_err());
}

#[test]
fn checking_makes_nothing_and_an_empty_folder_will_do() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a/b");
    check(&out).unwrap();
    assert!(!folder.path().join("a").exists());
    RunDir::create(Some(&out), "x").unwrap();
    assert!(out.is_dir());
    RunDir::create(Some(&out), "x").unwrap();
}

#[test]
fn a_file_is_replaced_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/file.bin");
    write_file(&path, b"first").unwrap();
    write_file(&path, b"second").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"second");
    // A folder in the way: the write fails, names its target and leaves nothing beside it.
    let taken = folder.path().join("taken");
    fs::create_dir_all(taken.join("x")).unwrap();
    let text = write_file(&taken, b"bytes").unwrap_err().to_string();
    assert!(text.contains("taken") && text.contains("move the folder away"), "{text}");
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn a_run_folder_holds_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let run = RunDir::create(Some(&out), "x").unwrap();
    assert!(RunDir::open(&out).unwrap_err().to_string().contains("config.toml"));
    run.write_config(&PRESETS[0].config).unwrap();
    assert_eq!(RunDir::open(&out).unwrap(), run);
    let config = edgewalk::config::resolve(run.config().to_str(), &[]).unwrap();
    assert_eq!(config.config, PRESETS[0].config);
}

#[test]
fn the_manifest_says_in_words_why_the_run_ended() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::create(Some(&folder.path().join("run")), "x").unwrap();
    let mut manifest = manifest();
    for (ended, words) in [
        (Ended::Running, "running"),
        (Ended::Done, "done"),
        (Ended::Reached { until: "loss < 0.1".into() }, "reached loss < 0.1"),
        (Ended::Interrupted, "interrupted"),
        (Ended::TimeLimit, "time limit"),
        (Ended::Diverged { step: 7 }, "diverged at step 7"),
        (Ended::Failed { error: "lost".into() }, "error: lost"),
    ] {
        manifest.ended = ended;
        run.write_manifest(&manifest).unwrap();
        let text = fs::read_to_string(run.manifest()).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["ended"], words);
        assert_eq!(json["adapter"], "some \"GPU\"");
        assert_eq!(json["limits"]["max_buffer_size"], 268_435_456);
        assert!(json["commit"].is_null());
        assert_eq!(run.read_manifest().unwrap(), manifest);
        assert_eq!((&json["measured"]["on"], &json["measured"]["examples"]), (&"fixed".into(), &200.into()));
    }
}

#[test]
fn the_columns_are_those_that_others_rely_on() {
    let folder = tempfile::tempdir().unwrap();
    let (metrics, curvature) = (folder.path().join("m.csv"), folder.path().join("c.csv"));
    MetricsWriter::create(&metrics, CurvatureColumns::default()).unwrap();
    CurvatureWriter::create(&curvature, CurvatureColumns { top: 3, ..Default::default() }).unwrap();
    let header = fs::read_to_string(&metrics).unwrap();
    assert!(header.starts_with("step,secs,loss,error,grad_norm,"), "{header}");
    assert_eq!(
        fs::read_to_string(&curvature).unwrap(),
        "step,secs,loss,grad_norm,lambda_1,lambda_2,lambda_3,residual_1,residual_2,residual_3,\
         lambda_min,hessian_norm,gd_edge,sam_edge,edge_ratio,gauge,grad_alignment,\
         sam_grad_alignment,hvps,measured_on,examples,measured_at,error_1,error_2,error_3,lambda_max,lambda_max_error,\
         lambda_min_error,grad_subspace,sam_grad_subspace,solve_secs,converged_1,converged_2,converged_3,\
         update_sharpness,update_error,follows_1,follows_2,follows_3\n"
    );
}

#[test]
fn a_row_is_on_the_disk_when_write_returns_and_missing_values_are_empty_cells() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.csv");
    let mut writer = CurvatureWriter::create(&path, CurvatureColumns { top: 3, ..Default::default() }).unwrap();
    writer.write(&curvature_row(20, 0.75)).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let row = "20,0.25,0.1,0.001,-3.0,2.0,,1e-5,2e-5,,,3.0,5.0,4.0,0.75,1.5,0.5,0.75,12,,,,,,,,,,,,,,,,,,,,";
    assert_eq!(text.lines().nth(1), Some(row));
    assert_eq!(read_curvature(&path).unwrap(), [curvature_row(20, 0.75)]);
}

#[test]
fn every_column_of_a_curvature_row_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.csv");
    let full = CurvatureRow {
        errors: vec![1e-8, 2e-8],
        bottoms: vec![-3.0, -0.5],
        bottom_errors: vec![1e-7, 3e-6],
        lambda_max: Some(Extreme { value: 2.0, error: 1e-4 }),
        lambda_min: Some(Extreme { value: -3.0, error: 1e-5 }),
        grad_subspace: Some(0.875),
        sam_grad_subspace: Some(0.9375),
        solve_secs: Some(0.125),
        batch: Some(BatchRow { sharpness: 7.5, grad_norm: 0.25, fresh: None }),
        at: Some(MeasureAt::Midpoint),
        measured: Some(MeasuringSet { on: MeasureOn::Fixed, examples: 10 }),
        ..curvature_row(10, 0.5)
    };
    let columns = CurvatureColumns { top: 2, bottom: 2, batch: true, ..Default::default() };
    CurvatureWriter::create(&path, columns).unwrap().write(&full).unwrap();
    assert_eq!(read_curvature(&path).unwrap(), [full]);
}

#[test]
fn the_official_estimate_has_columns_of_its_own_where_it_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.csv");
    let estimate = OfficialRow {
        hessian_norm: 3.5,
        edge_ratio: 0.875,
        grad_alignment: 0.25,
        sam_grad_alignment: 0.125,
        hvps: 100,
    };
    let measured = Some(MeasuringSet { on: MeasureOn::Batch, examples: 64 });
    let with = CurvatureRow { measured, official: Some(estimate), ..curvature_row(10, 0.5) };
    let mut writer =
        CurvatureWriter::create(&path, CurvatureColumns { top: 2, official: true, ..Default::default() }).unwrap();
    writer.write(&with).unwrap();
    writer.write(&curvature_row(20, 0.5)).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.lines().nth(1).unwrap().ends_with(",12,batch,64,,,,,,,,,,3.5,0.875,0.25,0.125,100,,,,,,"), "{text}");
    let rows = read_curvature(&path).unwrap();
    assert_eq!(rows, [with.clone(), curvature_row(20, 0.5)]);
    let ratio = EdgeSummary::of(&rows, &Rule::sam(1.0, 1.0)).unwrap().official.unwrap();
    assert_eq!((ratio.median, ratio.min), (3.5 / 3.0, 3.5 / 3.0));

    fs::write(&path, text.replace(",0.125,100", ",0.125,")).unwrap();
    let text = read_curvature(&path).unwrap_err().to_string();
    assert!(text.contains("official_hvps"), "{text}");
    // A table without the columns keeps no estimate.
    CurvatureWriter::create(&path, CurvatureColumns { top: 2, ..Default::default() }).unwrap().write(&with).unwrap();
    assert_eq!(read_curvature(&path).unwrap(), [CurvatureRow { measured, ..curvature_row(10, 0.5) }]);
    // Nor does one of an early version say what it measured on; one that says nonsense is refused.
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace(",measured_on,examples", "").replace(",batch,64", "")).unwrap();
    assert_eq!(read_curvature(&path).unwrap(), [curvature_row(10, 0.5)]);
    fs::write(&path, text.replace(",batch,64", ",bach,64")).unwrap();
    let text = read_curvature(&path).unwrap_err().to_string();
    assert!(text.contains("`bach`") && text.contains("`measured_on`"), "{text}");
}

#[test]
fn damaged_tables_are_refused_with_the_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.csv");
    let read = |text: &str| {
        fs::write(&path, text).unwrap();
        read_metrics(&path).map_err(|error| error.to_string())
    };
    let five = "step,secs,loss,error,grad_norm\n";
    assert_eq!(read(&format!("{five}0,0,1,0.9,2\n")).unwrap()[0].test_loss, None);
    let text = read(&format!("{five}0,0,1,0.9,2\n1,0,x,0.9,2\n")).unwrap_err();
    assert!(text.contains("line 3") && text.contains("`x`") && text.contains("`loss`"), "{text}");
    let text = read(&format!("{five},0,1,0.9,2\n")).unwrap_err();
    assert!(text.contains("line 2") && text.contains("`step`"), "{text}");
    // An empty number is one that was not finite.
    assert!(read(&format!("{five}0,0,,0.9,2\n")).unwrap()[0].loss.is_nan());
    let text = read(&format!("{five}0,0\n")).unwrap_err();
    assert!(text.contains("metrics.csv"), "{text}");
    let text = read("step,secs\n0,0\n").unwrap_err();
    assert!(text.contains("no column `loss`"), "{text}");
    let text = read_metrics(&folder.path().join("none.csv")).unwrap_err().to_string();
    assert!(text.contains("none.csv"), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_that_names_the_file() {
    let full = std::path::Path::new("/dev/full");
    let text = MetricsWriter::create(full, CurvatureColumns::default()).err().expect("must fail").to_string();
    assert!(text.contains("/dev/full") && text.contains("free space"), "{text}");
}

/// Every kind of number that a table holds.
fn finite() -> proptest::num::f64::Any {
    use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};

    POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO
}

#[test]
fn a_number_that_is_not_finite_is_an_empty_cell() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.csv");
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let row = CurvatureRow { gauge: bad, grad_alignment: bad, grad_subspace: Some(bad), ..curvature_row(20, bad) };
        let columns = CurvatureColumns { top: 2, ..Default::default() };
        CurvatureWriter::create(&path, columns).unwrap().write(&row).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        let read = read_curvature(&path).unwrap().remove(0);
        assert!(read.edge_ratio.is_nan() && read.gauge.is_nan() && read.grad_alignment.is_nan());
        assert_eq!(read.grad_subspace, None);
    }
}

proptest! {
    #[test]
    fn numbers_read_back_to_the_same_bits(
        step in 0..=i64::MAX as u64,
        values in proptest::collection::vec(finite(), 4),
        test in proptest::option::of(proptest::num::f64::NORMAL),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        let row = MetricsRow {
            step,
            secs: values[0],
            loss: values[1],
            error: values[2],
            grad_norm: values[3],
            test_loss: test,
            test_error: test,
            lr: test,
        };
        MetricsWriter::create(&path, CurvatureColumns::default()).unwrap().write(&row).unwrap();
        let read = read_metrics(&path).unwrap().remove(0);
        prop_assert_eq!(read.step, step);
        for (read, written) in [read.secs, read.loss, read.error, read.grad_norm].into_iter().zip(values) {
            prop_assert_eq!(read.to_bits(), written.to_bits(), "{} became {}", written, read);
        }
        prop_assert_eq!((read.test_loss, read.test_error, read.lr), (test, test, test));
    }
}

#[test]
fn spreads_are_medians_and_extremes_of_finite_values() {
    let spread = Spread::of([3.0, f64::NAN, 1.0, 10.0]).unwrap();
    assert_eq!((spread.median, spread.min, spread.max), (3.0, 1.0, 10.0));
    assert_eq!(Spread::of([4.0, 1.0, 2.0, 8.0]).unwrap().median, 3.0);
    assert_eq!(Spread::of([f64::INFINITY]), None);
}

#[test]
fn the_summary_judges_the_second_half() {
    // The climb at 0.2 must not count; step 50 is exactly half of 100 and must.
    let rows: Vec<_> = [(0, 0.2), (25, 0.2), (49, 0.2), (50, 0.93), (60, 1.0), (75, 1.01), (90, 1.02), (100, 1.08)]
        .map(|(step, ratio)| curvature_row(step, ratio))
        .into();
    let sam = Rule::sam(1.0, 1.0);
    let edge = EdgeSummary::of(&rows, &sam).unwrap();
    let ratio = edge.ratio.unwrap();
    assert_eq!((edge.first_step, edge.last_step, edge.rows), (50, 100, 5));
    assert_eq!((ratio.median, ratio.min, ratio.max), (1.01, 0.93, 1.08));
    assert_eq!((edge.gauge.median, edge.worst_residual), (2.02, 1e-5));
    assert_eq!(edge.verdict(), Some(EdgeVerdict::Above));
    let text = Summary::of(&[], &rows, sam).to_string();
    assert!(text.contains("λ_max ÷ SAM-edge") && text.contains("above the edge (1 ± 0.05)"), "{text}");
    assert_eq!(EdgeSummary::of(&[], &sam), None);
    assert_eq!(EdgeSummary::of(&[curvature_row(0, f64::NAN)], &sam), None);
}

/// Rows with these gauges and error bars, one a step, all in the half that is judged.
fn rows_of(gauges: &[f64], update_error: f64) -> Vec<CurvatureRow> {
    let row = |(step, &gauge): (usize, &f64)| CurvatureRow {
        gauge,
        update_error: Some(update_error),
        ..curvature_row(1000 + step as u64, f64::NAN)
    };
    gauges.iter().enumerate().map(row).collect()
}

#[test]
fn a_verdict_takes_five_rows_and_says_its_band() {
    let gd = Rule::gd(0.5);
    let judged = |gauges: &[f64], error: f64| {
        let edge = EdgeSummary::of(&rows_of(gauges, error), &gd).unwrap();
        (edge.verdict(), edge.conclusion())
    };
    // Four rows are too few, however clear they look.
    assert_eq!(judged(&[1.0; 4], 0.0), (None, "no verdict from 4 rows, which takes 5".to_owned()));
    for (gauge, verdict) in [
        (0.94, EdgeVerdict::Below),
        (0.96, EdgeVerdict::At),
        (1.04, EdgeVerdict::At),
        (1.06, EdgeVerdict::Above),
        (-0.5, EdgeVerdict::Below),
    ] {
        assert_eq!(judged(&[gauge; 5], 0.0).0, Some(verdict), "{gauge}");
    }
    // The distance between the quartiles 0.9 and 1.1, and for η = 0.5 a quarter of the error bar.
    assert_eq!(judged(&[0.5, 0.9, 0.95, 1.1, 2.0], 0.0), (Some(EdgeVerdict::At), "at the edge (1 ± 0.20)".to_owned()));
    assert_eq!(judged(&[0.9; 5], 0.5), (Some(EdgeVerdict::At), "at the edge (1 ± 0.12)".to_owned()));
    assert_eq!(judged(&[0.9; 5], 0.2).0, Some(EdgeVerdict::Below));
    // A band that swallows everything is none.
    assert_eq!(judged(&[0.1, 0.1, 0.7, 3.0, 3.0], 0.0).1, "below the edge (1 ± 0.25)");
}

#[test]
fn rows_of_other_rules_are_not_averaged() {
    // SAM for the steps before 1005, gradient descent after.
    let rows = rows_of(&[3.0, 3.0, 3.0, 3.0, 3.0, 1.0, 1.0, 1.0, 1.0, 1.0], 0.0);
    let rule = Rule { sam_until: 1005, ..Rule::sam(0.5, 0.1) };
    let edge = EdgeSummary::of(&rows, &rule).unwrap();
    assert_eq!((edge.rows, edge.gauge.min, edge.gauge.max, &*edge.edge_name), (5, 1.0, 1.0, "2/η"));
}

#[test]
fn the_summary_says_what_its_numbers_are_about() {
    let last = MetricsRow {
        step: 9,
        secs: 1.0,
        loss: 0.5,
        error: 0.25,
        grad_norm: 1.0,
        test_loss: None,
        test_error: None,
        lr: None,
    };
    let text = |batch: usize, on: MeasureOn| {
        let set = MeasuringSet { on, examples: 200 };
        let rows = [CurvatureRow { measured: Some(set), ..curvature_row(9, 1.0) }];
        Summary { batch, ..Summary::of(std::slice::from_ref(&last), &rows, Rule::sam(1.0, 1.0)) }.to_string()
    };
    let full = text(0, MeasureOn::Train);
    assert!(full.contains("training loss 5.0000e-1") && !full.contains("measured on"), "{full}");
    let fixed = text(64, MeasureOn::Fixed);
    assert!(fixed.contains("loss of the minibatch 5.0000e-1"), "{fixed}");
    assert!(fixed.contains("curvature measured on the first 200 training examples"), "{fixed}");
    assert!(text(64, MeasureOn::Batch).contains("the 200 examples of the step"));
}
