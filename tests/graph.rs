//! The graph by itself: `eval` against values worked out by hand, what is refused, what is shared, what is printed.

use edgewalk::graph::{Binary, Compare, DType, DotDims, Graph, GraphError, NodeId, Op, Unary, eval, verify};

use super::op_cases::{cases, tensor};

#[test]
fn every_op_computes_the_known_values() {
    for case in cases() {
        let (graph, inputs, output) = case.build();
        verify(&graph).unwrap();
        let given: Vec<_> = inputs.iter().copied().zip(case.inputs.iter().map(|(_, x)| x.clone())).collect();
        let value = &eval(&graph, &[output], &given).unwrap()[0];
        assert_eq!(value.shape, graph.shape(output), "{graph}");
        assert_eq!(value.data.len(), case.expected.len(), "{graph}");
        for (&got, &want) in value.data.iter().zip(&case.expected) {
            assert!((got - want).abs() <= 1e-12 * want.abs().max(1.0), "{graph}got {value:?}, not {:?}", case.expected);
        }
    }
}

#[test]
fn softplus_and_logistic_do_not_overflow() {
    let mut graph = Graph::new();
    let x = graph.input_f32("x", &[4]);
    let outputs = [graph.unary(Unary::Softplus, x), graph.unary(Unary::Logistic, x), graph.unary(Unary::Tanh, x)];
    let given = [(x, tensor(&[4], &[1e4, -1e4, 1e300, -1e300]))];
    let found = eval(&graph, &outputs, &given).unwrap();
    assert_eq!(found[0].data, [1e4, 0.0, 1e300, 0.0]);
    assert_eq!(found[1].data, [1.0, 0.0, 1.0, 0.0]);
    assert_eq!(found[2].data, [1.0, -1.0, 1.0, -1.0]);
}

#[test]
fn a_contraction_larger_than_one_panel_is_exact() {
    // Σₚ (i + p)·(p − j) over p < 150 in whole numbers, which f64 holds exactly.
    let (m, k, n) = (3, 150, 2);
    let mut graph = Graph::new();
    let (a, b) = (graph.input_f32("a", &[m, k]), graph.input_f32("b", &[k, n]));
    let c = graph.matmul(a, b);
    let a_data: Vec<f64> = (0..m * k).map(|e| (e / k + e % k) as f64).collect();
    let b_data: Vec<f64> = (0..k * n).map(|e| (e / n) as f64 - (e % n) as f64).collect();
    let found = eval(&graph, &[c], &[(a, tensor(&[m, k], &a_data)), (b, tensor(&[k, n], &b_data))]).unwrap();
    let (first, second) = ((150 * 149 / 2) as f64, (149 * 150 * 299 / 6) as f64);
    for i in 0..m {
        for j in 0..n {
            // Σp² + (i − j)Σp − 150ij
            let expected = second + (i as f64 - j as f64) * first - (k * i * j) as f64;
            assert_eq!(found[0].data[i * n + j], expected);
        }
    }
}

#[test]
fn only_what_the_outputs_need_is_asked_for() {
    let mut graph = Graph::new();
    let x = graph.input_f32("x", &[2]);
    let unused = graph.input_f32("unused", &[2]);
    let y = graph.neg(x);
    graph.add(y, unused);
    let found = eval(&graph, &[y, x, y], &[(x, tensor(&[2], &[1.0, 2.0]))]).unwrap();
    assert_eq!(found[0].data, [-1.0, -2.0]);
    assert_eq!(found[1].data, [1.0, 2.0]);
    assert_eq!(found[2], found[0]);
}

