//! A run that is stopped, killed or damaged goes on as if nothing had been: the same rows and the same parameters, bit for bit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use edgewalk::folder::RunDir;
use edgewalk::folder::checkpoint::{self, Checkpoint};
use edgewalk::folder::manifest::Ended;
use edgewalk::folder::tables::read_metrics;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tempfile::tempdir;

use super::cli::{edgewalk, refuses, succeeds, text};

/// A run in which everything that a checkpoint may hold is in use: minibatches, a velocity, a midpoint, a window being followed, the
/// eigensolver's warm start, a set that grows with the edge, and a test set.
const EVERYTHING: &[&str] = &[
    "width=8",
    "train=50",
    "test=20",
    "steps=60",
    "batch=20",
    "lr=0.05",
    "momentum=0.9",
    "measure.every=9",
    "measure.at=midpoint",
    "measure.window=8",
    "measure.top=2",
    "measure.track=0.5",
    "log_every=2",
];

/// The state of an adaptive base under SAM, and a learning rate that changes from step to step.
const ADAPTIVE: &[&str] = &[
    "width=8",
    "train=50",
    "test=20",
    "steps=60",
    "lr=0.002",
    "base=adamw",
    "weight_decay=0.1",
    "schedule=cosine",
    "warmup=10",
    "measure.every=9",
    "measure.at=midpoint",
    "measure.top=2",
    "log_every=2",
];

fn train(folder: &Path, out: &str, sets: &[&str]) -> Command {
    let mut command = edgewalk(folder, &["train", "--out", out]);
    for set in sets {
        command.args(["--set", set]);
    }
    command
}

fn resume(folder: &Path, out: &str) -> Command {
    edgewalk(folder, &["resume", out])
}

/// The rows of a table, without the columns of time.
fn rows(path: &Path) -> Vec<Vec<String>> {
    let Ok(text) = fs::read_to_string(path) else { return vec![] };
    let complete = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let mut lines = complete.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let Some(header) = lines.next() else { return vec![] };
    let timeless = |line: Vec<String>| {
        header.iter().zip(line).filter(|(name, _)| !name.ends_with("secs")).map(|(_, cell)| cell).collect()
    };
    lines.map(timeless).collect()
}

fn tables(run: &Path) -> [Vec<Vec<String>>; 3] {
    ["metrics.csv", "curvature.csv", "oscillation.csv"].map(|name| rows(&run.join(name)))
}

fn params(run: &Path, step: u64) -> Vec<u8> {
    fs::read(run.join(format!("checkpoints/step_{step:08}/params.safetensors"))).unwrap()
}

/// Both runs must have the same rows, and the same parameters after `step` updates.
fn assert_same(run: &Path, reference: &Path, step: u64) {
    for (ours, wanted) in tables(run).iter().zip(&tables(reference)) {
        assert_eq!(ours.len(), wanted.len(), "{}", run.display());
        for (ours, wanted) in ours.iter().zip(wanted) {
            assert_eq!(ours, wanted, "{}", run.display());
        }
    }
    assert!(params(run, step) == params(reference, step), "{}", run.display());
}

fn ended(run: &Path) -> Ended {
    RunDir::open(run).unwrap().read_manifest().unwrap().ended
}

/// Waits for the time to pass.
pub fn pause(time: Duration) {
    let (_sender, receiver) = mpsc::channel::<()>();
    let _elapsed = receiver.recv_timeout(time);
}

/// The checkpoint of a run that is being written, or was when it was killed.
fn unfinished(run: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(run.join("checkpoints")).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).find(|path| path.extension().is_some())
}

/// How often the run is killed.
const KILLS: usize = 50;

#[test]
fn fifty_kills_at_random_moments_change_nothing() {
    fifty_kills(EVERYTHING, None);
}

#[test]
fn nor_do_fifty_with_an_adaptive_base_on_the_processor() {
    fifty_kills(ADAPTIVE, Some("native"));
}

