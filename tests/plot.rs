//! The pictures: which curves they hold, where those curves lie, and that every format is written.

use std::fs;
use std::path::{Path, PathBuf};

use edgewalk::config::preset::PRESETS;
use edgewalk::folder::RunDir;
use edgewalk::folder::rows::{CurvatureColumns, CurvatureRow, MetricsRow};
use edgewalk::folder::tables::{CurvatureWriter, MetricsWriter};
use edgewalk::results::Format;
use edgewalk::results::plot::plot_run;

use crate::cli::{edgewalk, refuses, succeeds};

const LEVELS: [f64; 2] = [4.0, 3.0];
const GD_EDGE: f64 = 8.0;
const ROWS: u64 = 30;

/// A run whose eigenvalues stay at `LEVELS`, with one spike of ‖H‖ at step 0 if asked.
fn run_in(folder: &Path, sam_edge: f64, spike: f64, rows: u64) -> RunDir {
    let run = RunDir::create(Some(&folder.join("walk-007")), "").unwrap();
    run.write_config(&PRESETS[0].config).unwrap();
    let mut metrics = MetricsWriter::create(&run.metrics(), CurvatureColumns::default()).unwrap();
    let mut curvature =
        CurvatureWriter::create(&run.curvature(), CurvatureColumns { top: 2, ..Default::default() }).unwrap();
    for step in 0..=rows {
        let loss = 1.0 / (1.0 + step as f64);
        metrics
            .write(&MetricsRow {
                step,
                secs: 0.0,
                loss,
                error: 0.5,
                grad_norm: 1.0,
                test_loss: Some(2.0 * loss),
                test_error: Some(0.5),
                lr: Some(0.1),
            })
            .unwrap();
        let norm = if step == 0 { spike } else { LEVELS[0] };
        let row = CurvatureRow {
            step,
            secs: 0.0,
            loss,
            grad_norm: 1.0,
            lambdas: vec![LEVELS[0], LEVELS[1]],
            residuals: vec![0.0; 2],
            lambda_min: None,
            hessian_norm: norm,
            gd_edge: GD_EDGE,
            sam_edge,
            edge_ratio: norm / sam_edge,
            gauge: 1.0,
            grad_alignment: 0.25,
            sam_grad_alignment: 0.75,
            hvps: 1,
            measured: None,
            official: None,
            ..Default::default()
        };
        if rows > 0 {
            curvature.write(&row).unwrap();
        }
    }
    run
}

fn svg(run: &RunDir, name: &str) -> String {
    plot_run(run, Format::Svg).unwrap();
    fs::read_to_string(run.plots().join(name)).unwrap()
}

/// The heights, in pixels from the top, of the last points of all drawn curves of this colour.
fn last_heights(svg: &str, color: &str) -> Vec<f64> {
    let paths = svg.split('<').filter(|tag| tag.starts_with("path") && tag.contains(color));
    paths
        .filter_map(|tag| {
            let (_, d) = tag.split_once(" d=\"")?;
            let d = d.split('"').next()?;
            d.split([' ', ',', 'M', 'L']).rfind(|s| !s.is_empty())?.parse().ok()
        })
        .collect()
}

#[test]
fn curves_lie_where_their_values_are() {
    let folder = tempfile::tempdir().unwrap();
    let svg = svg(&run_in(folder.path(), 5.0, LEVELS[0], ROWS), "edges.svg");
    // Okabe and Ito's colours: ‖H‖ blue, λ₂ green, SAM-edge vermillion, 2/η black.
    let heights = ["#0072b2", "#009e73", "#d55e00"].map(|color| last_heights(&svg, color)[0]);
    let [norm, second, sam_edge] = heights;
    // On a linear axis the step from 3 to 4 is as high as that from 4 to 5.
    let unit = second - norm;
    assert!(unit > 10.0, "{heights:?}");
    assert!((norm - sam_edge - unit).abs() < 0.1, "{heights:?}");
}

#[test]
fn each_picture_names_its_curves() {
    let folder = tempfile::tempdir().unwrap();
    let run = run_in(folder.path(), 5.0, LEVELS[0], ROWS);
    let edges = svg(&run, "edges.svg");
    for label in ["‖H‖", "λ₁", "λ₂", "SAM-edge", "2/η", "walk-007", "step"] {
        assert!(edges.contains(label), "{label}");
    }
    let sam_only = svg(&run, "edges_sam_only.svg");
    assert!(sam_only.contains("SAM-edge") && !sam_only.contains("2/η") && !sam_only.contains("λ₁"));
    let alignment = svg(&run, "alignment.svg");
    assert_eq!(alignment.matches("cos(").count(), 2);
    let loss = svg(&run, "loss.svg");
    assert!(loss.contains("training") && loss.contains("test"));
}

#[test]
fn gradient_descent_has_one_edge() {
    let folder = tempfile::tempdir().unwrap();
    let run = run_in(folder.path(), GD_EDGE, LEVELS[0], ROWS);
    let edges = svg(&run, "edges.svg");
    assert!(!edges.contains("SAM-edge"));
    assert_eq!(edges.matches("2/η").count(), 1);
    let sam_only = svg(&run, "edges_sam_only.svg");
    assert!(!sam_only.contains("SAM-edge") && sam_only.contains("2/η"));
    assert_eq!(svg(&run, "alignment.svg").matches("cos(").count(), 1);
}

