//! What does not fit, or is too large, is an error that the graph remembers: no builder, layer, model, pass or compiler panics,
//! and nothing is computed from it.

use std::sync::Arc;

use edgewalk::autodiff::{ggn, grad, hvp, jvp};
use edgewalk::data::{Examples, Features};
use edgewalk::device::DeviceError;
use edgewalk::graph::{
    Compare, ConvSide, DType, DotDims, Graph, GraphError, NodeId, Op, Type, Unary, Window, eval, verify,
};
use edgewalk::kernel::{KernelError, compile};
use edgewalk::model::layers::{add_bias, average_pool, dense, layer_norm, max_pool};
use edgewalk::model::{Activation, Cnn, Loss, Mlp, Model, Norm, Pool, Reduction, Transformer, wrong};
use edgewalk::objective::{HessianOperator, Objective};
use edgewalk::passes::{SplitPolicy, simplify, split, vmap};
use edgewalk::plan::{Output, Place, PlanError, Spec};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::cli::{edgewalk, refuses};
use super::device::wgpu;
use super::shaders::targets;

fn f32_of(shape: &[usize]) -> Type {
    Type { shape: shape.to_vec(), dtype: DType::F32 }
}

#[test]
fn every_builder_goes_on_with_the_type_that_was_meant() {
    type Build = fn(&mut Graph, NodeId, NodeId) -> NodeId;
    // x is [2, 3] and y is [4].
    let cases: [(Build, &[usize]); 16] = [
        (|g, x, y| g.add(x, y), &[2, 3]),
        (|g, x, y| g.select(x, x, y), &[2, 3]),
        (|g, x, _| g.to_f32(x), &[2, 3]),
        (|g, x, _| g.offset(x, f32::NAN), &[2, 3]),
        (|g, _, y| g.broadcast(y, &[4, 4], &[2]), &[4, 4]),
        (|g, x, _| g.broadcast(x, &[2, 3], &[1, 0]), &[2, 3]),
        (|g, x, _| g.reshape(x, &[7]), &[7]),
        (|g, x, _| g.transpose(x, &[0]), &[2]),
        (|g, x, _| g.slice(x, &[], &[2, 3]), &[]),
        (|g, x, _| g.slice(x, &[1, 1], &[2, 9]), &[1, 8]),
        (|g, x, _| g.pad(x, &[0], &[0, 0]), &[2, 3]),
        (|g, x, _| g.reduce_sum(x, &[5]), &[2, 3]),
        (|g, x, _| g.reduce_max(x, &[1, 0]), &[]),
        (|g, x, y| g.matmul(x, y), &[2]),
        (|g, x, y| g.conv(x, y, Window::same([2, 3], [1, 1], [0, 1])), &[1, 2, 3, 4]),
        (|g, x, _| g.one_hot(x, 5), &[2, 5]),
    ];
    for (number, (build, shape)) in cases.into_iter().enumerate() {
        let mut g = Graph::new();
        let (x, y) = (g.input_f32("x", &[2, 3]), g.input_f32("y", &[4]));
        let built = build(&mut g, x, y);
        assert_eq!((number, g.shape(built)), (number, shape));
        let error = g.check().unwrap_err();
        // The first error stays, whatever comes after it.
        g.add(y, x);
        let derivatives = grad(&mut g, built, &[x, y]);
        assert_eq!([g.check(), verify(&g)], [Err(error.clone()), Err(error.clone())]);
        assert_eq!(eval(&g, &derivatives, &[]).unwrap_err(), error);
        assert_eq!(simplify(&g, &derivatives).graph.check(), Err(error.clone()));
        let outputs = [Output { node: y, place: Place { slot: 0, offset: 0 }, accumulate: false }];
        let spec = Spec { name: "refused", graph: &g, inputs: &[], outputs: &outputs, slots: &[4] };
        assert_eq!(compile(&spec, &targets()[0]).unwrap_err(), PlanError::Graph(error).into());
    }
}

