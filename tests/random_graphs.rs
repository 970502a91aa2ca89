//! Random programs, and their derivatives, through the whole compiler and the adapter, against the interpreter.

use edgewalk::autodiff::{grad, hvp};
use edgewalk::device::Precision;
use edgewalk::graph::Tensor;
use edgewalk::kernel::Target;
use edgewalk::passes::SplitPolicy;
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::device::{own_target, run_for, run_native};
use super::random;
use super::random_derivatives::{Parts, parts};
use super::random_programs::{FEWEST, LARGE, Program, instructions, program};
use super::rounding::{Bounds, bounded, excess};

/// Errors are measured in units of a bound of first order (rounding.rs); what is of second order is far smaller.
const MOST: f64 = 1.01;
/// The bounds are those of f32; in f64 everything is 2⁻²⁹ times as far off.
const MOST_DOUBLE: f64 = 4e-9;

/// The adapter's own target and what it could have been.
fn targets() -> [Target; 6] {
    let own = own_target();
    let portable = Target { subgroup: None, ..own.clone() };
    [
        own.clone(),
        portable.clone(),
        Target { subgroup: None, cpu: false, split: SplitPolicy { long_rows: true, ..own.split }, ..own.clone() },
        Target {
            split: SplitPolicy { wanted_tiles: 16, min_slice: 8, by_axes: false, long_rows: false },
            ..own.clone()
        },
        Target { max_bindings: own.max_bindings.min(6), ..portable.clone() },
        Target { max_bindings: FEWEST, ..portable },
    ]
}

/// Adds gradient and H·v to a program's outputs, unless rounding could flip a comparison that these make. Says whether it has.
fn differentiate(program: &mut Program, seed: u64) -> bool {
    let Parts { x, v: [v, _], loss, .. } = parts(program, seed);
    let mut outputs = program.outputs.clone();
    outputs.extend(grad(&mut program.graph, loss, &x));
    outputs.extend(hvp(&mut program.graph, loss, &x, &v));
    let mut bounded = program.graph.clone();
    let bounds = Bounds::new(&mut bounded, &outputs);
    let decided = bounds.decide(&bounded, &outputs, &program.given);
    if decided {
        program.outputs = outputs;
    }
    decided
}

#[test]
fn random_programs_agree_with_the_interpreter() {
    let strategy = || (instructions(14), 0..1_000_000u64, 0..targets().len(), 0..3u8);
    random::check(20_230_913, 80, strategy, |(instructions, seed, target, order)| {
        let mut program = program(&LARGE, &instructions, seed);
        if order == 2 {
            differentiate(&mut program, seed);
        }
        let Program { mut graph, outputs, given } = program;
        let found = run_for(&graph, &outputs, &given, &targets()[target]);
        let [single, double] = [Precision::F32, Precision::F64].map(|p| run_native(&graph, &outputs, &given, p));
        let expected = bounded(&mut graph, &outputs, &given);
        for (device, found, most) in
            [("the adapter", found, MOST), ("native f32", single, MOST), ("native f64", double, MOST_DOUBLE)]
        {
            for ((&id, found), (expected, bound)) in outputs.iter().zip(&found).zip(&expected) {
                let error = excess(found, expected, bound.as_ref());
                let start = |t: &Tensor| t.data[..t.data.len().min(16)].to_vec();
                prop_assert!(
                    error <= most,
                    "{device}: %{} is off by {error} bounds\nfound {:?}\nexpected {:?}\n{}",
                    id.index(),
                    start(found),
                    start(expected),
                    graph.dump(&outputs)
                );
            }
        }
        Ok(())
    });
}

/// A missing or misplaced term is of order 1/√4096 or more. Bounds are far below that, and few derivatives are left out.
#[test]
fn bounds_on_rounding_errors_are_tight() {
    let mut runner = random::runner(20_230_918, 0);
    let (mut elements, mut loose, mut left_out) = (0, 0, 0);
    for seed in 0..200 {
        let drawn = instructions(14).new_tree(&mut runner).unwrap().current();
        let mut program = program(&LARGE, &drawn, seed);
        left_out += usize::from(!differentiate(&mut program, seed));
        let Program { mut graph, outputs, given } = program;
        for (value, bound) in bounded(&mut graph, &outputs, &given) {
            let Some(bound) = bound else { continue };
            elements += value.data.len();
            loose += value.data.iter().zip(&bound.data).filter(|(x, end)| **end > 1e-3 * (1.0 + x.abs())).count();
        }
    }
    println!("{loose} of {elements} bounds are above 1e-3; {left_out} of 200 programs without derivatives");
    assert!(50 * loose <= elements && left_out <= 20);
}
