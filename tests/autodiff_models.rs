//! Derivatives of whole models: small networks against central differences, closed forms, and the number of matmuls.

use edgewalk::autodiff::{curvature_grad, ggn, grad, hvp};
use edgewalk::graph::{Compare, DType, Graph, NodeId, Op, Tensor, Unary, verify};

use super::op_cases::tensor;
use super::oracle::{Given, Numbers, assert_close, assert_near, central_difference, inner, run};

#[derive(Clone, Copy, Debug)]
enum Activation {
    Linear,
    Relu,
    Tanh,
    Gelu,
    Elu,
    Softplus,
}

const CURVED: [Activation; 5] =
    [Activation::Relu, Activation::Tanh, Activation::Gelu, Activation::Elu, Activation::Softplus];

fn activate(graph: &mut Graph, activation: Activation, x: NodeId) -> NodeId {
    let shape = graph.shape(x).to_vec();
    let zero = graph.full(0.0, &shape);
    match activation {
        Activation::Linear => x,
        Activation::Relu => graph.max(x, zero),
        Activation::Tanh => graph.unary(Unary::Tanh, x),
        // ½x(1 + tanh(√(2/π)(x + 0.044715x³)))
        Activation::Gelu => {
            let square = graph.mul(x, x);
            let cube = graph.mul(square, x);
            let cube = graph.scale(cube, 0.044715);
            let inside = graph.add(x, cube);
            let inside = graph.scale(inside, (2.0 / std::f32::consts::PI).sqrt());
            let tanh = graph.unary(Unary::Tanh, inside);
            let gate = graph.offset(tanh, 1.0);
            let half = graph.scale(x, 0.5);
            graph.mul(half, gate)
        }
        Activation::Elu => {
            let negative = graph.neg(x);
            let negative = graph.max(negative, zero);
            let negative = graph.neg(negative);
            let exp = graph.unary(Unary::Exp, negative);
            let below = graph.offset(exp, -1.0);
            let mask = graph.compare(Compare::Gt, x, zero);
            graph.select(mask, x, below)
        }
        Activation::Softplus => graph.unary(Unary::Softplus, x),
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Loss {
    Mse,
    CrossEntropy,
}

/// A network with its data and a direction in the space of its parameters.
struct Network {
    graph: Graph,
    params: Vec<NodeId>,
    output: NodeId,
    loss: NodeId,
    v: Vec<NodeId>,
    v_values: Vec<Tensor>,
    /// Values of all inputs, the direction's included.
    given: Given,
}

/// A network of `widths`, on five random examples.
fn network(activation: Activation, loss: Loss, widths: &[usize]) -> Network {
    let n = 5;
    let mut numbers = Numbers::new(7);
    let mut graph = Graph::new();
    let mut given = Given::new();
    let mut params = Vec::new();
    let x = graph.input_f32("x", &[n, widths[0]]);
    given.push((x, numbers.tensor(&[n, widths[0]])));
    let mut h = x;
    for (layer, pair) in widths.windows(2).enumerate() {
        let (kernel, bias) = (graph.input_f32("kernel", pair), graph.input_f32("bias", &pair[1..]));
        given.push((kernel, numbers.tensor(pair)));
        given.push((bias, numbers.tensor(&pair[1..])));
        params.extend([kernel, bias]);
        let product = graph.matmul(h, kernel);
        let bias = graph.broadcast(bias, &[n, pair[1]], &[1]);
        h = graph.add(product, bias);
        if layer + 2 < widths.len() {
            h = activate(&mut graph, activation, h);
        }
    }
    let classes = widths[widths.len() - 1];
    let labels = graph.input("labels", &[n], DType::U32);
    given.push((labels, tensor(&[n], &(0..n).map(|i| (i % classes) as f64).collect::<Vec<_>>())));
    let target = graph.one_hot(labels, classes);
    let loss = match loss {
        Loss::Mse => {
            let error = graph.sub(h, target);
            let square = graph.mul(error, error);
            let total = graph.sum_all(square);
            graph.scale(total, 1.0 / (n * classes) as f32)
        }
        Loss::CrossEntropy => {
            let top = graph.reduce_max(h, &[1]);
            let top = graph.unary(Unary::StopGradient, top);
            let top = graph.broadcast(top, &[n, classes], &[0]);
            let shifted = graph.sub(h, top);
            let exp = graph.unary(Unary::Exp, shifted);
            let norm = graph.reduce_sum(exp, &[1]);
            let log = graph.unary(Unary::Log, norm);
            let hit = graph.mul(shifted, target);
            let hit = graph.reduce_sum(hit, &[1]);
            let each = graph.sub(log, hit);
            let total = graph.sum_all(each);
            graph.scale(total, 1.0 / n as f32)
        }
    };
    let (v, v_values) = numbers.inputs_like(&mut graph, &params);
    given.extend(v.iter().copied().zip(v_values.iter().cloned()));
    Network { graph, params, output: h, loss, v, v_values, given }
}

fn every_network(check: impl Fn(Network, &str)) {
    for loss in [Loss::Mse, Loss::CrossEntropy] {
        for activation in CURVED {
            check(network(activation, loss, &[4, 6, 5, 3]), &format!("{activation:?}, {loss:?}"));
        }
    }
}

#[test]
fn gradients_match_central_differences() {
    every_network(|mut net, what| {
        let gradient = grad(&mut net.graph, net.loss, &net.params);
        verify(&net.graph).unwrap();
        for seed in 0..5 {
            let mut numbers = Numbers::new(seed);
            let d: Vec<Tensor> = net.v_values.iter().map(|v| numbers.tensor(&v.shape)).collect();
            let slope = &central_difference(&net.graph, &[net.loss], &net.given, &net.params, &d)[0];
            let found = inner(&run(&net.graph, &gradient, &net.given), &d);
            assert_near(found, slope.data[0], 1e-8, what);
        }
    });
}

#[test]
fn curvature_products_match_central_differences() {
    every_network(|mut net, what| {
        let gradient = grad(&mut net.graph, net.loss, &net.params);
        let hv = hvp(&mut net.graph, net.loss, &net.params, &net.v);
        let third = curvature_grad(&mut net.graph, net.loss, &net.params, &net.v);
        verify(&net.graph).unwrap();
        let expected = central_difference(&net.graph, &gradient, &net.given, &net.params, &net.v_values);
        assert_close(&run(&net.graph, &hv, &net.given), &expected, 1e-7, what);
        let expected = central_difference(&net.graph, &hv, &net.given, &net.params, &net.v_values);
        assert_close(&run(&net.graph, &third, &net.given), &expected, 1e-6, what);
    });
}

#[test]
fn the_third_order_product_is_the_gradient_of_the_curvature() {
    every_network(|mut net, what| {
        let third = curvature_grad(&mut net.graph, net.loss, &net.params, &net.v);
        // vᵀHv written out, and differentiated in reverse: the other route to the same vector.
        let hv = hvp(&mut net.graph, net.loss, &net.params, &net.v);
        let mut curvature = net.graph.constant(0.0);
        for (&v, &hv) in net.v.iter().zip(&hv) {
            let product = net.graph.mul(v, hv);
            let part = net.graph.sum_all(product);
            curvature = net.graph.add(curvature, part);
        }
        let reverse = grad(&mut net.graph, curvature, &net.params);
        verify(&net.graph).unwrap();
        assert_close(&run(&net.graph, &third, &net.given), &run(&net.graph, &reverse, &net.given), 1e-12, what);
    });
}

#[test]
fn the_hessian_is_symmetric() {
    every_network(|mut net, what| {
        let (w, w_values) = Numbers::new(9).inputs_like(&mut net.graph, &net.params);
        net.given.extend(w.iter().copied().zip(w_values.iter().cloned()));
        let hv = hvp(&mut net.graph, net.loss, &net.params, &net.v);
        let hw = hvp(&mut net.graph, net.loss, &net.params, &w);
        let left = inner(&w_values, &run(&net.graph, &hv, &net.given));
        let right = inner(&net.v_values, &run(&net.graph, &hw, &net.given));
        assert_near(left, right, 1e-12, what);
    });
}

/// wᵀGv = (Jw)ᵀ H_L (Jv), with Jw and Jv by central differences and H_L in closed form.
#[test]
fn gauss_newton_products_match_their_definition() {
    for loss in [Loss::Mse, Loss::CrossEntropy] {
        for activation in CURVED {
            let mut net = network(activation, loss, &[4, 6, 5, 3]);
            let gv = ggn(&mut net.graph, net.loss, net.output, &net.params, &net.v);
            verify(&net.graph).unwrap();
            let found = run(&net.graph, &gv, &net.given);
            let push =
                |d: &[Tensor]| central_difference(&net.graph, &[net.output], &net.given, &net.params, d).remove(0);
            let jv = push(&net.v_values);
            let curved = loss_hessian(loss, &run(&net.graph, &[net.output], &net.given)[0], &jv);
            for seed in 0..5 {
                let mut numbers = Numbers::new(seed);
                let w: Vec<Tensor> = net.v_values.iter().map(|v| numbers.tensor(&v.shape)).collect();
                let expected = inner(&[push(&w)], std::slice::from_ref(&curved));
                assert_near(inner(&w, &found), expected, 1e-7, &format!("{activation:?}, {loss:?}"));
            }
        }
    }
}

/// H_L·d for the mean loss over the rows of the network's output f: 2d/(nk) for the squared error, and
/// (p∘d − p(pᵀd))/n with p = softmax(f) for the cross-entropy.
fn loss_hessian(loss: Loss, f: &Tensor, d: &Tensor) -> Tensor {
    let (n, k) = (f.shape[0], f.shape[1]);
    let mut result = d.clone();
    for row in 0..n {
        let range = row * k..(row + 1) * k;
        let exp: Vec<f64> = f.data[range.clone()].iter().map(|x| x.exp()).collect();
        let total: f64 = exp.iter().sum();
        let mean: f64 = exp.iter().zip(&d.data[range.clone()]).map(|(e, d)| e / total * d).sum();
        for (value, e) in result.data[range].iter_mut().zip(&exp) {
            *value = match loss {
                Loss::Mse => 2.0 * *value / (n * k) as f64,
                Loss::CrossEntropy => e / total * (*value - mean) / n as f64,
            };
        }
    }
    result
}

#[test]
fn the_hessian_of_a_linear_model_is_gauss_newton() {
    for loss in [Loss::Mse, Loss::CrossEntropy] {
        let mut net = network(Activation::Linear, loss, &[4, 3]);
        let gv = ggn(&mut net.graph, net.loss, net.output, &net.params, &net.v);
        let hv = hvp(&mut net.graph, net.loss, &net.params, &net.v);
        assert_close(&run(&net.graph, &gv, &net.given), &run(&net.graph, &hv, &net.given), 1e-13, "G·v and H·v");
    }
}

#[test]
fn the_hessian_of_a_quadratic_is_its_matrix() {
    let mut graph = Graph::new();
    let w = graph.input_f32("w", &[3]);
    let lambda = graph.input_f32("lambda", &[3]);
    let v = graph.input_f32("v", &[3]);
    let square = graph.mul(w, w);
    let weighted = graph.mul(lambda, square);
    let total = graph.sum_all(weighted);
    let loss = graph.scale(total, 0.5);
    let gradient = grad(&mut graph, loss, &[w]);
    let hv = hvp(&mut graph, loss, &[w], &[v]);
    let third = curvature_grad(&mut graph, loss, &[w], &[v]);
    let given = vec![
        (w, tensor(&[3], &[1.0, 2.0, 3.0])),
        (lambda, tensor(&[3], &[4.0, -2.0, 0.5])),
        (v, tensor(&[3], &[1.0, 10.0, 100.0])),
    ];
    let found = run(&graph, &[gradient[0], hv[0], third[0]], &given);
    assert_eq!(found[0].data, [4.0, -4.0, 1.5]);
    assert_eq!(found[1].data, [4.0, -20.0, 50.0]);
    assert_eq!(found[2].data, [0.0, 0.0, 0.0]);
}

/// L = ½(1 + y)x² has gradient ((1 + y)x, ½x²), Hessian [[1 + y, x], [x, 0]] and, for v = (a, b),
/// ∇(vᵀHv) = ∇(a²(1 + y) + 2abx) = (2ab, a²).
#[test]
fn a_valley_of_changing_width_has_the_known_derivatives() {
    let mut graph = Graph::new();
    let [x, y, a, b] = ["x", "y", "a", "b"].map(|name| graph.input_f32(name, &[]));
    let width = graph.offset(y, 1.0);
    let square = graph.mul(x, x);
    let product = graph.mul(width, square);
    let loss = graph.scale(product, 0.5);
    let gradient = grad(&mut graph, loss, &[x, y]);
    let hv = hvp(&mut graph, loss, &[x, y], &[a, b]);
    let third = curvature_grad(&mut graph, loss, &[x, y], &[a, b]);
    let scalar = |value| tensor(&[], &[value]);
    let given = vec![(x, scalar(3.0)), (y, scalar(4.0)), (a, scalar(2.0)), (b, scalar(7.0))];
    let found: Vec<f64> = run(&graph, &[gradient, hv, third].concat(), &given).iter().map(|t| t.data[0]).collect();
    assert_eq!(found, [15.0, 4.5, 5.0 * 2.0 + 3.0 * 7.0, 3.0 * 2.0, 28.0, 4.0]);
}

fn count(graph: &Graph, outputs: &[NodeId], is: fn(&Op) -> bool) -> usize {
    let live = graph.reachable(outputs);
    graph.ids().filter(|id| live[id.index()] && is(&graph.node(*id).op)).count()
}

/// Products per layer. Gradient: forward, by the input, by the kernel. H·v: one product and its two tangents for the
/// forward pass and for the gradient by the input, and the two tangents of the gradient by the kernel. The first layer's
/// input has no gradient and no tangent; and where the activation is piecewise linear, nothing reads the primal
/// gradient by the second layer's input.
#[test]
fn no_matmul_is_superfluous() {
    let is_dot = |op: &Op| matches!(op, Op::DotGeneral(_));
    let is_transpose = |op: &Op| matches!(op, Op::Transpose { .. });
    let layers = 4;
    for (activation, unread) in [(Activation::Relu, 1), (Activation::Tanh, 0), (Activation::Gelu, 0)] {
        let mut net = network(activation, Loss::CrossEntropy, &[4, 6, 5, 7, 3]);
        let gradient = grad(&mut net.graph, net.loss, &net.params);
        let hv = hvp(&mut net.graph, net.loss, &net.params, &net.v);
        let gv = ggn(&mut net.graph, net.loss, net.output, &net.params, &net.v);
        let all = [&gradient[..], &hv, &gv].concat();
        assert_eq!(count(&net.graph, &gradient, is_dot), 2 + 3 * (layers - 1));
        assert_eq!(count(&net.graph, &hv, is_dot), 3 + 8 * (layers - 1) - unread);
        assert_eq!(count(&net.graph, &gv, is_dot), 3 + 5 * (layers - 1));
        assert_eq!(count(&net.graph, &all, is_transpose), 0);
    }
}
