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

/// The colours of the curves in a picture, in the order of drawing.
fn colors(svg: &str) -> Vec<String> {
    let strokes = svg.split("<path ").filter_map(|path| {
        let (_, rest) = path.split_once("stroke=\"")?;
        path.contains("fill=\"none\"").then(|| rest.split('"').next().map(str::to_owned))?
    });
    strokes.collect()
}

#[test]
fn runs_are_grouped_by_a_setting() {
    let folder = tempfile::tempdir().unwrap();
    for (name, rho, seed) in [("a", "0.1", "0"), ("b", "0.02", "0"), ("c", "0.1", "1"), ("d", "0.1", "2")] {
        train(folder.path(), name, &[&format!("rho={rho}"), &format!("seed={seed}"), "test=0"]);
    }
    let text = compare(folder.path(), &["a", "b", "c", "d", "--by", "rho"]);
    assert!(text.contains("rho = 0.02: b\n") && text.contains("rho = 0.1 (3 runs): a, c, d\n"), "{text}");
    assert!(text.contains("3 runs that differ in run.seed\n"), "{text}");
    let svg = fs::read_to_string(folder.path().join("compare/loss.svg")).unwrap();
    for part in [">rho = 0.02<", ">rho = 0.1 (3 runs)<", "which differ in run.seed; bands: ± one standard deviation"] {
        assert!(svg.contains(part), "{part}");
    }
    // Two curves of two colours, and the band of one of them.
    assert_eq!(colors(&svg).len(), 2, "{:?}", colors(&svg));
    assert_ne!(colors(&svg)[0], colors(&svg)[1]);
    assert_eq!(svg.matches("opacity=\"0.2\"").count(), 1);
    let page = fs::read_to_string(folder.path().join("compare/compare.html")).unwrap();
    assert!(page.contains("differ in run.seed") && page.matches("data:image/svg+xml").count() >= 5);

    // The loss at the last step, as the command prints it.
    let last = |name: &str| -> f64 {
        let table = fs::read_to_string(folder.path().join(name).join("metrics.csv")).unwrap();
        table.lines().last().unwrap().split(',').nth(2).unwrap().parse().unwrap()
    };
    let losses = ["a", "c", "d"].map(last);
    let mean = losses.iter().sum::<f64>() / 3.0;
    let found = text.split("rho = 0.1 (3 runs)").nth(1).unwrap().split("loss ").nth(1).unwrap();
    let found: f64 = found.split(' ').next().unwrap().parse().unwrap();
    assert!((found / mean - 1.0).abs() < 1e-3, "{found} {mean}");

    refuses(edgewalk(folder.path(), &["compare", "a", "b", "--by", "rhoo"]), 2, &["unknown key `rhoo`", "optim.rho"]);
    fs::write(folder.path().join("raw.txt"), raw(0.0, 3)).unwrap();
    refuses(
        edgewalk(folder.path(), &["compare", "a", "raw.txt", "--by", "rho"]),
        1,
        &["raw.txt has no value of optim.rho"],
    );
    // A run of another version, whose configuration lacks the key.
    let config = folder.path().join("b/config.toml");
    let lines = fs::read_to_string(&config).unwrap().replace("[optim]", "[optimizer]");
    fs::write(&config, lines).unwrap();
    refuses(edgewalk(folder.path(), &["compare", "a", "b", "--by", "rho"]), 1, &["b has no value of optim.rho"]);
}

#[test]
fn more_runs_than_colours_have_other_dashes() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), "a", &["test=0"]);
    let copies: Vec<String> = (1..8).map(|i| format!("copy{i}")).collect();
    for copy in &copies {
        let to = folder.path().join(copy);
        fs::create_dir(&to).unwrap();
        for file in ["config.toml", "manifest.json", "metrics.csv", "curvature.csv"] {
            fs::copy(folder.path().join("a").join(file), to.join(file)).unwrap();
        }
    }
    let runs: Vec<&str> = ["a"].into_iter().chain(copies.iter().map(String::as_str)).collect();
    compare(folder.path(), &runs);
    let svg = fs::read_to_string(folder.path().join("compare/loss.svg")).unwrap();
    let looks: Vec<(String, bool)> = svg
        .split("<path ")
        .filter(|path| path.contains("fill=\"none\""))
        .map(|path| (path.split("stroke=\"").nth(1).unwrap()[..7].to_owned(), path.contains("stroke-dasharray")))
        .collect();
    let distinct: std::collections::HashSet<_> = looks.iter().collect();
    assert_eq!((looks.len(), distinct.len()), (8, 8), "{looks:?}");
}
