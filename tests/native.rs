//! The processor as a device: what the tests of kernels and runs, which `device` repeats on it, do not ask.

use std::sync::Arc;

use edgewalk::cpu::Cpu;
use edgewalk::curvature::Operator;
use edgewalk::device::{Device, DeviceError, Precision};
use edgewalk::graph::{ConvSide, Graph, NodeId, Op, Tensor, Unary, Window};
use edgewalk::model::{Activation, Loss};
use edgewalk::objective::{HessianOperator, Objective};
use edgewalk::plan::{Output, Place, Spec};
use tempfile::tempdir;

use super::cli::{edgewalk, refuses, succeeds};
use super::device::assert_native_agrees;
use super::networks::{ACTIVATIONS, LOSSES, mlp, network};
use super::objective_cases::{Case, close, direction};
use super::oracle::Numbers;

/// A program with every kind of step: a large product with an epilogue, a convolution of each side, rows, a long sum
/// and a map.
fn program() -> (Graph, Vec<(NodeId, Tensor)>, Vec<NodeId>) {
    let (mut g, mut numbers) = (Graph::new(), Numbers::new(31));
    let mut given = vec![];
    let mut input = |g: &mut Graph, shape: &[usize]| {
        let id = g.input_f32("x", shape);
        given.push((id, numbers.tensor(shape)));
        id
    };
    let (a, b) = (input(&mut g, &[300, 200]), input(&mut g, &[200, 150]));
    let product = g.matmul(a, b);
    let tanh = g.unary(Unary::Tanh, product);
    let exp = g.unary(Unary::Exp, tanh);
    let sum = g.reduce_sum(exp, &[1]);
    let sum = g.broadcast_over(sum, &[300, 150], &[1]);
    let softmax = g.div(exp, sum);
    let square = g.mul(product, product);
    let total = g.sum_all(square);
    let window = Window::same([12, 12], [3, 3], [1, 1]);
    let (x, w, u) = (input(&mut g, &[40, 12, 12, 5]), input(&mut g, &[3, 3, 5, 7]), input(&mut g, &[40, 12, 12, 7]));
    let sides = [(ConvSide::Output, [x, w]), (ConvSide::Input, [w, u]), (ConvSide::Kernel, [x, u])];
    let mut outputs = vec![tanh, softmax, total];
    outputs.extend(sides.map(|(of, operands)| g.push(Op::Conv { of, window }, &operands)));
    (g, given, outputs)
}

/// The bits of all outputs, computed twice by so many threads.
fn bits(precision: Precision, threads: usize) -> Vec<u64> {
    let (graph, given, outputs) = program();
    let cpu = Cpu::with_threads(precision, threads).unwrap();
    let lens: Vec<usize> =
        given.iter().map(|(_, t)| t.data.len()).chain(outputs.iter().map(|&id| graph.node(id).ty.len())).collect();
    let at = |slot| Place { slot, offset: 0 };
    let inputs: Vec<_> = given.iter().enumerate().map(|(slot, (id, _))| (*id, at(slot))).collect();
    let results: Vec<_> = (outputs.iter().enumerate())
        .map(|(i, &node)| Output { node, place: at(given.len() + i), accumulate: false })
        .collect();
    let spec = Spec { name: "threads", graph: &graph, inputs: &inputs, outputs: &results, slots: &lens };
    let buffers: Vec<_> = lens.iter().map(|&len| cpu.buffer("a slot", len).unwrap()).collect();
    for ((_, tensor), buffer) in given.iter().zip(&buffers) {
        cpu.write(buffer, &tensor.data).unwrap();
    }
    let loaded = cpu.load(cpu.compile(&spec).unwrap()).unwrap();
    let recording = loaded.bind(&cpu, &buffers.iter().collect::<Vec<_>>()).unwrap();
    let read = || {
        cpu.run([&recording]).unwrap();
        let read = |buffer| cpu.read::<f64>(buffer).unwrap().into_iter().map(f64::to_bits);
        buffers[given.len()..].iter().flat_map(read).collect::<Vec<u64>>()
    };
    let first = read();
    assert!(first == read(), "a second run differs");
    first
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for precision in [Precision::F32, Precision::F64] {
        let alone = bits(precision, 1);
        for threads in [2, 3, 16] {
            assert!(bits(precision, threads) == alone, "{threads} threads in {precision}");
        }
    }
}

#[test]
fn everything_about_small_networks_agrees_in_both_precisions() {
    for (i, activation) in ACTIVATIONS.into_iter().enumerate() {
        let network = network(&mlp(activation, 13, 20, 5), LOSSES[i % LOSSES.len()], 33);
        for (_, outputs) in &network.programs {
            assert_native_agrees(&network.graph, outputs, &network.given, 1e-4);
        }
    }
}

