//! Elementary functions at the ends of float32 and in between, and softmax with huge logits. The limit of a function
//! follows from the WGSL specification ("Floating point accuracy"), which limits each builtin's error, and from the way
//! `shaders/math.wgsl` builds functions of builtins. One ulp of a value is at most u times the value.

use super::case::Case;
use super::{ROUNDOFF, Row};
use crate::autodiff;
use crate::device::{Device, DeviceError};
use crate::graph::Unary;
use crate::model::Loss;

/// The absolute error that WGSL allows a logarithm near 1.
const LOG: f64 = 1.0 / (1u32 << 21) as f64;

/// A function, its domain, and its error limit.
struct Function {
    name: &'static str,
    f: Unary,
    /// Whether its domain holds x.
    domain: fn(f64) -> bool,
    /// The argument that `math.wgsl` uses instead.
    argument: fn(f64) -> f64,
    /// Allowed error at argument and value.
    allowed: fn(f64, f64) -> f64,
    /// The same in words.
    limit: &'static str,
}

fn all(_: f64) -> bool {
    true
}

fn positive(x: f64) -> bool {
    x > 0.0
}

fn itself(x: f64) -> f64 {
    x
}

const FUNCTIONS: [Function; 9] = [
    Function {
        name: "exp",
        f: Unary::Exp,
        domain: all,
        // It saturates at e⁸⁸ = 1.7e38 rather than overflow.
        argument: |x| x.clamp(-104.0, 88.0),
        allowed: |x, y| (3.0 + 2.0 * x.abs()) * ROUNDOFF * y,
        limit: "3 + 2|x| ulp (WGSL)",
    },
    Function {
        name: "expm1",
        f: Unary::Expm1,
        domain: all,
        argument: |x| x.clamp(-104.0, 88.0),
        // From |x| = 0.4, eˣ − 1: 3 + 2|x| ulp of the exponential and a rounding. Below, two roundings and a division
        // of t, which has seven.
        allowed: |x, y| {
            let size = if x.abs() < 0.4 { y.abs() } else { x.exp() + y.abs() };
            (12.0 + 2.0 * x.abs()) * ROUNDOFF * size
        },
        limit: "12 + 2|x| ulp of eˣ, or of itself near 0",
    },
    Function {
        name: "tanh",
        f: Unary::Tanh,
        domain: all,
        argument: itself,
        // (1 − t)/(1 + t) with t = e⁻²ˣ, from x = 0.2: t is off by 3 + 4x ulp, which is multiplied by 2t/(1 − t²), at
        // most 2.5 and there 9.3 ulp; subtraction, addition and division bring 3.5. The series below 0.2 is cut at half
        // an ulp and has six roundings.
        allowed: |_, y| 14.0 * ROUNDOFF * y.abs(),
        limit: "14 ulp",
    },
    Function {
        name: "logistic",
        f: Unary::Logistic,
        domain: all,
        argument: itself,
        // 1/(1 + e⁻ˣ): that of exp, an addition, and WGSL's 2.5 ulp of a division.
        allowed: |x, y| (6.0 + 2.0 * x.abs().min(88.0)) * ROUNDOFF * y,
        limit: "6 + 2|x| ulp",
    },
    Function {
        name: "softplus",
        f: Unary::Softplus,
        domain: all,
        argument: itself,
        // max(x, 0) + log(1 + e^−|x|): below 0 that of exp, which counts less above; a series of 10 roundings, an
        // addition.
        allowed: |x, y| (14.0 + 2.0 * (-x).clamp(0.0, 88.0)) * ROUNDOFF * y,
        limit: "14 ulp, + 2|x| below 0",
    },
    Function {
        name: "erf",
        f: Unary::Erf,
        domain: all,
        argument: itself,
        // x + x·P(x²) below 1, where |P| is at most 0.29: two roundings, and few of P that count. Above, 1 − t with t at
        // most 0.16 and off by 3 + 4 ulp: one ulp, and a rounding.
        allowed: |_, y| 4.0 * ROUNDOFF * y.abs(),
        limit: "4 ulp",
    },
    Function {
        name: "log",
        f: Unary::Log,
        domain: positive,
        argument: itself,
        allowed: |x, y| if (0.5..=2.0).contains(&x) { LOG } else { 3.0 * ROUNDOFF * y.abs() },
        limit: "2⁻²¹ in [½, 2], else 3 ulp (WGSL)",
    },
    Function {
        name: "sqrt",
        f: Unary::Sqrt,
        domain: |x| x >= 0.0,
        argument: itself,
        // WGSL: as 1/inverseSqrt(x), of 2 and 2.5 ulp.
        allowed: |_, y| 4.5 * ROUNDOFF * y,
        limit: "4.5 ulp (WGSL)",
    },
    Function {
        name: "1/sqrt",
        f: Unary::Rsqrt,
        domain: positive,
        argument: itself,
        // That of sqrt and a division.
        allowed: |_, y| 7.0 * ROUNDOFF * y,
        limit: "7 ulp",
    },
];

/// The ends of float32, the places where implementations change their formula or overflow, and a fine grid of
/// magnitudes from 2⁻²⁰ to 2⁷, all with both signs; rounded to f32.
fn arguments() -> Vec<f64> {
    let ends = [0.0, 1e-30, 1e-7, 0.2, 0.5, 1.0, 2.0, 15.0, 44.0, 44.5, 88.0, 89.0, 104.0, 1e4, 3e38];
    let grid = (0..27 * 64).map(|i| 2f64.powf(f64::from(i) / 64.0 - 20.0));
    ends.into_iter().chain(grid).flat_map(|x| [f64::from(x as f32), -f64::from(x as f32)]).collect()
}

