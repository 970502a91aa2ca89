//! `edgewalk fork`: a run that begins with a checkpoint of another one.

use std::fs;
use std::path::Path;
use std::process::Command;

use edgewalk::folder::RunDir;
use edgewalk::folder::manifest::{Ended, Parent};
use edgewalk::folder::tables::{read_curvature, read_metrics};
use safetensors::SafeTensors;

use super::program::{edgewalk, refuses, succeeds};

const TINY: [&str; 6] = ["width=8", "train=50", "test=0", "measure.every=5", "measure.top=1", "lr=0.01"];

fn with(mut command: Command, sets: &[&str]) -> Command {
    command.args(sets.iter().flat_map(|set| ["--set", set]));
    command
}

fn train(here: &Path, out: &str, sets: &[&str]) {
    succeeds(with(edgewalk(here, &["train", "--out", out]), &[&TINY, sets].concat()));
}

fn fork(here: &Path, from: &str, out: &str, sets: &[&str]) -> Command {
    with(edgewalk(here, &["fork", from, "--out", out]), sets)
}

/// All parameters at a checkpoint.
fn params(run: &RunDir, step: u64) -> Vec<f32> {
    let bytes = fs::read(run.checkpoint(step).join("params.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut names = file.names();
    names.sort_unstable();
    names.iter().flat_map(|name| bytemuck::pod_collect_to_vec(file.tensor(name).unwrap().data())).collect()
}

#[test]
fn a_fork_without_changes_makes_the_steps_that_the_run_would_have_made() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for (i, more) in [
        &["momentum=0.9"][..],
        &["base=adam", "lr=0.001", "schedule=cosine", "decay_steps=40", "warmup=5"],
        &["batch=20", "base=rmsprop", "lr=0.001", "measure.at=midpoint"],
    ]
    .iter()
    .enumerate()
    {
        let [whole, half, child] = ["whole", "half", "child"].map(|name| format!("{name}{i}"));
        train(here, &whole, &[more, &["steps=30"][..]].concat());
        train(here, &half, &[more, &["steps=20"][..]].concat());
        succeeds(fork(here, &half, &child, &["steps=30"]));
        let [whole, child] = [whole, child].map(|name| RunDir::open(&here.join(name)).unwrap());
        let tail = |run: &RunDir| -> Vec<_> {
            let rows = read_metrics(&run.metrics()).unwrap().into_iter().filter(|row| row.step >= 20);
            rows.map(|row| (row.step, row.loss.to_bits(), row.grad_norm.to_bits(), row.lr)).collect()
        };
        assert_eq!(read_metrics(&child.metrics()).unwrap()[0].step, 20);
        assert_eq!(tail(&whole), tail(&child));
        assert!(params(&whole, 30) == params(&child, 30), "{more:?}");
        // Measurements begin cold, and agree within their bars.
        let rows = [&whole, &child].map(|run| read_curvature(&run.curvature()).unwrap());
        let of_whole: Vec<_> = rows[0].iter().filter(|row| row.step >= 20).collect();
        assert_eq!(of_whole.len(), rows[1].len());
        for (one, other) in of_whole.into_iter().zip(&rows[1]) {
            let bar = one.errors[0] + other.errors[0];
            assert!((one.lambdas[0] - other.lambdas[0]).abs() <= bar, "{more:?}, step {}", one.step);
        }
        let manifest = child.read_manifest().unwrap();
        let parent = here.canonicalize().unwrap().join(half);
        assert_eq!((manifest.parent, manifest.ended), (Some(Parent { path: parent, step: 20 }), Ended::Done));
    }
}

#[test]
fn a_fork_may_change_the_rule_and_running_means_begin_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    train(here, "run", &["steps=12", "run.keep=0", "checkpoint_every=4"]);
    let run = RunDir::open(&here.join("run")).unwrap();
    let sets = ["base=adam", "lr=0.001", "steps=9", "rho=0", "measure.every=1"];
    let said = fork(here, "run/checkpoints/step_00000008", "adam", &sets).output().unwrap();
    assert!(said.status.success());
    assert!(String::from_utf8_lossy(&said.stderr).contains("they begin at 0"));
    let child = RunDir::open(&here.join("adam")).unwrap();
    let (before, after) = (params(&run, 8), params(&child, 9));
    // Adam's first update is η g/(|g| + ε), of the size η where there is a gradient.
    let moved: Vec<f32> = before.iter().zip(&after).map(|(before, after)| (after - before).abs() / 0.001).collect();
    let most = moved.iter().fold(0.0_f32, |most, x| most.max(*x));
    assert!((most - 1.0).abs() < 1e-2, "{most}");
    // So it does after another fork, with the means of the first.
    succeeds(fork(here, "adam", "again", &["steps=20"]));
    let again = RunDir::open(&here.join("again")).unwrap();
    succeeds(with(edgewalk(here, &["resume", "adam"]), &["steps=20"]));
    assert!(params(&child, 20) == params(&again, 20));
    // A picture of both.
    let said = succeeds(edgewalk(here, &["compare", "run", "adam", "again"]));
    assert!(said.contains("again"), "{said}");
}

#[test]
fn what_a_fork_cannot_change_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    train(here, "run", &["steps=10"]);
    for set in ["train=40", "width=9", "loss.kind=cross-entropy"] {
        refuses(fork(here, "run", "child", &["steps=20", set]), 2, &["a fork goes on with the examples", "--init"]);
    }
    refuses(fork(here, "run", "child", &[]), 2, &["`run.steps = 10` are done at step 10", "--set run.steps=N"]);
    refuses(fork(here, "run", "child", &["steps=20", "batch=60"]), 2, &["`optim.batch = 60`"]);
    refuses(fork(here, "run", "run", &["steps=20"]), 1, &["already exists"]);
    refuses(fork(here, "nothing", "child", &["steps=20"]), 1, &["nothing does not exist"]);
    refuses(fork(here, "run/checkpoints", "child", &["steps=20"]), 1, &["is not a run folder"]);
    fs::write(here.join("run/checkpoints/step_00000010/state.safetensors"), "no").unwrap();
    refuses(fork(here, "run/checkpoints/step_00000010", "child", &["steps=20"]), 1, &["SHA-256"]);
}
