//! Random programs: what holds for each op alone must hold for their compositions, with values shared and shapes mixed.

use edgewalk::autodiff::{grad, hvp, jvp, vjp};
use edgewalk::graph::{Binary, Compare, DotDims, Graph, NodeId, Unary, verify};
use proptest::prelude::*;

use super::oracle::{Given, Numbers, assert_close, assert_near, central_difference, inner, run};
use super::random;

/// One instruction: which op, and which earlier values it takes (both modulo what there is).
type Instruction = (u8, usize, usize);

/// A value of shape [2, 3] from any value, by reductions and broadcasts.
fn as_matrix(graph: &mut Graph, x: NodeId) -> NodeId {
    match *graph.shape(x) {
        [2, 3] => x,
        [3] => graph.broadcast(x, &[2, 3], &[1]),
        [2] => graph.broadcast(x, &[2, 3], &[0]),
        _ => {
            let total = graph.sum_all(x);
            graph.broadcast(total, &[2, 3], &[])
        }
    }
}

/// tanh(x): keeps values and derivatives of long compositions within reach of finite differences.
fn tame(graph: &mut Graph, x: NodeId) -> NodeId {
    graph.unary(Unary::Tanh, x)
}

/// 1 + softplus(x), where logarithms, roots and quotients are smooth.
fn positive(graph: &mut Graph, x: NodeId) -> NodeId {
    let positive = graph.unary(Unary::Softplus, x);
    graph.offset(positive, 1.0)
}

/// Adds one node (and what prepares its operands) computed from two earlier values.
fn step(graph: &mut Graph, op: u8, a: NodeId, b: NodeId) -> NodeId {
    let (ma, mb) = (as_matrix(graph, a), as_matrix(graph, b));
    let contract = |axis: usize| DotDims { lhs_contract: vec![axis], rhs_contract: vec![axis], ..DotDims::default() };
    match op % 21 {
        0 => graph.add(ma, mb),
        1 => graph.sub(ma, mb),
        2 => {
            let (a, b) = (tame(graph, ma), tame(graph, mb));
            graph.mul(a, b)
        }
        3 => {
            let below = positive(graph, mb);
            graph.div(ma, below)
        }
        4 => graph.binary(Binary::Max, ma, mb),
        5 => {
            let small = tame(graph, a);
            graph.unary(Unary::Exp, small)
        }
        6 => graph.unary(Unary::Logistic, a),
        20 => graph.unary(Unary::Erf, a),
        7 => graph.unary(Unary::Softplus, a),
        op @ 8..=10 => {
            let x = positive(graph, a);
            graph.unary([Unary::Log, Unary::Sqrt, Unary::Rsqrt][usize::from(op) - 8], x)
        }
        11 => {
            let mask = graph.compare(Compare::Gt, ma, mb);
            let other = graph.neg(mb);
            graph.select(mask, ma, other)
        }
        12 => graph.reduce_sum(ma, &[0]),
        13 => graph.reduce_sum(ma, &[1]),
        14 => graph.reduce_max(ma, &[1]),
        15 => {
            let product = graph.dot_general(ma, mb, contract(1));
            let total = graph.reduce_sum(product, &[1]);
            tame(graph, total)
        }
        16 => {
            let product = graph.dot_general(ma, mb, contract(0));
            let inner = graph.slice(product, &[0, 1], &[3, 3]);
            let turned = graph.transpose(inner, &[1, 0]);
            tame(graph, turned)
        }
        17 => {
            let turned = graph.reshape(ma, &[3, 2]);
            let product = graph.matmul(mb, turned);
            let wide = graph.pad(product, &[0, 1], &[0, 0]);
            tame(graph, wide)
        }
        18 => {
            let (a, b) = (graph.reshape(ma, &[2, 3, 1]), graph.reshape(mb, &[2, 3, 1]));
            let dims = DotDims { lhs_batch: vec![1], rhs_batch: vec![1], ..contract(0) };
            let product = graph.dot_general(a, b, dims);
            let flat = graph.reshape(product, &[3]);
            tame(graph, flat)
        }
        _ => graph.unary(Unary::Tanh, a),
    }
}

/// A random program over three inputs; its outputs are its last value and the matrix made of its last two.
fn program(instructions: &[Instruction], seed: u64) -> (Graph, Vec<NodeId>, Vec<NodeId>, Given) {
    let mut graph = Graph::new();
    let mut numbers = Numbers::new(seed);
    let shapes: [&[usize]; 3] = [&[2, 3], &[3], &[2]];
    let inputs: Vec<NodeId> = shapes.iter().map(|shape| graph.input_f32("x", shape)).collect();
    let given = inputs.iter().zip(shapes).map(|(&x, shape)| (x, numbers.tensor(shape))).collect();
    let mut values = inputs.clone();
    for &(op, a, b) in instructions {
        let next = step(&mut graph, op, values[a % values.len()], values[b % values.len()]);
        values.push(next);
    }
    let (last, before) = (values[values.len() - 1], values[values.len() - 2]);
    let both = step(&mut graph, 2, last, before);
    (graph, inputs, vec![last, both], given)
}

#[test]
fn derivatives_of_random_programs_agree() {
    let instructions = || prop::collection::vec((any::<u8>(), 0..100usize, 0..100usize), 1..12);
    random::check(
        20_230_912,
        300,
        || (instructions(), 0..1_000_000u64),
        |(instructions, seed)| {
            let (mut graph, inputs, outputs, mut given) = program(&instructions, seed);
            let mut numbers = Numbers::new(seed + 1);
            let (v, v_values) = numbers.inputs_like(&mut graph, &inputs);
            let (u, u_values) = numbers.inputs_like(&mut graph, &outputs);
            given.extend(v.iter().copied().zip(v_values.iter().cloned()));
            given.extend(u.iter().copied().zip(u_values.iter().cloned()));

            let forward = jvp(&mut graph, &outputs, &inputs, &v);
            let backward = vjp(&mut graph, &outputs, &inputs, &u);
            let loss = graph.sum_all(outputs[1]);
            let gradient = grad(&mut graph, loss, &inputs);
            let hv = hvp(&mut graph, loss, &inputs, &v);
            verify(&graph).unwrap();

            let expected = central_difference(&graph, &outputs, &given, &inputs, &v_values);
            let mut pushed = 0.0;
            for ((found, expected), u) in forward.iter().zip(&expected).zip(&u_values) {
                match found {
                    Some(found) => {
                        let found = run(&graph, &[*found], &given);
                        assert_close(&found, std::slice::from_ref(expected), 1e-6, "jvp");
                        pushed += inner(std::slice::from_ref(u), &found);
                    }
                    None => prop_assert!(expected.data.iter().all(|&x| x == 0.0)),
                }
            }
            assert_near(inner(&run(&graph, &backward, &given), &v_values), pushed, 1e-11, "vjp");
            let expected = central_difference(&graph, &gradient, &given, &inputs, &v_values);
            assert_close(&run(&graph, &hv, &given), &expected, 1e-5, "hvp");
            Ok(())
        },
    );
}
