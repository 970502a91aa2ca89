//! What is seen of long work: a log without a terminal, and a live line in one.

use std::process::Command;

use super::program::{edgewalk, succeeds, text};

/// A run that ends after these seconds.
const LONG: [&str; 6] = ["width=8", "train=50", "test=0", "steps=100000000", "measure.every=0", "checkpoint_every=0"];

fn with(mut command: Command, sets: &[&str]) -> Command {
    command.args(sets.iter().flat_map(|set| ["--set", set]));
    command
}

#[test]
fn a_job_without_a_terminal_soon_has_a_line_in_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let train = with(edgewalk(here, &["train", "--out", "run"]), &[&LONG[..], &["time_limit=5"]].concat());
    let lines = |mut command: Command| -> Vec<String> {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stderr).lines().filter(|line| line.starts_with("step ")).map(str::to_owned).collect()
    };
    let first = lines(train);
    assert!(first.len() == 1 && first[0].contains(" of 100000000, ") && first[0].contains("loss"), "{first:?}");
    // Resumed, it begins where it was, and its pace is that of the new steps: about as many a second.
    let again = lines(with(edgewalk(here, &["resume", "run"]), &["time_limit=5"]));
    let number = |line: &str, at: usize| -> f64 {
        let words = line.split([' ', ',']).filter(|word| !word.is_empty()).nth(at).unwrap();
        words.trim_end_matches("/s").parse().unwrap_or_else(|_| panic!("{line}"))
    };
    assert!(again.len() == 1 && number(&again[0], 1) > number(&first[0], 1), "{again:?}");
    let (before, now) = (number(&first[0], 4), number(&again[0], 4));
    assert!(now < 3.0 * before && before < 3.0 * now, "{first:?} {again:?}");
}

/// `script` of util-linux gives a program a terminal.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_has_a_live_line_and_no_log() {
    if Command::new("script").arg("--version").output().is_err() {
        println!("there is no program `script`");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let train = with(edgewalk(here, &["train", "--out", "run"]), &[&LONG[..], &["time_limit=4"]].concat());
    let words: Vec<String> = std::iter::once(train.get_program())
        .chain(train.get_args())
        .map(|word| shlex::try_quote(word.to_str().unwrap()).unwrap().into_owned())
        .collect();
    let mut script = Command::new("script");
    script.args(["-qec", &words.join(" "), "/dev/null"]).current_dir(here).env("TERM", "xterm");
    script.stdin(std::process::Stdio::null());
    let shown = succeeds(script);
    assert!(shown.contains("/100000000 ") && shown.contains("/s ETA "), "{shown}");
    assert!(!shown.lines().any(|line| line.starts_with("step 1") && line.contains(" of 100000000, ")), "{shown}");
}
