//! Ctrl-C and SIGTERM: a run finishes its step, or leaves a measurement for later, keeps everything and ends; a second one ends
//! the program at once, unless it comes with the first: batch systems may signal a process and its group alike.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::curvature::{CurvatureError, Operator};
use crate::objective::BLOCK;

/// When it was asked for first.
static REQUESTED: OnceLock<Instant> = OnceLock::new();

/// What comes so soon after the first signal belongs to it.
const TOGETHER: Duration = Duration::from_secs(1);

/// Starts listening, also where a shell in the background has told its children to ignore Ctrl-C.
#[expect(clippy::disallowed_methods, reason = "whoever asks twice wants the program gone, not an orderly end")]
pub fn listen() {
    static LISTENING: OnceLock<()> = OnceLock::new();
    LISTENING.get_or_init(|| {
        let handler = ctrlc::set_handler(|| {
            if REQUESTED.get_or_init(Instant::now).elapsed() > TOGETHER {
                std::process::exit(130);
            }
        });
        // Without a handler, signals end the program as they always did.
        drop(handler);
    });
}

/// An operator that forms no more products once it has been asked to stop.
pub struct Interruptible<O>(pub O);

impl<O: Operator> Operator for Interruptible<O> {
    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn rounding(&self) -> f64 {
        self.0.rounding()
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), CurvatureError> {
        if requested() { Err(CurvatureError::Interrupted) } else { self.0.apply(v, out) }
    }

    fn apply_block(&mut self, vectors: &[&[f64]], products: &mut [Vec<f64>]) -> Result<(), CurvatureError> {
        // As many at a time as the device multiplies at once, so that the products are the same.
        for (vectors, products) in vectors.chunks(BLOCK).zip(products.chunks_mut(BLOCK)) {
            if requested() {
                return Err(CurvatureError::Interrupted);
            }
            self.0.apply_block(vectors, products)?;
        }
        Ok(())
    }
}

/// Whether to stop.
pub fn requested() -> bool {
    REQUESTED.get().is_some()
}
