//! The program as tests start it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What EDGEWALK_ADAPTER names, or else the first adapter of wgpu, as for `--adapter`.
pub fn adapter() -> Option<String> {
    Some(std::env::var("EDGEWALK_ADAPTER").unwrap_or_else(|_| "0".to_owned()))
}

/// The same, or the first adapter of wgpu where that is the processor: for tests of what only wgpu has, such as kernels
/// to choose from, limits and drivers.
pub fn wgpu_adapter() -> String {
    adapter().filter(|adapter| adapter != "native").unwrap_or_else(|| "0".to_owned())
}

/// The program in a folder, where it finds no data but those it brings.
pub fn edgewalk(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgewalk"));
    // Nor kernels that its user's runs have timed: the default rules alone, unless a test says otherwise.
    let untuned: &[&str] = if args.first() == Some(&"train") { &["train", "--set", "run.tune=0"] } else { &args[..1] };
    command.current_dir(folder).args(untuned).args(&args[1..]).env_remove("EDGEWALK_DATA").stdin(Stdio::null());
    // Mesa's device-selection layer looks for a Wayland session and complains on machines without one.
    command.env("NODEVICE_SELECT", "1");
    if matches!(args.first(), Some(&"train" | &"bench")) && !args.iter().any(|arg| arg.starts_with("--adapter")) {
        command.args(["--adapter", &adapter().unwrap()]);
    }
    command
}

/// The same on [`wgpu_adapter`].
pub fn edgewalk_on_wgpu(folder: &Path, args: &[&str]) -> Command {
    edgewalk(folder, &[args, &["--adapter", &wgpu_adapter()]].concat())
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub fn succeeds(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{command:?}: {status}\n{}", text(&stderr));
    text(&stdout)
}

/// Every path under a folder.
pub fn listing(folder: &Path) -> Vec<String> {
    let mut all = vec![];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        all.push(path.display().to_string());
        if path.is_dir() {
            all.extend(listing(&path));
        }
    }
    all.sort();
    all
}

/// What a command that failed says at its end. Where it took more than a second or two, its progress is before that.
pub fn complaint(stderr: &[u8]) -> String {
    let all = text(stderr);
    let from_error: String = all.split_inclusive('\n').skip_while(|line| !line.starts_with("error: ")).collect();
    assert!(!from_error.is_empty(), "no error: {all}");
    from_error
}

/// The program must end with `code`, say so in one or two lines that contain `parts`, and leave the folder alone.
pub fn refuses(mut command: Command, code: i32, parts: &[&str]) {
    let folder = command.get_current_dir().unwrap().to_path_buf();
    let before = listing(&folder);
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert_eq!(status.code(), Some(code), "{command:?}: {}", text(&stderr));
    let message = complaint(&stderr);
    println!("{message}");
    assert!(message.lines().count() <= 2, "{command:?}: {message}");
    for part in parts {
        assert!(message.contains(part), "{command:?}: {part:?} is not in {message}");
    }
    assert!(stdout.is_empty(), "{command:?}: {}", text(&stdout));
    assert_eq!(listing(&folder), before, "{command:?}");
}

/// A run of a second, with every table.
pub fn tiny_run(folder: &Path) {
    let sets = ["width=8", "train=50", "test=20", "steps=24", "measure.every=8", "measure.top=2", "measure.window=8"];
    let mut command = edgewalk(folder, &["train", "--out", "run"]);
    command.args(sets.iter().flat_map(|set| ["--set", set]));
    succeeds(command);
}

/// A command that finds no data of its user's, and no network: its proxy is a port that nothing listens on.
pub fn alone(folder: &Path, args: &[&str]) -> Command {
    let mut command = edgewalk(folder, args);
    command.env("HOME", folder).env("XDG_CACHE_HOME", folder.join("cache"));
    for variable in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"] {
        command.env(variable, "http://127.0.0.1:9").env(variable.to_lowercase(), "http://127.0.0.1:9");
    }
    command.env_remove("NO_PROXY").env_remove("no_proxy");
    command
}
