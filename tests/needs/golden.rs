//! Whole runs against curves that `scripts/reference.py`, an independent float64 program, computed from the same starting
//! points and the same real data: `tests/golden` has the curves, and says how they are made.

use std::path::Path;

use edgewalk::folder::rows::CurvatureRow;
use edgewalk::folder::tables::read_curvature;
use edgewalk::model::{
    Activation, Cnn, Layout, Mlp, Model, Norm, Pool, Readout, ResNet, Transformer, Vgg, Vit, params_to_safetensors,
};

use super::oracle::Numbers;
use super::program::{edgewalk, succeeds};
use super::real_data::real_data;

/// A number of a row.
type Column = fn(&CurvatureRow) -> f64;

/// The starting point of a seed by the rule of `tests/golden/README.md`.
fn start(layout: &Layout, seed: u64) -> Vec<f32> {
    let mut numbers = Numbers::new(seed);
    let mut params = vec![];
    for (param, _) in layout.iter() {
        let shape = &param.shape;
        let (centre, scale) = match &param.name {
            name if name.starts_with("embed.") => (0.0, 3f64.sqrt() * 0.1),
            name if name.ends_with(".kernel") => {
                let (positions, fans) = shape.split_at(shape.len() - 2);
                let fans = positions.iter().product::<usize>() * (fans[0] + fans[1]);
                (0.0, 3f64.sqrt() * (2.0 / fans as f64).sqrt())
            }
            name => (f64::from(u8::from(name.ends_with(".scale"))), 0.1),
        };
        let len: usize = shape.iter().product();
        params.extend((0..len).map(|_| (centre + numbers.number() * scale) as f32));
    }
    params
}

/// The largest relative difference of a number of the curves, or for alignments the largest absolute one.
fn worst(found: &[CurvatureRow], golden: &[CurvatureRow], value: Column, relative: bool) -> f64 {
    let difference = |(a, b): (&CurvatureRow, &CurvatureRow)| {
        let (a, b) = (value(a), value(b));
        (a - b).abs() / if relative { b.abs() } else { 1.0 }
    };
    found.iter().zip(golden).map(difference).fold(0.0, f64::max)
}

/// Runs the program as `settings` say and compares its curvature table with the golden one.
fn check(name: &str, model: &dyn Model, seed: u64, preset: &str, data: &Path, settings: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::of(model).unwrap();
    let init = folder.path().join("init.safetensors");
    std::fs::write(&init, params_to_safetensors(&layout, &start(&layout, seed)).unwrap()).unwrap();
    let path = format!("data.path={}", data.display());
    let common = ["data.test=0", "top=2", "tol=1e-6", &path];
    let mut args = vec!["train", preset, "--init", init.to_str().unwrap(), "--out", "run"];
    args.extend(settings.iter().chain(&common).flat_map(|set| ["--set", *set]));
    succeeds(edgewalk(folder.path(), &args));

    let found = read_curvature(&folder.path().join("run").join("curvature.csv")).unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join("golden").join(name).with_extension("csv");
    let golden = read_golden(&golden);
    let steps = |rows: &[CurvatureRow]| rows.iter().map(|row| row.step).collect::<Vec<_>>();
    assert_eq!(steps(&found), steps(&golden));
    // In float64, a start that differs by one float32 rounding leads 1e-7 to 1e-6 away, alignments up to 5e-5
    // (tests/golden/README.md); a float32 program rounds at every one of its steps.
    let columns: [(&str, Column, bool, f64); 8] = [
        ("loss", |row| row.loss, true, 1e-6),
        ("grad_norm", |row| row.grad_norm, true, 1e-5),
        ("lambda_1", |row| row.lambdas[0], true, 2e-5),
        ("lambda_2", |row| row.lambdas[1], true, 2e-5),
        ("sam_edge", |row| row.sam_edge, true, 1e-5),
        ("edge_ratio", |row| row.edge_ratio, true, 2e-5),
        ("grad_alignment", |row| row.grad_alignment, false, 1e-3),
        ("sam_grad_alignment", |row| row.sam_grad_alignment, false, 1e-3),
    ];
    for (column, value, relative, bound) in columns {
        let worst = worst(&found, &golden, value, relative);
        println!("{name}: {column} {worst:.1e} (at most {bound:.0e})");
        assert!(worst <= bound, "{name}: {column} is off by {worst:e}");
    }
}

