//! The program as its users meet it: what it prints, what it refuses, with which exit code, and what it leaves behind.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use edgewalk::model::{Activation, Layout, Mlp, initial_params, params_to_safetensors};
use safetensors::tensor::{Dtype, TensorView, serialize};

use super::program::{complaint, edgewalk_on_wgpu};
pub use super::program::{edgewalk, listing, refuses, succeeds, text};

/// A run of a second or so.
const TINY: [&str; 12] = [
    "--set",
    "width=8",
    "--set",
    "train=50",
    "--set",
    "test=20",
    "--set",
    "steps=6",
    "--set",
    "measure.every=3",
    "--set",
    "measure.top=1",
];

#[test]
fn wrong_configurations_are_usage_errors() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let train = |args: &[&str]| edgewalk(here, &[&["train"], args].concat());
    refuses(train(&["quickstrat"]), 2, &["quickstrat", "did you mean `quickstart`"]);
    refuses(train(&["missing.toml"]), 2, &["missing.toml"]);
    refuses(train(&["--set", "learning_rate=1"]), 2, &["learning_rate", "did you mean `optim.lr`"]);
    for value in ["-0.1", "nan", "0", "fast"] {
        refuses(train(&["--set", &format!("lr={value}")]), 2, &["optim.lr", value]);
    }
    refuses(train(&["--set", "rho=-1"]), 2, &["optim.rho"]);
    refuses(train(&["--set", "lr"]), 2, &["lr", "key=value"]);
    fs::write(here.join("bad.toml"), "[optim]\nlearning_rate = 1\n").unwrap();
    refuses(train(&["bad.toml"]), 2, &["optim.learning_rate", "optim.lr"]);
    fs::write(here.join("bad.toml"), "[optim]\nlr = -1\n").unwrap();
    refuses(train(&["bad.toml", "--out", "run"]), 2, &["optim.lr"]);
    // Unknown options are clap's business; the exit code is the same.
    assert_eq!(train(&["--learning-rate", "1"]).output().unwrap().status.code(), Some(2));
}

/// A file of the idx format: its magic number's last byte counts the dimensions.
fn idx(dims: &[u32], payload: usize) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    dims.iter().for_each(|dim| bytes.extend(dim.to_be_bytes()));
    bytes.resize(bytes.len() + payload, 1);
    bytes
}

#[test]
fn bad_data_are_refused_by_file() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let train = |args: &[&str]| {
        edgewalk(here, &[&["train", "--set", "name=mnist", "--set", "train=3", "--set", "test=0"], args].concat())
    };
    // Nor does it find what its user may have fetched.
    let mut nowhere = train(&[]);
    nowhere.env("HOME", here).env("XDG_CACHE_HOME", here);
    refuses(nowhere, 1, &["EDGEWALK_DATA", "data.path", "edgewalk data fetch mnist"]);
    let path = ["--set", "path=digits"];
    refuses(train(&path), 1, &["digits", "train-images"]);

    let digits = here.join("digits");
    fs::create_dir(&digits).unwrap();
    let (images, labels) = (digits.join("train-images-idx3-ubyte"), digits.join("train-labels-idx1-ubyte"));
    fs::write(&labels, idx(&[3], 3)).unwrap();
    refuses(train(&path), 1, &["train-images"]);
    fs::write(&images, idx(&[3, 28, 28], 3 * 784 - 5)).unwrap();
    refuses(train(&path), 1, &["train-images", "expected"]);
    let mut wrong_magic = idx(&[3, 28, 28], 3 * 784);
    wrong_magic[2] = 13;
    fs::write(&images, &wrong_magic).unwrap();
    refuses(train(&path), 1, &["train-images", "expected"]);
    fs::write(&images, b"").unwrap();
    refuses(train(&path), 1, &["train-images"]);
    fs::write(&images, idx(&[3, 28, 28], 3 * 784)).unwrap();
    refuses(train(&[&path[..], &["--set", "train=4"]].concat()), 1, &["3", "4"]);
    // The very same files are good when asked for what they hold.
    assert!(succeeds(train(&[&path[..], &["--dry-run"]].concat())).contains("examples"));
}

