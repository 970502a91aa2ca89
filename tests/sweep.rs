//! Sweeps as their users meet them: what is run, what the table says of it, and what is left after every kind of end.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use edgewalk::config;
use edgewalk::folder::RunDir;
use edgewalk::folder::tables::{read_curvature, read_metrics};
use edgewalk::sweep::{Grid, JobState, SummaryRow, SweepDir, read_summary};

use crate::cli::{edgewalk, refuses, succeeds, text};
use crate::program::{adapter, complaint, wgpu_adapter};

/// Runs of a fraction of a second.
const TINY: [&str; 6] = ["width=8", "train=50", "test=20", "steps=6", "measure.every=2", "run.tune=0"];

/// `edgewalk sweep` of tiny runs, with further settings, or others instead, and then other arguments.
pub fn sweep(folder: &Path, sets: &[&str], args: &[&str]) -> Command {
    let is_set = |tiny: &&&str| !sets.iter().any(|set| set.split('=').next() == tiny.split('=').next());
    let sets = TINY.iter().filter(is_set).chain(sets).flat_map(|set| ["--set", set]);
    let all: Vec<&str> = ["sweep"].into_iter().chain(sets).chain(args.iter().copied()).collect();
    let mut command = edgewalk(folder, &all);
    if !args.contains(&"--adapter") {
        command.args(["--adapter", &adapter().unwrap()]);
    }
    command
}

fn resume(folder: &Path) -> Command {
    edgewalk(folder, &["sweep", "s"])
}

/// The rows of `summary.csv`, by job.
pub fn rows(sweep: &Path) -> BTreeMap<String, SummaryRow> {
    let rows = read_summary(&SweepDir::open(sweep).unwrap().summary()).unwrap();
    rows.into_iter().map(|row| (row.job.clone(), row)).collect()
}

/// A table without its columns of times.
fn timeless(path: &Path) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header = reader.headers().unwrap().clone();
    let keep = |row: &csv::StringRecord| {
        row.iter().zip(&header).filter(|(_, name)| !name.contains("secs")).map(|(cell, _)| cell.to_owned()).collect()
    };
    reader.records().map(|row| keep(&row.unwrap())).collect()
}

/// Every table of two sweeps must be the same, times aside.
#[cfg(target_os = "linux")]
fn same_tables(a: &Path, b: &Path) {
    for job in SweepDir::open(a).unwrap().jobs() {
        for table in ["metrics.csv", "curvature.csv"] {
            let (one, other) = (job.run.join(table), b.join("runs").join(&job.name).join(table));
            assert_eq!(timeless(&one), timeless(&other), "{} {table}", job.name);
        }
    }
    assert_eq!(timeless(&a.join("summary.csv")), timeless(&b.join("summary.csv")));
}

/// Starts a command whose output is read line by line.
fn start(mut command: Command) -> (Child, impl Iterator<Item = String>) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    (child, lines)
}

/// Waits for something that another process does, which must come.
#[cfg(unix)]
pub fn until(what: &str, came: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !came() {
        assert!(start.elapsed().as_secs() < 120, "{what} never came");
        std::thread::yield_now();
    }
}