/// Kills runs of these settings, and goes on with them. A new run is on this adapter, if one is given.
fn fifty_kills(sets: &[&str], adapter: Option<&str>) {
    let folder = tempdir().unwrap();
    let here = folder.path();
    // A checkpoint before every step: much of the time is spent on writing them.
    let sets = [sets, &["checkpoint_every=1"]].concat();
    let begin = |name: &str| {
        let place: Vec<&str> = adapter.iter().flat_map(|adapter| ["--adapter", adapter]).collect();
        let mut command = edgewalk(here, &[&["train", "--out", name], &place[..]].concat());
        command.args(sets.iter().flat_map(|set| ["--set", set]));
        command
    };
    let times = ["warm", "reference"].map(|name| {
        let began = Instant::now();
        succeeds(begin(name));
        began.elapsed()
    });
    let time = times[0].min(times[1]);
    let reference = here.join("reference");

    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let (mut kills, mut runs, mut torn, mut steps) = (0, 0, 0, vec![]);
    while kills < KILLS {
        runs += 1;
        let (name, mut finished, mut left) = (format!("run{runs}"), false, None);
        let run = here.join(&name);
        while !finished {
            let mut command = if run.join("config.toml").is_file() { resume(here, &name) } else { begin(&name) };
            command.stdout(Stdio::null()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            if kills < KILLS {
                pause(time.mul_f64(rng.random_range(0.0..0.8)));
                // Every fifth kill waits for a checkpoint that is being written.
                while kills % 5 == 0 && unfinished(&run) == left && child.try_wait().unwrap().is_none() {
                    std::thread::yield_now();
                }
                if child.try_wait().unwrap().is_none() {
                    child.kill().unwrap();
                    kills += 1;
                }
            }
            let Output { status, stderr, .. } = child.wait_with_output().unwrap();
            finished = status.success();
            // On Unix a process that is killed has no exit code; Windows gives it this one.
            let killed = if cfg!(windows) { Some(1) } else { None };
            assert!(finished || status.code() == killed, "{name}: {}", text(&stderr));
            // What can be read after a kill is a beginning of the uninterrupted run.
            for (ours, wanted) in tables(&run).iter().zip(&tables(&reference)) {
                assert!(wanted.starts_with(ours), "{name} after {kills} kills");
            }
            // One that is left from an earlier kill does not count again.
            let leaves = unfinished(&run);
            torn += usize::from(leaves.is_some() && leaves != left);
            left = leaves;
            steps.extend(read_metrics(&run.join("metrics.csv")).ok().and_then(|rows| Some(rows.last()?.step)));
        }
        assert_same(&run, &reference, 60);
    }
    println!("{kills} kills in {runs} runs, {torn} of them while a checkpoint was written; last rows {steps:?}");
    assert!(torn >= 3, "hardly a kill fell into the writing of a checkpoint");
}

#[test]
fn a_stopped_run_goes_on_with_the_same_bits_on_every_rule_and_solver() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    let small = ["width=8", "train=50", "test=20", "steps=30", "measure.every=5", "measure.top=2"];
    for (i, more) in [
        &["rho=0"][..],
        &["measure.method=power", "momentum=0.5", "nesterov=true"],
        &["measure.method=official", "optim.kind=usam", "rho=0.01"],
        &["batch=20", "measure.on=batch"],
        &["batch=20", "measure.on=fixed", "measure.examples=30", "measure.bottom=1", "log_every=7"],
        &["micro_batch=25", "sam_from=10", "measure.per_decade=3"],
        &["measure.every=0"],
        &["base=adam", "lr=0.002", "schedule=linear", "warmup=3"],
        &["schedule=edge", "target_gauge=0.7", "measure.every=4"],
        &["optim.kind=flow", "lr=0.3"],
        &["base=rmsprop", "lr=0.002", "batch=20", "schedule=step", "drop_every=7", "measure.at=midpoint", "rho=0"],
    ]
    .iter()
    .enumerate()
    {
        let sets = [&small, *more].concat();
        let (whole, parts) = (format!("whole{i}"), format!("parts{i}"));
        succeeds(train(here, &whole, &sets));
        // A time limit that is over after the first step, and another one.
        let printed = succeeds(train(here, &parts, &[&sets, &["time_limit=1e-9"][..]].concat()));
        assert!(printed.contains("run.time_limit reached before step 1; `edgewalk resume parts"), "{printed}");
        assert_eq!(ended(&here.join(&parts)), Ended::TimeLimit);
        succeeds(resume(here, &parts));
        let mut on = resume(here, &parts);
        on.args(["--set", "time_limit=0"]);
        let printed = succeeds(on);
        assert!(printed.contains("step_00000002"), "{printed}");
        assert_same(&here.join(&parts), &here.join(&whole), 30);
        assert_eq!(ended(&here.join(&parts)), Ended::Done);
    }
}

