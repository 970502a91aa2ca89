//! Hands the source commit to the manifest (`EDGEWALK_COMMIT`), when the build runs in the crate's own repository, and
//! tells the tests whether the full data sets (`cfg(real_data)`), TensorBoard (`cfg(tensorboard)`) and compilers of shaders
//! (`cfg(shader_compilers)`, `cfg(dxc)`) are at hand: without them the tests that need them are listed as ignored.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=EDGEWALK_COMMIT");
    for (variable, name) in [
        ("EDGEWALK_DATA", "real_data"),
        ("EDGEWALK_TENSORBOARD_PYTHON", "tensorboard"),
        ("EDGEWALK_SHADER_COMPILERS", "shader_compilers"),
        ("EDGEWALK_DXC_PYTHON", "dxc"),
    ] {
        println!("cargo:rerun-if-env-changed={variable}");
        println!("cargo:rustc-check-cfg=cfg({name})");
        if std::env::var_os(variable).is_some() {
            println!("cargo:rustc-cfg={name}");
        }
    }
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
