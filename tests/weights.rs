//! Weights from elsewhere: the state of PyTorch's networks gives the outputs, the loss and the Hessian that PyTorch
//! computes, and `--init` takes runs and checkpoints. `scripts/pytorch_reference.py` wrote the files in `tests/pytorch`.

use std::fs;
use std::path::{Path, PathBuf};

use edgewalk::data::{self, DataName, Examples, Features, ImageLayout, Options, Request};
use edgewalk::folder::tables::read_metrics;
use edgewalk::graph::{DType, Graph, Tensor, eval};
use edgewalk::model::{
    Activation, Cnn, Layout, Mlp, Model, Norm, Pool, params_from_pytorch, params_from_safetensors,
    params_to_safetensors,
};
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::Value;

use super::objective_cases::{close, widen};
use super::program::{edgewalk, refuses, succeeds, tiny_run};

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pytorch").join(name)
}

/// What PyTorch computed in float64.
pub fn expected(name: &str) -> Value {
    serde_json::from_slice(&fs::read(fixture(name).join("expected.json")).unwrap()).unwrap()
}

pub fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// The examples that PyTorch had.
pub fn examples(name: &str, options: Options) -> Examples {
    let path = Some(fixture(name).join("set.npz"));
    data::load(&Request { path, options, ..Request::new(DataName::Arrays) }).unwrap().train
}

fn mlp() -> Mlp {
    Mlp { inputs: 6, width: 8, depth: 3, outputs: 3, activation: Activation::Tanh }
}

fn cnn() -> Cnn {
    Cnn {
        image: [8, 8, 2],
        blocks: 2,
        layers_per_block: 1,
        channels: 3,
        growth: 2,
        stride: 1,
        activation: Activation::Tanh,
        norm: Norm::None,
        groups: 1,
        pool: Pool::Max,
        outputs: 3,
    }
}

/// The outputs of a network by the interpreter.
pub fn outputs(model: &dyn Model, params: &[f64], data: &Examples) -> Vec<f64> {
    let layout = Layout::of(model).unwrap();
    let mut g = Graph::new();
    let (mut nodes, mut given) = (vec![], vec![]);
    let parts = layout.iter().map(|(param, offset)| {
        let len: usize = param.shape.iter().product();
        (param.shape.clone(), params[offset..offset + len].to_vec())
    });
    for (shape, data) in parts.chain(model.constants().into_iter().map(|it| (it.shape, it.values))) {
        let node = g.input_f32("given", &shape);
        nodes.push(node);
        given.push((node, Tensor { shape, data }));
    }
    let shape = vec![data.len(), data.dim()];
    let (dtype, numbers) = match data.features() {
        Features::Real(values) => (DType::F32, widen(values)),
        Features::Tokens(codes) => (DType::U32, codes.iter().map(|&code| code.into()).collect()),
    };
    let x = g.input("x", &shape, dtype);
    given.push((x, Tensor { shape, data: numbers }));
    let outputs = model.forward(&mut g, &nodes, x);
    eval(&g, &[outputs], &given).unwrap().remove(0).data
}

/// The results that `curvature` wrote into the folder `found`.
pub fn found(here: &Path) -> Value {
    serde_json::from_slice(&fs::read(here.join("found/curvature.json")).unwrap()).unwrap()
}

/// Compares [`found`] with the double backward of PyTorch in float64: loss, gradient norm, three eigenvalues.
pub fn check_found(here: &Path, name: &str, tolerance: f64) {
    check_values(here, name, &expected(name), tolerance);
}

/// The same with given results of PyTorch.
pub fn check_values(here: &Path, name: &str, expected: &Value, tolerance: f64) {
    let found = found(here);
    for (key, tolerance) in [("loss", tolerance / 10.0), ("grad_norm", tolerance)] {
        close(key, &[found[key].as_f64().unwrap()], &[expected[key].as_f64().unwrap()], tolerance);
    }
    let eigenvalues = found["findings"][0]["eigenvalues"].as_array().unwrap();
    let values: Vec<f64> = eigenvalues.iter().map(|pair| pair["value"].as_f64().unwrap()).collect();
    assert!(values.len() >= 3, "{values:?}");
    for (found, expected) in values.iter().zip(numbers(&expected["eigenvalues"])) {
        close(name, &[*found], &[expected], tolerance);
    }
}

#[test]
fn states_of_pytorch_give_its_outputs() {
    let cases: [(&str, Box<dyn Model>); 2] = [("mlp", Box::new(mlp())), ("cnn", Box::new(cnn()))];
    for (name, model) in cases {
        let layout = Layout::of(&*model).unwrap();
        let state = fs::read(fixture(name).join("state.safetensors")).unwrap();
        let params: Vec<f64> = params_from_pytorch(&layout, &state).unwrap();
        let layout = if name == "cnn" { ImageLayout::Nchw } else { ImageLayout::Nhwc };
        let data = examples(name, Options { layout, ..Options::default() });
        close(name, &outputs(&*model, &params, &data), &numbers(&expected(name)["outputs"]), 1e-12);
    }
}

/// The settings of a network of PyTorch on its data.
fn settings(name: &str) -> String {
    let (layout, model) = match name {
        "mlp" => ("nhwc", "kind = \"mlp\"\nwidth = 8\ndepth = 3"),
        _ => ("nchw", "kind = \"cnn\"\nchannels = 3\nnorm = \"none\""),
    };
    let path = fixture(name).join("set.npz");
    format!(
        "[data]\nname = \"arrays\"\npath = '{}'\nlayout = \"{layout}\"\n[model]\nactivation = \"tanh\"\n{model}\n\
         [loss]\nkind = \"cross-entropy\"\n[run]\nsteps = 2\n[measure]\nevery = 0\n",
        path.display()
    )
}

