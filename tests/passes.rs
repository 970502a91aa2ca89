//! The passes: what they leave unchanged (values), and what they promise (structure, order, few kernels, no hazards).

use std::collections::HashSet;

use edgewalk::graph::{Binary, Compare, DotDims, Graph, NodeId, Op, Tensor, Unary, verify};
use edgewalk::kernel::{Program, Target, compile};
use edgewalk::model::{Activation, Loss, Reduction};
use edgewalk::passes::{SplitPolicy, simplify, split};
use edgewalk::plan::{Access, BufferRef, Form, Output, Place, Root, Rows, Schedule, Spec, fuse};

use super::device::program as compiled;
use super::networks::{ACTIVATIONS, LOSSES, mlp, network};
use super::op_cases::cases;
use super::oracle::{Given, run};
use super::random;
use super::random_programs::{LARGE, instructions, largest_error, program};
use super::shaders::targets;

/// Most terms that one invocation adds up (the module text of `split`).
const FAN_IN: usize = 256;
/// As kernels are planned, with any number of buffers.
pub const KERNELS: Form = Form::Kernels { bindings: usize::MAX, rows: Rows::Invocation };
const NO_SLICES: SplitPolicy = SplitPolicy { wanted_tiles: 1, min_slice: 256, by_axes: false, long_rows: false };
const SLICES: SplitPolicy = SplitPolicy { wanted_tiles: 16, min_slice: 4, by_axes: false, long_rows: false };

/// Simplified and split.
fn rewritten(graph: &Graph, outputs: &[NodeId], policy: SplitPolicy) -> (Graph, Vec<NodeId>) {
    let simple = simplify(graph, outputs);
    let outputs = simple.outputs(outputs);
    let split = split(&simple.graph, &outputs, policy);
    let outputs = split.outputs(&outputs);
    (split.graph, outputs)
}

/// The same values for the inputs of another graph, which has them in the same order.
pub fn given_to(from: &Graph, to: &Graph, given: &Given) -> Given {
    assert_eq!(from.inputs(), to.inputs(), "a pass keeps the inputs and their order");
    let number = |g: &Graph, id: NodeId| match g.node(id).op {
        Op::Input(number) => number,
        ref other => panic!("{other:?} is given"),
    };
    let node = |n: usize| to.ids().find(|&id| matches!(to.node(id).op, Op::Input(m) if m == n)).unwrap();
    given.iter().map(|(id, value)| (node(number(from, *id)), value.clone())).collect()
}

/// Checks that no pass changes the values of `outputs` beyond the order of additions, nor breaks an invariant.
fn check_values(graph: &Graph, outputs: &[NodeId], given: &Given) {
    let expected = run(graph, outputs, given);
    let simple = simplify(graph, outputs);
    verify(&simple.graph).unwrap();
    let compare = |name: &str, new: &Graph, new_outputs: &[NodeId]| {
        verify(new).unwrap();
        let found = run(new, new_outputs, &given_to(graph, new, given));
        let error = largest_error(&found, &expected);
        assert!(error <= 1e-12, "{name}: off by {error:e}\n{}\n{}", graph.dump(outputs), new.dump(new_outputs));
    };
    compare("simplify", &simple.graph, &simple.outputs(outputs));
    for policy in [NO_SLICES, SLICES] {
        let (new, new_outputs) = rewritten(graph, outputs, policy);
        compare("split", &new, &new_outputs);
        check_stages(&new);
        let schedule = fuse(&new, &new_outputs, &HashSet::new(), KERNELS);
        check_schedule(&new, &new_outputs, &schedule);
    }
}

/// No reduction has more terms than one invocation adds up.
pub fn check_stages(graph: &Graph) {
    for node in graph.nodes() {
        if let Op::ReduceSum { axes } | Op::ReduceMax { axes } = &node.op {
            let terms: usize = axes.iter().map(|&a| graph.shape(node.inputs[0])[a]).product();
            assert!(terms <= FAN_IN, "a stage of {terms} terms\n{graph}");
        }
    }
}

