//! What goes wrong around a run ends it with a clear message and exit code 1, and what was logged before can still be read.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use edgewalk::folder::RunDir;
use edgewalk::folder::manifest::Ended;
use edgewalk::folder::tables::read_metrics;
use edgewalk::run::memory_check;
use edgewalk::run::setup::RunSetup;
use tempfile::tempdir;

use super::cli::{edgewalk, refuses, succeeds, text};
use super::resume::pause;

const SMALL: [&str; 4] = ["width=8", "train=50", "test=0", "measure.every=0"];

fn train(folder: &Path, out: &str, sets: &[&str]) -> Command {
    let mut command = edgewalk(folder, &["train", "--out", out]);
    for set in SMALL.iter().chain(sets) {
        command.args(["--set", set]);
    }
    command
}

/// Starts a run that would go on for long, and waits until it has come so far.
#[cfg(unix)]
fn started(mut command: Command, so_far: impl Fn() -> bool) -> Child {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while !so_far() {
        assert!(child.try_wait().unwrap().is_none(), "it ended too early");
        pause(std::time::Duration::from_millis(20));
    }
    child
}

/// Where no file can grow beyond so many KiB, as on a disk that is full, from the moment that the run has come so far. Drivers
/// may take their memory from files without a name, so it cannot be full from the beginning.
#[cfg(target_os = "linux")]
fn on_a_disk_that_gets_full(command: &Command, kib: u64, so_far: impl Fn() -> bool) -> Output {
    // Without the trap the system would end the program instead of refusing the write.
    let mut trapped = Command::new("bash");
    trapped.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
    trapped.current_dir(command.get_current_dir().unwrap()).env("MESA_SHADER_CACHE_DISABLE", "true");
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => trapped.env(name, value),
            None => trapped.env_remove(name),
        };
    }
    let child = started(trapped, so_far);
    let mut limit = Command::new("prlimit");
    limit.args([format!("--pid={}", child.id()), format!("--fsize={}", kib << 10)]);
    succeeds(limit);
    child.wait_with_output().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_a_run_and_leaves_its_rows() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    // After the first checkpoint the table does not fit, or another checkpoint.
    for (name, width, kib, what, rows) in
        [("table", "width=8", 64, "metrics.csv", 80), ("checkpoint", "width=200", 512, ".partial", 40)]
    {
        // Whichever is there: a fast run soon removes the first one.
        let checkpoints = here.join(name).join("checkpoints");
        let has_one = || fs::read_dir(&checkpoints).is_ok_and(|mut entries| entries.next().is_some());
        let command = train(here, name, &["steps=100000000", "checkpoint_every=20", width]);
        let Output { status, stderr, .. } = on_a_disk_that_gets_full(&command, kib, has_one);
        let (message, run) = (text(&stderr), RunDir::open(&here.join(name)).unwrap());
        assert_eq!(status.code(), Some(1), "{message}");
        assert!(message.contains("error: cannot write") && message.contains(what), "{message}");
        assert!(message.contains("check the free space"), "{message}");
        let read = read_metrics(&run.metrics()).unwrap();
        assert!(read.len() >= rows && read.iter().zip(0..).all(|(row, step)| row.step == step), "{}", read.len());
        assert!(matches!(run.read_manifest().unwrap().ended, Ended::Failed { error } if error.contains(what)));
        let mut entries = fs::read_dir(run.checkpoints()).unwrap();
        assert!(entries.all(|entry| entry.unwrap().path().extension().is_none()));
        // With space again it goes on.
        let mut on = edgewalk(here, &["resume", name]);
        on.args(["--set", &format!("steps={}", read.len() + 50)]);
        succeeds(on);
        assert_eq!(read_metrics(&run.metrics()).unwrap().len(), read.len() + 51);
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_refused() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    fs::write(here.join("file"), b"").unwrap();
    refuses(train(here, "file/run", &["steps=2"]), 1, &["file is not a folder", "--out"]);
    // Nobody may make folders there, the administrator included.
    if cfg!(target_os = "linux") {
        refuses(train(here, "/proc/run", &["steps=2"]), 1, &["cannot write /proc/run", "--out"]);
    }
}