#[test]
fn a_sweep_is_its_runs_and_its_table_agrees_with_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let said = succeeds(sweep(here, &["lr=0.03,0.1", "rho=0,0.1"], &["--out", "s"]));
    assert!(said.contains("4 of 4 jobs ended") && said.contains("[4/4]"), "{said}");
    let header = said.lines().find(|line| line.starts_with("lr ")).unwrap();
    assert!(header.contains("  rho  ") && header.contains("edge ratio [low, high]"), "{said}");

    let dir = SweepDir::open(&here.join("s")).unwrap();
    let names: Vec<&str> = dir.jobs().iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["lr=0.03,rho=0", "lr=0.03,rho=0.1", "lr=0.1,rho=0", "lr=0.1,rho=0.1"]);
    let all = rows(&here.join("s"));
    for job in dir.jobs() {
        let row = &all[&job.name];
        let run = RunDir::open(&job.run).unwrap();
        let config = config::resolve(run.config().to_str(), &[]).unwrap().config;
        assert_eq!([config.optim.lr.to_string(), config.optim.rho.to_string()], job.values[..]);
        assert_eq!((config.model.width, config.run.steps), (8, 6));
        assert_eq!((row.state, &row.values), (JobState::Done, &job.values));

        let metrics = read_metrics(&run.metrics()).unwrap();
        let last = metrics.last().unwrap();
        assert_eq!((row.steps, row.loss, row.error), (Some(6), Some(last.loss), Some(last.error)));
        assert_eq!((row.grad_norm, row.test_loss), (Some(last.grad_norm), last.test_loss));
        // Of steps 0, 2, 4 and 6, the last two are the second half.
        let [_, _, a, b] = &read_curvature(&run.curvature()).unwrap()[..] else { panic!("four measurements") };
        assert_eq!(row.hessian_norm, Some(0.5 * (a.hessian_norm + b.hessian_norm)));
        assert_eq!(row.edge_ratio, Some(0.5 * (a.edge_ratio + b.edge_ratio)));
        assert_eq!(row.edge_ratio_low, Some(a.edge_ratio.min(b.edge_ratio)));
        assert_eq!(row.edge_ratio_high, Some(a.edge_ratio.max(b.edge_ratio)));
        assert_eq!(row.gauge, Some(0.5 * (a.gauge + b.gauge)));
        assert_eq!(row.worst_residual, Some(a.residuals[0].max(b.residuals[0])));
        assert!(fs::read_to_string(dir.log(job)).unwrap().contains("6 steps in"));
    }

    // A run by itself with the same settings is the same run.
    let sets = TINY.iter().chain(&["lr=0.1", "rho=0.1"]).flat_map(|set| ["--set", set]);
    let args: Vec<&str> = ["train", "--out", "alone"].into_iter().chain(sets).collect();
    succeeds(edgewalk(here, &args));
    for table in ["metrics.csv", "curvature.csv"] {
        assert_eq!(timeless(&here.join("alone").join(table)), timeless(&dir.jobs()[3].run.join(table)));
    }

    // Nothing is left, so nothing is done.
    let manifest = dir.jobs()[0].run.join("manifest.json");
    let before = fs::read(&manifest).unwrap();
    assert!(succeeds(resume(here)).contains("4 of 4 jobs ended"));
    assert_eq!(fs::read(&manifest).unwrap(), before);
}

#[test]
#[cfg(target_os = "linux")]
fn a_killed_sweep_goes_on_to_the_same_tables() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let sets = ["lr=0.03,0.1", "seed=1,2", "steps=150", "measure.every=50"];
    succeeds(sweep(here, &sets, &["--out", "whole", "--jobs", "2"]));

    let (mut child, mut lines) = start(sweep(here, &sets, &["--out", "s", "--jobs", "1"]));
    assert!(lines.any(|line| line.starts_with("[1/4]")));
    let run = here.join("s/runs/lr=0.03,seed=2");
    until("the second run", || fs::read(run.join("metrics.csv")).is_ok_and(|rows| rows.len() > 500));
    child.kill().unwrap();
    child.wait().unwrap();
    // The machine goes down, and its runs with it.
    let runs = || processes_with("s/runs/lr=0.03,seed=2");
    assert_eq!(runs().len(), 1, "the run outlives the sweep");
    runs().into_iter().for_each(|pid| kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap());
    until("the end of the run", || runs().is_empty());
    let manifest = RunDir::open(&run).unwrap().read_manifest().unwrap();
    assert_eq!(manifest.ended.to_string(), "running", "killed half-way");

    let done = here.join("s/runs/lr=0.03,seed=1/manifest.json");
    let before = fs::read(&done).unwrap();
    let said = succeeds(resume(here));
    assert!(said.starts_with("3 of 4 jobs to do"), "{said}");
    assert_eq!(fs::read(&done).unwrap(), before, "what is done is not done again");
    same_tables(&here.join("whole"), &here.join("s"));
}

/// The processes with this text in their arguments.
#[cfg(target_os = "linux")]
fn processes_with(text: &str) -> Vec<i32> {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let has = |pid: &i32| {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|args| String::from_utf8_lossy(&args).contains(text))
    };
    pids.filter(has).collect()
}

#[test]
fn a_run_that_outlives_its_sweep_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    succeeds(sweep(here, &["seed=1,2"], &["--out", "s"]));
    let run = here.join("s/runs/seed=1");
    let (done, running) = (fs::read_to_string(run.join("manifest.json")).unwrap(), "\"ended\": \"running\"");
    fs::write(run.join("manifest.json"), done.replace("\"ended\": \"done\"", running)).unwrap();
    let metrics = fs::read(run.join("metrics.csv")).unwrap();
    let lock = File::create(run.join(".lock")).unwrap();
    lock.lock().unwrap();

    let (mut child, mut lines) = start(resume(here));
    assert!(lines.any(|line| line.contains("seed=1: another process")), "it waits and says so");
    assert_eq!(rows(&here.join("s"))["seed=1"].state, JobState::Running);
    // Nor do two sweeps work in one folder.
    refuses(resume(here), 1, &["another process works on the sweep", "Ctrl-C"]);
    fs::write(run.join("manifest.json"), &done).unwrap();
    drop(lock);
    assert!(lines.any(|line| line.contains("2 of 2 jobs ended")));
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::read(run.join("metrics.csv")).unwrap(), metrics, "and did not do its work again");
}

