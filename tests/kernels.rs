//! Every kernel family against the interpreter, on the adapter.

use std::sync::Arc;

use edgewalk::autodiff::{grad, hvp};
use edgewalk::graph::{Binary, Compare, ConvSide, DType, DotDims, Graph, NodeId, Op, Tensor, Unary, Window};
use edgewalk::kernel::{Choices, Registers, Target, Variant};
use edgewalk::model::Loss;
use edgewalk::model::layers::layer_norm;
use edgewalk::passes::SplitPolicy;

use super::device::{assert_agrees, assert_agrees_for, own_target, program};
use super::op_cases::cases;
use super::oracle::Numbers;

/// Sizes that fit nothing.
const ODD: [usize; 6] = [1, 3, 17, 255, 257, 1000];

/// Targets that lead to every matmul variant that this adapter can run.
fn targets() -> Vec<Target> {
    let own = own_target();
    let sliced =
        Target { split: SplitPolicy { wanted_tiles: 64, min_slice: 16, ..SplitPolicy::SOFTWARE }, ..own.clone() };
    let mut targets = vec![own.clone(), sliced];
    for &variant in Variant::ALL {
        let choices = Arc::new(Choices { tried: Some(variant), ..Choices::default() });
        match variant {
            // Nothing but an adapter with subgroups can run it.
            Variant::Subgroup { .. } if own.subgroup.is_none() => {}
            Variant::Subgroup { .. } => targets.push(Target { choices, ..own.clone() }),
            Variant::Rows { .. } => targets.push(Target { choices, subgroup: None, cpu: true, ..own.clone() }),
            Variant::Tile(_) => {
                targets.push(Target { choices, subgroup: None, cpu: false, registers: Registers::Many, ..own.clone() });
            }
        }
    }
    targets
}

#[test]
fn every_op_agrees_with_the_interpreter() {
    for case in cases() {
        let (graph, inputs, output) = case.build();
        let given: Vec<(NodeId, Tensor)> =
            inputs.iter().copied().zip(case.inputs.iter().map(|(_, t)| t.clone())).collect();
        assert_agrees(&graph, &[output], &given, 1e-6);
    }
}

#[test]
fn contractions_of_odd_sizes_agree() {
    let mut numbers = Numbers::new(1);
    for (i, &m) in ODD.iter().enumerate() {
        for (j, &n) in ODD.iter().enumerate() {
            let k = ODD[(i + 2 * j) % 6];
            // The orientations and the other targets take turns: a kernel takes a driver a while to compile.
            let (lhs_contract, rhs_contract) = [(1, 0), (0, 0), (1, 1), (0, 1)][(i + j) % 4];
            let targets = targets();
            for target in [&targets[0], &targets[1 + (6 * i + j) % (targets.len() - 1)]] {
                let mut g = Graph::new();
                let a = if lhs_contract == 1 { [m, k] } else { [k, m] };
                let b = if rhs_contract == 0 { [k, n] } else { [n, k] };
                let (x, y) = (g.input_f32("a", &a), g.input_f32("b", &b));
                let (lhs_contract, rhs_contract) = (vec![lhs_contract], vec![rhs_contract]);
                let z = g.dot_general(x, y, DotDims { lhs_contract, rhs_contract, ..DotDims::default() });
                let given = [(x, numbers.tensor(&a)), (y, numbers.tensor(&b))];
                assert_agrees_for(&g, &[z], &given, 2e-6, target);
            }
        }
    }
}

#[test]
fn batched_contractions_agree() {
    let mut numbers = Numbers::new(2);
    for (i, (heads, m, n, k)) in [(1, 5, 7, 3), (3, 17, 8, 12), (4, 32, 32, 16), (2, 1, 257, 5)].into_iter().enumerate()
    {
        // The variants take turns: a kernel takes a driver a while to compile.
        for target in targets().into_iter().skip(i % 2).step_by(2) {
            let mut g = Graph::new();
            // Attention-like: [batch, time, head, size] on both sides, contracted over size or over time.
            let (a, b) = ([2, m, heads, k], [2, n, heads, k]);
            let (x, y) = (g.input_f32("q", &a), g.input_f32("k", &b));
            let scores =
                DotDims { lhs_batch: vec![0, 2], rhs_batch: vec![0, 2], lhs_contract: vec![3], rhs_contract: vec![3] };
            let s = g.dot_general(x, y, scores);
            let mix =
                DotDims { lhs_batch: vec![0, 1], rhs_batch: vec![0, 2], lhs_contract: vec![3], rhs_contract: vec![1] };
            let o = g.dot_general(s, y, mix);
            let given = [(x, numbers.tensor(&a)), (y, numbers.tensor(&b))];
            assert_agrees_for(&g, &[s, o], &given, 2e-6, &target);
        }
    }
}

