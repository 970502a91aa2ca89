//! Hessians known in closed form, through the crate's own derivatives in f64: what the solvers find of `autodiff::hvp` is what
//! the formula's matrix has.

use edgewalk::autodiff::hvp;
use edgewalk::curvature::{
    DensityOptions, EigenOptions, FnOperator, Minus, Operator, SubOperator, TraceOptions, lanczos, spectral_density,
    trace,
};
use edgewalk::graph::{Graph, NodeId, Tensor, Unary, eval};
use nalgebra::{DMatrix, SymmetricEigen};

use super::curvature::noise;

/// H·v of `loss` at the values `at` of the parameters `wrt`, other inputs being `data`.
fn hessian(
    mut graph: Graph,
    loss: NodeId,
    wrt: &[NodeId],
    at: &[Vec<f64>],
    data: Vec<(NodeId, Tensor)>,
) -> impl Operator + use<> {
    let shapes: Vec<Vec<usize>> = wrt.iter().map(|&w| graph.shape(w).to_vec()).collect();
    let v: Vec<NodeId> = shapes.iter().map(|shape| graph.input_f32("v", shape)).collect();
    let products = hvp(&mut graph, loss, wrt, &v);
    let mut given = data;
    let tensor = |shape: &Vec<usize>, data: &[f64]| Tensor { shape: shape.clone(), data: data.to_vec() };
    given.extend(wrt.iter().zip(&shapes).zip(at).map(|((&w, shape), x)| (w, tensor(shape, x))));
    FnOperator::new(at.iter().map(Vec::len).sum(), move |x: &[f64], out: &mut [f64]| {
        let (mut given, mut rest) = (given.clone(), x);
        for (&v, shape) in v.iter().zip(&shapes) {
            let (part, behind) = rest.split_at(shape.iter().product());
            given.push((v, tensor(shape, part)));
            rest = behind;
        }
        let found = eval(&graph, &products, &given).unwrap();
        out.copy_from_slice(&found.iter().flat_map(|tensor| tensor.data.iter().copied()).collect::<Vec<_>>());
        Ok(())
    })
}

/// Eigenvalues from both ends, the trace, and the range of the density, against those of the matrix of the formula.
fn check(operator: &mut dyn Operator, formula: DMatrix<f64>, case: &str) {
    let n = formula.nrows();
    let exact_trace = formula.trace();
    let mut truth: Vec<f64> = SymmetricEigen::new(formula).eigenvalues.iter().copied().collect();
    truth.sort_by(f64::total_cmp);
    let scale = truth[0].abs().max(truth[n - 1].abs());
    let near = |got: f64, want: f64, what: &str| {
        assert!((got - want).abs() <= 1e-9 * scale * n as f64, "{case}, {what}: {got} {want}");
    };
    let options = EigenOptions { top: 2, bottom: 2, tol: 1e-10, max_iterations: 1000, ..Default::default() };
    let found = lanczos(operator, None, &options).unwrap();
    near(found.bottom[0].value, truth[0], "lowest");
    near(found.lambda_min.value, truth[0], "λ_min");
    near(found.lambda_max.value, truth[n - 1], "λ_max");
    near(found.pairs[0].value.abs(), scale, "‖H‖");
    let options = TraceOptions { products: n.max(6), ..Default::default() };
    near(trace(operator, &options).unwrap().estimate.value, exact_trace, "trace");
    let options = DensityOptions { steps: n, ..Default::default() };
    let density = spectral_density(operator, &options).unwrap();
    near(density.lambda_max.value, truth[n - 1], "top of the density");
}

fn table(rows: usize, columns: usize, seed: u64) -> (DMatrix<f64>, Tensor) {
    let data = noise(rows * columns, seed);
    (DMatrix::from_row_slice(rows, columns, &data), Tensor { shape: vec![rows, columns], data })
}

