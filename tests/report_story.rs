//! What the report of a run says of its place and time, of its end, of its parent, and of what was measured later.

use std::fs;
use std::path::Path;

use edgewalk::folder::RunDir;
use edgewalk::folder::manifest::{Ended, Manifest};
use edgewalk::folder::tables::{read_curvature, read_metrics};

use super::program::{edgewalk, succeeds, text};
use super::report::{has, pictures, report, trained, words};

#[test]
fn a_report_begins_with_date_host_device_and_duration() {
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path(), "walk", &[]);
    let manifest = run.read_manifest().unwrap();
    assert!(manifest.began.len() == "2026-12-01T15:18:08Z".len() && !manifest.host.is_empty());
    let html = report(&run);
    let date = format!("{} {} UTC", &manifest.began[..10], &manifest.began[11..16]);
    let device = format!("{} ({})", manifest.adapter, manifest.backend);
    has(&html, &[&date, &manifest.host, &device, "duration", "measurements included"]);
    succeeds(edgewalk(folder.path(), &["resume", "walk", "--set", "steps=15"]));
    has(&report(&run), &["resumed at step 12 on ", "15 of 15 updates"]);
    // A manifest of an early version has neither.
    let mut json: serde_json::Value = serde_json::from_str(&manifest.to_json()).unwrap();
    ["host", "began"].iter().for_each(|key| drop(json.as_object_mut().unwrap().remove(*key)));
    fs::write(run.manifest(), json.to_string()).unwrap();
    let early: Manifest = run.read_manifest().unwrap();
    assert_eq!((early.host, early.began), (String::new(), String::new()));
    has(&report(&run), &["device"]);
    assert!(!words(&report(&run)).contains(" UTC"));
}

#[test]
fn a_report_has_the_settings_of_its_network_and_rule_alone() {
    let folder = tempfile::tempdir().unwrap();
    let sets = |html: &str| {
        let (_, columns) = html.split_once("<pre class=\"columns\">").unwrap();
        columns.split_once("</pre>").unwrap().0.to_owned()
    };
    let mlp = sets(&report(&trained(folder.path(), "mlp", &[])));
    for key in ["\nwidth = 8", "\ndepth = 4", "\nactivation = ", "\nrho = ", "\nsteps = 12", "\nlr = ", "[optim]"] {
        assert!(mlp.contains(key), "{key:?} is not in {mlp}");
    }
    for key in ["channels", "heads", "seq_len", "freeze", "beta2", "asam_eta", "drop_every", "final_lr"] {
        assert!(!mlp.contains(key), "{key} is in {mlp}");
    }
    let sets_of_adam = ["base=adam", "lr=0.001", "schedule=cosine"];
    let adam = sets(&report(&trained(folder.path(), "adam", &sets_of_adam)));
    assert!(["beta1", "beta2", "final_lr", "decay_steps"].iter().all(|key| adam.contains(key)), "{adam}");
}

#[test]
fn a_run_that_diverged_says_what_happened_and_what_to_try() {
    let folder = tempfile::tempdir().unwrap();
    let sets = ["lr=60", "rho=0", "steps=200", "measure.every=1", "measure.top=1"];
    let output = {
        let args = ["--set", "train=50", "--set", "width=8", "--set", "test=20", "--set", "seed=3"];
        let mut command = edgewalk(folder.path(), &[&["train", "--out", "wild"], &args[..]].concat());
        command.args(sets.iter().flat_map(|set| ["--set", set])).output().unwrap()
    };
    assert_eq!(output.status.code(), Some(1));
    let run = RunDir::open(&folder.path().join("wild")).unwrap();
    let manifest = run.read_manifest().unwrap();
    let what = manifest.not_finite.clone().unwrap();
    let (metrics, curvature) = (read_metrics(&run.metrics()).unwrap(), read_curvature(&run.curvature()).unwrap());
    let (last, measured) = (metrics.last().unwrap(), curvature.last().unwrap());
    let said = text(&output.stdout).replace('\n', " ");
    let html = words(&report(&run));
    for shown in [&said, &html] {
        for part in [
            format!("At step {} {what} was not finite", manifest.steps_done),
            format!("at step {}.", last.step),
            format!("that of step {}", measured.step),
            "The gauge was above 1".to_owned(),
        ] {
            assert!(shown.contains(&part), "{part:?} is not in {shown}");
        }
    }
    // The learning rate at the edge follows from a measured gauge: at the step named, lr ÷ gauge.
    let (_, advice) = said.split_once("beyond the edge, ").unwrap();
    let (_, at) = advice.split_once(" At step ").unwrap();
    let (step, rest) = at.split_once(" the edge was at lr = ").unwrap();
    let lr: f64 = rest.split(',').next().unwrap().parse().unwrap();
    let row = curvature.iter().find(|row| row.step == step.parse::<u64>().unwrap()).unwrap();
    assert!((lr * row.gauge / 60.0 - 1.0).abs() < 0.01, "{advice}");
    // That rate does not diverge from there.
    let tamed = trained(folder.path(), "tamed", &["rho=0", "steps=200", &format!("lr={}", 0.5 * lr)]);
    assert_eq!(tamed.read_manifest().unwrap().steps_done, 200);
}