#[test]
fn convolutions_agree() {
    let mut numbers = Numbers::new(7);
    // Channels that are loaded four at a time, and not; examples that are summed in groups, with some left over.
    let cases = [
        (5, 3, 4, [9, 7], [3, 3], [1, 1]),
        (2, 4, 8, [8, 8], [3, 3], [1, 1]),
        (3, 8, 17, [6, 5], [3, 3], [2, 2]),
        (4, 1, 5, [11, 4], [2, 5], [3, 1]),
        (2, 3, 4, [4, 4], [2, 2], [2, 2]),
        (6, 16, 32, [16, 16], [3, 3], [1, 1]),
        (19, 4, 4, [32, 32], [3, 3], [1, 1]),
    ];
    for (i, (n, ci, co, input, kernel, stride)) in cases.into_iter().enumerate() {
        let window = Window::same(input, kernel, stride);
        let shape = |side: ConvSide| match side {
            ConvSide::Input => [n, input[0], input[1], ci],
            ConvSide::Kernel => [kernel[0], kernel[1], ci, co],
            ConvSide::Output => [n, window.output[0], window.output[1], co],
        };
        for of in [ConvSide::Input, ConvSide::Kernel, ConvSide::Output] {
            // The portable kernels take a driver long to compile: one case has them all, the others one each.
            let targets = targets();
            let last = targets.len() - i;
            let others = if ci == 8 { 1..targets.len() } else { last - 1..last };
            for target in [&targets[..1], &targets[others]].concat() {
                let mut g = Graph::new();
                let operands = of.operands().map(|side| g.input_f32("x", &shape(side)));
                let side = g.push(Op::Conv { of, window }, &operands);
                // An epilogue, and a consumer that needs the result itself.
                let square = g.mul(side, side);
                let given = [0, 1].map(|i| (operands[i], numbers.tensor(&shape(of.operands()[i]))));
                assert_agrees_for(&g, &[side, square], &given, 2e-6, &target);
            }
        }
    }
}

#[test]
fn reductions_of_odd_sizes_agree() {
    let mut numbers = Numbers::new(3);
    for &m in &ODD {
        for &n in &ODD {
            for axes in [vec![0], vec![1], vec![0, 1]] {
                let mut g = Graph::new();
                let x = g.input_f32("x", &[m, n]);
                // The prologue keeps the sum from cancelling, so that a relative bound means something.
                let square = g.mul(x, x);
                let sum = g.reduce_sum(square, &axes);
                let max = g.reduce_max(x, &axes);
                let root = g.unary(Unary::Sqrt, sum);
                let given = [(x, numbers.tensor(&[m, n]))];
                assert_agrees(&g, &[sum, max, root], &given, 2e-6);
                // As kernels for GPUs too.
                if axes == [1] {
                    let other = Target { cpu: false, subgroup: None, ..own_target() };
                    assert_agrees_for(&g, &[sum, max, root], &given, 2e-6, &other);
                }
            }
        }
    }
}

/// Rows that workgroups share: short and long ones, some of which leave lanes idle, in numbers that leave workgroups
/// unfilled.
#[test]
fn rows_of_all_lengths_agree() {
    let mut numbers = Numbers::new(9);
    let own = own_target();
    let shared = Target {
        cpu: false,
        subgroup: None,
        max_bindings: own.max_bindings.max(8),
        split: SplitPolicy { long_rows: true, ..own.split },
        ..own
    };
    for (i, len) in [1, 2, 3, 4, 5, 12, 17, 64, 100, 128, 255, 256, 260, 1000, 1027].into_iter().enumerate() {
        let count = [5, 67][i % 2];
        let mut g = Graph::new();
        let (x, v) = (g.input_f32("x", &[count, len]), g.input_f32("v", &[count, len]));
        let (scale, bias) = (g.input_f32("scale", &[len]), g.input_f32("bias", &[len]));
        let labels = g.input("labels", &[count], DType::U32);
        let y = layer_norm(&mut g, x, scale, bias, 0.1);
        // Its product with v, the losses, and their derivatives: rows and numbers of rows.
        let product = g.mul(y, v);
        let product = g.reduce_sum(product, &[1]);
        let losses = Loss::CrossEntropy.per_label(&mut g, y, labels);
        let sum = g.sum_all(losses);
        let gradient = grad(&mut g, sum, &[x])[0];
        let of_gradient = hvp(&mut g, sum, &[x], &[v])[0];
        let given = [
            (x, numbers.tensor(&[count, len])),
            (v, numbers.tensor(&[count, len])),
            (scale, numbers.tensor(&[len])),
            (bias, numbers.tensor(&[len])),
            (labels, Tensor { shape: vec![count], data: (0..count).map(|i| (i % len) as f64).collect() }),
        ];
        assert_agrees_for(&g, &[y, product, losses, gradient, of_gradient], &given, 1e-5, &shared);
    }
}

#[test]
fn a_long_row_is_one_kernel() {
    let mut g = Graph::new();
    let x = g.input_f32("x", &[100, 5000]);
    let most = g.reduce_max(x, &[1]);
    let most = g.broadcast(most, &[100, 5000], &[0]);
    let less = g.sub(x, most);
    let exp = g.unary(Unary::Exp, less);
    let sum = g.reduce_sum(exp, &[1]);
    let sum = g.broadcast(sum, &[100, 5000], &[0]);
    let softmax = g.div(exp, sum);
    let target = Target { cpu: false, subgroup: None, split: SplitPolicy::GPU, ..own_target() };
    let given = [(x, Tensor { shape: vec![100, 5000], data: vec![0.0; 500_000] })];
    assert_eq!(program(&g, &[softmax], &given, &target).dispatches.len(), 1);
}

