//! How the jobs of a sweep are run: side by side, one by one by Slurm, and what becomes of those whose process does not do as
//! the real program would. Programs that stand in for it are shell scripts.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use edgewalk::folder::rows::MetricsRow;
use edgewalk::folder::tables::read_metrics;
use edgewalk::folder::{RunDir, checkpoint};
use edgewalk::sweep::{Grid, JobOptions, JobState, SweepDir, resume, start};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cli::{edgewalk, refuses, succeeds, text};
use crate::sweep::{rows, sweep, until};

fn grid(sets: &[&str]) -> Grid {
    let tiny = ["width=8", "train=50", "test=20", "steps=4", "measure.every=2"];
    let sets: Vec<String> = tiny.iter().chain(sets).map(|&set| set.to_owned()).collect();
    Grid::new(None, &sets, super::device::adapter()).unwrap()
}

/// A program that does what `body` says. `$3 …` are `train`'s arguments, `$run` the run folder, `$seed` the seed in its name.
fn program(folder: &Path, body: &str) -> PathBuf {
    let path = folder.join("program");
    let head = "#!/bin/sh\nif [ \"$1\" = resume ]; then run=$2; else run=$(printf '%s\\n' \"$@\" | grep -A1 -x -- --out | tail -1); fi\n\
                seed=${run##*=}\nhere=$(dirname \"$0\")\n";
    fs::write(&path, format!("{head}{body}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Each job leaves a sign and waits for that of the other: both see it only if they run at once.
#[test]
fn two_jobs_at_a_time_are_two_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let meet = "touch \"$here/here-$seed\"; other=$((3 - seed)); tries=0
        until [ -e \"$here/here-$other\" ]; do
            tries=$((tries + 1)); [ $tries -lt $(cat \"$here/patience\") ] || { echo 'error: alone'; exit 1; }; sleep 0.05
        done
        sleep 0.2; rm -f \"$here/here-$seed\"";
    let program = program(here, meet);
    fs::write(here.join("patience"), "1200").unwrap();
    let both = JobOptions { program: program.clone(), jobs: Some(2) };
    start(&grid(&["seed=1,2"]), Some(&here.join("both")), &both, &()).unwrap();

    // The same two, one after the other, do not meet.
    fs::write(here.join("patience"), "5").unwrap();
    let remove_sign = |seed: u8| fs::remove_file(here.join(format!("here-{seed}")));
    let _ = (remove_sign(1), remove_sign(2));
    let program = self::program(here, &format!("rm -f \"$here\"/here-*\n{meet}"));
    let apart = start(&grid(&["seed=1,2"]), Some(&here.join("apart")), &JobOptions { program, jobs: Some(1) }, &());
    assert!(apart.unwrap_err().to_string().starts_with("2 jobs failed, the first being seed=1: alone"));
}

#[test]
fn a_crash_is_the_failure_of_one_job() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let real = env!("CARGO_BIN_EXE_edgewalk");
    let program = program(here, &format!("[ $seed = 2 ] && kill -SEGV $$\nexec '{real}' \"$@\""));
    let launch = JobOptions { program, jobs: Some(1) };
    let error = start(&grid(&["seed=1,2,3"]), Some(&here.join("s")), &launch, &()).unwrap_err().to_string();
    assert!(error.contains("the job seed=2 failed") && error.contains("signal"), "{error}");
    assert_eq!(error.matches("; see ").count(), 1, "{error}");
    let all = rows(&here.join("s"));
    assert_eq!(
        ["seed=1", "seed=2", "seed=3"].map(|job| all[job].state),
        [JobState::Done, JobState::Failed, JobState::Done]
    );
    assert!(all["seed=2"].message.contains("signal: 11"), "{}", all["seed=2"].message);

    // The real program does it the next time.
    resume(&here.join("s"), &JobOptions { program: real.into(), jobs: None }, &()).unwrap();
    assert_eq!(rows(&here.join("s"))["seed=2"].state, JobState::Done);
}

#[test]
fn a_folder_that_is_gone_is_not_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let program = program(here, "mv \"$here/s\" \"$here/elsewhere\"");
    let error =
        start(&grid(&["seed=1,2"]), Some(&here.join("s")), &JobOptions { program, jobs: Some(1) }, &()).unwrap_err();
    assert!(error.to_string().contains("removed or renamed"), "{error}");
    assert!(!here.join("s").exists());
    let real = JobOptions { program: env!("CARGO_BIN_EXE_edgewalk").into(), jobs: None };
    resume(&here.join("elsewhere"), &real, &()).unwrap();
    assert!(rows(&here.join("elsewhere")).values().all(|row| row.state == JobState::Done));
}

#[test]
fn whatever_a_job_has_left_it_goes_on_to_the_same_end() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let out = here.join("s");
    let real = JobOptions { program: env!("CARGO_BIN_EXE_edgewalk").into(), jobs: Some(1) };
    start(&grid(&["seed=1,2,3,4"]), Some(&out), &real, &()).unwrap();
    let run = |seed: u8| out.join(format!("runs/seed={seed}"));
    let before: Vec<_> = (1..=4).map(|seed| read_metrics(&run(seed).join("metrics.csv")).unwrap()).collect();
    for (seed, ended) in [(1, "interrupted"), (2, "running"), (3, "running"), (4, "running")] {
        let manifest = run(seed).join("manifest.json");
        let text = fs::read_to_string(&manifest).unwrap();
        fs::write(&manifest, text.replace("\"ended\": \"done\"", &format!("\"ended\": \"{ended}\""))).unwrap();
    }
    // Killed before it had written a checkpoint, and before it was a run.
    fs::remove_dir_all(run(3).join("checkpoints")).unwrap();
    let manifest = fs::read(run(4).join("manifest.json")).unwrap();
    fs::remove_dir_all(run(4)).unwrap();
    fs::create_dir(run(4)).unwrap();
    fs::write(run(4).join("manifest.json"), manifest).unwrap();

    resume(&out, &real, &()).unwrap();
    assert!(rows(&out).values().all(|row| row.state == JobState::Done));
    for (seed, said) in
        [(1, "going on from"), (2, "going on from"), (3, "so it begins at step 0"), (4, "parameters on")]
    {
        let after = read_metrics(&run(seed).join("metrics.csv")).unwrap();
        let timeless =
            |rows: &[MetricsRow]| rows.iter().map(|row| MetricsRow { secs: 0.0, ..row.clone() }).collect::<Vec<_>>();
        assert_eq!(timeless(&after), timeless(&before[usize::from(seed) - 1]), "{seed}");
        let log = fs::read_to_string(out.join(format!("logs/seed={seed}.txt"))).unwrap();
        assert!(log.contains(said) && log.contains("going on from") == (seed < 3), "{log}");
    }
}

/// The script as a task of a job array sees it.
fn task(script: &Path, number: usize) -> Command {
    let mut command = Command::new("bash");
    command.arg(script).env("SLURM_ARRAY_TASK_ID", number.to_string()).env_remove("EDGEWALK_DATA");
    command.env("NODEVICE_SELECT", "1");
    command
}

#[test]
fn a_job_array_does_what_the_sweep_would() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("it's 100% \"mine\"");
    fs::create_dir(&here).unwrap();
    let text_of = succeeds(sweep(&here, &["lr=0.03,0.1", "seed=1,2"], &["--out", "s", "--slurm", "--jobs", "3"]));
    for line in ["#!/bin/bash", "#SBATCH --array=0-3%3", "#SBATCH --requeue", "#SBATCH --open-mode=append"] {
        assert!(text_of.lines().any(|it| it == line), "{line}: {text_of}");
    }
    assert!(text_of.contains("\n#SBATCH --signal=B:TERM@120\n") && text_of.contains("\nexec /"), "{text_of}");
    assert!(text_of.contains("100%% \\\"mine\\\"/s/logs/slurm-%a.txt\""), "{text_of}");
    let out = here.join("s");
    assert!(!out.join("runs").exists(), "nothing has run");

    let script = folder.path().join("array.sh");
    fs::write(&script, &text_of).unwrap();
    assert!(Command::new("bash").arg("-n").arg(&script).status().unwrap().success());
    // Where it is installed.
    if let Ok(Output { status, stdout, .. }) = Command::new("shellcheck").arg(&script).output() {
        assert!(status.success(), "{}", text(&stdout));
    }

    // Two at the same time, of which neither overwrites what the other has written.
    let tasks = [1, 2].map(|number| task(&script, number).spawn().unwrap());
    assert!(tasks.into_iter().all(|mut task| task.wait().unwrap().success()));
    let states =
        || SweepDir::open(&out).unwrap().jobs().iter().map(|job| rows(&out)[&job.name].state).collect::<Vec<_>>();
    assert_eq!(states(), [JobState::Waiting, JobState::Done, JobState::Done, JobState::Waiting]);
    // What is left is an array of its own, and a task that was done already ends at once.
    let rest = succeeds(edgewalk(&here, &["sweep", "s", "--slurm"]));
    assert!(rest.contains("#SBATCH --array=0,3\n"), "{rest}");
    let manifest = out.join("runs/lr=0.03,seed=2/manifest.json");
    let before = fs::read(&manifest).unwrap();
    for number in 0..4 {
        succeeds(task(&script, number));
    }
    assert_eq!(fs::read(&manifest).unwrap(), before);
    assert_eq!(states(), [JobState::Done; 4]);
    refuses(edgewalk(&here, &["sweep", "s", "--slurm"]), 1, &["nothing left for Slurm"]);
    refuses(edgewalk(&here, &["sweep", "s", "--job", "4"]), 2, &["no job 4", "0 to 3"]);
    refuses(edgewalk(&here, &["sweep", "s", "--set", "lr=1,2"]), 2, &["goes on as it began; leave out --set\n"]);
}

#[test]
fn a_task_that_slurm_stops_writes_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let endless = ["steps=1000000", "measure.every=100000", "seed=1,2"];
    let script = here.join("array.sh");
    fs::write(&script, succeeds(sweep(here, &endless, &["--out", "s", "--slurm"]))).unwrap();
    let mut task = task(&script, 1).spawn().unwrap();
    let run = here.join("s/runs/seed=2");
    until("the run", || fs::read(run.join("metrics.csv")).is_ok_and(|rows| rows.len() > 500));
    assert_eq!(rows(&here.join("s"))["seed=2"].state, JobState::Running);
    // To the shell that bash was when the task began, as `--signal=B:TERM` does.
    kill(Pid::from_raw(i32::try_from(task.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert!(task.wait().unwrap().success());
    let run = RunDir::open(&run).unwrap();
    assert_eq!(run.read_manifest().unwrap().ended.to_string(), "interrupted");
    assert!(checkpoint::last(&run).0.is_some());
    let all = rows(&here.join("s"));
    assert_eq!(["seed=1", "seed=2"].map(|job| all[job].state), [JobState::Waiting, JobState::Interrupted]);
    assert!(succeeds(edgewalk(here, &["sweep", "s", "--slurm"])).contains("#SBATCH --array=0-1\n"));
}
