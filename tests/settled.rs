//! What a run began with is what it goes on with, from whichever folder; and it is repeated from any.

use std::fs;
use std::path::Path;
use std::process::Command;

use edgewalk::folder::RunDir;
use edgewalk::model::{Activation, Layout, Mlp, initial_params, params_to_safetensors};
use tempfile::tempdir;

use super::cli::{edgewalk, refuses, succeeds};

const TINY: [&str; 6] = ["width=4", "depth=2", "data.train=20", "data.test=0", "measure.every=0", "time_limit=1e-9"];

fn train(here: &Path, out: &str, sets: &[&str]) -> Command {
    let mut command = edgewalk(here, &["train", "--out", out, "--set", "steps=8"]);
    for set in TINY.iter().chain(sets) {
        command.args(["--set", set]);
    }
    command
}

/// Goes on to the end.
fn resume(here: &Path, run: &str) -> Command {
    edgewalk(here, &["resume", run, "--set", "time_limit=0"])
}

/// Weights of the tiny network.
fn weights(path: &Path, seed: u64) {
    let mlp = Mlp { inputs: 784, width: 4, depth: 2, outputs: 10, activation: Activation::Relu };
    let layout = Layout::of(&mlp).unwrap();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, params_to_safetensors(&layout, &initial_params(&layout, seed)).unwrap()).unwrap();
}

/// The rows without the time.
fn losses(run: &Path) -> Vec<f64> {
    let rows = edgewalk::folder::tables::read_metrics(&run.join("metrics.csv")).unwrap();
    rows.iter().map(|row| row.loss).collect()
}

#[test]
fn the_file_of_the_initial_weights_is_the_one_that_the_run_began_with() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    let file = here.join("w.safetensors");
    weights(&file, 1);
    succeeds(train(here, "whole", &["run.init=w.safetensors", "time_limit=0"]));
    succeeds(train(here, "run", &["run.init=w.safetensors"]));
    let run = RunDir::open(&here.join("run")).unwrap();
    let began = run.read_manifest().unwrap().init.unwrap();

    // From a checkpoint it needs no such file.
    fs::remove_file(&file).unwrap();
    succeeds(edgewalk(here, &["resume", "run", "--set", "time_limit=1e-9"]));
    assert_eq!(run.read_manifest().unwrap().init, Some(began.clone()));

    // From the beginning it needs that file and no other.
    fs::remove_dir_all(run.checkpoints()).unwrap();
    refuses(resume(here, "run"), 1, &["cannot read the parameters", "w.safetensors"]);
    weights(&file, 2);
    refuses(resume(here, "run"), 2, &["the initial weights are", "and this run began with", "put back the file"]);
    let mut unnamed = resume(here, "run");
    unnamed.args(["--set", "run.init="]);
    refuses(unnamed, 2, &["the initial weights are drawn from the seed"]);
    // Wherever it is now.
    weights(&here.join("elsewhere/w.safetensors"), 1);
    let mut moved = resume(here, "run");
    moved.args(["--set", "run.init=elsewhere/w.safetensors"]);
    succeeds(moved);
    assert_eq!(losses(&here.join("run")), losses(&here.join("whole")));
    assert_eq!(run.read_manifest().unwrap().init, Some(began));
}

#[test]
fn a_configuration_edited_by_hand_is_noticed() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    succeeds(train(here, "run", &["lr=0.5"]));
    let run = RunDir::open(&here.join("run")).unwrap();
    let text = fs::read_to_string(run.config()).unwrap();
    for (from, to, said) in [
        ("lr = 0.5", "lr = 0.25", "optim.lr = 0.25, and was 0.5"),
        ("seed = 0", "seed = 9", "run.seed = 9, and was 0"),
        ("train = 20", "train = 10", "data.train = 10, and was 20"),
    ] {
        assert!(text.contains(from));
        fs::write(run.config(), text.replace(from, to)).unwrap();
        let config = if cfg!(windows) { "config.toml was changed (" } else { "run/config.toml was changed (" };
        refuses(resume(here, "run"), 2, &[config, said, "edgewalk train"]);
        refuses(edgewalk(here, &["curvature", "run"]), 2, &[config, said]);
    }
    // When it ends and is saved may be changed there as by --set.
    fs::write(
        run.config(),
        text.replace("steps = 8", "steps = 3").replace("time_limit = 0.000000001", "time_limit = 0.0"),
    )
    .unwrap();
    succeeds(edgewalk(here, &["resume", "run"]));
    assert_eq!(run.read_manifest().unwrap().steps_done, 3);

    // Runs of versions that did not write their settings down go on.
    succeeds(train(here, "old", &[]));
    let old = RunDir::open(&here.join("old")).unwrap();
    let mut manifest: serde_json::Value = serde_json::from_slice(&fs::read(old.manifest()).unwrap()).unwrap();
    manifest.as_object_mut().unwrap().remove("settings").unwrap();
    fs::write(old.manifest(), manifest.to_string()).unwrap();
    succeeds(resume(here, "old"));
}

