//! Random programs through the whole compiler and the adapter, against the interpreter.

use edgewalk::graph::{DType, Tensor, eval};
use edgewalk::kernel::Target;
use edgewalk::passes::SplitPolicy;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::device::{gpu, run_for};
use super::random_programs::{largest_error, program};

/// Values are of order 1 and every op amplifies errors by at most about 8 (random_programs.rs), so rounding of 6e-8 an op
/// stays far below this in a dozen ops; a wrong, missing or misplaced term is of order 1/√4096 or more.
const TOLERANCE: f64 = 1e-4;

/// The adapter's own target and what it could have been.
fn targets() -> [Target; 5] {
    let own = gpu().target().clone();
    let portable = Target { subgroup: None, ..own.clone() };
    [
        own.clone(),
        portable.clone(),
        Target { subgroup: None, cpu: false, ..own.clone() },
        Target { split: SplitPolicy { wanted_tiles: 16, min_slice: 8 }, ..own },
        Target { max_bindings: 4, ..portable },
    ]
}

proptest! {
    // A fixed seed makes the suite's verdict reproducible; PROPTEST_CASES asks for more.
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(80),
        rng_seed: RngSeed::Fixed(20_230_913),
        failure_persistence: None,
        max_shrink_iters: 400,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_programs_agree_with_the_interpreter(
        instructions in prop::collection::vec((any::<u8>(), 0..100usize, 0..100usize, 0..1000usize), 1..14),
        seed in 0..1_000_000u64,
        target in 0..5usize,
    ) {
        let program = program(&instructions, seed);
        let found = run_for(&program.graph, &program.outputs, &program.given, &targets()[target]);
        let expected = eval(&program.graph, &program.outputs, &program.given).unwrap();
        for ((&id, found), expected) in program.outputs.iter().zip(&found).zip(&expected) {
            let exact = program.graph.node(id).ty.dtype != DType::F32;
            let error = largest_error(std::slice::from_ref(found), std::slice::from_ref(expected));
            let start = |t: &Tensor| t.data[..t.data.len().min(16)].to_vec();
            prop_assert!(
                error <= if exact { 0.0 } else { TOLERANCE },
                "%{} is off by {error:e}\nfound {:?}\nexpected {:?}\n{}",
                id.index(), start(found), start(expected), program.graph.dump(&program.outputs)
            );
        }
    }
}
