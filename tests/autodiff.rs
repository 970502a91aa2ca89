//! Derivative rules, one op at a time, on the cases of `op_cases`: forward rules against central differences of `eval`,
//! transpose rules by ⟨u, Jv⟩ = ⟨Jᵀu, v⟩, and the same again for the second and third derivatives; then the choices at
//! kinks and ties, and what `wrt` means.

use edgewalk::autodiff::{curvature_grad, grad, hvp, jvp, vjp};
use edgewalk::graph::{Compare, DType, Graph, NodeId, Op, Tensor, Unary, eval, verify};

use super::op_cases::{Case, cases, tensor};
use super::oracle::{Given, Numbers, assert_close, assert_near, central_difference, inner, run};

/// Every choice of inputs to differentiate by: all floating-point ones, and each alone.
fn choices(case: &Case, inputs: &[NodeId]) -> Vec<Vec<NodeId>> {
    let floats: Vec<NodeId> =
        inputs.iter().zip(&case.inputs).filter(|(_, (dtype, _))| *dtype == DType::F32).map(|(&id, _)| id).collect();
    let mut all: Vec<Vec<NodeId>> = floats.iter().map(|&id| vec![id]).collect();
    if floats.len() > 1 {
        all.push(floats);
    }
    all
}

/// Calls `check` with the program, its inputs' values and the choice, for each case and choice.
fn for_each_choice(check: impl Fn(&Case, Graph, NodeId, Given, Vec<NodeId>)) {
    for case in cases() {
        let (graph, inputs, output) = case.build();
        let given: Given = inputs.iter().copied().zip(case.inputs.iter().map(|(_, x)| x.clone())).collect();
        for wrt in choices(&case, &inputs) {
            check(&case, graph.clone(), output, given.clone(), wrt);
        }
    }
}

fn is_flat(op: &Op) -> bool {
    matches!(op, Op::Compare(_) | Op::Unary(Unary::StopGradient))
}

#[test]
fn forward_rules_match_central_differences() {
    for_each_choice(|case, mut graph, output, mut given, wrt| {
        let (v, v_values) = Numbers::new(1).inputs_like(&mut graph, &wrt);
        let found = jvp(&mut graph, &[output], &wrt, &v)[0];
        verify(&graph).unwrap();
        assert_eq!(found.is_none(), is_flat(&case.op), "{:?}", case.op);
        let Some(found) = found else { return };
        let expected = central_difference(&graph, &[output], &given, &wrt, &v_values);
        given.extend(v.into_iter().zip(v_values));
        assert_close(&run(&graph, &[found], &given), &expected, 1e-7, &format!("{:?}", case.op));
    });
}

#[test]
fn transpose_rules_satisfy_the_inner_product_identity() {
    for_each_choice(|case, mut graph, output, mut given, wrt| {
        if is_flat(&case.op) {
            return;
        }
        let mut numbers = Numbers::new(2);
        let (v, v_values) = numbers.inputs_like(&mut graph, &wrt);
        let (u, u_values) = numbers.inputs_like(&mut graph, &[output]);
        let forward = jvp(&mut graph, &[output], &wrt, &v)[0].unwrap();
        let backward = vjp(&mut graph, &[output], &wrt, &u);
        verify(&graph).unwrap();
        given.extend(v.into_iter().zip(v_values.clone()));
        given.extend(u.into_iter().zip(u_values.clone()));
        // Evaluation also shows that no placeholder is left in the result: it would lack a value.
        let left = inner(&u_values, &run(&graph, &[forward], &given));
        let right = inner(&run(&graph, &backward, &given), &v_values);
        assert_near(left, right, 1e-12, &format!("{:?}", case.op));
    });
}

