//! Advice that fits: the command, the setting, the file and the variable that it names are those that are to blame.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::program::{alone, edgewalk, edgewalk_on_wgpu, refuses, succeeds, text, tiny_run};

/// What a command says on standard error; it must end with `code`.
fn says(mut command: Command, code: i32) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    let said = text(&stderr);
    assert_eq!(status.code(), Some(code), "{command:?}: {said}");
    said
}

fn train(here: &Path, sets: &[&str]) -> Command {
    train_with(edgewalk(here, &["train"]), sets)
}

fn train_with(mut command: Command, sets: &[&str]) -> Command {
    let tiny = ["width=4", "depth=2", "train=20", "test=0", "steps=2", "measure.every=0"];
    command.args(tiny.iter().chain(sets).flat_map(|set| ["--set", set]));
    command
}

#[test]
fn parameters_outside_a_run_have_a_file_and_no_step() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    tiny_run(here);
    let checkpoint = "run/checkpoints/step_00000024/params.safetensors";
    fs::copy(here.join(checkpoint), here.join("w.safetensors")).unwrap();
    let small = ["--top", "1", "--density", "--probes", "2", "--density-steps", "3", "--out", "out"];
    let of = |path: &str| edgewalk(here, &[&["curvature", path, "--config", "run/config.toml"], &small[..]].concat());
    let json = || fs::read_to_string(here.join("out/curvature.json")).unwrap();
    let title = || fs::read_to_string(here.join("out/density-all.svg")).unwrap();
    let said = succeeds(of("w.safetensors"));
    assert!(said.starts_with("w.safetensors\n50 training examples, ") && !said.contains("step "), "{said}");
    assert!(json().contains("\"step\": null") && title().contains("Spectral density at w.safetensors"));
    let said = succeeds(of(checkpoint));
    assert!(said.contains("\nstep 24, 50 training examples, "), "{said}");
    assert!(json().contains("\"step\": 24") && title().contains("Spectral density at step 24"));
}

#[test]
fn options_for_other_paths_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    tiny_run(here);
    let curvature = |more: &[&str]| edgewalk(here, &[&["curvature", "run", "--top", "1"], more].concat());
    for (option, value) in
        [("--set", "lr=0.1"), ("--data", "set.npz"), ("--loss", "cross-entropy"), ("--freeze", "dense*")]
    {
        refuses(curvature(&[option, value]), 2, &["has no use for this path", "--config"]);
    }
    for config in [&[][..], &["--config", "run/config.toml"]] {
        refuses(curvature(&[&["--params", "run"], config].concat()), 2, &["--params has no use for this path"]);
    }
    succeeds(curvature(&["--config", "run/config.toml", "--set", "optim.rho=0"]));
}

#[test]
fn only_options_that_a_command_has_are_advised() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    tiny_run(here);
    for (name, command) in [("plots", &["plot", "run"][..]), ("tensorboard", &["plot", "run", "--tensorboard"])] {
        let place = here.join("run").join(name);
        let _none = fs::remove_dir_all(&place);
        fs::write(&place, "").unwrap();
        let said = says(edgewalk(here, command), 1);
        assert!(said.contains(name) && said.contains("move") && !said.contains("--out"), "{said}");
        fs::remove_file(&place).unwrap();
    }
    fs::remove_file(here.join("run/report.html")).unwrap();
    fs::create_dir(here.join("run/report.html")).unwrap();
    let said = says(edgewalk(here, &["report", "run"]), 1);
    assert!(said.contains("report.html") && said.contains("move the folder away") && !said.contains("space"), "{said}");
}

#[test]
#[cfg(unix)]
fn a_device_is_not_to_be_moved() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for args in [
        &["train", "--out", "/dev/null"][..],
        &["train", "--out", "/dev/null/run"],
        &["compare", "run", "run", "--out", "/dev/null"],
        &["bench", "--growth", "--out", "/dev/null"],
        &["sweep", "--set", "lr=0.1,0.2", "--out", "/dev/null"],
        &["data", "fetch", "mnist", "--dir", "/dev/null"],
    ] {
        let said = says(alone(here, args), 1);
        assert!(said.contains("/dev/null is not a folder; choose another ") && !said.contains("move"), "{said}");
    }
}