#[test]
fn a_job_that_fails_marks_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let nowhere = |mut command: Command| {
        command.env("HOME", here).env("XDG_CACHE_HOME", here);
        command
    };
    let axes = ["name=embedded,mnist", "lr=0.1,1e20"];
    let Output { status, stdout, stderr } = nowhere(sweep(here, &axes, &["--out", "s"])).output().unwrap();
    let (said, message) = (text(&stdout), complaint(&stderr));
    assert_eq!(status.code(), Some(1), "{said}{message}");
    assert!(message.starts_with("error: 2 jobs failed") && message.contains("name=mnist,lr=0.1.txt"), "{message}");
    let check = || {
        let all = rows(&here.join("s"));
        let state = |name: &str| (all[name].state, all[name].message.clone());
        assert_eq!(state("name=embedded,lr=0.1"), (JobState::Done, String::new()));
        let (diverged, step) = state("name=embedded,lr=1e20");
        assert!(diverged == JobState::Diverged && step.starts_with("at step "), "{step}");
        for name in ["name=mnist,lr=0.1", "name=mnist,lr=1e20"] {
            let (failed, why) = state(name);
            assert!(failed == JobState::Failed && why.contains("edgewalk data fetch mnist"), "{why}");
            assert_eq!((all[name].loss, all[name].steps), (None, None));
        }
    };
    check();
    let log = here.join("s/logs/name=mnist,lr=0.1.txt");
    let diverged = here.join("s/runs/name=embedded,lr=1e20/manifest.json");
    let (logged, before) = (fs::read(&log).unwrap().len(), fs::read(&diverged).unwrap());

    // What failed is tried again, what diverged is a result.
    let again = nowhere(resume(here)).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stdout).starts_with("2 of 4 jobs to do"), "{}", text(&again.stdout));
    assert_eq!(fs::read(&log).unwrap().len(), 2 * logged);
    assert_eq!(fs::read(&diverged).unwrap(), before);
    check();

    let said = succeeds(sweep(here, &["lr=0.1,1e20"], &["--out", "diverging"]));
    assert!(said.contains("2 of 2 jobs ended"), "{said}");
}

#[test]
#[cfg(unix)]
fn a_signal_stops_it_in_good_order() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let endless = ["steps=1000000", "measure.every=100000", "seed=1,2,3"];
    let (child, lines) = start(sweep(here, &endless, &["--out", "s", "--jobs", "2"]));
    let run = |seed: &str| here.join("s/runs").join(seed);
    for seed in ["seed=1", "seed=2"] {
        until(seed, || fs::read(run(seed).join("metrics.csv")).is_ok_and(|rows| rows.len() > 500));
    }
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    let said: Vec<String> = lines.collect();
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    assert_eq!(status.code(), Some(0), "{said:?} {}", text(&stderr));
    assert!(said.iter().any(|line| line.contains("3 jobs are left; `edgewalk resume s` goes on")), "{said:?}");
    let all = rows(&here.join("s"));
    for seed in ["seed=1", "seed=2"] {
        assert_eq!(all[seed].state, JobState::Interrupted, "{said:?}");
        let run = RunDir::open(&run(seed)).unwrap();
        assert_eq!(run.read_manifest().unwrap().ended.to_string(), "interrupted");
        assert!(edgewalk::folder::checkpoint::last(&run).0.is_some());
    }
    assert_eq!(all["seed=3"].state, JobState::Waiting);
    assert!(!run("seed=3").exists());
}

