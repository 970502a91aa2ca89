//! Networks of ONNX files: those that PyTorch exported give its outputs, loss and Hessian; graphs for each operator give
//! the outputs of onnxruntime; files that cannot be read are refused with a reason.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use edgewalk::data::{Features, Options};
use edgewalk::folder::tables::read_metrics;
use edgewalk::graph::{DType, Graph, Tensor, eval};
use edgewalk::model::{Layout, OnnxModel};
use edgewalk::onnx::Network;
use serde_json::Value;

use super::data_arrays::{floats, longs, npy};
use super::objective_cases::close;
use super::program::{edgewalk, refuses, succeeds};
use super::weights::{check_found, examples, expected, fixture, found, numbers, outputs};

const NETWORKS: [&str; 7] = ["mlp", "cnn", "residual", "resnet", "vit", "vit-erf", "gpt"];

#[test]
fn exported_networks_give_the_outputs_of_pytorch() {
    for name in NETWORKS {
        let network = Network::read(&fixture(name).join("net.onnx"), &[]).unwrap();
        let data = examples(name, Options { tokens: name == "gpt", padding: false, ..Options::default() });
        let model = OnnxModel::new(Arc::new(network), data.shape()).unwrap();
        let (layout, expected) = (Layout::of(&model).unwrap(), expected(name));
        assert_eq!(layout.len() as u64, expected["parameters"].as_u64().unwrap(), "{name}");
        // Constants are float32 in the file, and float64 in PyTorch: the ε of normalisations, and those of attention
        // and the GELU.
        let tolerance = if ["vit", "vit-erf", "gpt"].contains(&name) { 1e-7 } else { 1e-11 };
        let found = outputs(&model, layout.brought().unwrap(), &data);
        close(name, &found, &numbers(&expected["outputs"]), tolerance);
    }
}

/// `edgewalk curvature net.onnx` on a device, against the double backward of PyTorch in float64.
fn check_curvature(name: &str, more: &[&str], tolerance: f64) {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let (net, set) = (fixture(name).join("net.onnx"), fixture(name).join("set.npz"));
    let mut arguments = vec!["curvature", net.to_str().unwrap(), "--data", set.to_str().unwrap()];
    arguments.extend(["--loss", "cross-entropy", "--top", "3", "--tol", "1e-6", "--out", "found"]);
    arguments.extend(more);
    succeeds(edgewalk(here, &arguments));
    check_found(here, name, tolerance);
}

#[test]
fn curvature_of_exported_networks_is_that_of_double_backward() {
    NETWORKS.iter().for_each(|name| check_curvature(name, &[], 1e-4));
}

#[test]
fn curvature_of_exported_networks_in_float64() {
    let native = ["--adapter", "native", "--set", "run.precision=f64"];
    NETWORKS.iter().for_each(|name| check_curvature(name, &native, 1e-6));
}

#[test]
fn an_exported_network_is_trained_resumed_and_analysed() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let (net, set) = (fixture("residual").join("net.onnx"), fixture("residual").join("set.npz"));
    let own = format!(
        "[data]\nname = \"arrays\"\npath = '{}'\ntest = 0.2\n[model]\nkind = \"onnx\"\npath = '{}'\n[loss]\n\
         kind = \"cross-entropy\"\n[optim]\nlr = 0.1\n[run]\nsteps = 6\n[measure]\nevery = 3\ntop = 1\n",
        set.display(),
        net.display()
    );
    fs::write(here.join("own.toml"), own).unwrap();
    let plan = succeeds(edgewalk(here, &["train", "own.toml", "--dry-run"]));
    assert!(plan.contains("407"), "{plan}");
    succeeds(edgewalk(here, &["train", "own.toml", "--out", "run"]));
    succeeds(edgewalk(here, &["resume", "run", "--set", "steps=8"]));
    let rows = read_metrics(&here.join("run/metrics.csv")).unwrap();
    assert!(rows.len() == 9 && rows[8].loss < rows[0].loss, "{rows:?}");
    let text = succeeds(edgewalk(here, &["curvature", "run", "--top", "1", "--block", "head"]));
    assert!(text.contains("head"), "{text}");
    // The trained parameters in the place of those of the file.
    let mut again = edgewalk(here, &["curvature", net.to_str().unwrap(), "--params", "run", "--top", "1"]);
    again.args(["--data", set.to_str().unwrap(), "--loss", "cross-entropy", "--out", "found"]);
    succeeds(again);
    assert!(found(here)["loss"].as_f64().unwrap() < expected("residual")["loss"].as_f64().unwrap());
    succeeds(edgewalk(here, &["sweep", "own.toml", "--set", "lr=0.1,0.2", "--set", "steps=2", "--out", "sweep"]));
}

