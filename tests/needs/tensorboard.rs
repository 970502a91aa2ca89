//! TensorBoard's own reader, on what a run writes for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::program::{edgewalk, succeeds, tiny_run};

pub fn reads_the_tables() {
    let python = std::env::var_os("EDGEWALK_TENSORBOARD_PYTHON").expect("a Python that has tensorboard");
    let folder = tempfile::tempdir().unwrap();
    tiny_run(folder.path());
    let printed = succeeds(edgewalk(folder.path(), &["plot", "--tensorboard", "run"]));
    assert!(printed.contains("events.out.tfevents"), "{printed}");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/check-tensorboard");
    let check = || {
        let mut command = Command::new(&python);
        command.arg(&script).arg(folder.path().join("run"));
        command
    };
    let text = succeeds(check());
    assert!(text.contains("are those of the tables"), "{text}");
    // The script sees what it should see: a number that is another one.
    let metrics = folder.path().join("run/metrics.csv");
    let table = fs::read_to_string(&metrics).unwrap();
    let first: BTreeMap<&str, &str> =
        table.lines().next().unwrap().split(',').zip(table.lines().nth(1).unwrap().split(',')).collect();
    fs::write(&metrics, table.replacen(first["loss"], "0.125", 1)).unwrap();
    assert!(!check().output().unwrap().status.success());
}
