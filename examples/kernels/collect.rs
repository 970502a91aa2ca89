//! The kernels of the presets' networks for any target, through the public API. `main.rs` writes them to files, and
//! tests translate them.

use std::collections::BTreeMap;
use std::sync::Arc;

use edgewalk::autodiff::{grad, hvp};
use edgewalk::graph::{DType, Graph, NodeId, Op};
use edgewalk::kernel::{Choices, Kernel, KernelError, Program, Registers, Target, Variant, compile};
use edgewalk::model::{Activation, Cnn, Layout, Loss, Mlp, Model, Reduction, Transformer};
use edgewalk::passes::{self, SplitPolicy};
use edgewalk::plan::{Output, Place, Spec};

/// A network, its loss, and how many examples are computed at once.
pub struct Task {
    pub name: &'static str,
    model: Box<dyn Model>,
    loss: Loss,
    rows: usize,
    /// Features and labels of an example.
    sizes: [usize; 2],
    features: DType,
}

/// The networks of the presets: the paper's sizes and the small ones.
pub fn tasks() -> Vec<Task> {
    let mlp = |name, width, rows| Task {
        name,
        model: Box::new(Mlp { inputs: 784, width, depth: 4, outputs: 10, activation: Activation::Relu }),
        loss: Loss::Mse(Reduction::Mean),
        rows,
        sizes: [784, 1],
        features: DType::F32,
    };
    let cnn = |name, channels, rows| Task {
        name,
        model: Box::new(Cnn::paper([32, 32, 3], channels, 10)),
        loss: Loss::Mse(Reduction::Mean),
        rows,
        sizes: [32 * 32 * 3, 1],
        features: DType::F32,
    };
    let transformer = |name, layers, heads, key_size, model_size, length, rows| Task {
        name,
        model: Box::new(Transformer { layers, heads, key_size, model_size, length, vocabulary: 128 }),
        loss: Loss::CrossEntropy,
        rows,
        sizes: [length, length],
        features: DType::U32,
    };
    vec![
        mlp("mnist-mlp", 1000, 10_000),
        mlp("mnist-mlp-small", 200, 1000),
        cnn("cifar-cnn", 16, 1000),
        cnn("cifar-cnn-small", 8, 100),
        transformer("shakespeare-transformer", 6, 8, 32, 128, 64, 128),
        transformer("shakespeare-transformer-small", 2, 4, 16, 64, 32, 32),
    ]
}

/// A kind of adapter by name: `gpu` (within WebGPU's limits), a GPU of a vendor, `subgroup` (software with subgroups of
/// 8) or `rows` (other software).
pub fn target(name: &str) -> Option<Target> {
    let gpu = |registers, max_bindings| Target {
        subgroup: None,
        cpu: false,
        registers,
        invocations: 256,
        max_bindings,
        split: SplitPolicy::GPU,
        choices: Arc::default(),
    };
    let vendor = |number, max_bindings| gpu(Registers::of_vendor(number), max_bindings);
    let software = |subgroup| Target { subgroup, cpu: true, split: SplitPolicy::SOFTWARE, ..gpu(Registers::Some, 8) };
    Some(match name {
        "gpu" => gpu(Registers::Many, 8),
        "amd" => vendor(0x1002, 16),
        "nvidia" => vendor(0x10de, 16),
        "intel" => vendor(0x8086, 16),
        "adreno" => vendor(0x5143, 16),
        "mali" => vendor(0x13b5, 16),
        "videocore" => vendor(0x14e4, 8),
        "subgroup" => software(Some(8)),
        "rows" => software(None),
        _ => return None,
    })
}

