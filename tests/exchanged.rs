//! What was exchanged, moved or edited behind a run's back, and requests that cannot be meant: each is refused or said.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use edgewalk::folder::RunDir;
use edgewalk::folder::manifest::Ended;

use super::program::{edgewalk, refuses, succeeds, text};
use super::resume::pause;

const TINY: [&str; 5] = ["width=4", "depth=2", "train=20", "test=0", "measure.every=0"];

fn train(here: &Path, out: &str, sets: &[&str]) -> Command {
    let mut command = edgewalk(here, &["train", "--out", out]);
    command.args(TINY.iter().chain(sets).flat_map(|set| ["--set", set]));
    command
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn other_initial_weights_than_those_of_the_run_are_refused_with_a_checkpoint_too() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    succeeds(train(here, "drawn", &["steps=2"]));
    let params = "drawn/checkpoints/step_00000002/params.safetensors";
    fs::copy(here.join(params), here.join("a.safetensors")).unwrap();
    succeeds(train(here, "read", &["steps=2", "init=a.safetensors"]));
    succeeds(train(here, "more", &["steps=3"]));
    let other = format!("init={}", here.join("more/checkpoints/step_00000003/params.safetensors").display());
    let resume = |run: &str, init: &str| edgewalk(here, &["resume", run, "--set", init, "--set", "steps=4"]);
    refuses(resume("drawn", "init=a.safetensors"), 2, &["this run began with drawn from the seed"]);
    refuses(resume("drawn", "init=nowhere"), 1, &["cannot read the parameters", "nowhere"]);
    refuses(resume("read", &other), 2, &["the initial weights are", "this run began with"]);
    refuses(resume("read", "init="), 2, &["the initial weights are drawn from the seed"]);
    assert_eq!(RunDir::open(&here.join("drawn")).unwrap().read_manifest().unwrap().steps_done, 2);
    // The same bytes elsewhere are the same weights.
    fs::rename(here.join("a.safetensors"), here.join("b.safetensors")).unwrap();
    succeeds(resume("read", "init=b.safetensors"));
}

#[test]
fn curvature_is_measured_on_the_data_of_the_run_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::write(here.join("t.txt"), "Edges are where walks end.\n".repeat(40)).unwrap();
    let text = ["model.kind=transformer", "data.name=text", "data.path=t.txt", "loss.kind=cross-entropy", "layers=1"];
    let small = ["heads=1", "key_size=2", "model_size=4", "seq_len=8", "steps=1"];
    succeeds(train(here, "run", &[text, small].concat()));
    succeeds(edgewalk(here, &["curvature", "run", "--top", "1", "--density", "--probes", "2", "--density-steps", "3"]));
    let out = here.join("run/analysis/step_00000001");
    assert!(out.join("density-all.csv").is_file() && out.join("density-all.svg").is_file());
    // Another analysis leaves nothing of the first.
    succeeds(edgewalk(here, &["curvature", "run", "--top", "1"]));
    assert!(!out.join("density-all.csv").exists() && !out.join("density-all.svg").exists());
    fs::write(here.join("t.txt"), "Edges are where talks end.\n".repeat(40)).unwrap();
    refuses(edgewalk(here, &["curvature", "run", "--top", "1"]), 2, &["the data are", "this run was made on"]);
}

#[test]
#[cfg(unix)]
fn a_run_that_was_moved_leaves_the_one_in_its_place_alone() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    succeeds(train(here, "other", &["steps=4", "checkpoint_every=2"]));
    let before = fs::read(here.join("other/manifest.json")).unwrap();
    let mut child = train(here, "run", &["steps=10000000", "time_limit=60"]).spawn().unwrap();
    let began = Instant::now();
    while !here.join("run/metrics.csv").is_file() && began.elapsed() < Duration::from_secs(60) {
        pause(Duration::from_millis(20));
    }
    fs::rename(here.join("run"), here.join("moved")).unwrap();
    fs::rename(here.join("other"), here.join("run")).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(fs::read(here.join("run/manifest.json")).unwrap(), before);
    let checkpoints = fs::read_dir(here.join("run/checkpoints")).unwrap().count();
    assert_eq!(checkpoints, 2);
}

#[test]
fn a_checkpoint_under_the_name_of_another_step_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    succeeds(train(here, "run", &["steps=2"]));
    let at = |step: u64| here.join(format!("run/checkpoints/step_{step:08}"));
    fs::rename(at(2), at(9)).unwrap();
    refuses(edgewalk(here, &["resume", "run", "--set", "steps=4"]), 1, &["it is that of step 2"]);
}

