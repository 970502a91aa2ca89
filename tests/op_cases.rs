//! One small program per op with inputs and values worked out by hand, shared by the tests of `eval` and of the
//! derivative rules, and the check that no op is without one.
//!
//! Floating-point inputs keep away from kinks and ties, so that finite differences apply to every case.

use edgewalk::graph::{Binary, Bits, Compare, ConvSide, DType, DotDims, Graph, NodeId, Op, Tensor, Unary, Window};

/// `op` applied to fresh inputs, and what must come out.
pub struct Case {
    pub op: Op,
    pub inputs: Vec<(DType, Tensor)>,
    pub expected: Vec<f64>,
}

impl Case {
    /// The program: its graph, its inputs and its result.
    pub fn build(&self) -> (Graph, Vec<NodeId>, NodeId) {
        let mut graph = Graph::new();
        let inputs: Vec<NodeId> =
            self.inputs.iter().map(|(dtype, tensor)| graph.input("x", &tensor.shape, *dtype)).collect();
        let output = graph.push(self.op.clone(), &inputs);
        (graph, inputs, output)
    }
}

/// A tensor from its shape and elements.
pub fn tensor(shape: &[usize], data: &[f64]) -> Tensor {
    assert_eq!(shape.iter().product::<usize>(), data.len(), "a test's tensor of shape {shape:?}");
    Tensor { shape: shape.to_vec(), data: data.to_vec() }
}

fn case(op: Op, inputs: &[(DType, &[usize], &[f64])], expected: &[f64]) -> Case {
    let inputs = inputs.iter().map(|(dtype, shape, data)| (*dtype, tensor(shape, data))).collect();
    Case { op, inputs, expected: expected.to_vec() }
}

/// Lists the op set once, as an exhaustive `match`: an op that is added does not compile until it is named here, and
/// then fails `every_op_has_a_case` until it has a case.
macro_rules! kinds {
    ($($pattern:pat => $name:literal,)*) => {
        pub const KINDS: &[&str] = &[$($name),*];

        pub fn kind(op: &Op) -> &'static str {
            match op {
                $($pattern => $name,)*
            }
        }
    };
}

kinds! {
    Op::Input(_) => "input",
    Op::Constant(_) => "constant",
    Op::Iota { .. } => "iota",
    Op::Unary(Unary::Neg) => "neg",
    Op::Unary(Unary::Exp) => "exp",
    Op::Unary(Unary::Expm1) => "expm1",
    Op::Unary(Unary::Log) => "log",
    Op::Unary(Unary::Sqrt) => "sqrt",
    Op::Unary(Unary::Rsqrt) => "rsqrt",
    Op::Unary(Unary::Tanh) => "tanh",
    Op::Unary(Unary::Logistic) => "logistic",
    Op::Unary(Unary::Softplus) => "softplus",
    Op::Unary(Unary::Erf) => "erf",
    Op::Unary(Unary::StopGradient) => "stop_gradient",
    Op::Binary(Binary::Add) => "add",
    Op::Binary(Binary::Sub) => "sub",
    Op::Binary(Binary::Mul) => "mul",
    Op::Binary(Binary::Div) => "div",
    Op::Binary(Binary::Max) => "max",
    Op::Compare(Compare::Gt) => "gt",
    Op::Compare(Compare::Ge) => "ge",
    Op::Compare(Compare::Eq) => "eq",
    Op::Select => "select",
    Op::ToF32 => "to_f32",
    Op::BroadcastInDim { .. } => "broadcast_in_dim",
    Op::Reshape { .. } => "reshape",
    Op::Transpose { .. } => "transpose",
    Op::Slice { .. } => "slice",
    Op::Pad { .. } => "pad",
    Op::ReduceSum { .. } => "reduce_sum",
    Op::ReduceMax { .. } => "reduce_max",
    Op::DotGeneral(_) => "dot_general",
    Op::Conv { of: ConvSide::Input, .. } => "conv_input",
    Op::Conv { of: ConvSide::Kernel, .. } => "conv_kernel",
    Op::Conv { of: ConvSide::Output, .. } => "conv",
}

