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

    use edgewalk::files::write_file;

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

#[test]
fn a_run_without_one_of_its_tables_is_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    tiny_run(here);
    let at = |name: &str| here.join("run").join(name);
    let more = || edgewalk(here, &["resume", "run", "--set", "steps=30"]);
    let before = ["manifest.json", "config.toml"].map(|name| fs::read(at(name)).unwrap());
    for name in ["metrics.csv", "curvature.csv", "oscillation.csv"] {
        let table = fs::read(at(name)).unwrap();
        fs::remove_file(at(name)).unwrap();
        refuses(more(), 1, &[&format!("run/{name} is missing"), "put it back", "checkpoints"]);
        fs::write(at(name), &table[..table.len() / 3]).unwrap();
        refuses(more(), 1, &[&format!("cannot go on with run/{name}"), "put back the table"]);
        fs::write(at(name), &table).unwrap();
        assert_eq!(["manifest.json", "config.toml"].map(|name| fs::read(at(name)).unwrap()), before, "{name}");
    }
    // As advised: without checkpoints it begins again, with new tables.
    fs::remove_file(at("curvature.csv")).unwrap();
    fs::remove_dir_all(at("checkpoints")).unwrap();
    assert!(succeeds(more()).contains("no checkpoint can be used, so it begins at step 0"));
    assert_eq!(edgewalk::folder::tables::read_curvature(&at("curvature.csv")).unwrap().len(), 5);
}

#[test]
fn a_table_that_was_changed_is_refused_with_its_cell() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    tiny_run(here);
    let (metrics, curvature) = (here.join("run/metrics.csv"), here.join("run/curvature.csv"));
    let changed = |path: &Path, line: usize, column: &str, cell: &str, parts: &[&str]| {
        let whole = fs::read_to_string(path).unwrap();
        let mut lines: Vec<Vec<String>> =
            whole.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect();
        let place = lines[0].iter().position(|name| name == column).unwrap();
        lines[line - 1][place] = cell.to_owned();
        let text: Vec<String> = lines.iter().map(|line| line.join(",")).collect();
        fs::write(path, text.join("\n") + "\n").unwrap();
        for command in [&["report", "run"][..], &["plot", "run"], &["compare", "run", "run"]] {
            refuses(edgewalk(here, command), 1, parts);
        }
        fs::write(path, whole).unwrap();
    };
    let at = |table: &str, line: usize, what: &str| format!("run/{table}, line {line}: {what}");
    for (line, column, cell) in [
        (3, "loss", "NaN"),
        (4, "grad_norm", "-inf"),
        (5, "secs", "1e999"),
        (3, "test_loss", "nan"),
        (3, "loss", "x\u{7}y"),
        (3, "step", "inf"),
        (3, "step", "9223372036854775808"),
    ] {
        let shown = cell.escape_debug();
        let what = format!("`{shown}` does not belong into column `{column}`");
        changed(&metrics, line, column, cell, &[&at("metrics.csv", line, &what), "correct or remove"]);
    }
    changed(&metrics, 3, "step", "", &[&at("metrics.csv", 3, "an empty cell does not belong into column `step`")]);
    changed(&curvature, 3, "lambda_1", "", &[&at("curvature.csv", 3, "an empty cell"), "`lambda_1`"]);
    changed(&curvature, 2, "hvps", "nan", &[&at("curvature.csv", 2, "`nan`"), "`hvps`"]);
    let follows = "does not come after step";
    changed(&metrics, 5, "step", "2", &[&at("metrics.csv", 5, &format!("step 2 in column `step` {follows} 2"))]);
    changed(&metrics, 5, "step", "1", &[&at("metrics.csv", 5, &format!("step 1 in column `step` {follows} 2"))]);
    changed(&curvature, 4, "step", "8", &[&at("curvature.csv", 4, &format!("step 8 in column `step` {follows} 8"))]);
    // The last line, which none follows.
    let last = fs::read_to_string(&metrics).unwrap().lines().count();
    changed(
        &metrics,
        last,
        "step",
        "1000000000",
        &["metrics.csv, last line: step 1000000000", "beyond the 24 of the run"],
    );
}

#[test]
fn other_files_in_the_place_of_parameters_or_data_are_called_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for (bytes, what, advice) in [
        (&b"  <!DOCTYPE html><html></html>"[..], "an HTML page", "fetch the file again"),
        (b"PK\x03\x04\x14\x00\x00\x00\x08\x00 and so on", "a zip archive", "safetensors"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03 and so on", "gzip data", "gunzip"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n",
            "a pointer of Git LFS",
            "git lfs pull",
        ),
    ] {
        fs::write(here.join("w.safetensors"), bytes).unwrap();
        let parts = [&format!("w.safetensors: it is {what}, not a safetensors file")[..], advice];
        refuses(train(here, &["--init", "w.safetensors"]), 1, &parts);
        refuses(edgewalk(here, &["curvature", "w.safetensors", "--config", "quickstart"]), 1, &parts);
        let text = ["--set", "name=text", "--set", "path=w.safetensors", "--set", "model.kind=transformer"];
        refuses(train(here, &text), 1, &[&format!("w.safetensors is {what}, not data"), advice]);
        fs::create_dir_all(here.join("cifar")).unwrap();
        fs::write(here.join("cifar/data_batch_1.bin"), bytes).unwrap();
        let cifar = ["--set", "name=cifar10", "--set", "path=cifar"];
        refuses(train(here, &cifar), 1, &[&format!("data_batch_1.bin is {what}, not data"), advice]);
    }
    // What is none of these is a format error as before.
    fs::write(here.join("w.safetensors"), "hello").unwrap();
    refuses(train(here, &["--init", "w.safetensors"]), 1, &["not a readable safetensors file"]);
}

