//! `edgewalk data` and data settings as their users meet them.

use std::fs;
use std::process::Output;

use edgewalk::config::{MeasureOn, MeasuringSet};
use edgewalk::folder::rows::CurvatureRow;
use edgewalk::folder::tables::{read_curvature, read_metrics};

use super::program::{alone, edgewalk, listing, refuses, succeeds, text};

#[test]
fn the_list_says_what_is_here() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let list = succeeds(alone(here, &["data", "list"]));
    let lines: Vec<&str> = list.lines().collect();
    for (line, name) in lines.iter().zip(["mnist", "fashion-mnist", "cifar10", "shakespeare"]) {
        assert!(line.starts_with(name), "{line}");
        ["not here", "://", " MB", "; "].iter().for_each(|part| assert!(line.contains(part), "{part:?}: {line}"));
    }
    assert!(list.contains("edgewalk data fetch NAME"), "{list}");

    let plays = here.join("data").join("tinyshakespeare");
    fs::create_dir_all(&plays).unwrap();
    fs::create_dir_all(here.join("data").join("mnist")).unwrap();
    fs::write(plays.join("input.txt"), "To be, or not to be").unwrap();
    let mut command = alone(here, &["data", "list"]);
    command.env("EDGEWALK_DATA", here.join("data"));
    let list = succeeds(command);
    let line = |name: &str| list.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(line("shakespeare").contains(plays.to_str().unwrap()) && line("shakespeare").contains("19 B"), "{list}");
    assert!(line("mnist").contains("incomplete"), "{list}");
}

#[test]
fn without_a_network_fetch_says_what_to_put_where() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let mnist = ["train-images-", "train-labels-", "t10k-images-", "t10k-labels-"].as_slice();
    for (name, files) in [("shakespeare", ["input.txt"].as_slice()), ("mnist", mnist)] {
        let fetch = ["data", "fetch", name, "--dir", "data"];
        let Output { status, stdout, stderr } = alone(here, &fetch).output().unwrap();
        let message = text(&stderr);
        println!("{message}");
        assert_eq!((status.code(), stdout.as_slice()), (Some(1), &b""[..]));
        for part in files.iter().chain(&["error: cannot download ", "https://", "put it into data", "SHA-256 "]) {
            assert!(message.contains(part), "{part:?} is not in {message}");
        }
    }
    assert!(listing(here).iter().all(|path| here.join(path).is_dir()));
    // A name that is no data set is a usage error that lists those there are.
    let Output { status, stderr, .. } = alone(here, &["data", "fetch", "imagenet"]).output().unwrap();
    assert!(status.code() == Some(2) && text(&stderr).contains("fashion-mnist"), "{}", text(&stderr));
}

#[test]
fn data_that_are_not_what_they_should_be_end_a_run_before_it_begins() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let train = |sets: &[&str]| {
        let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
        alone(here, &[&["train", "--set", "test=0"], &sets[..]].concat())
    };
    fs::write(here.join("cafe.txt"), "caf\u{e9}").unwrap();
    refuses(train(&["name=text", "path=cafe.txt"]), 1, &["cafe.txt", "0xc3 at byte 3", "line 1, column 4"]);
    fs::write(here.join("empty.txt"), "").unwrap();
    refuses(train(&["name=text", "path=empty.txt"]), 1, &["empty.txt", "0 characters"]);
    refuses(train(&["name=text"]), 2, &["data.name", "data.path"]);
    refuses(train(&["name=shakespeare"]), 1, &["edgewalk data fetch shakespeare", "data.path", "EDGEWALK_DATA"]);
    fs::create_dir(here.join("pictures")).unwrap();
    fs::write(here.join("pictures").join("data_batch_1.bin"), [1; 3072]).unwrap();
    refuses(train(&["name=cifar10", "path=pictures"]), 1, &["data_batch_1.bin", "3072 bytes", "records of 3073 bytes"]);
    fs::write(here.join("pictures").join("data_batch_1.bin"), [11; 3073]).unwrap();
    refuses(train(&["name=cifar10", "path=pictures", "train=1"]), 1, &["data_batch_1.bin", "byte 0", "found 11"]);
}

/// The whole way of a text of one's own: windows, minibatches, a fixed measuring set, test windows, and the run again from
/// its own configuration.
#[test]
fn a_transformer_trains_on_a_text_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let poem = "Tyger Tyger, burning bright,\nIn the forests of the night;\n".repeat(8);
    fs::write(here.join("poem.txt"), poem).unwrap();
    let sets = [
        "data.name=text",
        "data.path=poem.txt",
        "data.train=12",
        "data.test=3",
        "model.kind=transformer",
        "layers=1",
        "heads=2",
        "key_size=4",
        "model_size=8",
        "seq_len=8",
        "loss.kind=cross-entropy",
        "batch=5",
        "lr=0.1",
        "steps=6",
        "measure.every=3",
        "measure.on=fixed",
        "measure.examples=7",
        "top=1",
    ];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    succeeds(edgewalk(here, &[&["train", "--out", "first"], &sets[..]].concat()));
    succeeds(edgewalk(here, &["train", "first/config.toml", "--out", "second"]));

    let rows = |run: &str| {
        let table = read_curvature(&here.join(run).join("curvature.csv")).unwrap();
        table.into_iter().map(|row| CurvatureRow { secs: 0.0, solve_secs: None, ..row }).collect::<Vec<_>>()
    };
    let first = rows("first");
    assert_eq!(first.iter().map(|row| row.step).collect::<Vec<_>>(), [0, 3, 6]);
    assert!(first.iter().all(|row| row.measured == Some(MeasuringSet { on: MeasureOn::Fixed, examples: 7 })));
    assert_eq!(rows("second"), first);
    let metrics = read_metrics(&here.join("first").join("metrics.csv")).unwrap();
    assert!(metrics.last().unwrap().test_loss.is_some_and(f64::is_finite));
}