#[test]
fn unusable_initial_parameters_are_refused_by_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let train = |init: &str| {
        edgewalk(
            here,
            &[&["train", "--set", "width=8", "--set", "train=50", "--set", "test=0", "--init", init][..]].concat(),
        )
    };
    let write = |name: &str, tensors: &[(&str, &[usize], Dtype)]| {
        let bytes = vec![0_u8; 1 << 20];
        let views = tensors.iter().map(|&(name, shape, dtype)| {
            let len = shape.iter().product::<usize>() * if dtype == Dtype::F32 { 4 } else { 2 };
            (name, TensorView::new(dtype, shape.to_vec(), &bytes[..len]).unwrap())
        });
        fs::write(here.join(name), serialize(views, None).unwrap()).unwrap();
    };
    refuses(train("none.safetensors"), 1, &["cannot read the parameters", "none.safetensors", "check the path"]);
    fs::write(here.join("text.safetensors"), "these are no tensors").unwrap();
    refuses(train("text.safetensors"), 1, &["text.safetensors", "safetensors"]);

    let mlp = |width: usize| Mlp { inputs: 784, width, depth: 4, outputs: 10, activation: Activation::Relu };
    let save = |name: &str, model: &Mlp, change: &dyn Fn(&mut Vec<f32>)| {
        let layout = Layout::of(model).unwrap();
        let mut params = initial_params(&layout, 0);
        change(&mut params);
        fs::write(here.join(name), params_to_safetensors(&layout, &params).unwrap()).unwrap();
    };
    save("wide.safetensors", &mlp(9), &|_| ());
    refuses(train("wide.safetensors"), 1, &["wide.safetensors", "dense0.", "9", "8"]);
    save("deep.safetensors", &Mlp { depth: 5, ..mlp(8) }, &|_| ());
    refuses(train("deep.safetensors"), 1, &["dense4.", "not part of this model"]);
    save("shallow.safetensors", &Mlp { depth: 2, ..mlp(8) }, &|_| ());
    refuses(train("shallow.safetensors"), 1, &["shallow.safetensors", "dense"]);
    save("nan.safetensors", &mlp(8), &|params| params[3] = f32::NAN);
    refuses(train("nan.safetensors"), 1, &["dense0.kernel", "NaN", "finite"]);
    write("short.safetensors", &[("dense0.kernel", &[784, 8], Dtype::I16)]);
    refuses(train("short.safetensors"), 1, &["short.safetensors"]);
    let whole = fs::read(here.join("nan.safetensors")).unwrap();
    fs::write(here.join("cut.safetensors"), &whole[..whole.len() / 2]).unwrap();
    refuses(train("cut.safetensors"), 1, &["cut.safetensors"]);
}

/// Whoever reads standard error may be gone, or its disk be full: what a run does and how it ends stays the same.
#[test]
#[cfg(target_os = "linux")]
fn without_a_reader_of_standard_error_nothing_else_changes() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let gone = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    let full = || Stdio::from(fs::File::options().write(true).open("/dev/full").unwrap());
    for (i, lost) in [&gone as &dyn Fn() -> Stdio, &full].into_iter().enumerate() {
        let mut json = edgewalk(here, &[&["train", "--json"], &TINY[..]].concat());
        json.stderr(lost()).args(["--out", &format!("run-{i}")]);
        assert_eq!(succeeds(json).lines().count(), 7 + 3);
        let manifest = fs::read_to_string(here.join(format!("run-{i}/manifest.json"))).unwrap();
        assert!(manifest.contains("\"ended\": \"done\""), "{manifest}");
        for (args, code) in [
            (&["train", "--set", "lr=-1"][..], 2),
            (&["train", "--frobnicate"], 2),
            (&["frobnicate"], 2),
            (&["plot", "nowhere"], 1),
            (&["train", "--out", "run-0"], 1),
            (&["--help"], 0),
        ] {
            let status = edgewalk(here, args).stdout(Stdio::null()).stderr(lost()).status().unwrap();
            assert_eq!(status.code(), Some(code), "{args:?}");
        }
    }
    // Closed altogether, as a shell does it.
    let mut shell = Command::new("sh");
    shell.current_dir(here).args(["-c", "exec \"$0\" plot nowhere 2>&-", env!("CARGO_BIN_EXE_edgewalk")]);
    assert_eq!(shell.status().unwrap().code(), Some(1));
    // Help that cannot be written is no help.
    let help = edgewalk(here, &["--help"]).stdout(full()).output().unwrap();
    assert_eq!(help.status.code(), Some(1));
    assert!(text(&help.stderr).contains("cannot write to standard output"), "{}", text(&help.stderr));
}

