//! Every kernel family against the interpreter, and against itself: run again, loaded again.
//!
//! These kernels compute sums of products. A sum of n terms in any order is off by at most n·u times the sum of the
//! terms' magnitudes (Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., §4.2), which the interpreter
//! computes as the same graph on the inputs' magnitudes. So a dropped term, or products in half precision, exceed the
//! limit by orders of magnitude, whatever cancels.

use super::Row;
use super::case::{Case, worse};
use crate::device::{Device, DeviceError};
use crate::graph::{ConvSide, DotDims, Op, Window};

/// Runs whose bits must agree.
const RUNS: usize = 20;

/// A case, and the most roundings on the way from an input to an output.
struct Family {
    case: Case,
    roundings: usize,
}

fn matmul(name: &'static str, sizes: [usize; 3], turned: bool) -> Family {
    Family { case: Case::matmul(name, sizes, turned), roundings: sizes[2] + 1 }
}

/// Queries against keys as in attention: `[batch, time, head, size]`, contracted over the last.
fn batched() -> Family {
    let mut case = Case::new("matmul, batched");
    let (q, k) = (case.normal(&[2, 17, 3, 12]), case.normal(&[2, 13, 3, 12]));
    let (lhs_batch, rhs_batch) = (vec![0, 2], vec![0, 2]);
    case.outputs.push(case.graph.dot_general(
        q,
        k,
        DotDims { lhs_batch, rhs_batch, lhs_contract: vec![3], rhs_contract: vec![3] },
    ));
    Family { case, roundings: 13 }
}

/// One side of a 3 × 3 convolution of five images.
fn conv(name: &'static str, of: ConvSide) -> Family {
    let (images, ci, co) = (5, 3, 8);
    let window = Window::same([9, 7], [3, 3], [2, 1]);
    let mut case = Case::new(name);
    let operands = of.operands().map(|side| {
        case.normal(&match side {
            ConvSide::Input => [images, 9, 7, ci],
            ConvSide::Kernel => [3, 3, ci, co],
            ConvSide::Output => [images, window.output[0], window.output[1], co],
        })
    });
    case.outputs.push(case.graph.push(Op::Conv { of, window }, &operands));
    let roundings = 1 + match of {
        ConvSide::Input => 9 * co,
        ConvSide::Kernel => images * window.output[0] * window.output[1],
        ConvSide::Output => 9 * ci,
    };
    Family { case, roundings }
}

fn sum(name: &'static str, shape: [usize; 2], axes: &[usize]) -> Family {
    let mut case = Case::new(name);
    let x = case.normal(&shape);
    case.outputs.push(case.graph.reduce_sum(x, axes));
    // Longer sums are trees of sums of 256 (`passes::split`).
    let (mut terms, mut roundings) = (axes.iter().map(|&axis| shape[axis]).product::<usize>(), 0);
    while terms > 1 {
        roundings += terms.min(256);
        terms = terms.div_ceil(256);
    }
    Family { case, roundings }
}

/// A maximum is one of its operands, unrounded.
fn maximum() -> Family {
    let mut case = Case::new("maximum");
    let x = case.normal(&[33, 257]);
    case.outputs.push(case.graph.reduce_max(x, &[1]));
    Family { case, roundings: 0 }
}

/// (x + row)·column through a transposition and padding: loads of every kind, two roundings.
fn elementwise() -> Family {
    let (m, n) = (33, 257);
    let mut case = Case::new("elementwise");
    let (x, row, column) = (case.normal(&[m, n]), case.normal(&[n]), case.normal(&[m]));
    let g = &mut case.graph;
    let (row, column) = (g.broadcast(row, &[m, n], &[1]), g.broadcast(column, &[m, n], &[0]));
    let sum = g.add(x, row);
    let product = g.mul(sum, column);
    let turned = g.transpose(product, &[1, 0]);
    case.outputs.push(g.pad(turned, &[1, 2], &[3, 0]));
    Family { case, roundings: 2 }
}

fn families() -> Vec<Family> {
    vec![
        matmul("matmul", [33, 17, 45], false),
        matmul("matmul, left operand turned", [40, 20, 45], true),
        matmul("matmul, 1000 terms", [64, 10, 1000], false),
        batched(),
        conv("convolution", ConvSide::Output),
        conv("convolution, to the input", ConvSide::Input),
        conv("convolution, to the kernel", ConvSide::Kernel),
        sum("sums of rows", [33, 257], &[1]),
        sum("sums of columns", [257, 36], &[0]),
        sum("sum of 100,000", [100, 1000], &[0, 1]),
        maximum(),
        elementwise(),
    ]
}

pub(super) fn rows(device: &Device) -> Result<Vec<Row>, DeviceError> {
    let mut rows = vec![];
    let mut unsteady = vec![];
    for Family { case, roundings } in families() {
        let bound = case.load(device)?;
        let bits = bound.run()?;
        let mut steady = case.load(device)?.run()? == bits;
        for _ in 1..RUNS {
            steady &= bound.run()? == bits;
        }
        if !steady {
            unsteady.push(case.name);
        }
        let found = bits.iter().map(|&bits| f64::from(f32::from_bits(bits)));
        let error = found.zip(case.exact(false)).zip(case.exact(true)).map(|((found, exact), magnitude)| {
            // The padding's zeros have no magnitude.
            if found == exact { 0.0 } else { (found - exact).abs() / magnitude }
        });
        let advice = "its results are wrong: update the driver, or choose another --adapter";
        rows.push(Row::error(case.name, error.fold(0.0, worse), roundings as f64, advice));
    }
    let (count, programs) = (RUNS + 1, rows.len());
    let found = match unsteady.as_slice() {
        [] => format!("{count} runs of {programs} programs, each with one result"),
        names => format!("results change from run to run: {}", names.join("; ")),
    };
    let advice = "no run can be repeated here: update the driver, or choose another --adapter";
    let limit = "the same bits, run and loaded again".to_owned();
    rows.push(Row::judged("determinism", found, limit, unsteady.is_empty(), advice));
    Ok(rows)
}