#[test]
fn a_finished_run_goes_as_far_as_its_configuration_says() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    succeeds(train(here, "run", &["steps=2"]));
    edit(&here.join("run/config.toml"), "steps = 2", "steps = 3");
    succeeds(edgewalk(here, &["resume", "run"]));
    let manifest = RunDir::open(&here.join("run")).unwrap().read_manifest().unwrap();
    assert_eq!((manifest.steps_done, manifest.ended), (3, Ended::Done));
    assert!(succeeds(edgewalk(here, &["resume", "run"])).contains("`--set run.steps=N` makes it longer"));
    // More steps are no help for a run that has diverged.
    assert_eq!(train(here, "up", &["steps=9", "lr=1e30"]).output().unwrap().status.code(), Some(1));
    let said = succeeds(edgewalk(here, &["resume", "up"]));
    assert!(said.contains("begin a new run, and lower lr or rho") && !said.contains("run.steps"), "{said}");
}

#[test]
fn a_value_that_is_twice_in_a_sweep_is_refused_when_it_goes_on_too() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let mut command = edgewalk(here, &["sweep", "--out", "s"]);
    command.args(TINY.iter().chain(&["steps=1", "lr=0.1,0.2"]).flat_map(|set| ["--set", set]));
    succeeds(command);
    edit(&here.join("s/sweep.toml"), "\"0.2\"", "0.20");
    let refused = edgewalk(here, &["resume", "s"]).output().unwrap();
    let said = text(&refused.stderr);
    assert!(refused.status.code() == Some(1) && said.contains("write the value 0.2 in quotes: \"0.2\""), "{said}");
    edit(&here.join("s/sweep.toml"), "0.20", "\"0.2\"");
    edit(&here.join("s/sweep.toml"), "\"0.2\"", "\"0.2\", \"0.1\"");
    refuses(edgewalk(here, &["resume", "s"]), 1, &["sweep.toml", "`optim.lr` has the value 0.1 twice"]);
    assert_eq!(fs::read_dir(here.join("s/runs")).unwrap().count(), 2);
    // Neither may its jobs have changed behind its back.
    edit(&here.join("s/sweep.toml"), "\"0.2\", \"0.1\"", "\"0.2\", \"0.3\"");
    edit(&here.join("s/config.toml"), "width = 4", "width = 5");
    let other = ["began with other settings (model.width = 5, and was 4)"];
    for command in [
        &["resume", "s"][..],
        &["report", "s"],
        &["plot", "s"],
        &["sweep", "s", "--dry-run"],
        &["sweep", "s", "--slurm"],
        &["sweep", "s", "--job", "0"],
    ] {
        refuses(edgewalk(here, command), 1, &other);
    }
    // A job that has not begun goes by the settings as they are, whatever the others began with.
    edit(&here.join("s/config.toml"), "width = 5", "width = 4");
    let run = |lr: &str| here.join(format!("s/runs/lr={lr}"));
    let swap = || {
        fs::rename(run("0.1"), here.join("aside")).unwrap();
        fs::rename(run("0.2"), run("0.1")).unwrap();
        fs::rename(here.join("aside"), run("0.2")).unwrap();
    };
    swap();
    refuses(edgewalk(here, &["resume", "s"]), 1, &["began with other settings (optim.lr = 0.1, and was 0.2)"]);
    swap();
    succeeds(edgewalk(here, &["resume", "s"]));
    assert_eq!(fs::read_dir(here.join("s/runs")).unwrap().count(), 3);
    // A report is about the jobs that the sweep has now.
    edit(&here.join("s/sweep.toml"), "\"0.1\", ", "");
    succeeds(edgewalk(here, &["report", "s"]));
    let report = fs::read_to_string(here.join("s/report.html")).unwrap();
    assert!(report.contains("2 of 2 done") && !report.contains("<td>0.1</td>"), "{report}");
}

#[test]
fn requests_that_cannot_be_meant_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for set in ["rho=1e-50", "weight_decay=1e-60", "epsilon=1e-46"] {
        refuses(train(here, "run", &[set]), 2, &["that 32 bits can hold"]);
    }
    succeeds(train(here, "run", &["rho=0", "steps=1"]));
    for (option, needs) in
        [("--trace-products", "--trace"), ("--probes", "--density"), ("--density-steps", "--density")]
    {
        let refused = edgewalk(here, &["curvature", "run", option, "9"]).output().unwrap();
        assert!(refused.status.code() == Some(2) && text(&refused.stderr).contains(needs), "{option}");
    }
}

/// Pipes and devices may never end.
#[test]
#[cfg(unix)]
fn data_are_regular_files() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let sets = ["model.kind=transformer", "data.name=text", "data.path=/dev/zero", "loss.kind=cross-entropy"];
    refuses(train(here, "run", &sets), 1, &["/dev/zero", "it is not a regular file"]);
}