/// Kernels load what earlier ones stored, every value is stored once, and every output is.
pub fn check_schedule(graph: &Graph, outputs: &[NodeId], schedule: &Schedule) {
    let mut stored: HashSet<NodeId> = HashSet::new();
    for kernel in &schedule.groups {
        for id in schedule.loads(graph, kernel) {
            let input = matches!(graph.node(id).op, Op::Input(_));
            assert!(input || stored.contains(&id), "%{} is loaded before it is stored\n{graph}", id.index());
        }
        let rows = kernel.root.rows(graph);
        let shape = rows.unwrap_or_else(|| graph.shape(kernel.stores[0]));
        for &id in &kernel.stores {
            let of_rows = rows.is_some_and(|rows| graph.shape(id) == &rows[..rows.len() - 1]);
            assert!(of_rows || graph.shape(id) == shape, "a kernel stores values of one shape");
            assert!(stored.insert(id), "%{} is stored twice\n{graph}", id.index());
            assert!(schedule.stored[id.index()]);
        }
    }
    assert!(outputs.iter().all(|id| stored.contains(id)), "an output is not stored\n{graph}");
    assert_eq!(schedule.stored.iter().filter(|s| **s).count(), stored.len());
}

/// No dispatch binds a buffer twice if it writes it, and none of the program's own is read and written at once; what is
/// read of those was written before. Bindings stay within the target's limit.
pub fn check_hazards(program: &Program, target: &Target) {
    let mut written: HashSet<usize> = HashSet::new();
    for dispatch in &program.dispatches {
        let access = &program.kernels[dispatch.kernel].access;
        assert_eq!(access.len(), dispatch.buffers.len());
        assert!(access.len() <= target.max_bindings, "{} bindings", access.len());
        let label = &program.kernels[dispatch.kernel].label;
        assert!(
            access.iter().any(|&a| a != Access::Read),
            "{label} has no result\n{}",
            program.kernels[dispatch.kernel].wgsl
        );
        for (i, (buffer, access)) in dispatch.buffers.iter().zip(access).enumerate() {
            let others = dispatch.buffers.iter().enumerate().filter(|(j, b)| *j != i && *b == buffer).count();
            assert!(*access == Access::Read || others == 0, "{buffer:?} is written and bound twice");
            if let BufferRef::Temp(temp) = buffer {
                match access {
                    Access::Read => assert!(written.contains(temp), "{buffer:?} is read before it is written"),
                    Access::Write => _ = written.insert(*temp),
                    Access::ReadWrite => panic!("{buffer:?} is read and written"),
                }
            }
        }
    }
    assert_eq!(written.len(), program.temps.len(), "every buffer is used");
}

#[test]
fn passes_preserve_the_value_of_every_op() {
    for case in cases() {
        let (graph, inputs, output) = case.build();
        let given = inputs.iter().copied().zip(case.inputs.iter().map(|(_, t)| t.clone())).collect();
        check_values(&graph, &[output], &given);
    }
}

#[test]
fn passes_preserve_the_programs_of_networks() {
    for activation in ACTIVATIONS {
        for loss in LOSSES {
            let network = network(&mlp(activation, 7, 5, 3), loss, 33);
            for (_, outputs) in &network.programs {
                check_values(&network.graph, outputs, &network.given);
            }
        }
    }
    // Sums and contractions of more than one stage, with a remainder.
    let network = network(&mlp(Activation::Tanh, 5, 4, 3), Loss::CrossEntropy, 521);
    for (_, outputs) in &network.programs {
        check_values(&network.graph, outputs, &network.given);
    }
}

#[test]
fn passes_preserve_random_programs() {
    let strategy = || (instructions(16), 0..1_000_000u64, 0..targets().len());
    random::check(20_230_914, 300, strategy, |(instructions, seed, target)| {
        let program = program(&LARGE, &instructions, seed);
        check_values(&program.graph, &program.outputs, &program.given);
        let target = targets()[target].clone();
        check_hazards(&compiled(&program.graph, &program.outputs, &program.given, &target), &target);
        Ok(())
    });
}