#[test]
fn every_op_has_a_case() {
    let mut found: Vec<&str> = Vec::new();
    for case in cases() {
        found.extend(case.build().0.nodes().iter().map(|node| kind(&node.op)));
    }
    let missing: Vec<&&str> = KINDS.iter().filter(|name| !found.contains(name)).collect();
    assert!(missing.is_empty(), "ops without a case: {missing:?}");
}

/// The cases of all ops.
pub fn cases() -> Vec<Case> {
    let mut all = elementwise();
    all.extend(index_maps());
    all.extend(reductions());
    all.extend(contractions());
    all.extend(convolutions());
    all
}

fn elementwise() -> Vec<Case> {
    use DType::{Bool, F32, U32};
    let unary = |f, x: &[f64], y: &[f64]| case(Op::Unary(f), &[(F32, &[x.len()], x)], y);
    let binary = |f, y: &[f64]| {
        case(Op::Binary(f), &[(F32, &[2, 2], &[1.0, -2.0, 3.0, 0.5]), (F32, &[2, 2], &[4.0, -0.5, 2.0, 8.0])], y)
    };
    let compare =
        |f, y: &[f64]| case(Op::Compare(f), &[(F32, &[3], &[1.0, 2.0, 3.0]), (F32, &[3], &[2.0, 2.0, 2.0])], y);
    let of_masks = |f, y: &[f64]| {
        case(Op::Compare(f), &[(Bool, &[4], &[0.0, 0.0, 1.0, 1.0]), (Bool, &[4], &[0.0, 1.0, 0.0, 1.0])], y)
    };
    let e = std::f64::consts::E;
    let ln_2 = std::f64::consts::LN_2;
    vec![
        case(Op::Constant(Bits::new(0.1)), &[], &[0.1]),
        case(Op::Iota { shape: vec![2, 3], axis: 1 }, &[], &[0.0, 1.0, 2.0, 0.0, 1.0, 2.0]),
        case(Op::Iota { shape: vec![2, 3], axis: 0 }, &[], &[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]),
        unary(Unary::Neg, &[1.5, -2.0], &[-1.5, 2.0]),
        unary(Unary::Exp, &[0.0, 1.0, ln_2], &[1.0, e, 2.0]),
        unary(Unary::Expm1, &[0.0, ln_2, -ln_2], &[0.0, 1.0, -0.5]),
        unary(Unary::Log, &[1.0, e, 2.0], &[0.0, 1.0, ln_2]),
        unary(Unary::Sqrt, &[4.0, 0.25], &[2.0, 0.5]),
        unary(Unary::Rsqrt, &[4.0, 0.25], &[0.5, 2.0]),
        // tanh(ln 2) = (2 − ½)/(2 + ½)
        unary(Unary::Tanh, &[0.0, ln_2, -ln_2], &[0.0, 0.6, -0.6]),
        unary(Unary::Logistic, &[0.0, ln_2, -ln_2], &[0.5, 2.0 / 3.0, 1.0 / 3.0]),
        unary(Unary::Softplus, &[0.0, ln_2, 800.0, -800.0], &[ln_2, 3f64.ln(), 800.0, 0.0]),
        // Abramowitz and Stegun, table 7.1, with more digits.
        unary(
            Unary::Erf,
            &[0.0, 0.5, 1.0, -2.0],
            &[0.0, 0.520_499_877_813_046_5, 0.842_700_792_949_714_9, -0.995_322_265_018_952_7],
        ),
        unary(Unary::StopGradient, &[1.5, -2.0], &[1.5, -2.0]),
        binary(Binary::Add, &[5.0, -2.5, 5.0, 8.5]),
        binary(Binary::Sub, &[-3.0, -1.5, 1.0, -7.5]),
        binary(Binary::Mul, &[4.0, 1.0, 6.0, 4.0]),
        binary(Binary::Div, &[0.25, 4.0, 1.5, 0.0625]),
        binary(Binary::Max, &[4.0, -0.5, 3.0, 8.0]),
        compare(Compare::Gt, &[0.0, 0.0, 1.0]),
        compare(Compare::Ge, &[0.0, 1.0, 1.0]),
        compare(Compare::Eq, &[0.0, 1.0, 0.0]),
        of_masks(Compare::Gt, &[0.0, 0.0, 1.0, 0.0]),
        of_masks(Compare::Ge, &[1.0, 0.0, 1.0, 1.0]),
        of_masks(Compare::Eq, &[1.0, 0.0, 0.0, 1.0]),
        case(Op::Compare(Compare::Eq), &[(U32, &[2], &[7.0, 8.0]), (U32, &[2], &[7.0, 9.0])], &[1.0, 0.0]),
        case(
            Op::Select,
            &[(Bool, &[3], &[1.0, 0.0, 1.0]), (F32, &[3], &[1.0, 2.0, 3.0]), (F32, &[3], &[4.0, 5.0, 6.0])],
            &[1.0, 5.0, 3.0],
        ),
        case(Op::ToF32, &[(U32, &[3], &[0.0, 7.0, 4_294_967_295.0])], &[0.0, 7.0, 4_294_967_295.0]),
        case(Op::ToF32, &[(Bool, &[2], &[0.0, 1.0])], &[0.0, 1.0]),
    ]
}

