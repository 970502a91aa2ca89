//! The device goes away, or its memory runs out, at every stage of a run: a Vulkan layer (layer.c) answers in the driver's place.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;

use edgewalk::folder::RunDir;
use edgewalk::folder::manifest::Ended;
use edgewalk::folder::rows::CurvatureRow;
use edgewalk::folder::tables::{read_curvature, read_metrics};
use tempfile::{TempDir, tempdir};

use super::cli::{edgewalk, succeeds, text};
use super::program::edgewalk_on_wgpu;

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
    command.env("VK_LOADER_LAYERS_DISABLE", "~implicit~");
    command.env(variable, value.to_string()).output().unwrap()
}

/// The program through Vulkan, since that has layers.
fn through_vulkan(mut command: Command) -> Command {
    command.env("WGPU_BACKEND", "vulkan");
    command
}

fn train(here: &Path, out: &str) -> Command {
    let mut command = through_vulkan(edgewalk_on_wgpu(here, &["train", "--out", out]));
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

#[test]
fn a_device_that_is_lost_ends_the_run_and_it_can_go_on() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    succeeds(train(here, "whole"));
    let whole = rows(&here.join("whole"));
    // From the first submission to one that never comes, ever further apart.
    let (mut after, mut begun) = (0, 0);
    loop {
        let out = format!("lost-{after}");
        let run = here.join(&out);
        let output = failing(train(here, &out), "EDGEWALK_LOST_AFTER", after);
        if output.status.success() {
            assert_eq!(rows(&run), whole);
            break;
        }
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains("the device was lost") && message.contains("edgewalk resume"), "{message}");
        assert!(!message.contains("panicked"), "{message}");
        if run.exists() {
            let Ended::Failed { error } = RunDir::open(&run).unwrap().read_manifest().unwrap().ended else {
                panic!("{message}")
            };
            // Whichever error it was that had another as its cause.
            assert!(error.contains("the device was lost") && message.contains(&error), "{error}: {message}");
            let (metrics, curvature) = rows(&run);
            assert!(whole.0.starts_with(&metrics) && whole.1.starts_with(&curvature), "{metrics:?}");
            succeeds(through_vulkan(edgewalk(here, &["resume", &out])));
            assert_eq!(rows(&run), whole, "{out}");
            begun += 1;
        }
        after = 2 * after + 1;
    }
    assert!(begun >= 3, "only {begun} runs were lost after they had begun");
}

#[test]
fn memory_that_runs_out_is_a_refusal_before_the_run() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    let (mut mib, mut refused) = (4, 0);
    loop {
        let mut command = train(here, "run");
        command.args(["--set", "width=64", "--set", "train=1000"]);
        let output = failing(command, "EDGEWALK_MEMORY", mib << 20);
        if output.status.success() {
            break;
        }
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(
            message.contains("of the adapter's memory") && message.contains("try a smaller run.chunk"),
            "{message}"
        );
        assert!(!here.join("run").exists(), "{mib} MiB");
        (mib, refused) = (2 * mib, refused + 1);
    }
    assert!(refused >= 2, "memory ran out {refused} times");
}