#[test]
fn a_spike_leaves_the_frame_and_the_picture_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let edges = svg(&run_in(folder.path(), 5.0, 1e6, ROWS), "edges.svg");
    assert!(edges.contains("1 point lies outside the frame"));
}

#[test]
fn every_format_is_written_under_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let run = run_in(folder.path(), 5.0, LEVELS[0], 3);
    for (format, extension, magic) in [
        (Format::Svg, "svg", &b"<svg viewBox"[..]),
        (Format::Png, "png", b"\x89PNG\r\n"),
        (Format::Pdf, "pdf", b"%PDF-"),
    ] {
        let written = plot_run(&run, format).unwrap();
        let expected: Vec<PathBuf> = ["edges", "edges_sam_only", "alignment", "gauge", "loss"]
            .map(|stem| run.plots().join(format!("{stem}.{extension}")))
            .into();
        assert_eq!(written, expected);
        for path in written {
            assert!(fs::read(&path).unwrap().starts_with(magic), "{}", path.display());
        }
    }
}

#[test]
fn a_run_without_curvature_shows_its_loss_and_an_empty_one_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let run = run_in(folder.path(), 5.0, LEVELS[0], 0);
    assert_eq!(plot_run(&run, Format::Svg).unwrap(), [run.plots().join("loss.svg")]);
    MetricsWriter::create(&run.metrics(), CurvatureColumns::default()).unwrap();
    let text = plot_run(&run, Format::Svg).unwrap_err().to_string();
    assert!(text.contains("metrics.csv") && text.contains("no rows"), "{text}");
}

#[test]
fn eigenvalues_are_followed_through_a_crossing() {
    let folder = tempfile::tempdir().unwrap();
    let run = run_in(folder.path(), 5.0, LEVELS[0], 0);
    let draw = |follows: bool| {
        let columns = CurvatureColumns { top: 2, ..Default::default() };
        let mut table = CurvatureWriter::create(&run.curvature(), columns).unwrap();
        for step in 0..=10_u64 {
            // One falls from 4 to 3 and the other rises from 3 to 4: at step 6 their ranks are the other way round.
            let (falling, rising) = (4.0 - 0.1 * step as f64, 3.0 + 0.1 * step as f64);
            let lambdas = vec![f64::max(falling, rising), f64::min(falling, rising)];
            let links = if step == 6 { vec![Some(2), Some(1)] } else { vec![Some(1), Some(2)] };
            let row = CurvatureRow {
                step,
                hessian_norm: lambdas[0],
                lambdas,
                gd_edge: GD_EDGE,
                sam_edge: 5.0,
                follows: if follows && step > 0 { links } else { vec![] },
                ..Default::default()
            };
            table.write(&row).unwrap();
        }
        svg(&run, "edges.svg")
    };
    let by_vector = draw(true);
    for part in [">λ₁ → λ₂<", ">λ₂ → λ₁<", "followed by their eigenvectors"] {
        assert!(by_vector.contains(part), "{part}");
    }
    let [first, second] = ["#0072b2", "#009e73"].map(|color| last_heights(&by_vector, color)[0]);
    assert!(first > second + 10.0, "the first ends below the second: {first} {second}");
    let by_rank = draw(false);
    assert!(by_rank.contains(">λ₁<") && by_rank.contains(">λ₂<") && !by_rank.contains('→'));
}

#[test]
fn the_look_is_that_of_the_options() {
    let folder = tempfile::tempdir().unwrap();
    let run = run_in(folder.path(), 5.0, 1e6, ROWS);
    let path = run.path().to_str().unwrap();
    let plot = |options: &[&str]| succeeds(edgewalk(folder.path(), &[&["plot", path], options].concat()));
    plot(&["--size", "column", "--y-log", "--x-range", "3:20"]);
    let loss = fs::read_to_string(run.plots().join("loss.svg")).unwrap();
    assert!(loss.starts_with("<svg viewBox=\"0 0 326.4 240\""), "{}", &loss[..200]);
    assert!(loss.contains("log scale") && loss.contains("×"));
    plot(&["--format", "png", "--size", "4x3", "--font-size", "9"]);
    // Width and height of the PNG, 300 dots an inch.
    let png = fs::read(run.plots().join("edges.png")).unwrap();
    let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    assert_eq!((side(16), side(20)), (1200, 900));
    for (options, part) in [
        (&["--size", "big"][..], "column, page, talk"),
        (&["--size", "0x3"], "WIDTHxHEIGHT"),
        (&["--font-size", "nan"], "from 4 to 72"),
        (&["--x-range", "3"], "A < B"),
        (&["--y-range", "-1:-2"], "A < B"),
        (&["--tensorboard", "--size", "page"], "cannot be used with"),
    ] {
        let output = edgewalk(folder.path(), &[&["plot", path], options].concat()).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && message.contains(part), "{message}");
    }
    let log = ["plot", path, "--y-log", "--y-range", "-1:2"];
    refuses(edgewalk(folder.path(), &log), 1, &["let --y-range begin above 0"]);
    let tiny = ["plot", path, "--size", "1x1", "--font-size", "60"];
    refuses(edgewalk(folder.path(), &tiny), 1, &["a smaller --font-size"]);
    refuses(edgewalk(folder.path(), &["plot", path, "--column", "loss"]), 1, &["not a sweep folder"]);
}