fn index_maps() -> Vec<Case> {
    use DType::{F32, U32};
    let broadcast = |shape: &[usize], dims: &[usize]| Op::BroadcastInDim { shape: shape.to_vec(), dims: dims.to_vec() };
    let transpose = |perm: &[usize]| Op::Transpose { perm: perm.to_vec() };
    let slice = |start: &[usize], limit: &[usize]| Op::Slice { start: start.to_vec(), limit: limit.to_vec() };
    let pad = |low: &[usize], high: &[usize]| Op::Pad { low: low.to_vec(), high: high.to_vec() };
    let six: &[f64] = &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    vec![
        case(broadcast(&[3], &[]), &[(F32, &[], &[5.0])], &[5.0, 5.0, 5.0]),
        case(broadcast(&[2, 3], &[1]), &[(F32, &[3], &[1.0, 2.0, 3.0])], &[1.0, 2.0, 3.0, 1.0, 2.0, 3.0]),
        case(broadcast(&[3, 2], &[0]), &[(F32, &[3], &[1.0, 2.0, 3.0])], &[1.0, 1.0, 2.0, 2.0, 3.0, 3.0]),
        case(
            broadcast(&[2, 2, 2], &[0, 2]),
            &[(F32, &[2, 2], &[1.0, 2.0, 3.0, 4.0])],
            &[1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0],
        ),
        case(broadcast(&[2, 2], &[0]), &[(U32, &[2], &[7.0, 8.0])], &[7.0, 7.0, 8.0, 8.0]),
        case(broadcast(&[0, 3], &[1]), &[(F32, &[3], &[1.0, 2.0, 3.0])], &[]),
        case(Op::Reshape { shape: vec![3, 2] }, &[(F32, &[2, 3], six)], six),
        case(Op::Reshape { shape: vec![6] }, &[(F32, &[2, 3], six)], six),
        case(Op::Reshape { shape: vec![] }, &[(F32, &[1, 1], &[9.0])], &[9.0]),
        case(transpose(&[1, 0]), &[(F32, &[2, 3], six)], &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]),
        // result[k][i][j] = x[i][j][k], with x of shape [1, 2, 3]
        case(transpose(&[2, 0, 1]), &[(F32, &[1, 2, 3], six)], &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]),
        case(transpose(&[1, 2, 0]), &[(F32, &[3, 1, 2], six)], &[1.0, 3.0, 5.0, 2.0, 4.0, 6.0]),
        case(transpose(&[1, 0]), &[(F32, &[0, 3], &[])], &[]),
        case(slice(&[0, 1], &[2, 3]), &[(F32, &[2, 3], six)], &[2.0, 3.0, 5.0, 6.0]),
        case(slice(&[1, 0], &[2, 2]), &[(F32, &[2, 3], six)], &[4.0, 5.0]),
        case(slice(&[1], &[1]), &[(F32, &[2], &[1.0, 2.0])], &[]),
        case(pad(&[1], &[2]), &[(F32, &[2], &[7.0, 8.0])], &[0.0, 7.0, 8.0, 0.0, 0.0]),
        case(
            pad(&[0, 1], &[1, 0]),
            &[(F32, &[2, 2], &[1.0, 2.0, 3.0, 4.0])],
            &[0.0, 1.0, 2.0, 0.0, 3.0, 4.0, 0.0, 0.0, 0.0],
        ),
        case(pad(&[1, 0], &[0, 0]), &[(F32, &[0, 2], &[])], &[0.0, 0.0]),
    ]
}