#[test]
fn wrong_inputs_are_refused_by_name() {
    let mut graph = Graph::new();
    let x = graph.input_f32("pixels", &[2]);
    let mask = graph.input("mask", &[2], DType::Bool);
    let labels = graph.input("labels", &[2], DType::U32);
    let y = graph.neg(x);
    let good = tensor(&[2], &[1.0, 2.0]);
    let refusals = [
        (vec![], "pixels", "no value"),
        (vec![(x, tensor(&[1, 2], &[1.0, 2.0]))], "pixels", "[1, 2]"),
        (vec![(x, good.clone()), (x, good.clone())], "pixels", "two values"),
        (vec![(x, good.clone()), (y, good.clone())], "%3", "not an input"),
        (vec![(x, good.clone()), (mask, good.clone())], "mask", "Bool"),
        (vec![(x, good.clone()), (labels, tensor(&[2], &[0.0, 0.5]))], "labels", "U32"),
        (vec![(x, good.clone()), (labels, tensor(&[2], &[0.0, -1.0]))], "labels", "U32"),
    ];
    for (given, who, why) in refusals {
        match eval(&graph, &[y], &given) {
            Err(GraphError::Input { name, reason }) => {
                assert_eq!(name, who);
                assert!(reason.contains(why), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn operands_that_do_not_fit_are_refused() {
    let mut graph = Graph::new();
    let x = graph.input_f32("x", &[2, 3]);
    let y = graph.input_f32("y", &[3, 2]);
    let labels = graph.input("labels", &[2, 3], DType::U32);
    let empty = graph.input_f32("empty", &[0, 2]);
    let mask = graph.compare(Compare::Gt, x, x);
    let dot = |dims: DotDims| Op::DotGeneral(dims);
    let refused: Vec<(Op, Vec<NodeId>)> = vec![
        (Op::Unary(Unary::Exp), vec![labels]),
        (Op::Unary(Unary::Exp), vec![x, x]),
        (Op::Binary(Binary::Add), vec![x, y]),
        (Op::Compare(Compare::Eq), vec![x, labels]),
        (Op::Select, vec![x, x, x]),
        (Op::Select, vec![mask, x, y]),
        (Op::ToF32, vec![x]),
        (Op::Iota { shape: vec![2], axis: 1 }, vec![]),
        (Op::BroadcastInDim { shape: vec![3, 2], dims: vec![1, 0] }, vec![x]),
        (Op::BroadcastInDim { shape: vec![2, 4], dims: vec![0, 1] }, vec![x]),
        (Op::Reshape { shape: vec![5] }, vec![x]),
        (Op::Transpose { perm: vec![0, 0] }, vec![x]),
        (Op::Slice { start: vec![0, 2], limit: vec![2, 1] }, vec![x]),
        (Op::Slice { start: vec![0, 0], limit: vec![2, 4] }, vec![x]),
        (Op::Pad { low: vec![1], high: vec![0, 0] }, vec![x]),
        (Op::ReduceSum { axes: vec![2] }, vec![x]),
        (Op::ReduceSum { axes: vec![1, 0] }, vec![x]),
        (Op::ReduceMax { axes: vec![0] }, vec![empty]),
        (dot(DotDims { lhs_contract: vec![1], rhs_contract: vec![1], ..DotDims::default() }), vec![x, y]),
        (dot(DotDims { lhs_contract: vec![1, 1], rhs_contract: vec![0, 0], ..DotDims::default() }), vec![x, y]),
        (dot(DotDims { lhs_batch: vec![0], rhs_batch: vec![], ..DotDims::default() }), vec![x, y]),
        (Op::Input(99), vec![]),
    ];
    let before = graph.nodes().len();
    for (op, inputs) in refused {
        let result = graph.try_push(op.clone(), &inputs);
        assert!(matches!(result, Err(GraphError::Type { .. })), "{op:?} gave {result:?}");
    }
    assert_eq!(graph.nodes().len(), before);
    verify(&graph).unwrap();
}

#[test]
fn equal_nodes_are_one_node() {
    let mut graph = Graph::new();
    let x = graph.input_f32("x", &[2]);
    let twin = graph.input_f32("x", &[2]);
    assert_ne!(x, twin);
    assert_eq!(graph.unary(Unary::Exp, x), graph.unary(Unary::Exp, x));
    assert_ne!(graph.unary(Unary::Exp, x), graph.unary(Unary::Exp, twin));
    assert_eq!(graph.full(0.5, &[2]), graph.full(0.5, &[2]));
    assert_ne!(graph.constant(0.0), graph.constant(-0.0));
    verify(&graph).unwrap();
}

#[test]
fn a_graph_prints_one_node_a_line() {
    let mut graph = Graph::new();
    let x = graph.input_f32("x", &[2, 3]);
    let w = graph.input_f32("w", &[3, 4]);
    let y = graph.matmul(x, w);
    let sum = graph.reduce_sum(y, &[1]);
    graph.unary(Unary::Exp, y);
    let half = graph.full(0.5, &[2]);
    let above = graph.compare(Compare::Gt, sum, half);
    let dump = [
        "%0 = input \"x\" : f32[2,3]",
        "%1 = input \"w\" : f32[3,4]",
        "%2 = dot_general(%0, %1) {lhs_contract=[1], rhs_contract=[0]} : f32[2,4]",
        "%3 = reduce_sum(%2) {axes=[1]} : f32[2]",
        "%5 = constant 0.5 : f32[]",
        "%6 = broadcast_in_dim(%5) {dims=[]} : f32[2]",
        "%7 = gt(%3, %6) : bool[2]",
        "return %7",
        "",
    ];
    assert_eq!(graph.dump(&[above]), dump.join("\n"));
    let all = graph.to_string();
    assert_eq!(all.lines().count(), graph.nodes().len());
    assert!(all.contains("\n%4 = exp(%2) : f32[2,4]\n"), "{all}");
}