#[cfg(unix)]
#[test]
fn sigterm_and_ctrl_c_write_a_checkpoint_and_exit_cleanly() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    let sets = [EVERYTHING, &["steps=1000000", "checkpoint_every=0"]].concat();
    for signal in ["TERM", "INT"] {
        let run = here.join(signal);
        let mut command = train(here, signal, &sets);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Once there are rows, it has been listening for a while.
        while read_metrics(&run.join("metrics.csv")).map_or(true, |rows| rows.is_empty()) {
            pause(Duration::from_millis(20));
        }
        assert!(Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap().success());
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        assert!(status.success(), "{}", text(&stderr));
        assert!(text(&stdout).contains("`edgewalk resume"), "{}", text(&stdout));
        assert_eq!(ended(&run), Ended::Interrupted);
        let (last, damaged) = checkpoint::last(&RunDir::open(&run).unwrap());
        assert!(damaged.is_empty());
        let steps_done = RunDir::open(&run).unwrap().read_manifest().unwrap().steps_done;
        assert_eq!(checkpoint::step_of(&last.unwrap().path), Some(steps_done));
    }
}

#[test]
fn any_flipped_byte_makes_a_checkpoint_count_for_nothing() {
    let folder = tempdir().unwrap();
    let run = RunDir::create(Some(&folder.path().join("run")), "x").unwrap();
    let path = Checkpoint::write(&run, 400, b"weights", b"state").unwrap();
    assert_eq!(path, folder.path().join("run/checkpoints/step_00000400"));
    let whole = Checkpoint::read(&path).unwrap();
    assert_eq!((whole.params.as_slice(), whole.state.as_slice()), (&b"weights"[..], &b"state"[..]));
    for name in [checkpoint::PARAMS, checkpoint::STATE, checkpoint::DONE] {
        let file = path.join(name);
        let bytes = fs::read(&file).unwrap();
        for (i, bit) in (0..bytes.len()).flat_map(|i| (0..8).map(move |bit| (i, bit))) {
            let mut flipped = bytes.clone();
            flipped[i] ^= 1 << bit;
            fs::write(&file, flipped).unwrap();
            let message = Checkpoint::read(&path).unwrap_err().to_string();
            assert!(message.contains("step_00000400") && message.contains("damaged"), "{message}");
        }
        for len in 0..bytes.len() {
            fs::write(&file, &bytes[..len]).unwrap();
            assert!(Checkpoint::read(&path).is_err());
        }
        fs::write(&file, bytes).unwrap();
        assert_eq!(Checkpoint::read(&path).unwrap(), whole);
    }
}

#[test]
fn the_checkpoint_before_serves_where_the_last_one_is_damaged() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    let sets = [EVERYTHING, &["checkpoint_every=20", "keep=3"]].concat();
    succeeds(train(here, "run", &sets));
    let run = here.join("run");
    let params = format!("checkpoints/step_00000060/{}", checkpoint::PARAMS);
    for name in ["metrics.csv", "curvature.csv", "oscillation.csv", &params] {
        let copy = here.join("reference").join(name);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(run.join(name), copy).unwrap();
    }
    let names = |run: &Path| {
        let mut names: Vec<String> = fs::read_dir(run.join("checkpoints"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&run), ["step_00000020", "step_00000040", "step_00000060"]);

    // As if it had been killed before its end.
    let manifest = fs::read_to_string(run.join("manifest.json")).unwrap();
    let killed = manifest.replace("\"ended\": \"done\"", "\"ended\": \"running\"");
    for (name, at, from) in [
        ("params.safetensors", 60, "step_00000040"),
        ("DONE", 60, "step_00000040"),
        ("state.safetensors", 40, "step_00000020"),
    ] {
        fs::write(run.join("manifest.json"), &killed).unwrap();
        let file = run.join(format!("checkpoints/step_{at:08}/{name}"));
        let mut bytes = fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        fs::write(&file, bytes).unwrap();
        if at == 40 {
            fs::write(run.join("checkpoints/step_00000060/DONE"), b"").unwrap();
        }
        let Output { status, stdout, stderr } = resume(here, "run").output().unwrap();
        let (stdout, stderr) = (text(&stdout), text(&stderr));
        assert!(status.success(), "{stderr}");
        assert!(stderr.contains(&format!("step_{at:08} is damaged")), "{stderr}");
        let from = Path::new("run").join("checkpoints").join(from);
        assert!(stdout.contains(&format!("going on from {}", from.display())), "{stdout}");
        assert_same(&run, &here.join("reference"), 60);
    }

    // With none left, it begins again.
    fs::write(run.join("manifest.json"), &killed).unwrap();
    for name in names(&run) {
        fs::remove_file(run.join("checkpoints").join(name).join("state.safetensors")).unwrap();
    }
    let printed = succeeds(resume(here, "run"));
    assert!(printed.contains("begins at step 0"), "{printed}");
    assert_same(&run, &here.join("reference"), 60);
}