fn reductions() -> Vec<Case> {
    let sum = |axes: &[usize]| Op::ReduceSum { axes: axes.to_vec() };
    let max = |axes: &[usize]| Op::ReduceMax { axes: axes.to_vec() };
    let six: &[f64] = &[1.0, -2.0, 3.0, 4.0, 5.0, -6.0];
    let f32_case = |op, shape: &[usize], x: &[f64], y: &[f64]| case(op, &[(DType::F32, shape, x)], y);
    vec![
        f32_case(sum(&[0]), &[2, 3], six, &[5.0, 3.0, -3.0]),
        f32_case(sum(&[1]), &[2, 3], six, &[2.0, 3.0]),
        f32_case(sum(&[0, 1]), &[2, 3], six, &[5.0]),
        f32_case(sum(&[0, 2]), &[3, 1, 2], six, &[5.0]),
        f32_case(sum(&[1]), &[3, 1, 2], six, six),
        f32_case(sum(&[0]), &[0, 2], &[], &[0.0, 0.0]),
        f32_case(sum(&[1]), &[0, 2], &[], &[]),
        f32_case(max(&[0]), &[2, 3], six, &[4.0, 5.0, 3.0]),
        f32_case(max(&[1]), &[2, 3], six, &[3.0, 5.0]),
        f32_case(max(&[0, 1]), &[2, 3], six, &[5.0]),
        f32_case(max(&[0]), &[2], &[-4.0, -3.0], &[-3.0]),
    ]
}

fn contractions() -> Vec<Case> {
    let dot = |batch: [&[usize]; 2], contract: [&[usize]; 2]| {
        Op::DotGeneral(DotDims {
            lhs_batch: batch[0].to_vec(),
            rhs_batch: batch[1].to_vec(),
            lhs_contract: contract[0].to_vec(),
            rhs_contract: contract[1].to_vec(),
        })
    };
    let pair = |op, a_shape: &[usize], a: &[f64], b_shape: &[usize], b: &[f64], y: &[f64]| {
        case(op, &[(DType::F32, a_shape, a), (DType::F32, b_shape, b)], y)
    };
    let six: &[f64] = &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let four: &[f64] = &[1.0, 2.0, 3.0, 4.0];
    let eight: &[f64] = &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    vec![
        // A·B, A·Bᵀ, Aᵀ·B, Aᵀ·Bᵀ
        pair(dot([&[], &[]], [&[1], &[0]]), &[2, 3], six, &[3, 2], six, &[22.0, 28.0, 49.0, 64.0]),
        pair(dot([&[], &[]], [&[1], &[1]]), &[2, 3], six, &[1, 3], &[1.0, 0.0, -1.0], &[-2.0, -2.0]),
        pair(dot([&[], &[]], [&[0], &[0]]), &[2, 3], six, &[2, 1], &[1.0, 10.0], &[41.0, 52.0, 63.0]),
        pair(dot([&[], &[]], [&[0], &[1]]), &[2, 3], six, &[1, 2], &[1.0, 10.0], &[41.0, 52.0, 63.0]),
        // inner and outer products, and a full contraction with its pairs out of order
        pair(dot([&[], &[]], [&[0], &[0]]), &[3], &[1.0, 2.0, 3.0], &[3], &[4.0, 5.0, 6.0], &[32.0]),
        pair(dot([&[], &[]], [&[], &[]]), &[2], &[1.0, 2.0], &[3], &[4.0, 5.0, 6.0], &[4.0, 5.0, 6.0, 8.0, 10.0, 12.0]),
        pair(dot([&[], &[]], [&[0, 1], &[1, 0]]), &[2, 2], four, &[2, 2], &[1.0, 10.0, 100.0, 1000.0], &[4231.0]),
        // two contracted axes and a free one on each side: y[i][j] = Σ_pq a[p][i][q]·b[q][p][j]
        pair(dot([&[], &[]], [&[0, 2], &[1, 0]]), &[2, 1, 2], four, &[2, 2, 1], &[1.0, 10.0, 100.0, 1000.0], &[4231.0]),
        // batch axes: first on both sides, last on the left, and only batch axes
        pair(
            dot([&[0], &[0]], [&[2], &[1]]),
            &[2, 2, 2],
            eight,
            &[2, 2, 1],
            &[1.0, 1.0, 1.0, -1.0],
            &[3.0, 7.0, -1.0, -1.0],
        ),
        pair(
            dot([&[2], &[0]], [&[0], &[1]]),
            &[2, 2, 2],
            eight,
            &[2, 2, 1],
            &[1.0, 1.0, 1.0, -1.0],
            &[6.0, 10.0, -4.0, -4.0],
        ),
        pair(dot([&[0], &[0]], [&[], &[]]), &[2], &[2.0, 3.0], &[2], &[5.0, 7.0], &[10.0, 21.0]),
        pair(dot([&[1, 0], &[0, 1]], [&[], &[]]), &[2, 2], four, &[2, 2], four, &[1.0, 6.0, 6.0, 16.0]),
        // nothing to sum
        pair(dot([&[], &[]], [&[1], &[0]]), &[2, 0], &[], &[0, 1], &[], &[0.0, 0.0]),
    ]
}