/// Simplifies what `build` makes of an input of shape [2, 3] and expects what `expected` makes of it.
fn check_simplifies(build: fn(&mut Graph, NodeId) -> NodeId, expected: fn(&mut Graph, NodeId) -> NodeId) {
    let made = |make: fn(&mut Graph, NodeId) -> NodeId| {
        let mut g = Graph::new();
        let x = g.input_f32("x", &[2, 3]);
        let y = make(&mut g, x);
        (g, y)
    };
    let ((g, y), (want, want_y)) = (made(build), made(expected));
    // Once more, so that nodes which became useless on the way are gone and both are numbered alike.
    let simple = simplify(&g, &[y]);
    let y = simple.outputs(&[y]);
    let again = simplify(&simple.graph, &y);
    let copied = simplify(&want, &[want_y]);
    assert_eq!(again.graph.dump(&again.outputs(&y)), copied.graph.dump(&copied.outputs(&[want_y])));
}

#[test]
fn identities_vanish() {
    let x = |_: &mut Graph, x: NodeId| x;
    let neg = |g: &mut Graph, x: NodeId| g.neg(x);
    check_simplifies(|g, x| g.offset(x, 0.0), x);
    check_simplifies(|g, x| g.scale(x, 1.0), x);
    check_simplifies(|g, x| g.scale(x, -1.0), neg);
    check_simplifies(
        |g, x| {
            let (one, zero) = (g.full(1.0, &[2, 3]), g.full(0.0, &[2, 3]));
            let y = g.mul(one, x);
            let y = g.add(zero, y);
            let y = g.sub(y, zero);
            let y = g.div(y, one);
            g.unary(Unary::StopGradient, y)
        },
        x,
    );
    check_simplifies(
        |g, x| {
            let y = g.neg(x);
            g.neg(y)
        },
        x,
    );
    check_simplifies(
        |g, x| {
            let zero = g.full(0.0, &[2, 3]);
            g.sub(zero, x)
        },
        neg,
    );
    check_simplifies(
        |g, x| {
            let y = g.reshape(x, &[6]);
            g.reshape(y, &[3, 2])
        },
        |g, x| g.reshape(x, &[3, 2]),
    );
    check_simplifies(
        |g, x| {
            let y = g.reshape(x, &[6]);
            g.reshape(y, &[2, 3])
        },
        x,
    );
    check_simplifies(
        |g, x| {
            let y = g.transpose(x, &[1, 0]);
            g.transpose(y, &[1, 0])
        },
        x,
    );
    check_simplifies(
        |g, x| {
            let y = g.scale(x, 0.3);
            g.scale(y, 4.0)
        },
        |g, x| g.scale(x, 0.3 * 4.0),
    );
}

#[test]
fn constants_fold_only_where_that_is_exact() {
    // 0.1 · 0.3 is not an f32, 1e30 · 1e30 is not finite, and 8.000001 is no power of two.
    for (a, b) in [(0.1, 0.3), (1e30, 1e30), (0.1, 8.000_001), (1e-30, 1e-30), (1.0e38, 4.0)] {
        let mut g = Graph::new();
        let x = g.input_f32("x", &[2]);
        let (fa, fb) = (g.full(a, &[2]), g.full(b, &[2]));
        let (product, sum) = (g.mul(fa, fb), g.add(fa, fb));
        let scaled = g.mul(x, fa);
        let scaled = g.mul(scaled, fb);
        let given = vec![(x, Tensor { shape: vec![2], data: vec![1.0, -3.0] })];
        check_values(&g, &[product, sum, scaled], &given);
    }
}

/// Compiled for four bindings, with every input and output in a buffer of its own.
fn with_four(graph: &Graph, inputs: &[NodeId], outputs: &[NodeId]) -> Vec<Program> {
    let at = |slot: usize| Place { slot, offset: 0 };
    let places: Vec<(NodeId, Place)> = inputs.iter().enumerate().map(|(slot, &id)| (id, at(slot))).collect();
    let result = |(i, &node): (usize, &NodeId)| Output { node, place: at(inputs.len() + i), accumulate: false };
    let results: Vec<Output> = outputs.iter().enumerate().map(result).collect();
    let slots: Vec<usize> = inputs.iter().chain(outputs).map(|&id| graph.node(id).ty.len()).collect();
    let spec = Spec { name: "four", graph, inputs: &places, outputs: &results, slots: &slots };
    let programs = targets().map(|target| {
        let target = Target { max_bindings: 4, ..target };
        let program = compile(&spec, &target).unwrap();
        check_hazards(&program, &target);
        program
    });
    programs.to_vec()
}

