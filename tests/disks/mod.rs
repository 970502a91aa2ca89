//! File systems that lock nothing, and those that forget at a power cut what was not made durable: a library (shim.c) stands
//! between the program and them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use edgewalk::folder::RunDir;
use edgewalk::folder::manifest::Ended;
use edgewalk::folder::tables::read_metrics;
use tempfile::{TempDir, tempdir};

use super::cli::{edgewalk, succeeds, text};
use super::program::edgewalk_on_wgpu;
use super::resume::pause;

const TINY: [&str; 5] = ["width=8", "depth=2", "train=50", "test=0", "measure.every=0"];

/// ENOLCK, EOPNOTSUPP and ENOSYS.
const REFUSALS: [&str; 3] = ["37", "95", "38"];

/// The library, compiled once.
fn shim() -> &'static Path {
    static FOLDER: OnceLock<(TempDir, std::path::PathBuf)> = OnceLock::new();
    let (_, library) = FOLDER.get_or_init(|| {
        let folder = tempdir().unwrap();
        let library = folder.path().join("libshim.so");
        let mut cc = Command::new("cc");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/disks/shim.c");
        cc.args(["-std=gnu11", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", source, "-o"]).arg(&library).arg("-ldl");
        succeeds(cc);
        (folder, library)
    });
    library
}

fn train(here: &Path, out: &str, sets: &[&str]) -> Command {
    let mut command = edgewalk(here, &["train", "--out", out]);
    for set in TINY.iter().chain(sets) {
        command.args(["--set", set]);
    }
    command
}

/// On a file system that refuses locks for this reason.
fn lockless(mut command: Command, reason: &str) -> Command {
    command.env("LD_PRELOAD", shim()).env("EDGEWALK_NO_LOCKS", reason);
    command
}

fn resume(here: &Path, reason: &str) -> Output {
    let mut command = edgewalk(here, &["resume", "run"]);
    command.args(["--set", "steps=20"]);
    lockless(command, reason).output().unwrap()
}

/// The files beside a lock that say who holds it.
fn owners(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains(".owner-")).collect()
}

#[test]
fn where_files_cannot_be_locked_a_second_process_is_refused_all_the_same() {
    let folder = tempdir().unwrap();
    for reason in REFUSALS {
        let here = &folder.path().join(reason);
        fs::create_dir(here).unwrap();
        let run = here.join("run");
        let mut command = lockless(train(here, "run", &["steps=100000000"]), reason);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        while read_metrics(&run.join("metrics.csv")).map_or(true, |rows| rows.is_empty()) {
            assert!(child.try_wait().unwrap().is_none(), "it ended too early");
            pause(Duration::from_millis(20));
        }
        let [owner] = &owners(&run)[..] else { panic!("{:?}", owners(&run)) };
        let refused = resume(here, reason);
        let message = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{message}");
        let who = format!("another process is working on run (process {} on ", child.id());
        assert!(message.contains(&who) && message.contains(&format!("remove run/{owner}")), "{message}");
        assert!(child.try_wait().unwrap().is_none(), "and the first goes on");

        // A process that is no more holds nothing, though it could not say so.
        child.kill().unwrap();
        let first = text(&child.wait_with_output().unwrap().stderr);
        assert_eq!(first.matches("refuses to lock").count(), 1, "{first}");
        assert_eq!(owners(&run).len(), 1);
        let on = resume(here, reason);
        assert!(on.status.success(), "{}", text(&on.stderr));
        assert_eq!(owners(&run), Vec::<String>::new());
        assert_eq!(read_metrics(&run.join("metrics.csv")).unwrap().len(), 21);
    }
}

