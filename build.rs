//! Hands the source commit to the manifest (`EDGEWALK_COMMIT`), when the build runs in the crate's own repository.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=EDGEWALK_COMMIT");
    println!("cargo:rerun-if-changed=build.rs");
    // Every commit and checkout adds a line to this file. Without it this is a packaged copy, not a repository.
    let log = Path::new(".git/logs/HEAD");
    if !log.exists() {
        return;
    }
    println!("cargo:rerun-if-changed={}", log.display());
    let output = Command::new("git").args(["rev-parse", "HEAD"]).output();
    if let Ok(output) = output
        && output.status.success()
        && let Ok(commit) = String::from_utf8(output.stdout)
    {
        println!("cargo:rustc-env=EDGEWALK_COMMIT={}", commit.trim());
    }
}
