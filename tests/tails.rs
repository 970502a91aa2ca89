//! Softplus, ELU and the error function where their values are small: to a few units in the last place of the value, not
//! of 1, and so are their derivatives, in the interpreter and on the device.

use edgewalk::autodiff::grad;
use edgewalk::graph::{Graph, NodeId, Tensor, Unary, eval};
use edgewalk::model::Activation;

use super::device::{own_target, run_for};

/// 2⁻²⁴
const U: f64 = f32::EPSILON as f64 / 2.0;

/// Magnitudes about where formulas change, and to where e⁻ˣ is no normal number.
const SIZES: [f64; 24] = [
    1e-30, 1e-8, 1e-6, 1e-4, 1e-3, 0.01, 0.1, 0.19, 0.21, 0.39, 0.41, 0.7, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0,
    50.0, 60.0, 70.0, 80.0,
];

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The value and three derivatives, and what their errors are relative to.
fn softplus(x: f64) -> [[f64; 2]; 4] {
    let (s, r) = (logistic(x), logistic(-x));
    let value = x.max(0.0) + (-x.abs()).exp().ln_1p();
    // The third derivative is 0 at 0, as a difference.
    [[value; 2], [s; 2], [s * r; 2], [s * r * (r - s), s * r]]
}

fn elu(x: f64) -> [[f64; 2]; 4] {
    if x > 0.0 {
        [[x; 2], [1.0; 2], [0.0; 2], [0.0; 2]]
    } else {
        [[x.exp_m1(); 2], [x.exp(); 2], [x.exp(); 2], [x.exp(); 2]]
    }
}

/// Relative errors grow as x², the exponent of the bell.
fn erf(x: f64) -> [[f64; 2]; 4] {
    let bell = std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp();
    let third = (4.0 * x * x - 2.0) * bell;
    // The third derivative is 0 at √½, as a difference.
    [[libm::erf(x); 2], [bell; 2], [-2.0 * x * bell; 2], [third, (4.0 * x * x + 2.0) * bell]]
}

#[test]
fn softplus_elu_and_erf_keep_their_digits_in_all_derivatives() {
    type Exact = fn(f64) -> [[f64; 2]; 4];
    type Build = fn(&mut Graph, NodeId) -> NodeId;
    let functions: [(&str, Build, Exact); 3] = [
        ("softplus", |g, x| Activation::Softplus.apply(g, x), softplus),
        ("ELU", |g, x| Activation::Elu.apply(g, x), elu),
        ("erf", |g, x| g.unary(Unary::Erf, x), erf),
    ];
    for (name, build, exact) in functions {
        // e^(−x²) is no normal number of f32 from 9.3.
        let sizes = SIZES.iter().filter(|&&size| name != "erf" || size < 9.0);
        let x: Vec<f64> = sizes.flat_map(|&x| [f64::from(x as f32), -f64::from(x as f32)]).collect();
        let mut g = Graph::new();
        let input = g.input_f32("x", &[x.len()]);
        let mut outputs: Vec<NodeId> = vec![build(&mut g, input)];
        for order in 0..3 {
            let sum = g.sum_all(outputs[order]);
            outputs.push(grad(&mut g, sum, &[input])[0]);
        }
        let given = [(input, Tensor { shape: vec![x.len()], data: x.clone() })];
        let of_interpreter = eval(&g, &outputs, &given).unwrap();
        let on_device = run_for(&g, &outputs, &given, &own_target());
        for (i, &x) in x.iter().enumerate() {
            for (order, [wanted, scale]) in exact(x).into_iter().enumerate() {
                let error =
                    |found: &[Tensor]| (found[order].data[i] - wanted).abs() / scale.abs().max(f64::MIN_POSITIVE);
                let place = format!("derivative {order} of {name} at {x:e}, {wanted:e}");
                let of_interpreter = error(&of_interpreter);
                assert!(of_interpreter <= 1e-14, "{place}: {of_interpreter:e} in the interpreter");
                // WGSL lets an exponential be off by 3 + 2|x| units; the third derivative has four of them. That of −x²
                // also has the rounding of x².
                let exponent = if name == "erf" { x * x } else { x.abs() };
                let (found, limit) = (error(&on_device), (24.0 + 8.0 * exponent) * U);
                assert!(found <= limit, "{place}: {found:e} on the device, limit {limit:e}");
            }
        }
    }
}
