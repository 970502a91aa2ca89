//! What ends a run from outside: standard output that takes no more, and a wish to stop in the middle of a measurement.

#[cfg(unix)]
use super::cli::{edgewalk, succeeds, text};
#[cfg(unix)]
use super::resume::pause;
#[cfg(unix)]
use edgewalk::folder::RunDir;
#[cfg(unix)]
use edgewalk::folder::manifest::Ended;
#[cfg(unix)]
use edgewalk::folder::rows::CurvatureRow;
use edgewalk::folder::tables::{read_curvature, read_metrics};
#[cfg(unix)]
use std::fs::File;
#[cfg(unix)]
use std::path::Path;
#[cfg(unix)]
use std::process::{Child, Command, Output, Stdio};
#[cfg(unix)]
use std::time::{Duration, Instant};
#[cfg(unix)]
use tempfile::tempdir;

#[cfg(unix)]
fn train(here: &Path, out: &str, sets: &[&str]) -> Command {
    let mut command = edgewalk(here, &["train", "--out", out]);
    for set in ["width=8", "depth=2", "train=50", "test=0"].iter().chain(sets) {
        command.args(["--set", set]);
    }
    command
}

#[cfg(unix)]
fn ended(run: &Path) -> Ended {
    RunDir::open(run).unwrap().read_manifest().unwrap().ended
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_standard_output_is_an_end_that_the_manifest_tells() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    for (name, json) in [("words", &[][..]), ("rows", &["--json"])] {
        let mut command = train(here, name, &["steps=4", "measure.every=0"]);
        command.args(json).stdout(File::options().write(true).open("/dev/full").unwrap());
        let Output { status, stderr, .. } = command.stderr(Stdio::piped()).output().unwrap();
        assert_eq!(status.code(), Some(1), "{}", text(&stderr));
        assert!(text(&stderr).contains("cannot write to standard output"), "{}", text(&stderr));
        let Ended::Failed { error } = ended(&here.join(name)) else { panic!("{name}: {}", ended(&here.join(name))) };
        assert!(error.contains("cannot write to standard output"), "{error}");
        // With room again it goes on.
        succeeds(edgewalk(here, &["resume", name]));
        assert_eq!(ended(&here.join(name)), Ended::Done);
    }
}

/// A measurement of some seconds: no float32 product is as exact as is wanted.
#[cfg(unix)]
const LONG: [&str; 5] = ["measure.every=3", "measure.top=2", "tol=1e-12", "max_iterations=800", "steps=6"];

#[cfg(unix)]
fn signal(child: Child, name: &str) -> (Output, Duration) {
    let began = Instant::now();
    assert!(Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap().success());
    (child.wait_with_output().unwrap(), began.elapsed())
}

#[cfg(unix)]
fn start(mut command: Command, so_far: impl Fn() -> bool) -> Child {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !so_far() {
        assert!(child.try_wait().unwrap().is_none(), "it ended too early");
        pause(Duration::from_millis(10));
    }
    child
}

/// The rows without their times.
#[cfg(unix)]
fn rows(run: &Path) -> (Vec<(u64, f64, f64)>, Vec<CurvatureRow>) {
    let metrics = read_metrics(&run.join("metrics.csv")).unwrap();
    let curvature = read_curvature(&run.join("curvature.csv")).unwrap();
    (
        metrics.iter().map(|row| (row.step, row.loss, row.grad_norm)).collect(),
        curvature.into_iter().map(|row| CurvatureRow { secs: 0.0, solve_secs: None, ..row }).collect(),
    )
}

#[cfg(unix)]
#[test]
fn a_measurement_is_interrupted_between_two_products_and_made_again() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    // At the beginning, on the way and at the end; and at the end of a run whose rule is met.
    for (name, more, steps) in [("all", "checkpoint_every=0", &[0, 3, 6][..]), ("some", "until=loss<1e9", &[1])] {
        let sets = [&LONG[..], &[more]].concat();
        let whole = here.join(name);
        let began = Instant::now();
        succeeds(train(here, name, &sets));
        let reference = rows(&whole);
        let each = began.elapsed() / reference.1.len() as u32;
        for &step in steps {
            let name = format!("{name}-{step}");
            let run = here.join(&name);
            let before = reference.1.iter().filter(|row| row.step < step).count();
            let is_there = || {
                let made = read_metrics(&run.join("metrics.csv")).map_or(0, |rows| rows.len() as u64);
                let measured = read_curvature(&run.join("curvature.csv"));
                made >= step && measured.is_ok_and(|rows| rows.len() >= before)
            };
            let child = start(train(here, &name, &sets), is_there);
            pause(each / 4);
            let (Output { status, stderr, .. }, took) = signal(child, "TERM");
            assert!(status.success(), "{}", text(&stderr));
            println!("{name}: {took:?} after the signal, a measurement takes {each:?}");
            assert_eq!(ended(&run), Ended::Interrupted, "{name}");
            assert_eq!(RunDir::open(&run).unwrap().read_manifest().unwrap().steps_done, step);
            assert_eq!(rows(&run).1.len(), before, "{name}: it was measured all the same");
            succeeds(edgewalk(here, &["resume", &name]));
            assert_eq!(rows(&run), reference, "{name}");
            assert_eq!(ended(&run), ended(&whole));
        }
    }
}

#[cfg(unix)]
#[test]
fn other_long_work_ends_at_once() {
    use std::os::unix::process::ExitStatusExt;

    let folder = tempdir().unwrap();
    let here = folder.path();
    succeeds(train(here, "run", &["steps=2", "measure.every=0"]));
    for args in [&["curvature", "run", "--tol", "1e-12", "--max-products", "100000000"][..], &["bench", "--growth"]] {
        let began = Instant::now();
        let child = start(edgewalk(here, args), || began.elapsed() > Duration::from_secs(2));
        let (Output { status, .. }, _) = signal(child, "TERM");
        assert_eq!(status.signal(), Some(15), "{args:?}: {status}");
    }
}
