//! `edgewalk list`: runs in every state, jobs of sweeps, and folders that cannot be read.

use std::fs;
use std::path::Path;

use edgewalk::folder::RunDir;
use edgewalk::folder::manifest::Ended;
use edgewalk::list::{RunState, list};

use super::program::{edgewalk, refuses, succeeds, tiny_run};
use super::sweep::sweep;

/// A copy of the run in `run`.
fn copy(here: &Path, name: &str) -> RunDir {
    fs::create_dir_all(here.join(name)).unwrap();
    for file in ["config.toml", "manifest.json", "metrics.csv", "curvature.csv"] {
        fs::copy(here.join("run").join(file), here.join(name).join(file)).unwrap();
    }
    RunDir::open(&here.join(name)).unwrap()
}

fn ended(run: &RunDir, ended: Ended) {
    let mut manifest = run.read_manifest().unwrap();
    manifest.ended = ended;
    run.write_manifest(&manifest).unwrap();
}

/// One line for each object, read again.
fn objects(here: &Path, args: &[&str]) -> Vec<serde_json::Value> {
    let text = succeeds(edgewalk(here, &[&["list", "--json"], args].concat()));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_run_is_listed_with_its_state() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    assert_eq!(succeeds(edgewalk(here, &["list"])), "no runs in .\n");
    tiny_run(here);
    ended(&copy(here, "more/killed"), Ended::Running);
    ended(&copy(here, "more/until"), Ended::Reached { until: "loss < 0.5".into() });
    ended(&copy(here, "more/wild"), Ended::Diverged { step: 7 });
    ended(&copy(here, "more/failed"), Ended::Failed { error: "no <adapter>".into() });
    let running = copy(here, "more/running");
    ended(&running, Ended::Running);
    let _lock = running.lock().unwrap();
    fs::remove_file(copy(here, "no-manifest").manifest()).unwrap();
    fs::write(copy(here, "no-table").metrics(), "step,secs\nx,1\n").unwrap();
    fs::write(copy(here, "no-config").config(), "[optim]\nlr = -1\n").unwrap();
    fs::remove_file(copy(here, "no-config-at-all").config()).unwrap();
    // Neither is a run.
    fs::create_dir_all(here.join(".hidden/run")).unwrap();
    fs::create_dir_all(here.join("other")).unwrap();
    fs::write(here.join("other/config.toml"), "a = 1").unwrap();
    copy(here, ".hidden/run");
    // A circle.
    #[cfg(unix)]
    std::os::unix::fs::symlink(here, here.join("more/again")).unwrap();

    let found = list(here).unwrap();
    let state = |name: &str| {
        let path = here.join(name);
        let run = found.runs.iter().find(|run| run.path == path).unwrap_or_else(|| panic!("{name}: {found:?}"));
        (run.state, run.note.clone())
    };
    assert_eq!(found.runs.len(), 10, "{found:?}");
    let plain = |state| (state, String::new());
    assert_eq!(state("run"), plain(RunState::Done));
    assert_eq!(state("more/killed"), plain(RunState::Killed));
    assert_eq!(state("more/running"), plain(RunState::Running));
    assert_eq!(state("more/until"), (RunState::Reached, "loss < 0.5".into()));
    assert_eq!(state("more/wild"), (RunState::Diverged, "at step 7".into()));
    assert_eq!(state("more/failed"), (RunState::Failed, "no <adapter>".into()));
    for (name, part) in [
        ("no-manifest", "manifest.json"),
        ("no-table", "metrics.csv"),
        ("no-config", "optim.lr"),
        ("no-config-at-all", "config.toml"),
    ] {
        let (state, note) = state(name);
        assert!(state == RunState::Damaged && note.contains(part), "{name}: {state} {note}");
    }
    // What can be read of a damaged run is there.
    let whole = found.runs.iter().find(|run| run.path.ends_with("run")).unwrap();
    let part = found.runs.iter().find(|run| run.path.ends_with("no-manifest")).unwrap();
    assert_eq!((whole.step, whole.steps), (Some(24), Some(24)));
    assert!(whole.gauge.is_some() && whole.edge_ratio.is_some() && whole.loss.is_some());
    assert_eq!((part.step, part.loss, part.gauge), (whole.step, whole.loss, whole.gauge));
    let objects = objects(here, &[]);
    assert_eq!(objects.len(), found.runs.len());
    let object = objects.iter().find(|object| object["run"] == "run").unwrap();
    assert_eq!((object["state"].as_str(), object["loss"].as_f64()), (Some("done"), whole.loss));
    assert_eq!((object["step"].as_u64(), object["sweep"].is_null()), (Some(24), true));
}