#[test]
fn places_that_are_taken_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::create_dir(here.join("taken")).unwrap();
    fs::write(here.join("taken").join("thesis.txt"), "irreplaceable").unwrap();
    fs::write(here.join("file"), "").unwrap();
    refuses(edgewalk(here, &["train", "--out", "taken"]), 1, &["taken", "--out"]);
    refuses(edgewalk(here, &["train", "--out", "file"]), 1, &["file", "--out"]);
    refuses(edgewalk(here, &["plot", "taken"]), 1, &["taken", "not a run folder"]);
    refuses(edgewalk(here, &["plot", "nowhere"]), 1, &["nowhere"]);
}

#[test]
fn what_the_adapter_cannot_do_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    refuses(edgewalk_on_wgpu(here, &["train", "--set", "width=20000"]), 1, &["MiB", "smaller"]);
    refuses(edgewalk_on_wgpu(here, &["train", "--set", "width=20000", "--dry-run"]), 1, &["MiB", "smaller"]);
    refuses(edgewalk(here, &["train", "--set", "width=65535", "--set", "depth=1000"]), 2, &["parameters", "smaller"]);
    refuses(edgewalk(here, &["train", "--adapter", "abacus"]), 1, &["abacus", "choose one of", "0 = "]);
    refuses(edgewalk(here, &["train", "--adapter", "999"]), 1, &["999"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_backend_that_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (backend, adapter) in [("nope", "gpu"), ("dx12", "gpu"), ("nope", "auto"), ("dx12", "0")] {
        let mut command = edgewalk(folder.path(), &["train", "--adapter", adapter]);
        command.env("WGPU_BACKEND", backend);
        refuses(command, 1, &["WGPU_BACKEND", backend, "unset it"]);
    }
}

/// A link stays one, and a device or a pipe is neither replaced nor read for ever.
#[test]
#[cfg(unix)]
fn what_is_no_regular_file_is_left_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let tiny = ["--set", "width=4", "--set", "train=20"];
    fs::write(here.join("there.json"), "").unwrap();
    std::os::unix::fs::symlink("there.json", here.join("link.json")).unwrap();
    succeeds(edgewalk(here, &[&["bench", "--json", "link.json"], &tiny[..]].concat()));
    assert!(here.join("link.json").is_symlink());
    assert!(fs::read_to_string(here.join("there.json")).unwrap().contains("wholes"));
    let pipe = here.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let from = pipe.clone();
    let reader = std::thread::spawn(move || fs::read_to_string(from).unwrap());
    succeeds(edgewalk(here, &[&["bench", "--json", "pipe"], &tiny[..]].concat()));
    assert!(!pipe.is_file(), "the pipe was replaced");
    assert!(reader.join().unwrap().contains("wholes"));
    let init = ["--init", "/dev/zero"];
    refuses(edgewalk(here, &[&["train"], &tiny[..], &init].concat()), 1, &["/dev/zero", "not a regular file"]);
}