#[test]
fn a_value_that_is_too_large_keeps_its_type_and_is_too_large_for_a_kernel() {
    let mut g = Graph::new();
    let x = g.input_f32("x", &[1 << 20]);
    let table = g.broadcast(x, &[1 << 20, 1 << 13], &[0]);
    let sum = g.reduce_sum(table, &[1]);
    assert_eq!((g.shape(table), g.shape(sum)), (&[1 << 20, 1 << 13][..], &[1 << 20][..]));
    let error = GraphError::TooLarge(f32_of(&[1 << 20, 1 << 13]));
    assert_eq!(g.check(), Err(error.clone()));
    assert!(error.to_string().contains("a value f32[1048576,8192] has more elements"), "{error}");
    assert!(matches!(PlanError::from(error), PlanError::TooLarge(_)));
    // Of nothing times very much, and of a product that no integer holds.
    for shape in [vec![0, 1 << 40], vec![usize::MAX, usize::MAX], vec![usize::MAX, 2, 0]] {
        let mut g = Graph::new();
        let x = g.input_f32("x", &shape);
        g.sum_all(x);
        assert_eq!(g.check(), Err(GraphError::TooLarge(f32_of(&shape))));
    }
}

#[test]
fn nodes_of_another_graph_are_refused() {
    let mut other = Graph::new();
    let far = (0..9).map(|_| other.input_f32("x", &[2])).last().unwrap();
    let mut g = Graph::new();
    let x = g.input_f32("x", &[2]);
    assert_eq!(eval(&g, &[far], &[]).unwrap_err(), GraphError::Unknown { node: 8 });
    let output = Output { node: far, place: Place { slot: 0, offset: 0 }, accumulate: false };
    let spec = Spec { name: "another", graph: &g, inputs: &[], outputs: &[output], slots: &[2] };
    assert!(compile(&spec, &targets()[0]).unwrap_err().to_string().contains("%8 is not a node of this graph"));
    assert_eq!(jvp(&mut g, &[x], &[far], &[x]), [None]);
    assert_eq!(g.check(), Err(GraphError::Unknown { node: 8 }));
    let mut g = Graph::new();
    let x = g.input_f32("x", &[2]);
    let sum = g.add(x, far);
    assert_eq!(g.shape(sum), [2]);
    assert!(g.check().unwrap_err().to_string().contains("%8 is not a node of this graph"));
}

#[test]
fn places_outside_the_slots_are_refused() {
    let mut g = Graph::new();
    let x = g.input_f32("x", &[8]);
    let y = g.neg(x);
    let compiled = |input: Place, output: Place| {
        let outputs = [Output { node: y, place: output, accumulate: false }];
        let spec = Spec { name: "misplaced", graph: &g, inputs: &[(x, input)], outputs: &outputs, slots: &[8, 10] };
        compile(&spec, &targets()[0])
    };
    let at = |slot, offset| Place { slot, offset };
    assert!(compiled(at(0, 0), at(1, 2)).is_ok());
    for (input, output) in
        [(at(0, 1), at(1, 0)), (at(0, 0), at(1, 3)), (at(2, 0), at(1, 0)), (at(0, 0), at(1, usize::MAX))]
    {
        let error = compiled(input, output).unwrap_err();
        assert!(matches!(error, KernelError::Plan(PlanError::Misplaced { .. })), "{error}");
    }
}

