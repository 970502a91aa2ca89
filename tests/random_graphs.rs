//! Random programs, and their derivatives, through the whole compiler and the adapter, against the interpreter.

use edgewalk::autodiff::{grad, hvp};
use edgewalk::graph::{NodeId, Tensor};
use edgewalk::kernel::Target;
use edgewalk::passes::SplitPolicy;
use proptest::prelude::*;

use super::device::{gpu, run_for};
use super::oracle::run;
use super::random;
use super::random_derivatives::{Parts, parts};
use super::random_programs::{LARGE, Program, instructions, program};
use super::rounding::{Bounds, excess};

/// Errors are measured in units of a bound of first order (rounding.rs); what is of second order is far smaller.
const MOST: f64 = 1.01;

/// The adapter's own target and what it could have been.
fn targets() -> [Target; 6] {
    let own = gpu().target().clone();
    let portable = Target { subgroup: None, ..own.clone() };
    [
        own.clone(),
        portable.clone(),
        Target { subgroup: None, cpu: false, ..own.clone() },
        Target { split: SplitPolicy { wanted_tiles: 16, min_slice: 8 }, ..own },
        Target { max_bindings: 6, ..portable.clone() },
        Target { max_bindings: 4, ..portable },
    ]
}

/// Adds gradient and H·v to a program's outputs, unless rounding could flip a comparison that these make.
fn differentiate(program: &mut Program, seed: u64) {
    let Parts { x, v: [v, _], loss, .. } = parts(program, seed);
    let mut outputs = program.outputs.clone();
    outputs.extend(grad(&mut program.graph, loss, &x));
    outputs.extend(hvp(&mut program.graph, loss, &x, &v));
    let mut bounded = program.graph.clone();
    let bounds = Bounds::new(&mut bounded, &outputs);
    if bounds.decide(&bounded, &outputs, &program.given) {
        program.outputs = outputs;
    }
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
        let bounds = Bounds::new(&mut graph, &outputs);
        let ends: Vec<NodeId> = outputs.iter().filter_map(|&id| bounds.of(id)).collect();
        let mut expected = run(&graph, &[&outputs[..], &ends].concat(), &given);
        let mut ends = expected.split_off(outputs.len()).into_iter();
        for ((&id, found), expected) in outputs.iter().zip(&found).zip(&expected) {
            let bound = bounds.of(id).map(|_| ends.next().expect("one for each that is inexact"));
            let error = excess(found, expected, bound.as_ref());
            let start = |t: &Tensor| t.data[..t.data.len().min(16)].to_vec();
            prop_assert!(
                error <= MOST,
                "%{} is off by {error} bounds\nfound {:?}\nexpected {:?}\n{}",
                id.index(),
                start(found),
                start(expected),
                graph.dump(&outputs)
            );
        }
        Ok(())
    });
}