/// A long run that has logged something.
#[cfg(unix)]
fn long_run(here: &Path, out: &str) -> Child {
    let table = here.join(out).join("metrics.csv");
    started(train(here, out, &["steps=100000000"]), || read_metrics(&table).is_ok_and(|rows| !rows.is_empty()))
}

#[cfg(unix)]
#[test]
fn a_run_folder_that_goes_away_ends_the_run() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    for renamed in [false, true] {
        let child = long_run(here, "run");
        if renamed {
            fs::rename(here.join("run"), here.join("elsewhere")).unwrap();
        } else {
            fs::remove_dir_all(here.join("run")).unwrap();
        }
        let Output { status, stderr, .. } = child.wait_with_output().unwrap();
        assert_eq!(status.code(), Some(1), "{}", text(&stderr));
        assert!(text(&stderr).contains("run was removed or renamed while the run went on"), "{}", text(&stderr));
        assert!(!here.join("run").exists());
    }
    let run = RunDir::open(&here.join("elsewhere")).unwrap();
    let logged = read_metrics(&run.metrics()).unwrap().len();
    assert!(logged > 0);
    let mut on = edgewalk(here, &["resume", "elsewhere"]);
    on.args(["--set", "steps=50"]);
    succeeds(on);
    assert_eq!(read_metrics(&run.metrics()).unwrap().len(), 51);
}

#[test]
fn numbers_that_are_not_finite_end_a_run_and_leave_its_rows() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    let Output { status, stderr, .. } = train(here, "run", &["steps=500", "lr=1e4", "rho=0"]).output().unwrap();
    let message = text(&stderr);
    assert_eq!(status.code(), Some(1), "{message}");
    assert!(message.contains("diverged at step") && message.contains("lower lr"), "{message}");
    let run = RunDir::open(&here.join("run")).unwrap();
    let rows = read_metrics(&run.metrics()).unwrap();
    assert!(!rows.is_empty() && rows.iter().all(|row| row.loss.is_finite()));
    assert_eq!(run.read_manifest().unwrap().ended, Ended::Diverged { step: rows.len() as u64 });
    let printed = succeeds(edgewalk(here, &["resume", "run"]));
    assert!(printed.contains("nothing is left to do in run (diverged at step"), "{printed}");
}

#[test]
fn what_needs_more_memory_than_there_is_is_refused_with_what_would_fit() {
    use std::sync::Arc;

    use edgewalk::config::{build, resolve};
    use edgewalk::data::{self, DataName, Request};
    use edgewalk::model::{Activation, Mlp};

    let device = super::device::the_device();
    let config =
        resolve(None, &["measure.every=0".into(), "width=256".into(), "run.chunk=1000".into()]).unwrap().config;
    let data = data::load(&Request { train: 1000, ..Request::new(DataName::Embedded) }).unwrap();
    let mlp = Mlp { inputs: 784, width: 256, depth: 4, outputs: 10, activation: Activation::Relu };
    let parts = RunSetup {
        config: &config,
        model: Arc::new(mlp),
        loss: build::loss(&config),
        data: &data,
        first: &data.train,
        measured: None,
        most_kept: 0,
    };
    let (plan, _) = parts.plan(device).unwrap();
    let needs = memory_check::machine_bytes(&plan, device);
    memory_check::check(&parts, device, &plan, needs).unwrap();
    let message = |has: u64| memory_check::check(&parts, device, &plan, has).unwrap_err().to_string();
    if device.adapter().is_cpu() {
        // A MiB less: half of the chunk takes less.
        let close = message(needs - (1 << 20));
        assert!(close.contains("try --set run.chunk=500, which needs "), "{close}");
    }
    let hopeless = message(1 << 20);
    assert!(hopeless.contains("needs ") && hopeless.contains("there are 1 MiB free"), "{hopeless}");
    assert!(hopeless.contains("data.train"), "{hopeless}");

    // A hundred eigenvectors of 18 million numbers each, and the basis to find them, are more than most machines have.
    let free = memory_check::free_bytes();
    if free < 60 << 30 {
        let folder = tempdir().unwrap();
        let big = edgewalk(
            folder.path(),
            &["train", "--set", "width=2800", "--set", "measure.top=100", "--set", "max_iterations=300"],
        );
        refuses(big, 1, &["this run needs ", "of the machine's memory", "measure.top"]);
    }
}