/// The reference writes a part of the columns of a curvature table.
fn read_golden(path: &Path) -> Vec<CurvatureRow> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header = reader.headers().unwrap().clone();
    let row = |cells: csv::StringRecord| {
        let number =
            |name: &str| -> f64 { cells[header.iter().position(|column| column == name).unwrap()].parse().unwrap() };
        CurvatureRow {
            step: number("step") as u64,
            secs: 0.0,
            loss: number("loss"),
            grad_norm: number("grad_norm"),
            lambdas: vec![number("lambda_1"), number("lambda_2")],
            residuals: vec![],
            lambda_min: None,
            hessian_norm: number("hessian_norm"),
            gd_edge: number("gd_edge"),
            sam_edge: number("sam_edge"),
            edge_ratio: number("edge_ratio"),
            gauge: f64::NAN,
            grad_alignment: number("grad_alignment"),
            sam_grad_alignment: number("sam_grad_alignment"),
            hvps: 0,
            ..Default::default()
        }
    };
    reader.records().map(|cells| row(cells.unwrap())).collect()
}

pub fn mlp_on_mnist() {
    let mlp = Mlp { inputs: 784, width: 16, depth: 4, outputs: 10, activation: Activation::Relu };
    let settings = ["data.train=64", "width=16", "lr=0.1", "rho=0.1", "steps=20", "measure.every=5"];
    check("mlp", &mlp, 1, "mnist-mlp", &real_data("mnist"), &settings);
}

pub fn cnn_on_cifar10() {
    let cnn = Cnn::paper([32, 32, 3], 8, 10);
    let settings = ["data.train=64", "channels=8", "lr=0.001", "rho=0.02", "steps=5", "measure.every=1"];
    check("cnn", &cnn, 4, "cifar-cnn", &real_data("cifar-10-batches-bin"), &settings);
}

pub fn resnet_on_cifar10() {
    let (image, activation, norm) = ([32, 32, 3], Activation::Relu, Norm::Group);
    let resnet = ResNet { image, blocks: 1, channels: 4, norm, groups: 2, activation, outputs: 10 };
    let settings = ["data.train=32", "channels=4", "groups=2", "lr=0.01", "rho=0.05", "steps=6", "measure.every=1"];
    check("resnet", &resnet, 5, "cifar-resnet-small", &real_data("cifar-10-batches-bin"), &settings);
}

pub fn vgg_on_cifar10() {
    let (image, activation, norm) = ([32, 32, 3], Activation::Relu, Norm::Group);
    let vgg = Vgg { image, channels: 2, norm, groups: 2, activation, pool: Pool::Max, outputs: 10 };
    let settings = ["data.train=16", "channels=2", "groups=2", "lr=0.05", "rho=0.05", "steps=10", "measure.every=2"];
    check("vgg", &vgg, 3, "cifar-vgg-small", &real_data("cifar-10-batches-bin"), &settings);
}

pub fn vit_on_cifar10() {
    let (image, patch_size, readout) = ([32, 32, 3], 8, Readout::Class);
    let vit = Vit { image, patch_size, layers: 1, heads: 2, key_size: 8, model_size: 16, readout, outputs: 10 };
    let settings = [
        "data.train=32",
        "patch_size=8",
        "layers=1",
        "heads=2",
        "key_size=8",
        "model_size=16",
        "readout=class",
        "lr=0.1",
        "rho=0.1",
        "steps=20",
        "measure.every=5",
    ];
    check("vit", &vit, 1, "cifar-vit-small", &real_data("cifar-10-batches-bin"), &settings);
}

pub fn transformer_on_shakespeare() {
    let model = Transformer { layers: 1, heads: 2, key_size: 8, model_size: 16, length: 16, vocabulary: 128 };
    let settings = [
        "data.train=8",
        "batch=0",
        "layers=1",
        "heads=2",
        "key_size=8",
        "model_size=16",
        "seq_len=16",
        "lr=0.1",
        "rho=0.1",
        "steps=20",
        "measure.every=5",
    ];
    check("transformer", &model, 1, "shakespeare-transformer", &real_data("tinyshakespeare"), &settings);
}