/// A product whose epilogue loads two more values binds five buffers; with four, it has a kernel of its own.
#[test]
fn an_epilogue_is_cut_from_its_contraction() {
    let mut g = Graph::new();
    let shapes: [&[usize]; 4] = [&[4, 3], &[3, 8], &[4, 8], &[4, 8]];
    let inputs = shapes.map(|shape| g.input_f32("x", shape));
    let [a, b, m, other] = inputs;
    let (product, zero) = (g.matmul(a, b), g.full(0.0, &[4, 8]));
    let mask = g.compare(Compare::Gt, m, zero);
    let chosen = g.select(mask, product, other);
    for program in with_four(&g, &inputs, &[chosen]) {
        assert_eq!(program.dispatches.len(), 2);
    }
}

/// A choice loads three values; stored as an output and for a later kernel too, it would bind five buffers.
#[test]
fn a_value_that_goes_to_two_buffers_is_copied_to_one() {
    let mut g = Graph::new();
    let [a, b] = [(); 2].map(|()| g.input_f32("x", &[8]));
    let mask = g.compare(Compare::Gt, a, b);
    let chosen = g.select(mask, b, a);
    let sum = g.add(chosen, b);
    with_four(&g, &[a, b], &[chosen, sum, mask]);
}

/// Read by fours and one by one, each of two inputs would be bound twice.
#[test]
fn a_buffer_that_is_read_in_two_ways_is_bound_once() {
    let mut g = Graph::new();
    let inputs = [(); 2].map(|()| g.input_f32("x", &[8]));
    let sums = inputs.map(|x| {
        let first = g.slice(x, &[0], &[1]);
        let first = g.reshape(first, &[]);
        let first = g.broadcast(first, &[8], &[]);
        g.add(x, first)
    });
    let product = g.mul(sums[0], sums[1]);
    for program in with_four(&g, &inputs, &[product]) {
        assert_eq!(program.dispatches.len(), 1);
    }
}

/// Number of batches of every contraction after `split`.
fn batches(m: usize, k: usize, n: usize, policy: SplitPolicy) -> Vec<usize> {
    let mut g = Graph::new();
    let (a, b) = (g.input_f32("a", &[k, m]), g.input_f32("b", &[k, n]));
    let c = g.dot_general(a, b, DotDims { lhs_contract: vec![0], rhs_contract: vec![0], ..DotDims::default() });
    let (graph, _) = rewritten(&g, &[c], policy);
    let dots = graph.nodes().iter().filter_map(|node| match &node.op {
        Op::DotGeneral(dims) => Some(dims.lhs_batch.iter().map(|&a| graph.shape(node.inputs[0])[a]).product::<usize>()),
        _ => None,
    });
    dots.collect()
}

#[test]
fn contractions_are_sliced_where_the_policy_says() {
    let policy = SplitPolicy { wanted_tiles: 16, min_slice: 100, by_axes: false, long_rows: false };
    // 2 × 2 tiles ask for 4 slices; 16 tiles or more for none; 250 terms allow 2; 199 allow none.
    assert_eq!(batches(128, 4000, 65, policy), [4]);
    assert_eq!(batches(256, 4000, 256, policy), [1]);
    assert_eq!(batches(10, 250, 10, policy), [2]);
    assert_eq!(batches(10, 199, 10, policy), [1]);
    // 16 slices of 100 terms, and a remainder of 7.
    assert_eq!(batches(10, 1607, 10, policy), [16, 1]);
    // Some drivers cannot count further than 2^18 terms in one loop.
    assert_eq!(batches(1, 1 << 18, 1, NO_SLICES), [2]);
}

#[test]
fn long_contractions_over_several_axes_are_sliced_too() {
    let mut g = Graph::new();
    let (a, b) = (g.input_f32("a", &[600, 2, 500]), g.input_f32("b", &[3, 500, 600]));
    let dims = DotDims { lhs_contract: vec![0, 2], rhs_contract: vec![2, 1], ..DotDims::default() };
    let c = g.dot_general(a, b, dims);
    let (graph, _) = rewritten(&g, &[c], NO_SLICES);
    for node in graph.nodes() {
        if let Op::DotGeneral(dims) = &node.op {
            let terms: usize = dims.lhs_contract.iter().map(|&a| graph.shape(node.inputs[0])[a]).product();
            assert!(terms <= 1 << 17, "{terms} terms in one loop");
        }
    }
}