#[test]
fn axes_that_make_no_sense_are_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let bad = |sets: &[&str], parts: &[&str]| refuses(sweep(here, sets, &["--out", "s"]), 2, parts);
    bad(&[], &["nothing to sweep", "--set lr=0.03,0.1"]);
    bad(&["lr=0.1"], &["nothing to sweep"]);
    bad(&["learning_rate=1,2"], &["learning_rate", "did you mean `optim.lr`"]);
    bad(&["kind=sam,gd"], &["ambiguous", "optim.kind"]);
    bad(&["lr=0.1,fast"], &["optim.lr", "fast"]);
    bad(&["lr=0.1,"], &["optim.lr", "\"\""]);
    bad(&["lr=0.1,0.2,0.1"], &["optim.lr", "0.1 twice"]);
    bad(&["lr=0.1,1e-1"], &["lr=0.1", "lr=1e-1", "the same run"]);
    bad(&["optim.kind=sam,gd", "rho=0,0.1"], &["optim.kind=sam,rho=0 and optim.kind=gd,rho=0 ", "the same run"]);
    bad(&["rho=0", "epsilon=1e-5,1e-3"], &["the same run"]);
    bad(&["width=8", "channels=8,16"], &["channels=8 and channels=16", "the same run", "has no effect"]);
    bad(&["micro_batch=50,51"], &["1 of 2 jobs", "`optim.micro_batch = 51` is more than `data.train = 50`"]);
    bad(&["lr=0.1,0.2", "optim.lr=0.3"], &["optim.lr", "set twice"]);
    bad(&["optim.lr=0.3", "lr=0.1,0.2"], &["optim.lr", "set twice"]);
    bad(&["lr=0.1,0.2", "rho"], &["rho", "key=value"]);
    bad(
        &["lr=0.1,0.2", "nesterov=true,false", "momentum=0,0.9"],
        &["2 of 8 jobs", "lr=0.1,nesterov=true,momentum=0:", "optim.momentum"],
    );
    let many = |key: &str| format!("{key}={}", (1..=101).map(|i| i.to_string()).collect::<Vec<_>>().join(","));
    bad(&[&many("seed"), &many("steps")], &["more than 10000 jobs"]);
    refuses(sweep(here, &["lr=0.1,0.2"], &["quickstrat"]), 2, &["did you mean `quickstart`"]);
    // One of the jobs needs more than an adapter of wgpu binds.
    let limited = ["--out", "s", "--adapter", &wgpu_adapter()];
    refuses(sweep(here, &["width=8,20000"], &limited), 1, &["the job width=20000 cannot run", "MiB"]);
    // A file that a job begins with is not there.
    let lacks = |sets: &[&str], code, parts: &[&str]| refuses(sweep(here, sets, &["--dry-run"]), code, parts);
    lacks(&["init=a.safetensors,b.safetensors"], 1, &["the job init=a.safetensors cannot run", "a.safetensors"]);
    lacks(&["lr=1,2", "kernels=none.json"], 2, &["the job lr=1 cannot run", "none.json"]);
    lacks(&["lr=1,2", "name=mnist", "path=none"], 1, &["the job lr=1 cannot run", "none"]);
    refuses(sweep(here, &["lr=0.1,0.2"], &["--job", "0"]), 2, &["--job 0", "folder of a sweep"]);
    refuses(edgewalk(here, &["sweep", "."]), 1, &["not a sweep folder", "sweep.toml"]);

    let plan = succeeds(sweep(here, &["lr=0.1,0.2", "seed=1,2"], &["--dry-run", "--out", "s"]));
    assert!(plan.contains("4 jobs of quickstart") && plan.contains("3  lr=0.2,seed=2"), "{plan}");
    assert!(!here.join("s").exists());
    fs::create_dir(here.join("s")).unwrap();
    fs::write(here.join("s/thesis.txt"), "irreplaceable").unwrap();
    refuses(sweep(here, &["lr=0.1,0.2"], &["--out", "s"]), 1, &["s already exists and is not empty"]);
}