/// Layers and losses on operands of every small rank, with sizes from nothing to more than there is.
#[test]
fn no_layer_loss_or_model_panics_whatever_it_is_given() {
    let lengths = [0, 1, 2, 3, 1 << 20, usize::MAX];
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let models: [&dyn Model; 4] = [
        &Mlp { inputs: 3, width: usize::MAX, depth: 3, outputs: 2, activation: Activation::Elu },
        &Mlp { inputs: 3, width: 4, depth: 0, outputs: 2, activation: Activation::Relu },
        &Cnn {
            stride: 0,
            growth: usize::MAX,
            norm: Norm::None,
            pool: Pool::Average,
            ..Cnn::paper([3, 2, 1], usize::MAX, 2)
        },
        &Transformer { layers: 1, heads: usize::MAX, key_size: 2, model_size: usize::MAX, length: 3, vocabulary: 2 },
    ];
    for _ in 0..2000 {
        let mut g = Graph::new();
        let mut inputs = || {
            let rank = rng.random_range(0..6);
            let shape: Vec<usize> = (0..rank).map(|_| lengths[rng.random_range(0..lengths.len())]).collect();
            let dtype = [DType::F32, DType::F32, DType::U32, DType::Bool][rng.random_range(0..4)];
            g.input("any", &shape, dtype)
        };
        let [x, y, z] = std::array::from_fn(|_| inputs());
        let size = lengths[rng.random_range(0..lengths.len())];
        dense(&mut g, x, y, z);
        add_bias(&mut g, x, y);
        layer_norm(&mut g, x, y, z, 1e-5);
        max_pool(&mut g, x, size);
        average_pool(&mut g, x, size);
        wrong(&mut g, x, y);
        for loss in [Loss::Mse(Reduction::Mean), Loss::CrossEntropy, Loss::Output, Loss::Custom(|_, _, labels| labels)]
        {
            let loss = loss.per_label(&mut g, x, y);
            let sum = g.sum_all(loss);
            let _ = hvp(&mut g, sum, &[x], &[z]);
            let _ = ggn(&mut g, sum, x, &[y], &[z]);
        }
        for model in models {
            model.forward(&mut g, &[y], x);
            let params = model.params().unwrap_or_default();
            let params: Vec<NodeId> = params.iter().map(|p| g.input_f32(&p.name, &p.shape)).collect();
            model.forward(&mut g, &params, x);
        }
        assert!(g.check().is_err());
    }
}

fn random_op(rng: &mut ChaCha8Rng, lengths: &[usize]) -> Op {
    let some = |most: usize, rng: &mut ChaCha8Rng| -> Vec<usize> {
        let count = rng.random_range(0..most);
        (0..count).map(|_| lengths[rng.random_range(0..lengths.len())]).collect()
    };
    let of = [ConvSide::Input, ConvSide::Kernel, ConvSide::Output][rng.random_range(0..3)];
    let pair = |rng: &mut ChaCha8Rng| std::array::from_fn(|_| lengths[rng.random_range(0..lengths.len())]);
    match rng.random_range(0..12) {
        0 => Op::Iota { shape: some(4, rng), axis: rng.random_range(0..3) },
        1 => Op::Unary(Unary::Softplus),
        2 => Op::Compare(Compare::Ge),
        3 => Op::Select,
        4 => Op::BroadcastInDim { shape: some(4, rng), dims: some(3, rng) },
        5 => Op::Reshape { shape: some(4, rng) },
        6 => Op::Transpose { perm: some(4, rng) },
        7 => Op::Slice { start: some(3, rng), limit: some(3, rng) },
        8 => Op::Pad { low: some(3, rng), high: some(3, rng) },
        9 => Op::ReduceSum { axes: some(3, rng) },
        10 => {
            let [lhs_batch, rhs_batch, lhs_contract, rhs_contract] = std::array::from_fn(|_| some(2, rng));
            Op::DotGeneral(DotDims { lhs_batch, rhs_batch, lhs_contract, rhs_contract })
        }
        _ => {
            let window =
                Window { input: pair(rng), kernel: pair(rng), output: pair(rng), stride: pair(rng), low: pair(rng) };
            Op::Conv { of, window }
        }
    }
}

