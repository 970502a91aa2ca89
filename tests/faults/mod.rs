//! The device goes away, or its memory runs out, at every stage of a run: a Vulkan layer (layer.c) answers in the driver's place.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use edgewalk::experiment::record::{CurvatureRow, read_curvature, read_metrics};
use tempfile::{TempDir, tempdir};

use super::cli::{edgewalk, succeeds, text};

/// The folder with the layer, compiled once.
fn layer() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempdir().unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/layer.c");
        let mut cc = Command::new("cc");
        cc.args(["-std=gnu11", "-O1", "-Wall", "-Werror", "-fvisibility=hidden", "-shared", "-fPIC", source, "-o"]);
        succeeds({
            cc.arg(folder.path().join("libfaults.so"));
            cc
        });
        let manifest = r#"{"file_format_version": "1.1.2", "layer": {"name": "VK_LAYER_EDGEWALK_faults", "type": "GLOBAL",
            "library_path": "./libfaults.so", "api_version": "1.3.0", "implementation_version": "1",
            "description": "Lets things go wrong"}}"#;
        std::fs::write(folder.path().join("faults.json"), manifest).unwrap();
        folder
    });
    folder.path()
}

/// A command whose device fails as these variables of the layer say.
fn failing(mut command: Command, variable: &str, value: u64) -> Output {
    command.env("VK_LAYER_PATH", layer()).env("VK_INSTANCE_LAYERS", "VK_LAYER_EDGEWALK_faults");
    // Other layers of the machine would have to lie in that folder too.
    command.env("VK_LOADER_LAYERS_DISABLE", "~implicit~").env("WGPU_BACKEND", "vulkan");
    command.env(variable, value.to_string()).output().unwrap()
}

fn train(here: &Path, out: &str) -> Command {
    let mut command = edgewalk(here, &["train", "--out", out]);
    let sets = ["width=16", "train=60", "test=20", "steps=12", "checkpoint_every=4", "measure.every=3"];
    for set in sets {
        command.args(["--set", set]);
    }
    command
}

fn rows(run: &Path) -> (Vec<String>, Vec<CurvatureRow>) {
    let metrics = read_metrics(&run.join("metrics.csv")).unwrap();
    let metrics = metrics.iter().map(|row| format!("{} {:?} {:?}", row.step, row.loss, row.test_loss)).collect();
    let curvature = read_curvature(&run.join("curvature.csv")).unwrap();
    (metrics, curvature.into_iter().map(|row| CurvatureRow { secs: 0.0, solve_secs: None, ..row }).collect())
}

/// The numbers of a run that nothing happens to.
fn undisturbed(here: &Path) -> (Vec<String>, Vec<CurvatureRow>) {
    succeeds(train(here, "whole"));
    rows(&here.join("whole"))
}

/// Checks how a disturbed run ended: with a message, what it had logged, and if there is anything of it, resumable.
fn check(here: &Path, out: &str, output: &Output, says: &[&str], whole: &(Vec<String>, Vec<CurvatureRow>)) -> PathBuf {
    let run = here.join(out);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(!message.contains("panicked"), "{message}");
    assert!(says.iter().all(|words| message.contains(words)), "{message}");
    if run.exists() {
        let (metrics, curvature) = rows(&run);
        assert!(whole.0.starts_with(&metrics) && whole.1.starts_with(&curvature), "{metrics:?}");
        succeeds(edgewalk(here, &["resume", out]));
        assert_eq!(&rows(&run), whole, "{out}");
    }
    run
}

#[test]
fn a_device_that_is_lost_ends_the_run_and_it_can_go_on() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    let whole = undisturbed(here);
    // From the first submission to one that never comes, ever further apart.
    let (mut after, mut begun) = (0, 0);
    loop {
        let out = format!("lost-{after}");
        let output = failing(train(here, &out), "EDGEWALK_LOST_AFTER", after);
        if output.status.success() {
            assert_eq!(rows(&here.join(&out)), whole);
            break;
        }
        begun += usize::from(check(here, &out, &output, &["error: the device was lost"], &whole).exists());
        after += 1 + after;
    }
    assert!(begun >= 3, "only {begun} runs were lost after they had begun");
}

#[test]
fn memory_that_runs_out_is_a_refusal_or_no_matter() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    let whole = undisturbed(here);
    let (mut kib, mut refused) = (64, 0);
    loop {
        let out = format!("memory-{kib}");
        let output = failing(train(here, &out), "EDGEWALK_MEMORY", kib << 10);
        if output.status.success() {
            break;
        }
        refused += 1;
        check(here, &out, &output, &["memory", "run.chunk"], &whole);
        kib *= 2;
    }
    assert!(refused >= 3, "memory ran out {refused} times");
}