pub(super) fn rows(device: &Device) -> Result<Vec<Row>, DeviceError> {
    let mut rows = FUNCTIONS.iter().map(|function| row(device, function)).collect::<Result<Vec<_>, _>>()?;
    rows.extend(softmax(device)?);
    Ok(rows)
}

fn row(device: &Device, function: &Function) -> Result<Row, DeviceError> {
    let Function { name, f, domain, argument, allowed, limit } = function;
    let x: Vec<f64> = arguments().into_iter().filter(|&x| domain(x)).collect();
    let case = |x: Vec<f64>| {
        let mut case = Case::new("a function");
        let input = case.input(&[x.len()], x);
        case.outputs.push(case.graph.unary(*f, input));
        case
    };
    let found = case(x.clone()).run(device)?;
    let exact = case(x.iter().map(|&x| argument(x)).collect()).exact(false);
    let worst = worst(&x, &found, &exact, |x, y| allowed(argument(x), y));
    let advice = "losses and gradients will be wrong: update the driver, or choose another --adapter";
    Ok(Row::judged(name, worst.words(), (*limit).to_owned(), worst.share <= 1.0, advice))
}

/// The argument with the largest share of the allowed error.
struct Worst {
    x: f64,
    found: f64,
    exact: f64,
    /// Error over allowed error; infinite where the result is not finite.
    share: f64,
}

impl Worst {
    fn words(&self) -> String {
        let Self { x, found, exact, share } = *self;
        if !found.is_finite() {
            return format!("{found} at x = {x:e}, where it is {exact:.6e}");
        }
        let relative = (found - exact).abs() / exact.abs();
        format!("error {relative:.1e} (relative) at x = {x:.3e}, {}", of_the_limit(share))
    }
}

fn of_the_limit(share: f64) -> String {
    if share <= 1.0 { format!("{:.0} % of the limit", 100.0 * share) } else { format!("{share:.1e} × the limit") }
}

fn worst(x: &[f64], found: &[f64], exact: &[f64], allowed: impl Fn(f64, f64) -> f64) -> Worst {
    const TINY: f64 = f32::MIN_POSITIVE as f64;
    let each = x.iter().zip(found).zip(exact).map(|((&x, &found), &exact)| {
        // WGSL lets a device flush what is below the smallest normal number to 0.
        let flushed = exact.abs() <= TINY && found.abs() <= TINY;
        let error = if flushed { 0.0 } else { (found - exact).abs() };
        let share = if error == 0.0 { 0.0 } else { error / allowed(x, exact) };
        Worst { x, found, exact, share: if found.is_finite() { share } else { f64::INFINITY } }
    });
    let none = Worst { x: 1.0, found: 1.0, exact: 1.0, share: 0.0 };
    each.fold(none, |worst, next| if next.share > worst.share { next } else { worst })
}

/// Cross-entropy and its gradient, which is softmax less the label's one, for logits up to ±1e4.
fn softmax(device: &Device) -> Result<Vec<Row>, DeviceError> {
    let logits = [
        [1e4, -1e4, 0.0, 9999.0],   // one far above the rest, its neighbour a little below
        [-1e4, -1e4, -1e4, -1e4],   // all equal
        [3.0, -1e4, 2.5, 1e4],      // the label's own far below
        [1e4, 1e4, 1e4, 1e4],       // all equal and large
        [0.25, -0.5, 1.5, 0.0],     // ordinary
        [88.0, -88.0, 44.0, 104.0], // about where exp overflows
    ];
    let mut case = Case::new("cross-entropy");
    let x = case.input(&[logits.len(), 4], logits.concat());
    let labels = case.labels(&[3, 1, 1, 2, 2, 0]);
    let losses = Loss::CrossEntropy.per_label(&mut case.graph, x, labels);
    let sum = case.graph.sum_all(losses);
    let gradient = autodiff::grad(&mut case.graph, sum, &[x]);
    case.outputs = vec![losses, gradient[0]];
    let (found, exact) = (case.run(device)?, case.exact(false));
    let advice = "classification will go wrong: update the driver, or choose another --adapter";
    let judged = |name: &str, range: std::ops::Range<usize>, allowed: fn(f64, f64) -> f64, limit: &str| {
        let places: Vec<f64> = (0..range.len()).map(|i| i as f64).collect();
        let worst = worst(&places, &found[range.clone()], &exact[range], allowed);
        let found = if worst.found.is_finite() {
            format!("error {:.1e}, {}", (worst.found - worst.exact).abs(), of_the_limit(worst.share))
        } else {
            format!("{} instead of {:e}", worst.found, worst.exact)
        };
        Row::judged(name, found, limit.to_owned(), worst.share <= 1.0, advice)
    };
    let rows = logits.len();
    Ok(vec![
        // log Σ e^(xᵢ − max), a sum from 1 to 4, whose logarithm has log's error twice near 1; then a subtraction.
        judged(
            "cross-entropy, logits ±1e4",
            0..rows,
            |_, y| 2.0 * LOG + 2.0 * ROUNDOFF * y.abs(),
            "2⁻²⁰ (WGSL's log) + 2 ulp",
        ),
        // e^(xᵢ − max) is off by (3 + 2s)e⁻ˢ ≤ 3 ulp of 1, their sum by three more, a division by 2.5.
        judged("softmax, logits ±1e4", rows..5 * rows, |_, _| 10.0 * ROUNDOFF, "10 ulp of 1"),
    ])
}