#[test]
#[cfg(target_os = "linux")]
fn without_a_driver_it_says_what_to_install() {
    let folder = tempfile::tempdir().unwrap();
    for (command, backend) in [("train", Some("vulkan")), ("train", None), ("doctor", None)] {
        let mut command = edgewalk(folder.path(), &[command, "--adapter", "lavapipe"]);
        let nowhere = "/nonexistent";
        command.env("VK_DRIVER_FILES", nowhere).env("VK_ICD_FILENAMES", nowhere).env_remove("WGPU_BACKEND");
        command.envs(backend.map(|backend| ("WGPU_BACKEND", backend)));
        let variables = "VK_DRIVER_FILES (`/nonexistent`) and VK_ICD_FILENAMES (`/nonexistent`)";
        refuses(command, 1, &[variables, "unset", "sudo apt-get install -y mesa-vulkan-drivers"]);
    }
    // The Vulkan loader takes an empty one for a list without drivers.
    let mut command = edgewalk(folder.path(), &["doctor", "--adapter", "gpu"]);
    command.env("VK_ICD_FILENAMES", "").env_remove("VK_DRIVER_FILES").env_remove("WGPU_BACKEND");
    refuses(command, 1, &["unset or correct VK_ICD_FILENAMES (``)"]);
}

#[test]
fn a_plan_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let plan = succeeds(edgewalk(folder.path(), &[&["train", "--dry-run", "--out", "run"], &TINY[..]].concat()));
    for part in ["parameters", "chunks", "largest buffer", "one gradient", "one step", "6 steps"] {
        assert!(plan.contains(part), "{part}: {plan}");
    }
    // 784·8 + 8 + 2·(8·8 + 8) + 8·10 + 10
    assert!(plan.contains("6514"), "{plan}");
    assert!(listing(folder.path()).is_empty());
}

#[test]
fn a_printed_configuration_is_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let printed = succeeds(edgewalk(here, &["train", "mnist-mlp", "--set", "lr=0.125", "--print-config"]));
    assert!(printed.contains("lr = 0.125") && printed.contains("width = 1000"), "{printed}");
    assert!(listing(here).is_empty());
    fs::write(here.join("mine.toml"), &printed).unwrap();
    assert_eq!(succeeds(edgewalk(here, &["train", "mine.toml", "--print-config"])), printed);
}

#[test]
fn adapters_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let info = succeeds(edgewalk(folder.path(), &["info"]));
    for part in ["edgewalk ", "0: ", "max_storage_buffer_binding_size", "tier"] {
        assert!(info.contains(part), "{part}: {info}");
    }
}

#[test]
fn a_run_is_numbered_summarised_and_drawn_again() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let said = succeeds(edgewalk(here, &[&["train"], &TINY[..]].concat()));
    assert!(said.contains("SAM-edge") && said.contains("median"), "{said}");
    let run = Path::new("runs").join("quickstart-001");
    assert!(said.contains(run.to_str().unwrap()), "{said}");
    let run = here.join(run);
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(run.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["command"][1], "train");

    fs::remove_dir_all(run.join("plots")).unwrap();
    let drawn = succeeds(edgewalk(here, &["plot", "runs/quickstart-001", "--format", "png"]));
    for name in ["edges", "edges_sam_only", "alignment", "loss"] {
        let file = format!("{name}.png");
        assert!(drawn.contains(&file), "{drawn}");
        assert!(fs::read(run.join("plots").join(file)).unwrap().starts_with(b"\x89PNG"));
    }

    // The next run takes the next number, and a reader that leaves early is no failure.
    let mut command = edgewalk(here, &[&["train"], &TINY[..]].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    assert!(status.success(), "{}", text(&stderr));
    assert!(here.join("runs").join("quickstart-002").join("plots").join("edges.svg").is_file());
}

#[test]
fn a_diverging_run_ends_with_one_and_keeps_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let args = [&["train", "--out", "run"], &TINY[..], &["--set", "lr=1e20", "--set", "steps=50"]].concat();
    let Output { status, stderr, .. } = edgewalk(here, &args).output().unwrap();
    let message = complaint(&stderr);
    assert_eq!(status.code(), Some(1), "{message}");
    assert!(message.starts_with("error: the run diverged at step ") && message.lines().count() == 1, "{message}");
    assert!(here.join("run").join("metrics.csv").is_file());
}
