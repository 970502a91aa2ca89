//! How the tests on random programs draw their cases: reproducibly, on all cores, and as many as asked for.
//!
//! The seeds are fixed, so that the suite's verdict is. `PROPTEST_CASES` asks for another number of cases and
//! `PROPTEST_RNG_SEED` for other ones; both are proptest's own variables.

use std::sync::Mutex;

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};

/// Cases are drawn from so many sequences, whatever the number of cores.
const STREAMS: u64 = 8;

fn asked(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

/// What draws the cases of one sequence. Tests have a `seed` each.
pub fn runner(seed: u64, cases: u32) -> TestRunner {
    let seed = seed.wrapping_add(asked("PROPTEST_RNG_SEED").unwrap_or(0).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    TestRunner::new(ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 400,
        ..ProptestConfig::default()
    })
}

/// Checks `cases` values of a strategy, or as many as `PROPTEST_CASES` says, and panics with the smallest failing one found.
pub fn check<S: Strategy>(
    seed: u64,
    cases: u64,
    strategy: impl Fn() -> S + Sync,
    test: impl Fn(S::Value) -> Result<(), TestCaseError> + Sync,
) {
    let cases = asked("PROPTEST_CASES").unwrap_or(cases);
    let next = Mutex::new(0..STREAMS);
    let work = || {
        loop {
            let Some(stream) = next.lock().unwrap().next() else { return };
            let share = cases / STREAMS + u64::from(stream < cases % STREAMS);
            let mut runner = runner(seed + (stream << 32), u32::try_from(share).expect("fewer cases than 2^32"));
            if let Err(error) = runner.run(&strategy(), &test) {
                panic!("sequence {stream}: {error}");
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in all {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}