/// Random ops on random operands: a graph is refused by all that could compute it, or computed.
#[test]
fn random_ops_are_refused_or_computed() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let (mut refused, mut computed) = (0, 0);
    for round in 0..4000 {
        let lengths: &[usize] = if round % 2 == 0 { &[0, 1, 2, 3] } else { &[0, 1, 2, 65_536, usize::MAX] };
        let mut g = Graph::new();
        let mut nodes: Vec<NodeId> = (0..2).map(|_| g.input_f32("x", &[2, 3])).collect();
        for _ in 0..rng.random_range(1..4) {
            let op = random_op(&mut rng, lengths);
            let arity = rng.random_range(0..4);
            let operands: Vec<NodeId> = (0..arity).map(|_| nodes[rng.random_range(0..nodes.len())]).collect();
            nodes.push(g.push(op, &operands));
        }
        let output = *nodes.last().unwrap();
        let policy = SplitPolicy { wanted_tiles: 8, min_slice: 2, by_axes: false, long_rows: false };
        let simple = simplify(&g, &[output]);
        let cut = split(&simple.graph, &simple.outputs(&[output]), policy);
        assert_eq!(cut.graph.check(), g.check());
        let many = vmap(&g, &[output], &nodes[..1], 3);
        let len = g.node(output).ty.len().clamp(1, 1 << 20);
        let outputs = [Output { node: output, place: Place { slot: 1, offset: 0 }, accumulate: false }];
        let inputs = [0, 1].map(|i| (nodes[i], Place { slot: 0, offset: 6 * i }));
        let spec = Spec { name: "random", graph: &g, inputs: &inputs, outputs: &outputs, slots: &[12, len] };
        match g.check() {
            Err(error) => {
                refused += 1;
                assert_eq!([verify(&g), many.graph.check()], [Err(error.clone()), Err(error.clone())]);
                assert_eq!(compile(&spec, &targets()[round % 2]).unwrap_err(), error.into());
            }
            Ok(()) => {
                computed += 1;
                verify(&g).unwrap();
                let program = compile(&spec, &targets()[round % 2]);
                assert!(
                    program.is_ok()
                        || matches!(
                            program,
                            Err(KernelError::Plan(PlanError::Misplaced { .. } | PlanError::TooLarge(_)))
                        ),
                    "{program:?}"
                );
            }
        }
    }
    assert!(refused > 1000 && computed > 50, "{refused} {computed}");
}

/// Attention over 1,024 tokens has 2³² scores for 512 windows: the planner takes fewer at once.
#[test]
fn the_planner_takes_fewer_examples_where_a_graph_is_too_large() {
    let (windows, length, classes) = (640, 1024, 3);
    let model = Transformer { layers: 1, heads: 8, key_size: 1, model_size: 2, length, vocabulary: classes };
    let codes: Vec<u32> = (0..windows * length).map(|i| (i % 2) as u32 + 1).collect();
    let data = Examples::new(Features::Tokens(codes.clone()), [length], codes, classes).unwrap();
    // With the limits of an adapter of wgpu.
    let dry = wgpu().dry();
    let mut objective = Objective::new(&dry, Arc::new(model), Loss::CrossEntropy, &data, 0).unwrap();
    let rows = objective.plan().rows;
    assert!(rows >= 1 && rows * 8 * length * length < 1 << 32, "{rows}");
    let w = objective.vector("w").unwrap();
    HessianOperator::with_blocks(&mut objective, &w).unwrap();
    // And where one is too large by itself, that is the error.
    let model = Mlp { inputs: length, width: 1 << 21, depth: 2, outputs: classes, activation: Activation::Relu };
    let codes = Features::Real(vec![0.0; length]);
    let one = Examples::new(codes, [length], vec![0], classes).unwrap();
    let error = Objective::new(&dry, Arc::new(model), Loss::CrossEntropy, &one, 0).err().unwrap();
    assert!(
        matches!(
            error,
            DeviceError::BufferTooLarge { .. } | DeviceError::Kernel(KernelError::Plan(PlanError::TooLarge(_)))
        ),
        "{error}"
    );
}

#[test]
fn more_examples_than_a_graph_holds_are_no_crash() {
    let folder = tempfile::tempdir().unwrap();
    let set = |command: &str, rest: &[&str]| edgewalk(folder.path(), &[&[command], rest].concat());
    let few = ["the embedded training set holds 1000 examples"];
    refuses(set("train", &["quickstart", "--set", "data.train=99999999", "--dry-run"]), 1, &few);
    refuses(set("train", &["quickstart", "--set", "data.train=99999999"]), 1, &few);
    refuses(set("train", &["quickstart", "--set", "batch=99999999", "--dry-run"]), 2, &["optim.batch"]);
    let axis = ["quickstart", "--set", "lr=0.1,0.2", "--set", "data.train=99999999", "--dry-run"];
    assert_ne!(set("sweep", &axis).output().unwrap().status.code(), Some(101));
    let wide = ["cifar-cnn", "--set", "data.train=0", "--set", "channels=65535", "--set", "growth=16", "--dry-run"];
    refuses(set("train", &wide), 1, &["cifar10"]);
    let long = ["shakespeare-transformer", "--set", "batch=4294967295", "--set", "seq_len=65535", "--dry-run"];
    refuses(set("train", &long), 1, &["shakespeare"]);
}