#[test]
fn an_empty_variable_is_unset() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let mut info = edgewalk(here, &["info"]);
    if std::env::var_os("WGPU_BACKEND").is_none() {
        info.env("WGPU_BACKEND", "");
    }
    succeeds({
        info.env("EDGEWALK_LIMITS", "");
        info
    });
    let mut searched = alone(here, &["train", "--set", "data.name=mnist", "--dry-run"]);
    searched.env("EDGEWALK_DATA", "");
    let only = format!("({})", here.join("cache/edgewalk/data/mnist").display());
    refuses(searched, 1, &["is not in the usual places", &only]);
    let mut timed = train_with(edgewalk_on_wgpu(here, &["train"]), &["run.tune=0.01"]);
    timed.env("EDGEWALK_CACHE", "").env("XDG_CACHE_HOME", here.join("cache")).env("HOME", here);
    succeeds(timed);
    assert!(!here.join("kernels").exists());
    #[cfg(target_os = "linux")]
    assert!(here.join("cache/edgewalk/kernels").is_dir());
}

#[test]
fn more_than_there_is_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let sets = ["measure.every=1", "top=1", "measure.on=fixed", "measure.examples=99"];
    let mut run = train(here, &sets);
    run.args(["--out", "run"]);
    let said = says(run, 0);
    let note =
        "note: measure.examples = 99 is more than the 20 training examples: curvature is measured on all of them\n";
    assert_eq!(said, note);
    let cnn = ["model.kind=cnn", "channels=1", "growth=1", "blocks=4", "measure.every=1", "top=100"];
    let mut plan = train(here, &[&cnn[..], &["max_iterations=100"]].concat());
    plan.arg("--dry-run");
    let said = says(plan, 0);
    assert!(said.starts_with("note: measure.top = 100 is more than the 68 parameters"), "{said}");
    // The last layer has 4·10 + 10 parameters.
    let curvature = |more: &[&str]| edgewalk(here, &[&["curvature", "run"], more].concat());
    let block = ["--block", "dense1", "--examples", "3"];
    let said = says(curvature(&[&block[..], &["--top", "60", "--bottom", "51"]].concat()), 0);
    let notes: Vec<&str> = said.lines().collect();
    assert_eq!(
        notes,
        ["60", "51"].map(|asked| {
            let flag = if asked == "60" { "--top" } else { "--bottom" };
            format!("note: {flag} {asked} is more than the 50 parameters of dense1, which has as many eigenvalues")
        })
    );
    for (option, asked, range) in
        [("--top", "0", "from 1 to 100"), ("--top", "101", "from 1 to 100"), ("--bottom", "101", "from 0 to 100")]
    {
        refuses(curvature(&[option, asked]), 2, &[&format!("`{option} = {asked}` is not allowed"), range]);
    }
}

#[test]
fn the_tip_for_a_value_with_a_dash_works() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for (args, tip) in [
        (&["train", "--out", "-x"][..], "use '--out=-x'"),
        (&["train", "--set", "lr=0.1", "--adapter", "-1"], "use '--adapter=-1'"),
        (&["curvature", "run", "--tol", "-1"], "use '--tol=-1'"),
        (&["data", "fetch", "mnist", "--dir", "-data"], "use '--dir=-data'"),
        (&["train", "-x"], "use '-- -x'"),
        (&["resume", "-run"], "use '-- -run'"),
        (&["train", "--dry-run", "-run.toml"], "use '-- -run.toml'"),
    ] {
        let said = says(edgewalk(here, args), 2);
        assert!(said.contains(tip) && said.matches("tip: ").count() == 1, "{args:?}: {said}");
    }
    // As advised.
    refuses(edgewalk(here, &["resume", "--", "-run"]), 1, &["-run does not exist"]);
    refuses(edgewalk(here, &["train", "--adapter=-1"]), 1, &["no adapter matches `-1`"]);
}

#[test]
fn a_path_that_is_meant_as_a_preset_leads_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    tiny_run(here);
    for (target, meant) in [
        ("./quickstart", "did you mean `quickstart`?"),
        ("/a/folder/of/presets/quickstart", "did you mean `quickstart`?"),
        ("quickstart.toml", "check the path, or give the preset `quickstart`"),
        ("presets/cifar-cnn.toml", "check the path, or give the preset `cifar-cnn`"),
        ("run", "did you mean run/config.toml?"),
    ] {
        refuses(edgewalk(here, &["train", target]), 2, &[meant]);
    }
    let said = says(edgewalk(here, &["train", "nowhere.toml"]), 2);
    assert!(!said.contains("preset"), "{said}");
}

#[test]
fn one_character_is_not_many() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::write(here.join("t.txt"), "a").unwrap();
    let sets = ["data.name=text", "data.path=t.txt", "model.kind=transformer", "loss.kind=cross-entropy", "seq_len=1"];
    refuses(train(here, &sets), 1, &["t.txt has 1 character, but one window takes 2"]);
    refuses(train(here, &["train=1", "batch=2"]), 2, &["`optim.batch = 2` is more than the 1 training example;"]);
}
