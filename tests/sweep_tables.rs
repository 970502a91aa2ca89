//! The tables that a sweep prints: their width, and the step at which the edge is reached.

use std::fs;
use std::path::Path;

use edgewalk::folder::RunDir;
use edgewalk::folder::rows::CurvatureRow;
use edgewalk::folder::tables::read_curvature;

use super::program::{edgewalk, succeeds};
use super::sweep::{rows, sweep};

/// Lines of a table in a terminal of this width, in characters.
fn in_width(here: &Path, folder: &str, width: &str) -> Vec<String> {
    let mut command = edgewalk(here, &["resume", folder]);
    command.env("COLUMNS", width);
    succeeds(command).lines().map(str::to_owned).collect()
}

#[test]
fn the_table_of_a_sweep_fits_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let sets = ["lr=0.05,0.1", "momentum=0,0.9", "seed=0,1", "rho=0.01", "measure.every=1"];
    succeeds(sweep(here, &sets, &["--out", "s"]));
    let longest = |lines: &[String]| lines.iter().map(|line| line.chars().count()).max().unwrap();
    let [wide, usual] = ["120", "80"].map(|width| in_width(here, "s", width));
    assert!(longest(&usual) <= 80 && longest(&wide) <= 120 && longest(&wide) > 80, "{usual:#?}\n{wide:#?}");
    // In 120 columns every job has one line; no word is broken in 80.
    let jobs = wide.iter().filter(|line| line.contains("  done  "));
    assert_eq!(jobs.count(), 8, "{wide:#?}");
    let words = |lines: &[String]| -> Vec<String> {
        let mut words: Vec<String> = lines.iter().flat_map(|line| line.split_whitespace()).map(str::to_owned).collect();
        words.sort();
        words
    };
    assert_eq!(words(&usual), words(&wide));
}

#[test]
fn the_step_at_which_the_edge_is_reached_is_averaged_over_seeds() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    // Gradient descent with a small rate is far from its edge; with a large one it is beyond it from the first step.
    let sets = ["rho=0", "lr=1e-3,20", "seed=0,1", "measure.every=1", "steps=6", "measure.top=1"];
    let printed = succeeds(sweep(here, &sets, &["--out", "s"]));
    let rows = rows(&here.join("s"));
    for seed in 0..2 {
        assert_eq!(rows[&format!("lr=1e-3,seed={seed}")].edge_step, None);
        let run = RunDir::open(&here.join(format!("s/runs/lr=20,seed={seed}"))).unwrap();
        let curvature = read_curvature(&run.curvature()).unwrap();
        let step = rows[&format!("lr=20,seed={seed}")].edge_step.unwrap();
        let at = |row: &&CurvatureRow| row.step as f64 == step;
        assert!(curvature.iter().find(at).unwrap().gauge > 0.75, "{curvature:?}");
        assert!(curvature.iter().take_while(|row| !at(row)).all(|row| !row.is_sound() || row.gauge < 0.95));
    }
    let (_, means) = printed.split_once("standard deviations:\n").unwrap();
    assert!(means.lines().next().unwrap().ends_with("step at the edge"), "{means}");
    assert!(means.lines().nth(1).unwrap().ends_with("none of 2 seeds"), "{means}");
    let report = fs::read_to_string(here.join("s/report.html")).unwrap();
    assert!(report.contains("step at the edge") && report.contains("none of 2 seeds"));
}