/// Kernels by kind: maps, reductions, contractions.
fn kinds(schedule: &Schedule) -> [usize; 3] {
    let mut count = [0; 3];
    for kernel in &schedule.groups {
        count[match kernel.root {
            Root::Map => 0,
            Root::Reduce(_) | Root::Rows(_) => 1,
            Root::Dot(_) => 2,
        }] += 1;
    }
    count
}

#[test]
fn the_gradient_of_a_network_is_matmuls_with_epilogues() {
    for activation in [Activation::Relu, Activation::Tanh] {
        let network = network(&mlp(activation, 12, 8, 4), Loss::Mse(Reduction::HalfSum), 16);
        let wanted = &network.programs[1].1;
        let (graph, outputs) = rewritten(&network.graph, wanted, NO_SLICES);
        let schedule = fuse(&graph, &outputs, &HashSet::new(), KERNELS);
        // 4 layers forward, 3 backward and 4 weight gradients; 4 bias gradients; 3 weights read the other way round.
        assert_eq!(kinds(&schedule), [3, 4, 11], "{activation:?}\n{graph}");
        for kernel in &schedule.groups {
            assert_eq!(kernel.stores.len(), 1, "one value each: activations or the backward signal\n{graph}");
            if kernel.root == Root::Map {
                let copied = graph.node(kernel.stores[0]);
                assert!(matches!(copied.op, Op::Transpose { .. }), "{:?} has a kernel of its own", copied.op);
                assert!(matches!(graph.node(copied.inputs[0]).op, Op::Input(_)));
            }
        }
        for (stored, node) in schedule.stored.iter().zip(graph.nodes()) {
            // relu's mask and tanh's derivative are computed again from the stored activation.
            assert!(!stored || !matches!(node.op, Op::Compare(_)), "a mask is stored");
        }
        for target in targets() {
            let program =
                compiled(&network.graph, wanted, &network.given, &Target { split: NO_SLICES, ..target.clone() });
            assert_eq!(program.dispatches.len(), 18);
            // At most three activations, the backward signal behind and before a layer and its weight are alive at once.
            assert!(program.temps.len() <= 6, "{} buffers for 10 values", program.temps.len());
        }
    }
}

#[test]
fn relu_stores_its_value_and_not_its_mask() {
    let mut g = Graph::new();
    let (x, w, u) = (g.input_f32("x", &[8, 4]), g.input_f32("w", &[4, 8]), g.input_f32("u", &[8, 8]));
    let product = g.matmul(x, w);
    let zero = g.full(0.0, &[8, 8]);
    let relu = g.binary(Binary::Max, product, zero);
    let total = g.mul(relu, u);
    let total = g.sum_all(total);
    let gradient = edgewalk::autodiff::grad(&mut g, total, &[w]);
    let (graph, outputs) = rewritten(&g, &gradient, NO_SLICES);
    let schedule = fuse(&graph, &outputs, &HashSet::new(), KERNELS);
    // Forward with the masked signal in its epilogue, and the weight gradient.
    assert_eq!(kinds(&schedule), [0, 0, 2], "{graph}");
}

#[test]
fn buffers_are_free_of_hazards_and_used_again() {
    for (activation, loss) in [(Activation::Relu, Loss::CrossEntropy), (Activation::Gelu, Loss::Mse(Reduction::Mean))] {
        let network = network(&mlp(activation, 7, 5, 3), loss, 521);
        for (name, outputs) in &network.programs {
            for target in targets() {
                let program = compiled(&network.graph, outputs, &network.given, &target);
                check_hazards(&program, &target);
                let values =
                    program.dispatches.iter().flat_map(|d| d.buffers.iter().zip(&program.kernels[d.kernel].access));
                let written = values.filter(|(b, a)| matches!(b, BufferRef::Temp(_)) && **a == Access::Write).count();
                assert!(program.temps.len() < written, "{name}: {written} values, {} buffers", program.temps.len());
            }
        }
    }
}