#[test]
fn second_and_third_derivatives_match_central_differences() {
    for_each_choice(|case, mut graph, output, mut given, wrt| {
        if is_flat(&case.op) {
            return;
        }
        let mut numbers = Numbers::new(3);
        let (v, v_values) = numbers.inputs_like(&mut graph, &wrt);
        // ½Σuy² makes the loss curved even where the op is linear.
        let (u, u_values) = numbers.inputs_like(&mut graph, &[output]);
        let square = graph.mul(output, output);
        let weighted = graph.mul(square, u[0]);
        let loss = graph.sum_all(weighted);
        let gradient = grad(&mut graph, loss, &wrt);
        let hv = hvp(&mut graph, loss, &wrt, &v);
        let third = curvature_grad(&mut graph, loss, &wrt, &v);
        verify(&graph).unwrap();
        given.extend(u.into_iter().zip(u_values));
        given.extend(v.into_iter().zip(v_values.clone()));
        let what = format!("{:?}", case.op);
        let expected = central_difference(&graph, &gradient, &given, &wrt, &v_values);
        assert_close(&run(&graph, &hv, &given), &expected, 1e-6, &what);
        let expected = central_difference(&graph, &hv, &given, &wrt, &v_values);
        assert_close(&run(&graph, &third, &given), &expected, 1e-5, &what);
    });
}

/// Gradient of Σ output by the inputs `wrt`, at `values`.
fn slopes(graph: &mut Graph, output: NodeId, wrt: &[NodeId], values: &[Tensor]) -> Vec<Tensor> {
    let total = graph.sum_all(output);
    let gradient = grad(graph, total, wrt);
    verify(graph).unwrap();
    run(graph, &gradient, &wrt.iter().copied().zip(values.iter().cloned()).collect())
}

#[test]
fn relu_is_flat_at_zero() {
    let mut graph = Graph::new();
    let x = graph.input_f32("x", &[4]);
    let zero = graph.full(0.0, &[4]);
    let y = graph.max(x, zero);
    let slope = slopes(&mut graph, y, &[x], &[tensor(&[4], &[-1.0, -0.0, 0.0, 2.0])]);
    assert_eq!(slope[0].data, [0.0, 0.0, 0.0, 1.0]);
}

#[test]
fn relu_keeps_only_its_output_for_the_backward_pass() {
    let mut graph = Graph::new();
    let x = graph.input_f32("x", &[4]);
    let zero = graph.full(0.0, &[4]);
    let y = graph.max(x, zero);
    let u = graph.input_f32("u", &[4]);
    let back = vjp(&mut graph, &[y], &[x], &[u]);
    let live = graph.reachable(&back);
    let readers =
        |id: NodeId| graph.ids().filter(|r| live[r.index()] && *r != y && graph.node(*r).inputs.contains(&id)).count();
    assert_eq!(readers(x), 0);
    assert!(readers(y) > 0);
}

#[test]
fn a_tie_of_max_flows_to_the_second_operand() {
    let mut graph = Graph::new();
    let a = graph.input_f32("a", &[3]);
    let b = graph.input_f32("b", &[3]);
    let y = graph.max(a, b);
    let values = [tensor(&[3], &[1.0, 2.0, 3.0]), tensor(&[3], &[2.0, 2.0, 2.0])];
    let slope = slopes(&mut graph, y, &[a, b], &values);
    assert_eq!(slope[0].data, [0.0, 0.0, 1.0]);
    assert_eq!(slope[1].data, [1.0, 1.0, 0.0]);
}

#[test]
fn a_tie_of_reduce_max_is_shared() {
    let mut graph = Graph::new();
    let x = graph.input_f32("x", &[2, 3]);
    let y = graph.reduce_max(x, &[1]);
    let slope = slopes(&mut graph, y, &[x], &[tensor(&[2, 3], &[5.0, 1.0, 5.0, 7.0, 7.0, 7.0])]);
    let third = 1.0 / 3.0;
    assert_eq!(slope[0].data, [0.5, 0.0, 0.5, third, third, third]);
}