/// The distinct kernels that a task leads to, by default or in every variant that suits the target: of loss and
/// gradient, of the kept part of H·v, and of its products with one vector and with four. In the order of their labels.
///
/// # Errors
/// [`KernelError`] when a program cannot be compiled.
pub fn kernels(task: &Task, target: &Target, every_variant: bool) -> Result<Vec<Kernel>, KernelError> {
    let mut found: BTreeMap<(String, String), Kernel> = BTreeMap::new();
    let graphs = graphs(task);
    let variants = Variant::ALL.iter().copied().filter(|variant| every_variant && variant.suits(target)).map(Some);
    for tried in [None].into_iter().chain(variants) {
        let choices = Arc::new(Choices { tried, ..Choices::default() });
        for (graph, outputs) in &graphs {
            let program = program(task, graph, outputs, &Target { choices: choices.clone(), ..target.clone() })?;
            found.extend(
                program.kernels.iter().cloned().map(|kernel| ((kernel.label.clone(), kernel.wgsl.clone()), kernel)),
            );
        }
    }
    Ok(found.into_values().collect())
}

/// What a task computes, as graphs with outputs.
fn graphs(task: &Task) -> Vec<(Graph, Vec<NodeId>)> {
    let layout = Layout::of(&*task.model).expect("its sizes make a network");
    let mut graph = Graph::new();
    let vector = |g: &mut Graph| -> Vec<NodeId> {
        layout.iter().map(|(param, _)| g.input_f32(&param.name, &param.shape)).collect()
    };
    let (w, v) = (vector(&mut graph), vector(&mut graph));
    let x = graph.input("x", &[task.rows, task.sizes[0]], task.features);
    let labels = graph.input("labels", &[task.rows * task.sizes[1]], DType::U32);
    let outputs = task.model.forward(&mut graph, &w, x);
    let each = task.loss.per_label(&mut graph, outputs, labels);
    let sum = graph.sum_all(each);
    let loss = graph.scale(sum, 1.0 / (task.rows * task.sizes[1]) as f32);
    let gradient = grad(&mut graph, loss, &w);
    let product = hvp(&mut graph, loss, &w, &v);

    let simple = passes::simplify(&graph, &product);
    let product = simple.outputs(&product);
    let late: Vec<NodeId> = v.iter().filter_map(|&id| simple.get(id)).collect();
    let stages = passes::stage(&simple.graph, &product, &late);
    // Inputs keep their numbers: those of v come behind those of w.
    let second = &stages.second;
    let is_v = |id: &NodeId| matches!(second.graph.node(*id).op, Op::Input(n) if (w.len()..2 * w.len()).contains(&n));
    let late: Vec<NodeId> = second.graph.ids().filter(is_v).collect();
    let product = second.outputs(&product);
    let four = passes::vmap(&second.graph, &product, &late, 4);
    let products = four.outputs(&product);
    vec![
        (graph, [vec![loss], gradient].concat()),
        (simple.graph, stages.kept),
        (stages.second.graph, product),
        (four.graph, products),
    ]
}

/// The program that computes `outputs`. Parameters and vectors lie in one buffer, features, labels and kept values in
/// buffers of their own.
fn program(task: &Task, graph: &Graph, outputs: &[NodeId], target: &Target) -> Result<Program, KernelError> {
    let params = 2 * task.model.params().expect("its sizes make a network").len();
    let live = graph.reachable(outputs);
    let mut slots = vec![0, 0];
    let place = |slot: usize, len: usize, slots: &mut Vec<usize>| {
        slots.resize(slots.len().max(slot + 1), 0);
        let place = Place { slot, offset: slots[slot] };
        slots[slot] += len.next_multiple_of(4);
        place
    };
    let mut inputs = vec![];
    for id in graph.ids().filter(|id| live[id.index()]) {
        if let Op::Input(n) = graph.node(id).op {
            let slot = if n < params { 0 } else { 2 + n - params };
            inputs.push((id, place(slot, graph.node(id).ty.len(), &mut slots)));
        }
    }
    let mut stored = vec![];
    for &node in outputs {
        stored.push(Output { node, place: place(1, graph.node(node).ty.len(), &mut slots), accumulate: false });
    }
    compile(&Spec { name: "task", graph, inputs: &inputs, outputs: &stored, slots: &slots }, target)
}
