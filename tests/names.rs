//! Names of folders that no one means well: not text, with line breaks, with options, quotes and commands in them.

#![cfg(unix)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Output};

use edgewalk::config::resolve;
use edgewalk::folder::RunDir;
use edgewalk::run::{self, TrainRequest};
use edgewalk::sweep::SweepDir;

use crate::cli::{edgewalk, listing, refuses, succeeds, text};
use crate::sweep::sweep;

const TINY: [&str; 5] = ["width=8", "train=50", "test=0", "steps=2", "measure.every=0"];

fn train(here: &Path) -> Command {
    let mut command = edgewalk(here, &["train"]);
    command.args(TINY.iter().flat_map(|set| ["--set", set]));
    command
}

/// A name that is not UTF-8.
fn not_text() -> &'static OsStr {
    OsStr::from_bytes(b"r\xff")
}

#[test]
fn a_path_that_is_not_text_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::create_dir(here.join(not_text())).unwrap();
    let with = |args: &[&str]| {
        let mut command = edgewalk(here, args);
        command.arg(not_text());
        command
    };
    for args in [
        &["train", "--out"][..],
        &["train", "--init"],
        &["train"],
        &["train", "--set"],
        &["train", "--dry-run", "--out"],
        &["train", "--adapter"],
        &["resume"],
        &["sweep", "--set", "lr=0.1,0.2", "--out"],
        &["sweep", "--set", "lr=0.1,0.2", "--slurm", "--out"],
        &["sweep"],
        &["plot"],
        &["report"],
        &["compare"],
        &["compare", "--out"],
        &["curvature"],
        &["curvature", ".", "--config"],
        &["bench", "--json"],
        &["data", "fetch", "mnist", "--dir"],
        &[],
    ] {
        if args.is_empty() {
            let mut command = Command::new(env!("CARGO_BIN_EXE_edgewalk"));
            command.current_dir(here).arg(not_text());
            refuses(command, 2, &["\"r\\xFF\" is not UTF-8"]);
        } else {
            refuses(with(args), 2, &["\"r\\xFF\" is not UTF-8", "rename it"]);
        }
    }
}

#[test]
fn a_folder_whose_name_is_not_text_can_be_worked_in() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join(not_text());
    fs::create_dir(&here).unwrap();
    let mut command = train(&here);
    command.args(["--out", "run"]);
    assert!(succeeds(command).contains("report.html in run"));
    let no_replacement = |bytes: &[u8]| assert!(!String::from_utf8_lossy(bytes).contains('\u{fffd}'));
    for file in ["config.toml", "manifest.json", "report.html"] {
        no_replacement(&fs::read(here.join("run").join(file)).unwrap());
    }
    for args in [&["plot", "run"][..], &["report", "run"], &["curvature", "run", "--top", "1"], &["resume", "run"]] {
        no_replacement(succeeds(edgewalk(&here, args)).as_bytes());
    }
    // What must be whole in a file of text is refused, and no folder is left.
    let before = fs::read_dir(&here).unwrap().count();
    let mut command = train(&here);
    command.args(["--out", "other", "--init", "run/none.safetensors"]);
    for command in [command, sweep(&here, &["lr=0.1,0.2"], &["--slurm", "--out", "other"])] {
        let Output { status, stdout, stderr } = { command }.output().unwrap();
        let message = text(&stderr);
        assert_eq!((status.code(), stdout.len()), (Some(2), 0), "{message}");
        assert!(message.contains("r\\xFF") && message.contains("is not UTF-8"), "{message}");
        assert_eq!(fs::read_dir(&here).unwrap().count(), before);
    }
}