#[test]
fn wrt_cuts_the_graph() {
    let mut graph = Graph::new();
    let x = graph.input_f32("x", &[2]);
    let y = graph.unary(Unary::Exp, x);
    let z = graph.mul(y, x);
    let at = tensor(&[2], &[0.5, -1.0]);
    let given = vec![(x, at.clone())];
    let one = graph.full(1.0, &[2]);
    // z = y·x with y and x independent: ∂z/∂y = x, ∂z/∂x = y.
    let by_both = vjp(&mut graph, &[z], &[x, y], &[one]);
    let exp: Vec<f64> = at.data.iter().map(|x| x.exp()).collect();
    let found = run(&graph, &by_both, &given);
    assert_eq!(found[0].data, exp);
    assert_eq!(found[1].data, at.data);
    // By y alone x is a constant, although y is computed from it.
    let by_y = vjp(&mut graph, &[z], &[y], &[one]);
    assert_eq!(run(&graph, &by_y, &given)[0].data, at.data);
}

#[test]
fn outputs_may_be_variables_repeated_or_independent() {
    let mut graph = Graph::new();
    let x = graph.input_f32("x", &[2]);
    let other = graph.input_f32("other", &[2]);
    let u = graph.input_f32("u", &[2]);
    let w = graph.input_f32("w", &[2]);
    assert_eq!(jvp(&mut graph, &[x, other], &[x], &[u]), [Some(u), None]);
    let back = vjp(&mut graph, &[x, x], &[x, other], &[u, w]);
    let given = vec![(u, tensor(&[2], &[1.0, 2.0])), (w, tensor(&[2], &[10.0, 20.0]))];
    let found = run(&graph, &back, &given);
    assert_eq!(found[0].data, [11.0, 22.0]);
    assert_eq!(found[1].data, [0.0, 0.0]);
}

#[test]
fn masks_and_labels_carry_no_tangent() {
    let mut graph = Graph::new();
    let x = graph.input_f32("x", &[2]);
    let t = graph.input_f32("t", &[2]);
    let zero = graph.full(0.0, &[2]);
    let mask = graph.compare(Compare::Ge, x, zero);
    let steps = graph.to_f32(mask);
    let before = graph.nodes().len();
    assert_eq!(jvp(&mut graph, &[steps], &[x], &[t]), [None]);
    assert_eq!(graph.nodes().len(), before);
}

#[test]
fn a_gradient_asked_for_twice_is_the_same_nodes() {
    let mut graph = Graph::new();
    let x = graph.input_f32("x", &[3]);
    let y = graph.unary(Unary::Tanh, x);
    let square = graph.mul(y, y);
    let loss = graph.sum_all(square);
    let first = grad(&mut graph, loss, &[x]);
    let second = grad(&mut graph, loss, &[x]);
    assert_eq!(first, second);
}

#[test]
fn derivatives_of_what_does_not_fit_are_refused() {
    type Ask = fn(&mut Graph, NodeId, NodeId);
    let asked: [(&str, Ask); 5] = [
        ("sum it first", |g, x, _| _ = grad(g, x, &[x])),
        ("both must be F32 of one shape", |g, x, y| _ = jvp(g, &[x], &[x], &[y])),
        ("1 tangents for 2 nodes", |g, x, y| _ = jvp(g, &[x], &[x, y], &[x])),
        ("0 cotangents for 1 outputs", |g, x, _| _ = vjp(g, &[x], &[x], &[])),
        ("name it once", |g, x, _| {
            let loss = g.sum_all(x);
            grad(g, loss, &[x, x]);
        }),
    ];
    for (reason, ask) in asked {
        let mut graph = Graph::new();
        let (x, y) = (graph.input_f32("x", &[3]), graph.input_f32("y", &[2]));
        ask(&mut graph, x, y);
        let error = graph.check().unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(eval(&graph, &[x], &[(x, tensor(&[3], &[1.0, 2.0, 3.0]))]).unwrap_err(), error);
    }
}