#[test]
fn maps_of_odd_sizes_agree() {
    let mut numbers = Numbers::new(4);
    for &m in &ODD {
        for &n in &ODD {
            let mut g = Graph::new();
            let (x, row, column) = (g.input_f32("x", &[m, n]), g.input_f32("r", &[n]), g.input_f32("c", &[m]));
            let (r, c) = (g.broadcast(row, &[m, n], &[1]), g.broadcast(column, &[m, n], &[0]));
            let sum = g.add(x, r);
            let product = g.mul(sum, c);
            let tanh = g.unary(Unary::Tanh, product);
            let mask = g.compare(Compare::Gt, tanh, x);
            let chosen = g.select(mask, tanh, r);
            let turned = g.transpose(chosen, &[1, 0]);
            let padded = g.pad(turned, &[1, 2], &[3, 0]);
            let flat = g.reshape(padded, &[(n + 4) * (m + 2)]);
            let given = [(x, numbers.tensor(&[m, n])), (row, numbers.tensor(&[n])), (column, numbers.tensor(&[m]))];
            assert_agrees(&g, &[product, mask, flat], &given, 2e-6);
        }
    }
}

#[test]
fn a_kernel_with_too_many_operands_is_cut() {
    let mut numbers = Numbers::new(5);
    let mut g = Graph::new();
    let xs: Vec<NodeId> = (0..24).map(|_| g.input_f32("x", &[33, 20])).collect();
    // Each sum over rows is a kernel of its own; their values meet in one expression of 24 loads and 13 results.
    let sums: Vec<NodeId> = xs.iter().map(|&x| g.reduce_sum(x, &[0])).collect();
    let all = sums.iter().skip(1).fold(sums[0], |a, &b| g.binary(Binary::Mul, a, b));
    let mut outputs: Vec<NodeId> = (0..12).map(|i| g.add(sums[i], sums[23 - i])).collect();
    outputs.push(all);
    let given: Vec<_> = xs.iter().map(|&x| (x, numbers.tensor(&[33, 20]))).collect();
    assert_agrees(&g, &outputs, &given, 1e-5);
}

#[test]
fn a_reduction_with_too_many_operands_is_cut() {
    let mut numbers = Numbers::new(6);
    let mut g = Graph::new();
    let xs: Vec<NodeId> = (0..12).map(|_| g.input_f32("x", &[33, 20])).collect();
    // Twelve stored rows and a matrix meet in the prologue of one reduction.
    let rows: Vec<NodeId> = xs.iter().map(|&x| g.reduce_sum(x, &[0])).collect();
    let wide: Vec<NodeId> = rows.iter().map(|&r| g.broadcast(r, &[33, 20], &[1])).collect();
    let sum = wide.iter().fold(xs[0], |a, &b| g.add(a, b));
    let square = g.mul(sum, sum);
    let total = g.reduce_sum(square, &[1]);
    let given: Vec<_> = xs.iter().map(|&x| (x, numbers.tensor(&[33, 20]))).collect();
    assert_agrees(&g, &[total], &given, 1e-5);
}

#[test]
fn functions_stay_finite_for_large_arguments() {
    let mut g = Graph::new();
    let data = vec![-1e4, -100.0, -20.0, -1e-3, 0.0, 1e-3, 20.0, 100.0, 1e4];
    let x = g.input_f32("x", &[data.len()]);
    let outputs: Vec<NodeId> =
        [Unary::Tanh, Unary::Logistic, Unary::Softplus, Unary::Erf].into_iter().map(|f| g.unary(f, x)).collect();
    let given = [(x, Tensor { shape: vec![data.len()], data })];
    assert_agrees(&g, &outputs, &given, 1e-6);
}

#[test]
fn cross_entropy_is_exact_for_large_logits() {
    let mut g = Graph::new();
    let data = vec![
        1e4, -1e4, 0.0, 9999.0, // one far above the rest, its neighbour a little below
        -1e4, -1e4, -1e4, -1e4, // all equal
        3.0, -1e4, 2.5, 1e4, // the label's own far below
        -1e4, 1e4, 1e4, -1e4,
    ];
    let logits = g.input_f32("logits", &[4, 4]);
    let labels = g.input("labels", &[4], DType::U32);
    let v = g.input_f32("v", &[4, 4]);
    let losses = Loss::CrossEntropy.per_label(&mut g, logits, labels);
    let sum = g.sum_all(losses);
    let gradient = grad(&mut g, sum, &[logits])[0];
    let product = hvp(&mut g, sum, &[logits], &[v])[0];
    let given = [
        (logits, Tensor { shape: vec![4, 4], data }),
        (labels, Tensor { shape: vec![4], data: vec![3.0, 1.0, 0.0, 1.0] }),
        (v, Numbers::new(8).tensor(&[4, 4])),
    ];
    assert_agrees(&g, &[losses, gradient, product], &given, 1e-6);
}
