//! The examples of each update: minibatches from a seed.
//!
//! One shuffle of all examples per epoch, the shuffles joined end to end, cut into batches of one size. A batch may
//! span two epochs, so every example is used equally often and every batch is full. The batch of a step follows from
//! the seed and the step alone, so `resume` needs no history.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::{SliceRandom, index};

use crate::device::DeviceError;

/// The random stream of the first epoch's shuffle; later epochs use those that follow.
const STREAM: u64 = 1 << 41;

/// The random stream of the first fresh minibatch at step 0; each step has [`MOST_FRESH`] of its own.
const FRESH_STREAM: u64 = 1 << 62;
/// Fresh minibatches of a step, at most.
pub const MOST_FRESH: u64 = 1000;

/// The position in the shuffled examples where a batch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Shuffles used up before it.
    pub epoch: u64,
    /// Examples of the present shuffle used up before it.
    pub position: u64,
}

/// The minibatches of a run. See the module text.
#[derive(Clone, Debug)]
pub struct Batches {
    batch: usize,
    seed: u64,
    /// The shuffle of `epoch`.
    order: Vec<usize>,
    epoch: u64,
}

impl Batches {
    /// Batches of `batch` out of `examples`.
    ///
    /// # Errors
    /// [`DeviceError::Mismatch`] when `batch` is 0 or more than `examples`.
    pub fn new(examples: usize, batch: usize, seed: u64) -> Result<Self, DeviceError> {
        if !(1..=examples).contains(&batch) {
            let problem =
                format!("there are no batches of {batch} out of {examples} examples; choose from 1 to {examples}");
            return Err(DeviceError::Mismatch(problem));
        }
        Ok(Self { batch, seed, order: shuffled(examples, seed, 0), epoch: 0 })
    }

    /// Examples in a batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The beginning of the batch of a step.
    pub fn cursor(&self, step: u64) -> Cursor {
        let (examples, used) = (self.order.len() as u128, u128::from(step) * self.batch as u128);
        // A batch is at most all examples, so both fit.
        Cursor { epoch: (used / examples) as u64, position: (used % examples) as u64 }
    }

    /// The numbers of the examples in the batch of a step.
    pub fn indices(&mut self, step: u64) -> Vec<usize> {
        let Cursor { epoch, position } = self.cursor(step);
        let (batch, first) = (self.batch, position as usize);
        let mut indices: Vec<usize> = self.order(epoch)[first..].iter().copied().take(batch).collect();
        let missing = batch - indices.len();
        if missing > 0 {
            indices.extend(&self.order(epoch.wrapping_add(1))[..missing]);
        }
        indices
    }

    /// The numbers of the examples in a minibatch that is drawn at random at `step`, for measurements: all subsets of its
    /// size are equally likely, and no update uses the random numbers. `number` is below [`MOST_FRESH`].
    pub fn fresh(&self, step: u64, number: u64) -> Vec<usize> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(FRESH_STREAM.wrapping_add(step.wrapping_mul(MOST_FRESH)).wrapping_add(number));
        index::sample(&mut rng, self.order.len(), self.batch).into_vec()
    }

    /// The numbers of all examples in the order of the first epoch.
    pub fn first_epoch(&mut self) -> &[usize] {
        self.order(0)
    }

    fn order(&mut self, epoch: u64) -> &[usize] {
        if epoch != self.epoch {
            (self.order, self.epoch) = (shuffled(self.order.len(), self.seed, epoch), epoch);
        }
        &self.order
    }
}

fn shuffled(examples: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(STREAM.wrapping_add(epoch));
    let mut order: Vec<usize> = (0..examples).collect();
    order.shuffle(&mut rng);
    order
}
