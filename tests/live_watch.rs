//! Pictures that follow a run: through rows that arrive, rows that are half there, runs that end and folders that vanish.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use std::{fs, thread};

use edgewalk::folder::RunDir;
use edgewalk::folder::manifest::Ended;
use edgewalk::results::live::watch::watch;
use edgewalk::results::{Format, ResultsError};

use super::cli::{edgewalk, succeeds, text};
use super::program::tiny_run;

/// A finished run set back to where it has made its first rows, and the lines of metrics.csv that it is going to write.
fn run_under_way(folder: &Path) -> (RunDir, Vec<String>) {
    tiny_run(folder);
    let run = RunDir::open(&folder.join("run")).unwrap();
    fs::remove_dir_all(run.plots()).unwrap();
    set_ended(&run, "done", "running");
    let table = fs::read_to_string(run.metrics()).unwrap();
    let lines: Vec<String> = table.split_inclusive('\n').map(str::to_owned).collect();
    fs::write(run.metrics(), lines[..3].concat()).unwrap();
    (run, lines[3..].to_vec())
}

fn set_ended(run: &RunDir, from: &str, to: &str) {
    let manifest = fs::read_to_string(run.manifest()).unwrap();
    let (from, to) = (format!("\"ended\": \"{from}\""), format!("\"ended\": \"{to}\""));
    assert!(manifest.contains(&from), "{manifest}");
    fs::write(run.manifest(), manifest.replace(&from, &to)).unwrap();
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn every_row_is_drawn_until_the_run_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (run, later) = run_under_way(folder.path());
    let page = || fs::read_to_string(run.plots().join("live.html")).unwrap();
    let mut steps = vec![];
    watch(std::slice::from_ref(&run), Format::Svg, &(), |news| {
        assert_eq!(news.run, run.path());
        assert!(news.pictures.iter().all(|path| path.is_file()));
        assert!(page().contains("loss.svg") && page().contains("edges.svg"), "{}", page());
        steps.push(news.step);
        match steps.len() {
            1 | 2 => append(&run.metrics(), &later[steps.len() - 1]),
            // Ended without another row: the pictures stay, the page stops loading itself.
            _ if news.ended == Ended::Running => {
                assert!(page().contains("http-equiv=\"refresh\""), "{}", page());
                set_ended(&run, "running", "interrupted");
            }
            _ => assert_eq!(news.ended, Ended::Interrupted),
        }
        Ok::<(), ResultsError>(())
    })
    .unwrap();
    // The first two lines are steps 0 and 1.
    assert_eq!(steps, [1, 2, 3, 3]);
    assert!(page().contains("interrupted") && !page().contains("http-equiv=\"refresh\""), "{}", page());
}

/// The program watching a run, and the lines that it prints.
fn watcher(folder: &Path) -> (Child, Receiver<String>) {
    let mut child =
        edgewalk(folder, &["plot", "--watch", "run"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (sender, lines) = channel();
    thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    (child, lines)
}

/// The next line that the program prints.
fn next(lines: &Receiver<String>) -> String {
    lines.recv_timeout(Duration::from_secs(60)).unwrap()
}

/// Sees to it that the program prints nothing while it looks a few times.
fn quiet(lines: &Receiver<String>) {
    let line = lines.recv_timeout(Duration::from_secs(4));
    assert!(line.is_err(), "{line:?}");
}

#[test]
fn missing_tables_are_waited_for_and_half_a_row_is_not_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let (run, later) = run_under_way(folder.path());
    let [metrics, curvature] = [run.metrics(), run.curvature()].map(|path| {
        let table = fs::read_to_string(&path).unwrap();
        fs::remove_file(path).unwrap();
        table
    });
    let (mut child, lines) = watcher(folder.path());
    assert!(next(&lines).contains("live.html"));
    quiet(&lines);
    fs::write(run.metrics(), metrics.lines().next().unwrap().to_owned() + "\n").unwrap();
    quiet(&lines);
    // Both tables, one cut within a row.
    fs::write(run.curvature(), &curvature).unwrap();
    let (half, rest) = later[0].split_at(later[0].len() / 2);
    fs::write(run.metrics(), metrics + half).unwrap();
    let line = next(&lines);
    assert!(line.contains("step 1: edges.svg") && line.ends_with("loss.svg"), "{line}");
    append(&run.metrics(), rest);
    let line = next(&lines);
    assert!(line.contains("step 2: edges.svg") && line.ends_with("loss.svg"), "{line}");
    set_ended(&run, "running", "done");
    assert!(next(&lines).ends_with("loss.svg; the run has ended: done"));
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_removed_run_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (run, _) = run_under_way(folder.path());
    let (mut child, lines) = watcher(folder.path());
    assert!(next(&lines).contains("live.html") && next(&lines).contains("step 1"));
    fs::remove_dir_all(run.path()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let mut stderr = vec![];
    child.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
    assert!(text(&stderr).contains("run was removed or renamed"), "{}", text(&stderr));
    assert!(!run.path().exists());
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_watching_well() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    let folder = tempfile::tempdir().unwrap();
    run_under_way(folder.path());
    let (mut child, lines) = watcher(folder.path());
    assert!(next(&lines).contains("live.html") && next(&lines).contains("step 1"));
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    kill(pid, Signal::SIGINT).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_table_that_stays_damaged_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (run, _) = run_under_way(folder.path());
    append(&run.metrics(), "nonsense\n");
    let output = edgewalk(folder.path(), &["plot", "--watch", "run"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("metrics.csv"), "{}", text(&output.stderr));
}

#[test]
fn a_run_that_is_over_is_drawn_once() {
    let folder = tempfile::tempdir().unwrap();
    let (run, _) = run_under_way(folder.path());
    set_ended(&run, "running", "diverged at step 2");
    let printed = succeeds(edgewalk(folder.path(), &["plot", "--watch", "run"]));
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines.len() == 2 && lines[1].ends_with("the run has ended: diverged at step 2"), "{printed}");
    // Nothing at all to draw is an error, as it is without --watch.
    fs::write(run.metrics(), "step,secs,loss,error,grad_norm\n").unwrap();
    let output = edgewalk(folder.path(), &["plot", "--watch", "run"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no rows to plot"), "{}", text(&output.stderr));
}