#[test]
fn the_jobs_of_a_sweep_are_listed_also_those_that_wait() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    succeeds(sweep(here, &["lr=0.05,0.1"], &["--out", "s", "--slurm"]));
    let states = |here: &Path| -> Vec<(String, String)> {
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        objects(here, &["s"]).iter().map(|object| (text(&object["run"]), text(&object["state"]))).collect()
    };
    let both = |first: &str, second: &str| {
        [("s/runs/lr=0.05", first), ("s/runs/lr=0.1", second)].map(|(run, state)| (run.to_owned(), state.to_owned()))
    };
    assert_eq!(states(here), both("waiting", "waiting"));
    succeeds(edgewalk(here, &["sweep", "s", "--job", "1"]));
    assert_eq!(states(here), both("waiting", "done"));
    assert_eq!(objects(here, &[])[1]["sweep"], "s");
    fs::write(here.join("s/sweep.toml"), "no").unwrap();
    assert_eq!(states(here), [("s".to_owned(), "damaged".to_owned()), both("", "done")[1].clone()]);
}

#[test]
fn rows_are_sorted_by_any_column_and_fit_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    tiny_run(here);
    let rows = fs::read_to_string(here.join("run/metrics.csv")).unwrap();
    let short: String = rows.split_inclusive('\n').take(5).collect();
    let name = "a-folder/with-a-name/that-is-longer-than-what-a-terminal-of-80-columns-has-room-for-beside-numbers";
    fs::write(copy(here, name).metrics(), short).unwrap();
    ended(&copy(here, "b"), Ended::Failed { error: "an error of many words ".repeat(9) });
    fs::remove_file(copy(here, "c").metrics()).unwrap();
    let order = |sort: &str| -> Vec<String> {
        let run = |object: &serde_json::Value| object["run"].as_str().unwrap().to_owned();
        objects(here, &["--sort", sort]).iter().map(run).collect()
    };
    assert_eq!(order("run"), [name, "b", "c", "run"]);
    assert_eq!(order("step"), [name, "b", "run", "c"]);
    assert_eq!(order("state"), [name, "c", "run", "b"]);
    for column in ["loss", "ratio", "gauge", "age"] {
        let objects = objects(here, &["--sort", column]);
        let key = match column {
            "ratio" => "edge_ratio",
            "age" => "age_secs",
            other => other,
        };
        let numbers: Vec<f64> = objects.iter().map(|object| object[key].as_f64().unwrap_or(f64::INFINITY)).collect();
        assert!(numbers.is_sorted(), "{column}: {numbers:?}");
    }
    let table = |width: &str| {
        let mut command = edgewalk(here, &["list"]);
        command.env("COLUMNS", width);
        succeeds(command)
    };
    let [usual, wide] = ["80", "120"].map(table);
    let longest = |text: &str, but: &str| {
        text.lines().filter(|line| !line.contains(but)).map(|line| line.chars().count()).max().unwrap()
    };
    // A path is one word, and stands alone where it is longer than the line.
    assert!(longest(&usual, name) <= 80 && usual.lines().any(|line| line == name), "{usual}");
    assert!(longest(&wide, "\n") <= 120 && longest(&wide, name) > 80, "{wide}");
}

#[test]
fn what_cannot_be_listed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::write(here.join("file"), "").unwrap();
    refuses(edgewalk(here, &["list", "nothing"]), 1, &["nothing does not exist"]);
    refuses(edgewalk(here, &["list", "file"]), 1, &["file is not a run folder"]);
    assert_eq!(edgewalk(here, &["list", "--sort", "colour"]).output().unwrap().status.code(), Some(2));
}