#[test]
fn the_library_refuses_paths_that_are_not_text_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(not_text());
    let config = resolve(None, &TINY.map(str::to_owned)).unwrap().config;
    let request = |change: &dyn Fn(&mut TrainRequest)| {
        let mut request = TrainRequest {
            config: config.clone(),
            name: "name".into(),
            command_line: vec![],
            out: Some(folder.path().join("run")),
            adapter: None,
        };
        change(&mut request);
        request
    };
    for request in [
        request(&|request| request.out = Some(path.clone())),
        request(&|request| request.config.run.init = Some(path.clone())),
        request(&|request| request.config.run.kernels = Some(path.clone())),
        request(&|request| request.config.data.path = Some(path.clone())),
    ] {
        for error in [run::train(&request, &()).unwrap_err(), run::plan(&request, &()).unwrap_err()] {
            assert!(error.to_string().contains("is not UTF-8"), "{error}");
        }
    }
    assert!(listing(folder.path()).is_empty());
    fs::create_dir(&path).unwrap();
    fs::write(path.join("config.toml"), "").unwrap();
    fs::write(path.join("sweep.toml"), "").unwrap();
    assert!(RunDir::open(&path).unwrap_err().to_string().contains("is not UTF-8"));
    assert!(SweepDir::open(&path).unwrap_err().to_string().contains("is not UTF-8"));
}

/// Names that a shell would obey, and one that a program would take for an option.
const HOSTILE: [&str; 7] =
    ["it's", "a b", "$(touch PWNED)", "`touch PWNED`", "x;touch PWNED", "\"quoted\\\" $HOME", "-rf"];

#[test]
fn commands_that_are_suggested_mean_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for name in HOSTILE.iter().chain(&["x\ntouch PWNED\ny"]) {
        let mut command = train(here);
        // Over at once, so that it says how to go on.
        command.args(["--set", "steps=1000000", "--set", "run.time_limit=1e-9"]).arg(format!("--out={name}"));
        let said = succeeds(command);
        let (_, suggested) = said.split_once("`edgewalk resume ").unwrap_or_else(|| panic!("{said}"));
        let (word, _) = suggested.split_once("` goes on").unwrap();
        let script = format!("printf %s {word}");
        let Output { status, stdout, .. } =
            Command::new("bash").args(["-c", &script]).current_dir(here).output().unwrap();
        assert!(status.success(), "{script}");
        assert_eq!(text(&stdout).trim_start_matches("./"), *name);
        assert!(!here.join("PWNED").exists());
    }
}

#[test]
fn a_script_for_slurm_obeys_no_name() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let script = here.join("array.sh");
    for name in HOSTILE {
        let out = format!("--out={name}");
        let made = succeeds(sweep(here, &["seed=1,2"], &[&out, "--slurm"]));
        fs::write(&script, &made).unwrap();
        // The commands alone, with a program that says what it is told.
        let (_, exec) = made.split_once("\nexec ").unwrap();
        let (_, rest) = exec.split_once(" sweep ").unwrap();
        let mut command = Command::new("bash");
        command.args(["-c", &format!("printf '%s\\n' {rest}")]).current_dir(here).env("SLURM_ARRAY_TASK_ID", "1");
        let told = succeeds(command);
        assert_eq!(told, format!("{}\n--job\n1\n", here.canonicalize().unwrap().join(name).display()));
        assert!(Command::new("bash").arg("-n").arg(&script).status().unwrap().success());
        if let Ok(Output { status, stdout, .. }) = Command::new("shellcheck").arg(&script).output() {
            assert!(status.success(), "{}", text(&stdout));
        }
        let options = made.lines().skip(1).take_while(|line| line.starts_with('#'));
        assert!(options.count() == 10 && !here.join("PWNED").exists(), "{made}");
    }
    // A line break ends an option or a comment, which nothing can quote.
    for name in ["x\ntouch PWNED\ny", "x\ry", "x\u{7}"] {
        let out = format!("--out={name}");
        refuses(sweep(here, &["seed=1,2"], &[&out, "--slurm"]), 2, &["control characters", "another name"]);
    }
    // Nor does the name of a file of settings.
    fs::write(here.join("a\n#SBATCH --wrap=b.toml"), "").unwrap();
    let made = succeeds({
        let mut command = sweep(here, &["seed=1,2"], &["--slurm", "--out", "named"]);
        command.arg("a\n#SBATCH --wrap=b.toml");
        command
    });
    assert!(made.contains("--job-name=edgewalk-a__SBATCH_--wrap_b\n") && !made.contains("\n#SBATCH --wrap"), "{made}");
}