/// The inputs of a fixture and its outputs by PyTorch, as two files of numpy.
fn sample(name: &str, here: &Path) {
    let data = examples(name, Options { tokens: name == "gpt", padding: false, ..Options::default() });
    let shape = |shape: &[usize]| format!("({},)", shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", "));
    let x_shape = shape(&[&[data.len()], data.shape()].concat());
    let x = match data.features() {
        Features::Real(values) => npy("<f4", false, &x_shape, &floats(values)),
        Features::Tokens(codes) => {
            npy("<i8", false, &x_shape, &longs(&codes.iter().map(|&code| code.into()).collect::<Vec<_>>()))
        }
    };
    let y: Vec<f32> = numbers(&expected(name)["outputs"]).iter().map(|&value| value as f32).collect();
    fs::write(here.join("x.npy"), x).unwrap();
    fs::write(here.join("y.npy"), npy("<f4", false, &shape(&[data.len(), y.len() / data.len()]), &floats(&y))).unwrap();
}

#[test]
fn a_network_is_compared_with_a_sample_of_its_outputs() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for name in NETWORKS {
        sample(name, here);
        let net = fixture(name).join("net.onnx");
        succeeds(edgewalk(here, &["info", net.to_str().unwrap(), "--check", "x.npy", "y.npy"]));
    }
    // The tanh form in the place of the exact GELU, at the same parameters.
    let (vit, gpt) = (fixture("vit-erf").join("net.onnx"), fixture("gpt").join("net.onnx"));
    let (vit, gpt) = (vit.to_str().unwrap(), gpt.to_str().unwrap());
    sample("vit-erf", here);
    let mut y = fs::read(here.join("y.npy")).unwrap();
    let last = y.len() - 4;
    let moved = f32::from_le_bytes(y[last..].try_into().unwrap()) + 0.01;
    y[last..].copy_from_slice(&moved.to_le_bytes());
    fs::write(here.join("moved.npy"), y).unwrap();
    let set = fixture("vit-erf").join("set.npz");
    let measure = ["curvature", vit, "--data", set.to_str().unwrap(), "--loss", "cross-entropy", "--out", "found"];
    let check = |y: &str| edgewalk(here, &[&measure[..], &["--top", "1", "--check", "x.npy", y]].concat());
    refuses(check("moved.npy"), 2, &["moved.npy", "1.0e-2 at [7, 2]", "largest difference"]);
    assert!(!here.join("found").exists());
    succeeds(check("y.npy"));
    let of = |net: &str, x: &str, y: &str| edgewalk(here, &["info", net, "--check", x, y]);
    refuses(of(gpt, "x.npy", "y.npy"), 2, &["tokens"]);
    refuses(of(vit, "y.npy", "y.npy"), 2, &["[examples, 1, 8, 8]", "[8, 3]"]);
    refuses(of(vit, "x.npy", "x.npy"), 2, &["[8, 3]", "[8, 1, 8, 8]"]);
    refuses(of(vit, "x.npy", "nowhere.npy"), 2, &["nowhere.npy"]);
    refuses(edgewalk(here, &["train", "--check", "x.npy", "y.npy"]), 2, &["--check", "onnx"]);
}

