//! `edgewalk bench`: tables, files, refusals, and exponents that are those of the data.

use std::fs;

use edgewalk::bench::growth::power_law;
use serde_json::Value;
use tempfile::tempdir;

use super::cli::{edgewalk, refuses, succeeds, text};
use super::oracle::assert_near;

/// Changes that make the quickstart tiny.
const TINY: [&str; 6] = ["--set", "width=8", "--set", "depth=2", "--set", "train=20"];

fn numbers<'a>(json: &'a Value, list: &str, field: &'a str) -> Vec<f64> {
    json[list].as_array().unwrap().iter().map(|entry| entry[field].as_f64().unwrap()).collect()
}

#[test]
fn the_kernels_and_the_wholes_are_listed() {
    let folder = tempdir().unwrap();
    let printed = succeeds(edgewalk(folder.path(), &[&["bench", "--json", "out/b.json"], &TINY[..]].concat()));
    for part in [
        "quickstart on ",
        "6370 parameters; 20 made-up examples, 20 at a time",
        "GFLOP/s (multiply-adds in registers)",
        "count        ms   share   GFLOP/s     GB/s   limit  kernel",
        "kernels of a gradient step",
        "÷ gradient  dispatches",
        "SAM step",
        "kept for H·v",
    ] {
        assert!(printed.contains(part), "{part:?} is not in\n{printed}");
    }

    let json: Value = serde_json::from_slice(&fs::read(folder.path().join("out/b.json")).unwrap()).unwrap();
    let peaks = ["flops_per_sec", "bytes_per_sec", "launch_secs"].map(|peak| json["peaks"][peak].as_f64().unwrap());
    assert!(peaks.iter().all(|&peak| peak > 0.0), "{json}");
    // The kernels are those of the gradient step, the longest first, and every one is printed.
    let secs = numbers(&json, "kernels", "secs");
    assert!(secs.is_sorted_by(|a, b| a >= b) && secs.iter().all(|&secs| secs > 0.0), "{secs:?}");
    let dispatches = numbers(&json, "wholes", "dispatches");
    assert_eq!(numbers(&json, "kernels", "count").iter().sum::<f64>(), dispatches[0]);
    let flops: f64 = numbers(&json, "kernels", "flops").iter().sum();
    assert_near(flops, numbers(&json, "wholes", "flops")[0], 1e-12, "operations of the kernels and of the step");
    for kernel in json["kernels"].as_array().unwrap() {
        assert!(printed.contains(kernel["kernel"].as_str().unwrap()), "{kernel} is not in\n{printed}");
        // The share of the limit, from the figures beside it.
        let number = |field: &str| kernel[field].as_f64().unwrap();
        let least = (number("flops") / peaks[0]).max(number("bytes") / peaks[1]);
        assert_near(number("of_limit"), least / number("secs"), 1e-12, "share of the limit");
    }
    // A SAM step is two gradient steps with one update, which is a dispatch, and a climb; a gradient is one of itself.
    let names: Vec<&str> = json["wholes"].as_array().unwrap().iter().map(|w| w["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["gradient step", "SAM step", "kept for H·v", "H·v"]);
    assert!(dispatches[1] >= 2.0 * (dispatches[0] - 1.0), "{dispatches:?}");
    assert_eq!(numbers(&json, "wholes", "gradients")[0], 1.0);
}

#[test]
fn the_growth_of_a_step_is_tabulated_and_drawn() {
    let folder = tempdir().unwrap();
    let args = [&["bench", "--growth", "--budget", "2", "--out", "g"], &TINY[..]].concat();
    let printed = succeeds(edgewalk(folder.path(), &args));
    let mut table = csv::Reader::from_path(folder.path().join("g/growth.csv")).unwrap();
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    for axis in ["examples", "width", "depth"] {
        let sizes: Vec<usize> = rows.iter().filter(|r| &r[0] == axis).map(|r| r[1].parse().unwrap()).collect();
        assert!(!sizes.is_empty() && sizes.windows(2).all(|pair| pair[1] == 2 * pair[0]), "{axis}: {sizes:?}");
        assert!(printed.contains(axis));
    }
    // Each size is what was asked for: the depth of the last rows is that of their parameters.
    for row in rows.iter().filter(|row| &row[0] == "depth") {
        let (depth, parameters): (usize, usize) = (row[1].parse().unwrap(), row[3].parse().unwrap());
        assert_eq!(parameters, 785 * 8 + (depth - 2) * 9 * 8 + 9 * 10);
        assert_eq!(&row[2], "20");
    }
    let picture = fs::read_to_string(folder.path().join("g/growth.svg")).unwrap();
    assert!(picture.contains("<svg viewBox") && picture.contains("Time of a gradient step: quickstart"));
}

#[test]
fn wrong_arguments_are_refused() {
    let folder = tempdir().unwrap();
    for (args, says) in [
        (&["bench", "quickstrat"][..], "did you mean `quickstart`?"),
        (&["bench", "--set", "widht=8"], "did you mean `model.width`?"),
        (&["bench", "--set", "model.kind=transformer"], "cannot read the data set embedded"),
        (&["bench", "--growth", "--set", "model.kind=transformer"], "cannot read the data set embedded"),
    ] {
        refuses(edgewalk(folder.path(), args), 2, &[says]);
    }
    for (args, says) in [
        (&["--growth", "--hvp"][..], "'--growth' cannot be used with '--hvp'"),
        (&["--budget", "5"], "--growth"),
        (&["--growth", "--budget", "0"], "a number of seconds above 0"),
    ] {
        let output = edgewalk(folder.path(), &[&["bench"], args].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).contains(says), "{args:?}: {}", text(&output.stderr));
    }
    refuses(edgewalk(folder.path(), &["bench", "--adapter", "abacus"]), 1, &["abacus"]);
}

#[test]
fn the_exponent_of_a_power_law_is_recovered() {
    let sizes = (0..9).map(|i| f64::from(16 << i));
    let law: Vec<(f64, f64)> = sizes.clone().map(|x| (x, 3e-4 * x.powf(1.37))).collect();
    let (slope, factor) = power_law(&law).unwrap();
    assert_near(slope, 1.37, 1e-12, "slope");
    assert_near(factor / 3e-4, 1.0, 1e-12, "factor");
    // What every step costs besides hides in the lower half.
    let lifted: Vec<(f64, f64)> = sizes.map(|x| (x, 1.0 + 3e-4 * x.powf(1.37))).collect();
    let slope = power_law(&lifted).unwrap().0;
    assert!(slope > 0.8 && slope < 1.37, "{slope}");
    assert_eq!(power_law(&law[..2]), None);
    assert_eq!(power_law(&[]), None);
}