#[test]
fn linear_regression_curves_by_the_covariance() {
    // ½‖Xw − y‖²/N: H = XᵀX/N, at every w.
    let (n, d) = (16, 7);
    let (x_matrix, x_values) = table(n, d, 1);
    let mut g = Graph::new();
    let (x, y, w) = (g.input_f32("x", &[n, d]), g.input_f32("y", &[n, 1]), g.input_f32("w", &[d, 1]));
    let predicted = g.matmul(x, w);
    let off = g.sub(predicted, y);
    let square = g.mul(off, off);
    let sum = g.sum_all(square);
    let loss = g.scale(sum, 0.5 / n as f32);
    let data = vec![(x, x_values), (y, table(n, 1, 2).1)];
    let mut operator = hessian(g, loss, &[w], &[noise(d, 3)], data);
    check(&mut operator, x_matrix.transpose() * &x_matrix / n as f64, "linear regression");
}

#[test]
fn logistic_regression_curves_by_the_weighted_covariance() {
    // Σ log(1 + exp(x·w)) − y x·w over N: H = Xᵀ diag(p(1 − p)) X/N with p = σ(Xw), whatever y is.
    let (n, d) = (16, 5);
    let (x_matrix, x_values) = table(n, d, 4);
    let at = noise(d, 5);
    let mut g = Graph::new();
    let (x, w) = (g.input_f32("x", &[n, d]), g.input_f32("w", &[d, 1]));
    let logits = g.matmul(x, w);
    let e = g.unary(Unary::Exp, logits);
    let odds = g.offset(e, 1.0);
    let each = g.unary(Unary::Log, odds);
    let sum = g.sum_all(each);
    let loss = g.scale(sum, 1.0 / n as f32);
    let logits = &x_matrix * DMatrix::from_column_slice(d, 1, &at);
    let weight = DMatrix::from_fn(n, n, |i, j| {
        let p = 1.0 / (1.0 + (-logits[i]).exp());
        if i == j { p * (1.0 - p) / n as f64 } else { 0.0 }
    });
    let mut operator = hessian(g, loss, &[w], &[at], vec![(x, x_values)]);
    check(&mut operator, x_matrix.transpose() * weight * &x_matrix, "logistic regression");
}

#[test]
fn a_linear_network_of_two_layers_curves_as_worked_out_by_hand() {
    // L = ½(b·a x − y)² with vectors a, b of two entries and a scalar x. With r = b·a x − y:
    // ∂²/∂aᵢ∂aⱼ = x² bᵢbⱼ, ∂²/∂bᵢ∂bⱼ = x² aᵢaⱼ, ∂²/∂aᵢ∂bⱼ = x² bᵢaⱼ + r x δᵢⱼ.
    // The first parts make the Gauss–Newton matrix x²(b, a)(b, a)ᵀ, the last the rest, with eigenvalues ±r x, twice each.
    let (a, b, x, y) = ([1.0, -2.0], [0.5, 3.0], 2.0, 1.0);
    let mut g = Graph::new();
    let (first, second) = (g.input_f32("a", &[2, 1]), g.input_f32("b", &[1, 2]));
    let product = g.matmul(second, first);
    let predicted = g.scale(product, x as f32);
    let off = g.offset(predicted, -(y as f32));
    let square = g.mul(off, off);
    let sum = g.sum_all(square);
    let loss = g.scale(sum, 0.5);
    let r = (b[0] * a[0] + b[1] * a[1]) * x - y;
    assert_eq!(r, -12.0);
    let jacobian = [b[0] * x, b[1] * x, a[0] * x, a[1] * x];
    let gauss_newton = DMatrix::from_fn(4, 4, |i, j| jacobian[i] * jacobian[j]);
    let rest = DMatrix::from_fn(4, 4, |i, j| if i.abs_diff(j) == 2 { r * x } else { 0.0 });
    let mut operator = hessian(g, loss, &[first, second], &[a.to_vec(), b.to_vec()], vec![]);
    check(&mut operator, &gauss_newton + &rest, "two layers");

    // One layer alone is linear regression: x²bbᵀ.
    let first = 0..2;
    let mut layer = SubOperator::new(&mut operator, &[first]).unwrap();
    check(&mut layer, gauss_newton.view((0, 0), (2, 2)).into_owned(), "first layer");

    // H − G.
    let g = FnOperator::new(4, |v: &[f64], out: &mut [f64]| {
        out.copy_from_slice((&gauss_newton * DMatrix::from_column_slice(4, 1, v)).as_slice());
        Ok(())
    });
    check(&mut Minus::new(&mut operator, g).unwrap(), rest, "what Gauss–Newton leaves");
}
