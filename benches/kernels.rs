//! Times of single kernels, of the shapes that networks need: products, a convolution with its transposes, a sum, a map.
//!
//! `cargo bench --bench kernels` prints them for the preferred adapter (EDGEWALK_ADAPTER names another). An iteration is one
//! submission, so what submitting costs is part of it; `edgewalk bench` times kernels without.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use edgewalk::device::{Buffer, Device, Recording};
use edgewalk::graph::{ConvSide, DotDims, Graph, NodeId, Op, Unary, Window};
use edgewalk::plan::{Output, Place, Spec};

/// A kernel to be: its inputs and its output.
struct Case {
    name: &'static str,
    graph: Graph,
    inputs: Vec<NodeId>,
    output: NodeId,
}

impl Case {
    fn new<const N: usize>(
        name: &'static str,
        shapes: [&[usize]; N],
        output: impl FnOnce(&mut Graph, [NodeId; N]) -> NodeId,
    ) -> Self {
        let mut graph = Graph::new();
        let inputs = shapes.map(|shape| graph.input_f32("x", shape));
        let output = output(&mut graph, inputs);
        Self { name, graph, inputs: inputs.to_vec(), output }
    }

    fn matmul(name: &'static str, [m, n, k]: [usize; 3]) -> Self {
        Self::new(name, [&[m, k], &[k, n]], |g, [a, b]| g.matmul(a, b))
    }

    /// A 3×3 convolution of 16 to 32 channels on 64 images, or one of its transposes.
    fn conv(name: &'static str, of: ConvSide) -> Self {
        let window = Window::same([32, 32], [3, 3], [1, 1]);
        let shape = |side| match side {
            ConvSide::Input => [64, 32, 32, 16],
            ConvSide::Kernel => [3, 3, 16, 32],
            ConvSide::Output => [64, 32, 32, 32],
        };
        let [a, b] = of.operands().map(shape);
        Self::new(name, [&a, &b], |g, operands| g.push(Op::Conv { of, window }, &operands))
    }

    /// Compiled and bound to buffers of zeros.
    fn record(&self, device: &Device) -> Recording {
        let Self { name, graph, inputs, output } = self;
        let slots: Vec<usize> = inputs.iter().chain([output]).map(|&id| graph.node(id).ty.len()).collect();
        let place = |slot| Place { slot, offset: 0 };
        let outputs = [Output { node: *output, place: place(inputs.len()), accumulate: false }];
        let inputs: Vec<(NodeId, Place)> = inputs.iter().enumerate().map(|(i, &id)| (id, place(i))).collect();
        let spec = Spec { name, graph, inputs: &inputs, outputs: &outputs, slots: &slots };
        let program = device.compile(&spec).expect("compiles");
        let buffers: Vec<Buffer> =
            slots.iter().map(|&len| device.buffer("a slot", len).expect("fits any adapter")).collect();
        let buffers: Vec<&Buffer> = buffers.iter().collect();
        device.load(program).and_then(|loaded| loaded.bind(device, &buffers)).expect("compiles")
    }
}

fn cases() -> Vec<Case> {
    let over_rows = DotDims { lhs_contract: vec![0], rhs_contract: vec![0], ..DotDims::default() };
    let heads = DotDims { lhs_batch: vec![0], rhs_batch: vec![0], lhs_contract: vec![2], rhs_contract: vec![2] };
    vec![
        Case::matmul("matmul 512³", [512; 3]),
        Case::matmul("matmul 1024³", [1024; 3]),
        Case::new("weight gradient 784×1000→200", [&[1000, 784], &[1000, 200]], |g, [x, u]| {
            g.dot_general(x, u, over_rows)
        }),
        Case::matmul("skinny 1000×200→10", [1000, 10, 200]),
        Case::new("attention 128×32×32×16", [&[128, 32, 16], &[128, 32, 16]], |g, [q, k]| {
            g.dot_general(q, k, heads)
        }),
        Case::conv("convolution 16→32, 64 of 32×32", ConvSide::Output),
        Case::conv("convolution to its input", ConvSide::Input),
        Case::conv("convolution to its kernel", ConvSide::Kernel),
        Case::new("sum of 1000 rows of 1000", [&[1000, 1000]], |g, [x]| g.reduce_sum(x, &[0])),
        Case::new("tanh of 2²⁰", [&[1 << 20]], |g, [x]| g.unary(Unary::Tanh, x)),
    ]
}

fn kernels(c: &mut Criterion) {
    let adapter = std::env::var("EDGEWALK_ADAPTER").ok();
    let device = Device::open(adapter.as_deref()).expect("an adapter");
    println!("adapter: {}", device.adapter().name);
    let mut group = c.benchmark_group("kernels");
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    for case in cases() {
        let recording = case.record(&device);
        group.throughput(Throughput::Elements(recording.flops() as u64));
        group.bench_function(case.name, |b| {
            b.iter(|| {
                device.run([&recording]).expect("runs");
                device.wait().expect("runs");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, kernels);
criterion_main!(benches);
