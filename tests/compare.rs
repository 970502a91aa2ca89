//! Runs beside each other, and beside raw files of the official code.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use edgewalk::results::official_raw::read_raw;

use crate::cli::{edgewalk, refuses, succeeds};

fn train(folder: &Path, name: &str, sets: &[&str]) {
    let mut args = vec!["train", "quickstart", "--out", name];
    for set in ["train=50", "width=8", "test=20", "steps=12", "measure.every=3", "measure.top=1"].iter().chain(sets) {
        args.extend(["--set", set]);
    }
    succeeds(edgewalk(folder, &args));
}

fn compare(folder: &Path, args: &[&str]) -> String {
    let text = succeeds(edgewalk(folder, &[&["compare"], args].concat()));
    println!("{text}");
    text
}

#[test]
fn the_same_run_twice_is_bit_identical() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), "a", &[]);
    train(folder.path(), "b", &[]);
    let text = compare(folder.path(), &["a", "b"]);
    for part in [
        "b beside a\n  configuration: the same\n  made by: the same\n",
        "metrics.csv: bit-identical, timings aside, over 13 common steps, 0 to 12\n",
        "curvature.csv: bit-identical, timings aside, over 5 common steps, 0 to 12\n",
    ] {
        assert!(text.contains(part), "{part}");
    }
    let svg = fs::read_to_string(folder.path().join("compare/sharpness.svg")).unwrap();
    assert!(svg.contains(">a, ‖H‖<") && svg.contains(">b, edge<") && svg.contains("step (updates made)"));
}

#[test]
fn differences_are_found_where_they_begin_and_measured() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), "a", &[]);
    train(folder.path(), "b", &["optim.sam_until=6", "run.steps=9"]);
    // The runs part at update 6, so row 7 is the first that differs; the setting says so too.
    let text = compare(folder.path(), &["a", "b", "--out", "pictures", "--format", "png"]);
    for part in [
        "optim.sam_until: 0 → 6",
        "run.steps: 12 → 9",
        "metrics.csv: differs from step 7 on, over 10 common steps (of 13 and 10)",
    ] {
        assert!(text.contains(part), "{part}");
    }
    for name in ["sharpness", "edge_ratio", "loss", "alignment"] {
        let path = folder.path().join(format!("pictures/{name}.png"));
        assert!(fs::read(path).unwrap().starts_with(b"\x89PNG"));
        let picture = Path::new("pictures").join(format!("{name}.png"));
        assert!(text.contains(picture.to_str().unwrap()));
    }

    // One cell changed by hand: its size, relative size and step are told exactly, and no other column is named.
    let table = folder.path().join("a/metrics.csv");
    let before = fs::read_to_string(&table).unwrap();
    let mut lines: Vec<Vec<String>> = before.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect();
    lines[5][2] = "4.0".into();
    let copy = folder.path().join("c");
    fs::create_dir(&copy).unwrap();
    for file in ["config.toml", "manifest.json", "curvature.csv"] {
        fs::copy(folder.path().join("a").join(file), copy.join(file)).unwrap();
    }
    fs::write(copy.join("metrics.csv"), lines.iter().map(|cells| cells.join(",") + "\n").collect::<String>()).unwrap();
    lines[5][2] = "3.0".into();
    fs::write(&table, lines.iter().map(|cells| cells.join(",") + "\n").collect::<String>()).unwrap();
    let text = compare(folder.path(), &["a", "c"]);
    assert!(text.contains("differs from step 4 on"), "{text}");
    assert!(text.contains("loss  from step 4, at most 1 (step 4), relatively 0.25 (step 4)\n"), "{text}");
    assert!(!text.contains("grad_norm") && text.contains("curvature.csv: bit-identical"), "{text}");
}

/// Checks of a made-up run of the official code, from a second after `start` on.
fn raw(start: f64, rows: u32) -> String {
    let mut text = String::new();
    for i in 1..=rows {
        let t = start + f64::from(i);
        writeln!(text, "{t} {} 4.0 1.5 0.25 0.{i} 0.5 0.75", 1.0 + 0.125 * f64::from(i)).unwrap();
    }
    text
}

#[test]
fn raw_files_are_read_run_by_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raw.txt");
    // Appended runs: the second begins where the time jumps back.
    fs::write(&path, raw(0.5, 3) + "\n" + &raw(0.25, 4) + "9 nan 4.0 1.5 nan nan nan nan\n").unwrap();
    let runs = read_raw(&path).unwrap();
    assert_eq!(runs.iter().map(Vec::len).collect::<Vec<_>>(), [3, 5]);
    let row = runs[0][1];
    assert_eq!([row.secs, row.hessian_norm, row.gd_edge, row.sam_edge], [2.5, 1.25, 4.0, 1.5]);
    assert_eq!([row.grad_norm, row.loss, row.grad_alignment, row.sam_grad_alignment], [0.25, 0.2, 0.5, 0.75]);
    assert!(runs[1][4].loss.is_nan());

    train(folder.path(), "ours", &[]);
    let text = compare(folder.path(), &["ours", "raw.txt"]);
    assert!(text.contains("raw.txt (1 of 2)") && text.contains("over seconds since training began"), "{text}");
    for name in ["sharpness", "edge_ratio", "loss", "alignment"] {
        let svg = fs::read_to_string(folder.path().join(format!("compare/{name}.svg"))).unwrap();
        assert!(svg.contains("seconds since training began") && svg.contains("raw.txt (2 of 2)"), "{name}");
    }
    // A raw file alone can be looked at too.
    compare(folder.path(), &["raw.txt", "--format", "pdf"]);
    assert!(fs::read(folder.path().join("compare/loss.pdf")).unwrap().starts_with(b"%PDF-"));
}

#[test]
fn bad_files_are_refused_by_line() {
    let folder = tempfile::tempdir().unwrap();
    for (content, parts) in [
        ("1 2 3 4 5 6 7 8\n\n2 2 3\n", &["line 3", "3 numbers instead of 8"][..]),
        ("1 2 3 4 5 6 7 8\n2 2 x 4 5 6 7 8\n", &["line 2", "`x` is not a number"]),
        ("1,2,3,4,5,6,7,8\n", &["line 1", "is not a number"]),
        ("nan 2 3 4 5 6 7 8\n", &["line 1", "not a time"]),
        ("\n", &["is empty"]),
    ] {
        fs::write(folder.path().join("raw.txt"), content).unwrap();
        refuses(edgewalk(folder.path(), &["compare", "raw.txt"]), 1, parts);
    }
    refuses(edgewalk(folder.path(), &["compare", "nothing"]), 1, &["nothing does not exist"]);
    refuses(edgewalk(folder.path(), &["compare", "."]), 1, &["config.toml"]);
    assert_eq!(edgewalk(folder.path(), &["compare"]).output().unwrap().status.code(), Some(2));
}
