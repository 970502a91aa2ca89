//! Metrics of steps, waiting on the device so that the host need not wait for each. Unlogged steps show only whether
//! their numbers are finite.

use crate::device::{Buffer, Device, DeviceError, Recording};
use crate::objective::Metrics;
use crate::optim::Optimizer;

/// The capacity, in steps.
const ROWS: usize = 32;

/// The waiting metrics. See the module text.
pub struct Ring {
    buffer: Buffer,
    row_len: usize,
    /// From the probe's row to row i.
    copies: Vec<Recording>,
    /// The step of each filled row.
    filled: Vec<Made>,
}

/// A step made.
pub struct Made {
    /// The step.
    pub step: u64,
    /// Whether it is logged.
    pub logged: bool,
    /// Its metrics on the test set.
    pub test: Option<Metrics>,
}

impl Ring {
    /// An empty ring for steps of this optimizer.
    ///
    /// # Errors
    /// Device errors.
    pub fn new(device: &Device, optimizer: &Optimizer) -> Result<Self, DeviceError> {
        let row = optimizer.probe.row();
        let buffer = device.buffer("metrics of several steps", ROWS * row.len())?;
        device.prepare_read(&buffer)?;
        let copies = (0..ROWS).map(|i| Recording::copy(row, &buffer, i * row.len())).collect::<Result<_, _>>()?;
        Ok(Self { row_len: row.len(), buffer, copies, filled: vec![] })
    }

    /// Makes an update and keeps its metrics; the ring must not be full.
    ///
    /// # Errors
    /// Device errors.
    pub fn run(&mut self, device: &Device, optimizer: &Optimizer, made: Made) -> Result<(), DeviceError> {
        let update = if made.logged { optimizer.logged_step(made.step)? } else { optimizer.step(made.step)? };
        device.run([&*update, &self.copies[self.filled.len()]])?;
        self.filled.push(made);
        Ok(())
    }

    /// Whether the ring is full.
    pub fn is_full(&self) -> bool {
        self.filled.len() == ROWS
    }

    /// Waits for the steps made so far and empties the ring: each with its raw metrics for the optimizer.
    ///
    /// # Errors
    /// Device errors.
    pub fn read(&mut self, device: &Device) -> Result<Vec<(Made, Vec<f64>)>, DeviceError> {
        let filled = std::mem::take(&mut self.filled);
        if filled.is_empty() {
            return Ok(vec![]);
        }
        let rows: Vec<f64> = device.read(&self.buffer)?;
        Ok(filled.into_iter().zip(rows.chunks(self.row_len).map(<[f64]>::to_vec)).collect())
    }
}
