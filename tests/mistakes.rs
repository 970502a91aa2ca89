//! Mistakes of a user's, each named as what it is: the wrong file, a file in a folder's place, a path that is not there.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::program::{alone, edgewalk, refuses, succeeds, tiny_run};

const TINY: [&str; 5] = ["width=8", "train=50", "test=0", "steps=2", "measure.every=0"];

fn train(here: &Path, args: &[&str]) -> Command {
    let mut command = edgewalk(here, &["train"]);
    command.args(TINY.iter().flat_map(|set| ["--set", set])).args(args);
    command
}

#[test]
fn a_file_in_the_place_of_a_folder_is_called_that() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    tiny_run(here);
    fs::write(here.join("file"), "").unwrap();
    let not_a_folder = ["file is not a folder; move it away"];
    for args in [
        &["train", "--out", "file"][..],
        &["train", "--out", "file/run"],
        &["curvature", "run", "--top", "1", "--out", "file"],
        &["curvature", "run", "--top", "1", "--out", "file/deep/er"],
        &["compare", "run", "run", "--out", "file"],
        &["bench", "--growth", "--out", "file"],
        &["sweep", "--set", "lr=0.1,0.2", "--out", "file"],
        &["data", "fetch", "mnist", "--dir", "file"],
        &["data", "fetch", "cifar10", "--dir", "file/deep"],
    ] {
        refuses(alone(here, args), 1, &not_a_folder);
    }
    for (name, command) in [("plots", &["plot", "run"][..]), ("tensorboard", &["plot", "run", "--tensorboard"])] {
        let place = here.join("run").join(name);
        if place.is_dir() {
            fs::remove_dir_all(&place).unwrap();
        }
        fs::write(&place, "").unwrap();
        refuses(edgewalk(here, command), 1, &[name, "not a", "move"]);
        fs::remove_file(&place).unwrap();
        succeeds(edgewalk(here, command));
    }
}

#[test]
#[cfg(unix)]
fn a_link_is_followed_to_a_file_that_is_not_there_yet() {
    use std::os::unix::fs::symlink;

    use edgewalk::experiment::rundir::write_file;

    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    symlink("there/new.bin", at("link")).unwrap();
    symlink(at("link"), at("chain")).unwrap();
    for (name, bytes) in [("chain", b"first"), ("link", b"again")] {
        write_file(&at(name), bytes).unwrap();
        assert!(at(name).is_symlink(), "{name} was replaced");
        assert_eq!(fs::read(at("there/new.bin")).unwrap(), bytes);
    }
    symlink("circle", at("circle")).unwrap();
    write_file(&at("circle"), b"").unwrap_err();
    assert!(at("circle").is_symlink());
    // A link to nothing is no folder for a run.
    symlink("nothing", at("run")).unwrap();
    refuses(train(folder.path(), &["--out", "run"]), 1, &["run is not a folder"]);
}

#[test]
fn what_holds_no_parameters_and_what_is_not_there_are_called_that() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    tiny_run(here);
    let curvature = |path: &str| edgewalk(here, &["curvature", path, "--top", "1"]);
    let checkpoint = "run/checkpoints/step_00000024";
    for (path, instead) in [
        ("run/config.toml".to_owned(), "run"),
        ("run/metrics.csv".to_owned(), "run"),
        (format!("{checkpoint}/DONE"), checkpoint),
        (format!("{checkpoint}/state.safetensors"), checkpoint),
    ] {
        refuses(curvature(&path), 1, &[&format!("{path} holds no parameters; give the folder {instead},")]);
    }
    succeeds(curvature(&format!("{checkpoint}/params.safetensors")));
    for command in ["curvature", "resume", "plot", "report", "compare"] {
        refuses(edgewalk(here, &[command, "nowhere"]), 1, &["nowhere does not exist"]);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_folder_of_data_that_is_not_utf8_is_shown_with_escapes() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let root = here.join(OsStr::from_bytes(b"d\xff"));
    fs::create_dir_all(root.join("mnist")).unwrap();
    let with = |args: &[&str], variable: &str| {
        let mut command = alone(here, args);
        command.env_remove("XDG_CACHE_HOME").env(variable, &root);
        command
    };
    for variable in ["EDGEWALK_DATA", "HOME", "XDG_CACHE_HOME"] {
        let refused = ["train", "--set", "data.name=cifar10", "--dry-run"];
        refuses(with(&refused, variable), 1, &["d\\xFF"]);
        let list = succeeds(with(&["data", "list"], variable));
        assert!(!list.contains('\u{fffd}') && (variable != "EDGEWALK_DATA" || list.contains("d\\xFF")), "{list}");
    }
}