#[test]
fn the_process_of_another_host_is_believed_to_be_there() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    succeeds(lockless(train(here, "run", &["steps=2"]), REFUSALS[0]));
    let run = here.join("run");
    let theirs = run.join(".lock.owner-some-other-node.example-7-1700000000-alone");
    fs::write(&theirs, b"").unwrap();
    let refused = resume(here, REFUSALS[0]);
    let message = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{message}");
    assert!(
        message.contains("(process 7 on some-other-node.example; if it is gone, remove run/.lock.owner-"),
        "{message}"
    );
    assert!(theirs.is_file() && owners(&run).len() == 1);
    fs::remove_file(theirs).unwrap();
    // Of this host, but another process has the number now: that is not its start.
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    fs::write(run.join(format!(".lock.owner-{}-1-1-alone", host.trim())), b"").unwrap();
    let on = resume(here, REFUSALS[0]);
    assert!(on.status.success(), "{}", text(&on.stderr));
    assert_eq!(owners(&run), Vec::<String>::new());
}

#[test]
fn sweeps_and_kernel_caches_do_without_locks() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    // The processor itself has no kernels to choose from.
    let mut sweep = edgewalk_on_wgpu(here, &["sweep", "--out", "s", "--set", "seed=1,2", "--set", "steps=3"]);
    for set in TINY.iter().chain(&["run.tune=0.2"]) {
        sweep.args(["--set", set]);
    }
    sweep.env("EDGEWALK_CACHE", here.join("cache"));
    let printed = succeeds(lockless(sweep, REFUSALS[0]));
    assert!(printed.contains("2 of 2 jobs ended"), "{printed}");
    for folder in ["s", "s/runs/seed=1", "s/runs/seed=2", "cache/kernels"] {
        assert_eq!(owners(&here.join(folder)), Vec::<String>::new(), "{folder}");
    }
    // Another sweep in the same folder, and tasks that share it, are told from one another.
    let theirs = |kind: &str| here.join(format!("s/.lock.owner-elsewhere-7-1700000000-{kind}"));
    for (kind, alone, shared) in [("alone", false, false), ("shared", false, true)] {
        fs::write(theirs(kind), b"").unwrap();
        let try_it = |args: &[&str]| lockless(edgewalk(here, args), REFUSALS[0]).output().unwrap().status.success();
        assert_eq!(try_it(&["resume", "s"]), alone, "{kind}");
        assert_eq!(try_it(&["sweep", "s", "--job", "0"]), shared, "{kind}");
        fs::remove_file(theirs(kind)).unwrap();
    }
}

#[test]
fn a_checkpoint_is_durable_before_the_one_before_it_goes() {
    let folder = tempdir().unwrap();
    let here = &folder.path().canonicalize().unwrap();
    let log = here.join("log");
    let mut command = train(here, "run", &["steps=3", "checkpoint_every=1", "keep=1"]);
    command.env("LD_PRELOAD", shim()).env("EDGEWALK_LOG", &log);
    succeeds(command);
    let text = fs::read_to_string(&log).unwrap();
    let lines: Vec<(&str, &str)> = text.lines().map(|line| line.split_once(' ').unwrap()).collect();
    let at = |what: &str, path: &Path, from: usize| {
        let path = path.to_str().unwrap();
        let same = |name: &str| name == path || here.join(name).to_str() == Some(path);
        let found = lines.iter().skip(from).position(|(did, name)| *did == what && same(name));
        found.map_or_else(|| panic!("no {what} of {path} after line {from} of\n{text}"), |i| from + i)
    };
    let run = here.join("run");
    let checkpoints = run.join("checkpoints");
    // The names of the run, of its tables and of the folder of its checkpoints.
    at("fsync", here, 0);
    let begun = at("fsync", &run, 0);
    let mut last = at("fsync", &run, begun + 1);
    for step in 1..=3 {
        let path = checkpoints.join(format!("step_{step:08}"));
        let partial = path.with_extension("partial");
        for name in ["params.safetensors", "state.safetensors", "DONE"] {
            last = at("rename", &partial.join(name), last);
        }
        last = at("fsync", &partial, last);
        last = at("rename", &path, last);
        last = at("fsync", &checkpoints, last);
        if step > 1 {
            last = at("remove", &checkpoints.join(format!("step_{:08}", step - 1)), last);
        }
    }
    assert_eq!(RunDir::open(&run).unwrap().read_manifest().unwrap().ended, Ended::Done);
}