fn convolutions() -> Vec<Case> {
    let conv = |of, window| Op::Conv { of, window };
    let pair = |op, a: (&[usize], &[f64]), b: (&[usize], &[f64]), y: &[f64]| {
        case(op, &[(DType::F32, a.0, a.1), (DType::F32, b.0, b.1)], y)
    };
    let nine: &[f64] = &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
    let tens: &[f64] = &[1.0, 10.0, 100.0, 1000.0];
    let square = Window { input: [3, 3], kernel: [2, 2], output: [2, 2], stride: [1, 1], low: [0, 0] };
    let strided = Window::same([3, 3], [2, 2], [2, 2]);
    let row = Window::same([1, 3], [1, 3], [1, 1]);
    assert_eq!((strided.output, strided.low, row.low), ([2, 2], [0, 0], [0, 1]));
    let point = |width| Window::same([1, width], [1, 1], [1, 1]);
    let (three, three_tens): (&[f64], &[f64]) = (&[1.0, 2.0, 3.0], &[1.0, 10.0, 100.0]);
    let (x3, w3): (&[usize], &[usize]) = (&[1, 1, 3, 1], &[1, 3, 1, 1]);
    vec![
        pair(
            conv(ConvSide::Output, square),
            (&[1, 3, 3, 1], nine),
            (&[2, 2, 1, 1], tens),
            &[5421.0, 6532.0, 8754.0, 9865.0],
        ),
        // Beyond the last row and column are zeros.
        pair(
            conv(ConvSide::Output, strided),
            (&[1, 3, 3, 1], nine),
            (&[2, 2, 1, 1], tens),
            &[5421.0, 603.0, 87.0, 9.0],
        ),
        pair(conv(ConvSide::Output, row), (x3, three), (w3, three_tens), &[210.0, 321.0, 32.0]),
        pair(conv(ConvSide::Kernel, row), (x3, three), (x3, three_tens), &[210.0, 321.0, 32.0]),
        pair(conv(ConvSide::Input, row), (w3, three_tens), (x3, three), &[12.0, 123.0, 230.0]),
        // Only even sums of positions meet under a stride of 2.
        pair(
            conv(ConvSide::Input, strided),
            (&[2, 2, 1, 1], tens),
            (&[1, 2, 2, 1], &[1.0, 2.0, 3.0, 4.0]),
            &[1.0, 10.0, 2.0, 100.0, 1000.0, 200.0, 3.0, 30.0, 4.0],
        ),
        // A kernel of one position is a matrix product over the channels.
        pair(
            conv(ConvSide::Output, point(2)),
            (&[1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0]),
            (&[1, 1, 2, 2], tens),
            &[201.0, 2010.0, 403.0, 4030.0],
        ),
        // a batch axis, and two examples that share a kernel
        pair(
            conv(ConvSide::Output, point(1)),
            (&[2, 1, 1, 1, 1], &[2.0, 3.0]),
            (&[2, 1, 1, 1, 1], &[5.0, 7.0]),
            &[10.0, 21.0],
        ),
        pair(conv(ConvSide::Kernel, point(1)), (&[2, 1, 1, 1], &[2.0, 3.0]), (&[2, 1, 1, 1], &[5.0, 7.0]), &[31.0]),
    ]
}