#[test]
fn two_sources_of_weights_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for (set, shown) in
        [("init=b.safetensors", "b.safetensors"), ("run.init = b.safetensors", "b.safetensors"), ("init=", "\"\"")]
    {
        for mode in ["--print-config", "--dry-run"] {
            let command = train(here, &["--init", "a.safetensors", "--set", set, mode]);
            refuses(
                command,
                2,
                &["a.safetensors` and `--set run.init=", shown, "two sources", "leave one of them out"],
            );
        }
    }
    // One source given twice, and a file's that the option replaces.
    fs::write(here.join("c.toml"), "[run]\ninit = \"b.safetensors\"\n").unwrap();
    for args in [["--set", "init=./a.safetensors"], ["c.toml", "--print-config"]] {
        let mut command =
            train(here, &["--init", "a.safetensors", "--print-config"][..2 + usize::from(args[0] == "--set")]);
        command.args(args);
        let printed = succeeds(command);
        assert!(printed.contains("a.safetensors\"") && !printed.contains("b.safetensors"), "{printed}");
    }
}

#[test]
fn a_file_that_is_not_utf8_is_called_that() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    tiny_run(here);
    let at = |name: &str| here.join("run").join(name);
    for (name, command) in [("config.toml", &["resume", "run"][..]), ("manifest.json", &["resume", "run"])] {
        let whole = fs::read(at(name)).unwrap();
        fs::write(at(name), [&whole[..7], b"\xff", &whole[7..]].concat()).unwrap();
        refuses(
            edgewalk(here, command),
            if name == "config.toml" { 2 } else { 1 },
            &[name, "is not UTF-8 text (byte 7 is 0xff)"],
        );
        fs::write(at(name), whole).unwrap();
    }
    fs::write(here.join("c.toml"), b"# caf\xe9\n").unwrap();
    refuses(
        edgewalk(here, &["train", "c.toml"]),
        2,
        &["c.toml is not UTF-8 text (byte 5 is 0xe9)", "save it as UTF-8"],
    );
}

#[test]
fn one_of_something_is_not_many() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let one = ["--set", "steps=1", "--set", "train=1", "--set", "measure.every=1", "--set", "max_iterations=5"];
    let planned = succeeds(train(here, &[&one[..], &["--dry-run"]].concat()));
    assert!(planned.contains("1 step ") && planned.contains(" of 1 example\n"), "{planned}");
    let said = succeeds(train(here, &[&one[..], &["--out", "run"]].concat()));
    assert!(said.contains(", 1 step ") && said.contains("\n1 step in "), "{said}");
    assert!(!format!("{planned}{said}").contains(" 1 steps") && !said.contains("all 1 training examples"), "{said}");
}

#[test]
fn a_group_of_all_examples_is_sam_and_a_larger_one_is_refused() {
    use edgewalk::config::resolve;
    use edgewalk::folder::tables::read_curvature;

    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let sets = ["measure.every=1", "measure.top=1", "lr=0.1", "rho=0.1"];
    let run = |name: &str, more: &[&str]| {
        let mut command = train(here, &["--out", name]);
        command.args(sets.iter().chain(more).flat_map(|set| ["--set", set]));
        command
    };
    let text = here.join("text.txt");
    fs::write(&text, "to be or not to be, that is the question\n".repeat(20)).unwrap();
    let windows = [
        "data.name=text",
        "data.path=text.txt",
        "data.train=0",
        "model.kind=transformer",
        "seq_len=16",
        "layers=1",
        "model_size=8",
        "key_size=4",
        "heads=1",
        "loss.kind=cross-entropy",
    ];
    let all = 48;
    for (name, settings, group) in
        [("train", vec![], 50), ("batch", vec!["batch=20"], 20), ("file", windows.to_vec(), all)]
    {
        let with = |group: usize| [&settings[..], &[&*format!("micro_batch={group}").leak()]].concat();
        succeeds(run(name, &with(group)));
        succeeds(run(&format!("{name}-sam"), &settings));
        let rows = |name: &str| read_curvature(&here.join(name).join("curvature.csv")).unwrap();
        let (rows, sam) = (rows(name), rows(&format!("{name}-sam")));
        for (row, sam) in rows.iter().zip(&sam) {
            assert!(row.sam_edge > 0.0 && row.sam_edge < row.gd_edge, "{name}: {row:?}");
            assert_eq!((row.loss, row.sam_edge, row.gauge), (sam.loss, sam.sam_edge, sam.gauge), "{name}");
        }
        let config = here.join(name).join("config.toml");
        assert_eq!(resolve(config.to_str(), &[]).unwrap().config.optim.micro_batch, 0);
        for mode in [&[][..], &["--dry-run"]] {
            let mut command = run("never", &with(group + 1));
            command.args(mode);
            refuses(command, 2, &[&format!("`optim.micro_batch = {}` is more than", group + 1), &group.to_string()]);
        }
    }
}