#[test]
fn a_finished_run_can_be_made_longer() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    let long = EVERYTHING;
    let short = [EVERYTHING, &["steps=33"]].concat();
    succeeds(train(here, "long", long));
    succeeds(train(here, "short", &short));
    let printed = succeeds(resume(here, "short"));
    assert!(printed.contains("nothing is left to do in short (done)"), "{printed}");
    let mut on = resume(here, "short");
    on.args(["--set", "steps=60"]);
    succeeds(on);
    assert_same(&here.join("short"), &here.join("long"), 60);
    let config = fs::read_to_string(here.join("short/config.toml")).unwrap();
    assert_eq!(config, fs::read_to_string(here.join("long/config.toml")).unwrap());
    let manifest = RunDir::open(&here.join("short")).unwrap().read_manifest().unwrap();
    assert_eq!(manifest.resumed.len(), 1);
    assert_eq!((manifest.resumed[0].step, manifest.steps_done), (33, 60));
}

#[test]
fn a_run_ends_where_its_rule_is_met() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    let sets = ["width=8", "train=50", "test=0", "steps=200", "measure.every=0"];
    succeeds(train(here, "all", &sets));
    let all = read_metrics(&here.join("all/metrics.csv")).unwrap();
    let printed = succeeds(train(here, "some", &[&sets, &["until=loss<0.07"][..]].concat()));
    assert!(printed.contains("ended at loss < 0.07"), "{printed}");
    let some = read_metrics(&here.join("some/metrics.csv")).unwrap();
    let first = all.iter().position(|row| row.loss < 0.07).unwrap();
    // The row that meets it, and that of the parameters after its update.
    assert_eq!(some.len(), first + 2);
    assert!(some[first].loss < 0.07 && some[first - 1].loss >= 0.07);
    assert_eq!(rows(&here.join("some/metrics.csv")), rows(&here.join("all/metrics.csv"))[..first + 2]);
    assert_eq!(ended(&here.join("some")), Ended::Reached { until: "loss < 0.07".into() });
}

#[test]
fn what_cannot_be_resumed_is_refused_with_the_reason() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    fs::create_dir(here.join("empty")).unwrap();
    refuses(resume(here, "missing"), 1, &["missing does not exist"]);
    refuses(resume(here, "empty"), 1, &["empty is not a run folder"]);
    let tiny = ["width=8", "train=50", "test=0", "steps=4", "measure.every=0", "checkpoint_every=1"];
    succeeds(train(here, "run", &tiny));
    let with = |set: &str| {
        let mut command = resume(here, "run");
        command.args(["--set", set]);
        command
    };
    refuses(with("lr=0.1"), 2, &["the settings that it has", "run.steps", "edgewalk train"]);
    refuses(with("stesp=9"), 2, &["unknown key", "run.steps"]);
    refuses(with("until=los<1"), 2, &["run.until", "loss < NUMBER"]);
    refuses(with("until=loss < -1"), 2, &["run.until", "loss < -1", "a number above 0"]);
    refuses(with("checkpoint_every=sometimes"), 2, &["run.checkpoint_every", "auto"]);

    // Another process works on it.
    let run = RunDir::open(&here.join("run")).unwrap();
    let lock = run.lock().unwrap();
    refuses(with("steps=8"), 1, &["another process is working on run"]);
    drop(lock);

    // Tables and data that are not those of the run.
    let manifest = fs::read_to_string(run.manifest()).unwrap();
    fs::write(run.manifest(), manifest.replace("\"sha256\": \"", "\"sha256\": \"0")).unwrap();
    refuses(with("steps=8"), 2, &["the data are 50 and 0 examples of embedded"]);
    fs::write(run.manifest(), &manifest).unwrap();
    let metrics = fs::read(run.metrics()).unwrap();
    fs::write(run.metrics(), &metrics[..100]).unwrap();
    let Output { status, stderr, .. } = with("steps=8").output().unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(text(&stderr).contains("metrics.csv: it has fewer than the"), "{}", text(&stderr));
    fs::write(run.metrics(), metrics).unwrap();
    fs::write(run.manifest(), "{}").unwrap();
    refuses(with("steps=8"), 1, &["manifest.json", "missing field"]);
}