fn analyse(here: &Path, more: &[&str]) {
    succeeds(edgewalk(here, &[&["curvature", "walk", "--top", "2", "--tol", "1e-7"], more].concat()));
}

#[test]
fn what_was_measured_later_replaces_what_training_found() {
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path(), "walk", &[]);
    let has_none = |run: &RunDir| assert!(!words(&report(run)).contains("lowest 1"));
    has_none(&run);
    // Other examples are another matrix.
    analyse(folder.path(), &["--bottom", "1", "--examples", "20"]);
    has_none(&run);
    analyse(folder.path(), &["--bottom", "1"]);
    let html = report(&run);
    has(&html, &["lowest 1", "Values measured later come from", "lowest Hessian eigenvalue, measured later"]);
    let file = fs::read_to_string(run.path().join("analysis/step_00000012/curvature.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&file).unwrap();
    let lowest = json["findings"][0]["lowest"][0]["value"].as_f64().unwrap();
    let shown = words(&html);
    let value = shown.split("lowest 1").nth(1).unwrap().split_whitespace().next().unwrap();
    assert!((value.parse::<f64>().unwrap() / lowest - 1.0).abs() < 1e-5, "{value} {lowest}");
    // Nor does an analysis of an earlier step count.
    succeeds(edgewalk(folder.path(), &["resume", "walk", "--set", "steps=15"]));
    has_none(&run);
}

#[test]
fn a_fork_shows_the_part_of_its_parent() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    trained(here, "parent", &[]);
    succeeds(edgewalk(here, &["fork", "parent", "--set", "steps=20", "--set", "rho=0", "--out", "child"]));
    let child = RunDir::open(&here.join("child")).unwrap();
    let html = report(&child);
    has(&html, &["This run is a fork: pale curves show the steps of parent before it, up to step 12", "fork of"]);
    let of_both = pictures(&html);
    let named = of_both.iter().filter(|svg| svg.contains("parent, to step 12"));
    assert!(named.count() >= 4, "the edges, the alignment, the gauge, the loss and the gradient");
    let loss = fs::read_to_string(child.plots().join("loss.svg")).unwrap();
    assert!(loss.contains("parent, to step 12") && loss.contains("#99c7e0"), "pale blue below blue");
    // The manifest of a parent that was killed says nothing of its steps.
    let parent = RunDir::open(&here.join("parent")).unwrap();
    let whole = parent.read_manifest().unwrap();
    parent.write_manifest(&Manifest { ended: Ended::Running, steps_done: 0, ..whole }).unwrap();
    has(&report(&child), &["pale curves show the steps of parent"]);
    let rows = fs::read_to_string(parent.metrics()).unwrap();
    fs::write(parent.metrics(), rows.split_inclusive('\n').take(4).collect::<String>()).unwrap();
    fs::remove_file(parent.curvature()).unwrap();
    has(&report(&child), &["whose part is not shown: the rows of", "end at step 2"]);
    // Moved away, or another run in its place.
    fs::rename(here.join("parent"), here.join("elsewhere")).unwrap();
    let html = report(&child);
    has(&html, &["whose part is not shown: ", "parent does not exist"]);
    assert!(pictures(&html).iter().all(|svg| !svg.contains("parent, to step")));
    trained(here, "parent", &["width=9"]);
    has(&report(&child), &["parent is another run now"]);
    assert!(!here.join("parent/report.html").metadata().unwrap().is_dir());
}