#[test]
fn relative_paths_mean_the_same_files_from_every_folder() {
    let folder = tempdir().unwrap();
    let [here, there] = ["here", "there"].map(|name| folder.path().join(name));
    fs::create_dir_all(&there).unwrap();
    weights(&here.join("in/w.safetensors"), 1);
    fs::write(here.join("in/poem.txt"), "Shall I compare thee to a summer's day? ".repeat(40)).unwrap();
    succeeds(train(&here, "first", &["time_limit=0"]));
    let sets = ["run.init=in/w.safetensors", "run.kernels=first/manifest.json"];
    succeeds(train(&here, "whole", &[&sets[..], &["time_limit=0"]].concat()));
    succeeds(train(&here, "run", &sets));
    let sets =
        ["data.name=text", "data.path=in/poem.txt", "model.kind=transformer", "layers=1", "heads=1", "key_size=2"];
    let text = [&sets[..], &["model_size=4", "seq_len=8", "loss.kind=cross-entropy", "lr=0.01"]].concat();
    succeeds(train(&here, "text", &text));

    succeeds(resume(&there, "../here/run"));
    assert_eq!(losses(&here.join("run")), losses(&here.join("whole")));
    succeeds(resume(&there, "../here/text"));
    succeeds(edgewalk(&there, &["train", "../here/whole/config.toml", "--out", "again"]));
    assert_eq!(losses(&there.join("again")), losses(&here.join("whole")));

    // A path in a file begins at the working folder, as others do.
    fs::write(here.join("in/set.toml"), "[run]\ninit = \"in/w.safetensors\"\n").unwrap();
    let mut from_file = edgewalk(&here, &["train", "in/set.toml", "--out", "from_file", "--set", "steps=1"]);
    for set in TINY {
        from_file.args(["--set", set]);
    }
    succeeds(from_file);
    assert_eq!(losses(&here.join("from_file"))[0], losses(&here.join("whole"))[0]);

    // Data that were moved may be named anew: their content tells them.
    fs::rename(here.join("in/poem.txt"), there.join("poem.txt")).unwrap();
    refuses(edgewalk(&there, &["resume", "../here/text", "--set", "steps=9"]), 1, &["poem.txt"]);
    succeeds(edgewalk(&there, &["resume", "../here/text", "--set", "steps=9", "--set", "data.path=poem.txt"]));
}

#[test]
fn a_sweep_goes_on_from_every_folder() {
    let folder = tempdir().unwrap();
    let [here, there] = ["here", "there"].map(|name| folder.path().join(name));
    fs::create_dir_all(&there).unwrap();
    weights(&here.join("a.safetensors"), 1);
    weights(&here.join("b.safetensors"), 2);
    fs::create_dir_all(here.join("sub")).unwrap();
    weights(&here.join("sub/k.safetensors"), 2);
    for (out, sets) in [
        ("axis", ["run.init=a.safetensors,b.safetensors", "seed=3"]),
        ("fixed", ["run.init=sub/k.safetensors", "seed=3,4"]),
    ] {
        let mut sweep = edgewalk(&here, &["sweep", "--out", out]);
        for set in TINY[..5].iter().chain(&sets).chain(&["steps=2"]) {
            sweep.args(["--set", set]);
        }
        succeeds(sweep);
        let mut jobs: Vec<_> = fs::read_dir(here.join(out).join("runs")).unwrap().map(|e| e.unwrap().path()).collect();
        jobs.sort();
        if out == "axis" {
            assert!(jobs[0].ends_with("init=a.safetensors") && jobs[1].ends_with("init=b.safetensors"), "{jobs:?}");
        }
        let before = losses(&jobs[1]);
        fs::remove_dir_all(&jobs[1]).unwrap();
        let printed = succeeds(edgewalk(&there, &["resume", &format!("../here/{out}")]));
        assert!(printed.contains("2 of 2 jobs ended"), "{printed}");
        assert_eq!(losses(&jobs[1]), before, "{out}");
    }
}