#[test]
fn a_run_keeps_to_the_bytes_of_its_network() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let net = fs::read(fixture("mlp").join("net.onnx")).unwrap();
    let file = Network::read(&fixture("mlp").join("net.onnx"), &[]).unwrap();
    fs::write(here.join("net.onnx"), &net).unwrap();
    let set = format!("data.path={}", fixture("mlp").join("set.npz").display());
    let train = ["train", "--set", "data.name=arrays", "--set", &set, "--set", "data.test=0", "--set", "steps=2"];
    let own = ["--set", "model.kind=onnx", "--set", "model.path=net.onnx", "--set", "loss.kind=cross-entropy"];
    let usual = [&train[..], &own, &["--set", "measure.every=0"]].concat();
    succeeds(edgewalk(here, &[&usual[..], &["--out", "first"]].concat()));
    let init = first_params(&here.join("first"));
    succeeds(edgewalk(here, &[&usual[..], &["--out", "run", "--init", init.to_str().unwrap()]].concat()));
    let manifest: Value = serde_json::from_slice(&fs::read(here.join("run/manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["network"]["sha256"], file.sha256());
    assert_ne!(manifest["init"]["sha256"], file.sha256());
    // Another producer, the field 2 of the file.
    let at = net.windows(7).position(|bytes| bytes == b"pytorch").unwrap();
    let mut other = net.clone();
    other[at] = b'P';
    fs::write(here.join("net.onnx"), other).unwrap();
    for run in ["first", "run"] {
        let more = ["resume", run, "--set", "steps=4"];
        refuses(edgewalk(here, &more), 2, &["net.onnx", "SHA-256", &file.sha256()[..12]]);
        refuses(edgewalk(here, &["curvature", run, "--top", "1"]), 2, &["net.onnx", "SHA-256"]);
        refuses(edgewalk(here, &["fork", run, "--set", "steps=4", "--out", "branch"]), 2, &["net.onnx", "SHA-256"]);
        fs::remove_dir_all(here.join("branch")).ok();
    }
    fs::write(here.join("net.onnx"), &net).unwrap();
    for run in ["first", "run"] {
        succeeds(edgewalk(here, &["resume", run, "--set", "steps=4"]));
    }
}

/// The parameters of a run's last checkpoint.
fn first_params(run: &Path) -> std::path::PathBuf {
    run.join("checkpoints/step_00000002/params.safetensors")
}

#[test]
fn info_lists_the_parameters() {
    let net = fixture("resnet").join("net.onnx");
    let info = |more: &[&str]| succeeds(edgewalk(Path::new("."), &[&["info", net.to_str().unwrap()], more].concat()));
    let text = info(&[]);
    let lines = ["parameters (1217 numbers)", "conv0.weight [4, 3, 7, 7]", "norm0.weight [4]", "head.bias [3]"];
    for line in lines.iter().chain(&["numbers of shape [examples, 3, 16, 16]", "4 Conv", "norm0.running_mean [4]"]) {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
    let frozen = info(&["--freeze", "norm*", "--freeze", "*.bias"]);
    let (params, constants) = frozen.split_once("constants").unwrap();
    assert!(!params.contains("norm0.weight") && constants.contains("norm0.weight"), "{frozen}");
    assert!(constants.contains("head.bias") && params.contains("head.weight"), "{frozen}");
}

#[test]
fn files_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::write(here.join("no.onnx"), b"nothing of the kind").unwrap();
    let net = fixture("mlp").join("net.onnx");
    let net = net.to_str().unwrap();
    let cnn = fixture("cnn").join("set.npz");
    refuses(edgewalk(here, &["info", "no.onnx"]), 2, &["no.onnx", "no ONNX model"]);
    refuses(edgewalk(here, &["info", "nowhere.onnx"]), 2, &["nowhere.onnx", "cannot read"]);
    let wrong = ["curvature", net, "--data", cnn.to_str().unwrap(), "--loss", "cross-entropy"];
    refuses(edgewalk(here, &wrong), 2, &["[6]", "[2, 8, 8]"]);
    refuses(edgewalk(here, &["curvature", "nowhere", "--top", "1"]), 1, &["nowhere"]);
    refuses(edgewalk(here, &["train", "--set", "model.kind=onnx"]), 2, &["model.path"]);
    refuses(edgewalk(here, &["train", "--set", "model.path=a.onnx"]), 2, &["model.kind"]);
}

#[test]
fn a_network_may_know_more_classes_than_there_are_examples_of() {
    let folder = tempfile::tempdir().unwrap();
    let (net, set) = (fixture("cnn").join("net.onnx"), fixture("cnn").join("set.npz"));
    let mut command = edgewalk(folder.path(), &["curvature", net.to_str().unwrap(), "--data", set.to_str().unwrap()]);
    command.args(["--loss", "cross-entropy", "--top", "1", "--set", "data.classes=[0, 2]", "--out", "found"]);
    succeeds(command);
}

fn operators() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/operators")
}

/// A network's values for an input, by the interpreter.
fn computed(network: &Network, x: &Value) -> Vec<f64> {
    let mut g = Graph::new();
    let arrays = network.params().iter().chain(network.constants());
    let (nodes, mut given): (Vec<_>, Vec<_>) = arrays
        .map(|array| {
            let node = g.input_f32(&array.name, &array.shape);
            (node, (node, Tensor { shape: array.shape.clone(), data: array.values.clone() }))
        })
        .unzip();
    let shape: Vec<usize> = numbers(&x["shape"]).iter().map(|&size| size as usize).collect();
    let input = g.input("x", &shape, DType::F32);
    given.push((input, Tensor { shape, data: numbers(&x["x"]) }));
    let y = network.forward(&mut g, &nodes, input).unwrap();
    eval(&g, &[y], &given).unwrap().remove(0).data
}

/// `scripts/onnx_operators.py` wrote the graphs, and what onnxruntime computes of them in float32.
#[test]
fn operators_agree_with_onnxruntime() {
    let expected: Value = serde_json::from_slice(&fs::read(operators().join("expected.json")).unwrap()).unwrap();
    let mut wrong = vec![];
    for (name, case) in expected.as_object().unwrap() {
        let network = Network::read(&operators().join(format!("{name}.onnx")), &[]);
        let found = network.map(|network| std::panic::catch_unwind(|| computed(&network, case)));
        let y = numbers(&case["y"]);
        match found {
            Ok(Ok(found)) if found.len() == y.len() => {
                let error = found.iter().zip(&y).map(|(a, b)| (a - b).abs() / (1.0 + b.abs())).fold(0.0, f64::max);
                if error > 1e-5 || error.is_nan() {
                    wrong.push(format!("{name}: {error:e}"));
                }
            }
            Ok(found) => {
                wrong.push(format!("{name}: {:?} instead of {} values", found.map(|it| it.len()).ok(), y.len()));
            }
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
