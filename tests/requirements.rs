//! Cargo.toml's promise of an oldest compiler, against what the dependencies ask for.

use std::process::Command;

use serde_json::Value;

use crate::cli::{succeeds, text};

fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(args);
    command
}

/// A version such as 1.95 or 1.95.0, in numbers.
fn version(text: &str) -> [u32; 3] {
    let mut parts = text.split('.').map(|part| part.parse().unwrap());
    let version = [0; 3].map(|missing| parts.next().unwrap_or(missing));
    assert!(parts.next().is_none(), "{text}");
    version
}

#[test]
fn no_dependency_asks_for_a_newer_compiler_than_this_crate() {
    // Without a network there are the packages of this machine's platform only.
    let about = succeeds(cargo(&["-vV"]));
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let output = cargo(&["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", host])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let asked: Vec<(&str, [u32; 3])> = packages
        .iter()
        .filter_map(|package| Some((package["name"].as_str()?, version(package["rust_version"].as_str()?))))
        .collect();
    let ours = version(env!("CARGO_PKG_RUST_VERSION"));
    assert!(asked.contains(&("edgewalk", ours)) && asked.len() > 100, "{}", asked.len());
    for (package, theirs) in asked {
        assert!(theirs <= ours, "{package} asks for Rust {theirs:?}");
    }
}

#[test]
fn versions_are_compared_by_their_numbers() {
    assert_eq!(version("1.95"), [1, 95, 0]);
    assert!(version("1.100") > version("1.95.2") && version("1.95.2") > version("1.95"));
}