#[test]
fn curvature_of_a_state_is_that_of_double_backward() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for name in ["mlp", "cnn"] {
        let state = fixture(name).join("state.safetensors");
        for (precision, tolerance) in [("f32", 1e-4), ("f64", 1e-6)] {
            let file = format!("{name}-{precision}.toml");
            let settings = settings(name).replace("[run]", &format!("[run]\nprecision = \"{precision}\""));
            fs::write(here.join(&file), settings).unwrap();
            let mut arguments = vec!["curvature", state.to_str().unwrap(), "--layout", "pytorch", "--config", &file];
            arguments.extend(["--top", "3", "--tol", "1e-6", "--out", "found"]);
            if precision == "f64" {
                arguments.extend(["--adapter", "native"]);
            }
            succeeds(edgewalk(here, &arguments));
            check_found(here, name, tolerance);
        }
        fs::write(here.join("train.toml"), settings(name)).unwrap();
        let state = state.to_str().unwrap();
        succeeds(edgewalk(here, &["train", "train.toml", "--init", state, "--layout", "pytorch", "--out", name]));
        let first = read_metrics(&here.join(name).join("metrics.csv")).unwrap()[0].loss;
        close("first loss", &[first], &[expected(name)["loss"].as_f64().unwrap()], 1e-5);
        succeeds(edgewalk(here, &["resume", name, "--set", "steps=3"]));
    }
    // Without its layout, a state has other names.
    let state = fixture("mlp").join("state.safetensors");
    let plain = edgewalk(here, &["train", "train.toml", "--init", state.to_str().unwrap(), "--out", "other"]);
    refuses(plain, 1, &["0.bias", "dense0.kernel"]);
}

#[test]
fn runs_and_checkpoints_are_initial_weights() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    tiny_run(here);
    let last = read_metrics(&here.join("run/metrics.csv")).unwrap().last().unwrap().loss;
    for (i, init) in
        ["run", "run/checkpoints/step_00000024", "run/checkpoints/step_00000024/params.safetensors"].iter().enumerate()
    {
        let out = format!("again{i}");
        let mut command = edgewalk(here, &["train", "--out", &out, "--init", init]);
        command.args(["--set", "width=8", "--set", "train=50", "--set", "data.test=0", "--set", "steps=1"]);
        succeeds(command);
        let first = read_metrics(&here.join(&out).join("metrics.csv")).unwrap()[0].loss;
        assert!(first < last * 1.01, "{first} does not go on from {last}");
        let config = fs::read_to_string(here.join(&out).join("config.toml")).unwrap();
        assert!(config.contains("step_00000024"), "the file is in the settings: {config}");
    }
    fs::create_dir(here.join("empty")).unwrap();
    refuses(edgewalk(here, &["train", "--init", "empty", "--out", "none"]), 1, &["empty"]);
}

#[test]
fn states_that_do_not_fit_are_refused_by_name() {
    let layout = Layout::of(&mlp()).unwrap();
    let file = |tensors: &[(&str, &[usize])]| {
        let bytes: Vec<(&str, Vec<usize>, Vec<u8>)> = tensors
            .iter()
            .map(|(name, shape)| (*name, shape.to_vec(), vec![0; 4 * shape.iter().product::<usize>()]))
            .collect();
        let views = bytes
            .iter()
            .map(|(name, shape, bytes)| (*name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
        serialize(views, None).unwrap()
    };
    let good: [(&str, &[usize]); 6] = [
        ("net.2.weight", &[8, 8]),
        ("net.2.bias", &[8]),
        ("net.10.weight", &[3, 8]),
        ("net.10.bias", &[3]),
        ("net.0.weight", &[8, 6]),
        ("net.0.bias", &[8]),
    ];
    // Layers stand in the order of their numbers, not of the alphabet.
    assert_eq!(params_from_pytorch::<f64>(&layout, &file(&good)).unwrap(), vec![0.0; layout.len()]);
    let with = |at: usize, name: &'static str, shape: &'static [usize]| {
        let mut tensors = good;
        tensors[at] = (name, shape);
        params_from_pytorch::<f32>(&layout, &file(&tensors)).unwrap_err().to_string()
    };
    for (message, words) in [
        (with(4, "net.0.weight", &[6, 8]), "`net.0.weight` has shape [6, 8], and this model needs [8, 6]"),
        (with(1, "net.2.mean", &[8]), "`net.2.mean`"),
        (with(1, "net.3.bias", &[8]), "dense1.bias"),
        (params_from_pytorch::<f32>(&layout, &file(&good[2..])).unwrap_err().to_string(), "`net.10.weight` has shape"),
        (params_from_pytorch::<f32>(&layout, b"no").unwrap_err().to_string(), "safetensors"),
    ] {
        assert!(message.contains(words), "{words:?} is not in {message}");
    }
    let extra: Vec<(&str, &[usize])> =
        good.iter().copied().chain([("net.12.weight", &[3, 3][..]), ("net.12.bias", &[3])]).collect();
    let message = params_from_pytorch::<f32>(&layout, &file(&extra)).unwrap_err().to_string();
    assert!(message.contains("`net.12.weight` is not part of this model"), "{message}");
    let own = params_to_safetensors(&layout, &vec![0.5_f32; layout.len()]).unwrap();
    assert!(
        params_from_pytorch::<f32>(&layout, &own).is_err() && params_from_safetensors::<f32>(&layout, &own).is_ok()
    );
}