#[test]
fn every_job_has_a_name_that_a_folder_can_have() {
    let names = |sets: &[&str]| -> Vec<String> {
        let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
        Grid::new(None, &sets, None).unwrap().jobs.into_iter().map(|(name, _)| name).collect()
    };
    // A name that several sections have keeps its section.
    assert_eq!(names(&["optim.kind=sam,gd", "model.width=8"]), ["optim.kind=sam", "optim.kind=gd"]);
    assert_eq!(names(&["lr=1e-2,+0.5"]), ["lr=1e-2", "lr=+0.5"]);
    // Quotes keep a comma; what differs in letters that files cannot have is numbered.
    let paths = names(&["name=mnist", r#"path="a,b", 'c d', it's"#]);
    assert_eq!(paths, ["path=a_b", "path=c_d", "path=it_s"]);
    assert_eq!(names(&["name=mnist", "path=a/b,a_b,A_B"]), ["0000-path=b", "0001-path=a_b", "0002-path=A_B"]);
    let long = "x".repeat(300);
    assert!(names(&["name=mnist", &format!("path={long},y")])[0].len() <= 120);

    let sets = ["name=mnist".to_owned(), r#"path="a,b",c"#.to_owned()];
    let path = Grid::new(None, &sets, None).unwrap().jobs[0].1.data.path.clone();
    // Wherever the sweep goes on, it means the same file.
    assert_eq!(path, Some(std::path::absolute("a,b").unwrap()));
}

#[test]
fn seeds_are_averaged_and_are_no_axis_of_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let printed = succeeds(sweep(here, &["lr=0.05,0.1", "seed=0..2", "rho=0.01,0.02"], &["--out", "s"]));
    let rows = rows(&here.join("s"));
    assert_eq!(rows.len(), 12);
    let losses: Vec<f64> = (0..3).map(|seed| rows[&format!("lr=0.05,seed={seed},rho=0.01")].loss.unwrap()).collect();
    let mean = losses.iter().sum::<f64>() / 3.0;
    let deviation = (losses.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
    assert!(printed.contains("means over 3 seeds ± standard deviations:\n"), "{printed}");
    let (_, means) = printed.split_once("standard deviations:\n").unwrap();
    assert!(means.starts_with("lr    rho   loss "), "{means}");
    let line = means.lines().find(|line| line.starts_with("0.05  0.01  ")).unwrap();
    let words = line.split_whitespace().skip(2);
    let numbers: Vec<f64> = words.filter_map(|word| word.parse().ok()).take(2).collect();
    assert!((numbers[0] / mean - 1.0).abs() < 1e-3 && (numbers[1] / deviation - 1.0).abs() < 0.1, "{line}");
    let report = fs::read_to_string(here.join("s/report.html")).unwrap();
    assert!(report.contains("Means over the seeds") && report.contains(" Means over 3 seeds"));
    let map = fs::read_to_string(here.join("s/plots/loss.svg")).unwrap();
    assert!(map.contains("optim.lr") && map.contains("optim.rho") && !map.contains("run.seed"));
    assert!(here.join("s/plots/gauge.svg").is_file() && here.join("s/plots/trajectories_gauge.svg").is_file());
    // The page names the best of each column, links to every job's report, and draws one curve for three seeds.
    for part in ["The best settings", "href=\"runs/lr=0.05,seed=1,rho=0.01/report.html\"", "table.sortable"] {
        assert!(report.contains(part), "{part}");
    }
    let lines: Vec<&str> = report.split("<tr>").filter(|line| line.contains("the lowest")).collect();
    let best = lines.iter().find(|line| line.contains(">loss<")).unwrap();
    let losses = |lr: &str, rho: &str| {
        (0..3).map(|seed| rows[&format!("lr={lr},seed={seed},rho={rho}")].loss.unwrap()).sum::<f64>()
    };
    let all = ["0.05", "0.1"].iter().flat_map(|lr| ["0.01", "0.02"].map(|rho| (losses(lr, rho), *lr, rho)));
    let (_, lr, rho) = all.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
    assert!(best.contains(&format!("optim.lr = {lr}, optim.rho = {rho}")), "{best}");
    let curves = fs::read_to_string(here.join("s/plots/trajectories_loss.svg")).unwrap();
    assert_eq!(curves.matches("opacity=\"0.2\"").count(), 4);
    assert!(curves.contains("bands: ± one standard deviation"));
    // Another column on request.
    let written = succeeds(edgewalk(here, &["plot", "s", "--column", "grad_norm"]));
    assert!(written.contains("grad_norm.svg") && here.join("s/plots/grad_norm.svg").is_file());
    refuses(edgewalk(here, &["plot", "s", "--column", "foo"]), 2, &["no column `foo`", "hessian_norm"]);
    // All jobs over each other, by one of their keys.
    let text = succeeds(edgewalk(here, &["compare", "s", "--by", "rho", "--by", "lr", "--out", "c"]));
    assert!(text.contains("rho = 0.01, lr = 0.05 (3 runs): "), "{text}");
    // A sweep of which no job has begun.
    fs::create_dir(here.join("empty")).unwrap();
    for file in ["sweep.toml", "config.toml"] {
        fs::copy(here.join("s").join(file), here.join("empty").join(file)).unwrap();
    }
    refuses(edgewalk(here, &["compare", "empty"]), 1, &["no run to compare"]);
    // A job that is missing leaves its mean out.
    fs::remove_dir_all(here.join("s/runs/lr=0.05,seed=1,rho=0.01")).unwrap();
    succeeds(edgewalk(here, &["report", "s"]));
    refuses(sweep(here, &["seed=4..0"], &["--out", "t"]), 2, &["run.seed", "4..0"]);
    refuses(sweep(here, &["seed=0..99999999999"], &["--out", "t"]), 2, &["10000"]);
}
