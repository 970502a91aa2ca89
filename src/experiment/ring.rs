//! Metrics of logged steps that wait on the device, so that the host need not wait for each.

use crate::gpu::{Buffer, Gpu, GpuError, Recording};
use crate::objective::Metrics;
use crate::optim::Optimizer;

/// Logged steps whose metrics wait on the device.
const ROWS: usize = 32;

/// The waiting metrics. See the module text.
pub struct Ring {
    buffer: Buffer,
    row_len: usize,
    /// From the probe's row to row i.
    copies: Vec<Recording>,
    /// Which step each filled row is about, with its test metrics.
    filled: Vec<(u64, Option<Metrics>)>,
}

/// One logged step, read back.
pub struct Waited {
    /// The step.
    pub step: u64,
    /// What the optimizer finishes its metrics from.
    pub row: Vec<f32>,
    /// Its metrics on the test set.
    pub test: Option<Metrics>,
}

impl Ring {
    /// An empty ring for logged steps of this optimizer.
    ///
    /// # Errors
    /// Device errors.
    pub fn new(gpu: &Gpu, optimizer: &Optimizer) -> Result<Self, GpuError> {
        let row = optimizer.probe.row();
        let buffer = gpu.buffer("metrics of several steps", ROWS * row.len())?;
        gpu.prepare_read(&buffer)?;
        let copies = (0..ROWS).map(|i| Recording::copy(row, &buffer, i * row.len())).collect::<Result<_, _>>()?;
        Ok(Self { row_len: row.len(), buffer, copies, filled: vec![] })
    }

    /// Makes update `step` and keeps its metrics; there must be room.
    ///
    /// # Errors
    /// Device errors.
    pub fn run(&mut self, gpu: &Gpu, optimizer: &Optimizer, step: u64, test: Option<Metrics>) -> Result<(), GpuError> {
        gpu.run([optimizer.logged_step(step), &self.copies[self.filled.len()]])?;
        self.filled.push((step, test));
        Ok(())
    }

    /// Whether there is no room for another step.
    pub fn is_full(&self) -> bool {
        self.filled.len() == ROWS
    }

    /// Waits for the steps made so far and empties the ring.
    ///
    /// # Errors
    /// Device errors.
    pub fn read(&mut self, gpu: &Gpu) -> Result<Vec<Waited>, GpuError> {
        let filled = std::mem::take(&mut self.filled);
        if filled.is_empty() {
            // Steps that are not logged must not run ahead of Ctrl-C and the progress line without bound.
            gpu.wait()?;
            return Ok(vec![]);
        }
        let rows: Vec<f32> = gpu.read(&self.buffer)?;
        let waited = |((step, test), row): (_, &[f32])| Waited { step, row: row.to_vec(), test };
        Ok(filled.into_iter().zip(rows.chunks(self.row_len)).map(waited).collect())
    }
}