/// In chunks, through everything that a run computes, against a network in f64 that shares no code with it.
#[test]
fn an_objective_in_64_bits_is_right_to_twelve_digits() {
    let device = Device::open_with(None, Precision::F64).unwrap();
    for (activation, loss) in [(Activation::Tanh, Loss::CrossEntropy), (Activation::Gelu, LOSSES[0])] {
        let case = Case::new(24, 50, activation, loss);
        let reference = case.reference();
        let here = reference.at(&case.w64());
        let mut objective = Objective::new(&device, Arc::new(case.mlp.clone()), loss, &case.data, 16).unwrap();
        let [w, gradient] = ["w", "a gradient"].map(|what| objective.vector(what).unwrap());
        let partials = device.buffer("sums", objective.partials_len()).unwrap();
        objective.set_params(&w, &case.w).unwrap();
        let recording = objective.gradient(&w, &gradient, Some(&partials)).unwrap();
        device.run([&recording]).unwrap();
        close("loss", &[objective.metrics(&device.read(&partials).unwrap()).loss], &[here.loss], 1e-12);
        close("gradient", &objective.read::<f64>(&gradient).unwrap(), here.gradient.as_slice(), 1e-12);
        let v = direction(case.w.len(), 7);
        let mut product = vec![0.0; v.len()];
        HessianOperator::new(&mut objective, &w).unwrap().apply(&v, &mut product).unwrap();
        close("H v", &product, here.hvp(&v).as_slice(), 1e-12);
    }
}

#[test]
fn a_buffer_in_two_slots_is_refused_where_it_is_written() {
    let mut g = Graph::new();
    let x = g.input_f32("x", &[8]);
    let (reversed, at) = (g.offset(x, 1.0), |slot| Place { slot, offset: 0 });
    let outputs = [Output { node: reversed, place: at(1), accumulate: false }];
    let spec = Spec { name: "twice", graph: &g, inputs: &[(x, at(0))], outputs: &outputs, slots: &[8, 8] };
    let cpu = Cpu::open(Precision::F32).unwrap();
    let buffer = cpu.buffer("both", 8).unwrap();
    let loaded = cpu.load(cpu.compile(&spec).unwrap()).unwrap();
    let error = loaded.bind(&cpu, &[&buffer, &buffer]).unwrap_err();
    assert!(matches!(error, DeviceError::Mismatch(_)) && error.to_string().contains("bind different ones"), "{error}");
}

#[test]
fn devices_refuse_what_belongs_to_another() {
    let [single, double] = [Precision::F32, Precision::F64].map(|precision| Cpu::open(precision).unwrap());
    let buffer = single.buffer_from("numbers", &[1.0_f32, 2.0]).unwrap();
    assert!(double.read::<f64>(&buffer).is_err() && double.write(&buffer, &[1.0_f64]).is_err());
    let dry = single.dry().buffer("nothing", 2).unwrap();
    assert!(single.read::<f32>(&dry).is_err());
}

#[test]
fn numbers_and_words_are_the_same_in_both_precisions() {
    for precision in [Precision::F32, Precision::F64] {
        let cpu = Cpu::open(precision).unwrap();
        let words = cpu.buffer_from("words", &[0, 7, u32::MAX]).unwrap();
        assert_eq!(cpu.read::<u32>(&words).unwrap(), [0, 7, u32::MAX]);
        let numbers = cpu.buffer_from("numbers", &[0.1_f64, -3.0]).unwrap();
        assert_eq!(cpu.read::<f32>(&numbers).unwrap(), [0.1, -3.0]);
        let exact = if precision == Precision::F64 { 0.1 } else { f64::from(0.1_f32) };
        assert_eq!(cpu.read::<f64>(&numbers).unwrap(), [exact, -3.0]);
    }
}

/// The settings of a run of a fraction of a second.
const TINY: [&str; 10] =
    ["--set", "width=16", "--set", "train=100", "--set", "test=0", "--set", "steps=4", "--set", "measure.every=2"];

#[test]
fn a_machine_without_any_driver_trains() {
    let folder = tempdir().unwrap();
    let mut command =
        edgewalk(folder.path(), &[&["train", "quickstart", "--out", "run", "--adapter", "auto"], &TINY[..]].concat());
    command.env("VK_DRIVER_FILES", "/none").env("VK_ICD_FILENAMES", "/none").env("LIBGL_DRIVERS_PATH", "/none");
    succeeds(command);
    let manifest = std::fs::read_to_string(folder.path().join("run/manifest.json")).unwrap();
    assert!(manifest.contains("\"backend\": \"Native\""), "{manifest}");
}

#[test]
fn a_run_in_64_bits_can_be_resumed_and_is_refused_elsewhere() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    let train = |out: &str, adapter: &str, more: &[&str]| {
        let start = ["train", "quickstart", "--out", out, "--adapter", adapter, "--set", "run.precision=f64"];
        edgewalk(here, &[&start, &TINY[..], more].concat())
    };
    succeeds(train("whole", "native", &["--set", "optim.momentum=0.5"]));
    succeeds(train("parts", "native", &["--set", "optim.momentum=0.5", "--set", "steps=2"]));
    succeeds(edgewalk(here, &["resume", "parts", "--set", "steps=4"]));
    let params = |run: &str| {
        let steps = std::fs::read_dir(here.join(run).join("checkpoints")).unwrap().map(|entry| entry.unwrap().path());
        let last = steps.max().unwrap();
        assert!(last.to_str().unwrap().ends_with('4'), "{}", last.display());
        std::fs::read(last.join("params.safetensors")).unwrap()
    };
    let whole = params("whole");
    assert!(whole == params("parts") && String::from_utf8_lossy(&whole).contains("\"F64\""));
    let software = edgewalk::device::adapters().unwrap();
    if let Some(index) = software.iter().position(|adapter| !adapter.is_native()) {
        refuses(train("refused", &index.to_string(), &[]), 1, &["32 bits", "--adapter native"]);
    }
}
