//! The code of docs/notebook.md, as it stands there.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::program::{edgewalk, succeeds, tiny_run};

pub fn code_of_the_page() {
    let python = std::env::var_os("EDGEWALK_PANDAS_PYTHON").expect("a Python that has pandas and matplotlib");
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    tiny_run(here);
    fs::create_dir(here.join("runs")).unwrap();
    fs::rename(here.join("run"), here.join("runs/quickstart-001")).unwrap();
    fs::write(here.join("runs.json"), succeeds(edgewalk(here, &["list", "--json"]))).unwrap();
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/notebook.md")).unwrap();
    let blocks: Vec<&str> = page.split("```python\n").skip(1).map(|rest| rest.split_once("```").unwrap().0).collect();
    assert_eq!(blocks.len(), 2);
    let run = |code: &str| {
        let mut command = Command::new(&python);
        command.args(["-c", code]).current_dir(here).env("MPLBACKEND", "Agg");
        succeeds(command)
    };
    assert_eq!(blocks[0].lines().count(), 3, "three lines, as the page says");
    let lines = "print([line.get_label() for line in axes.get_lines()], len(axes.get_lines()[0].get_xdata()))";
    let drawn = run(&format!("{}axes.figure.savefig('edges.png')\n{lines}", blocks[0]));
    assert_eq!(drawn, "['lambda_1', 'gd_edge', 'sam_edge'] 4\n");
    assert!(fs::read(here.join("edges.png")).unwrap().starts_with(b"\x89PNG"));
    let listed = run(blocks[1]);
    assert!(listed.contains("runs/quickstart-001") && listed.contains("done"), "{listed}");
}
