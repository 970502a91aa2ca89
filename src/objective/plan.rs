//! The size of chunks: as many examples as fit the adapter's limits, a memory budget and the time of one dispatch. The
//! planner compiles the gradient for a number of rows, reads off its needs, and scales, since all are proportional to
//! the rows.

use super::problem::{Problem, Quantity};
use crate::device::{Device, DeviceError};
use crate::kernel::KernelError;
use crate::plan::PlanError;

/// The most memory for the intermediate values of one program.
const MEMORY_BYTES: f64 = 1.5 * 1024.0 * 1024.0 * 1024.0;

/// The chunks of a data set, and their cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Examples per chunk; the last one may hold fewer.
    pub rows: usize,
    /// Number of chunks.
    pub chunks: usize,
    /// Number of parameters.
    pub parameters: usize,
    /// Largest buffer, in bytes.
    pub largest_buffer_bytes: u64,
    /// Examples and labels on the device, in bytes.
    pub data_bytes: u64,
    /// Intermediate values of a gradient, in bytes.
    pub intermediate_bytes: u64,
    /// Floating-point operations of a full gradient.
    pub gradient_flops: f64,
    /// Dispatches of a full gradient.
    pub gradient_dispatches: usize,
    /// The matmul kernels that were chosen.
    pub kernel_choices: Vec<String>,
}

impl Plan {
    /// Plans chunks of `wanted` rows, or as many as suit this adapter if 0.
    pub(super) fn new(device: &Device, problem: &Problem, wanted: usize) -> Result<Self, DeviceError> {
        let limit = device.max_binding_bytes();
        // A batch whose examples depend on each other is not cut.
        let whole = problem.model.mixes_examples();
        // On processors no more rows than their caches and translation buffers hold. Software adapters do about 10 to 50
        // GFLOP/s: a fifth of a second.
        let max_rows = if device.adapter().is_cpu() && !whole { 2048 } else { usize::MAX };
        let max_flops = if device.target().is_some_and(|target| target.cpu) { 4e9 } else { device.most_flops() };
        let bytes = device.precision().bytes();
        let quantity = Quantity::Gradient { metrics: true };
        let mut rows = if wanted == 0 { problem.examples.min(max_rows) } else { wanted.min(problem.examples) };
        let program = loop {
            let program = match problem.program(quantity, rows, false, device) {
                // More workgroups along one axis than a dispatch has: halve them.
                Err(DeviceError::Kernel(KernelError::Plan(PlanError::TooLarge(_)))) if rows > 1 && !whole => {
                    rows /= 2;
                    continue;
                }
                program => program?,
            };
            let longest = program.temps().iter().copied().max().unwrap_or(0).max(rows * problem.dim);
            let memory: usize = program.temps().iter().sum();
            let slowest = program.flops().into_iter().fold(0.0, f64::max);
            let excess = ((bytes * longest) as f64 / limit as f64)
                .max((bytes * memory) as f64 / MEMORY_BYTES)
                .max(if wanted == 0 { slowest / max_flops } else { 0.0 });
            if excess <= 1.0 || rows == 1 || whole && longest * bytes <= limit as usize {
                break program;
            }
            if whole {
                return Err(DeviceError::Mismatch(format!(
                    "the adapter cannot hold a batch of {rows} examples at once, as batch normalisation asks; set \
                     model.norm_batch to fewer examples, or take another normalisation"
                )));
            }
            rows = ((rows as f64 / excess) as usize).clamp(1, rows - 1);
            if wanted == 0 {
                // Chunks of equal size, a multiple of 8 rows if they are that large.
                let even = problem.examples.div_ceil(problem.examples.div_ceil(rows));
                rows = if even >= 8 { (even / 8 * 8).min(rows) } else { even };
            }
        };
        let chunks = problem.examples.div_ceil(rows);
        let share = problem.examples as f64 / rows as f64;
        let largest = program.temps().iter().chain(program.slots()).copied().max().unwrap_or(0);
        let flops = program.flops();
        Ok(Self {
            rows,
            chunks,
            parameters: problem.layout.len(),
            largest_buffer_bytes: (bytes * largest) as u64,
            data_bytes: (bytes * problem.examples * (problem.dim + problem.values_each())) as u64,
            intermediate_bytes: (bytes * program.temps().iter().sum::<usize>()) as u64,
            gradient_flops: share * flops.iter().sum::<f64>(),
            gradient_dispatches: chunks * flops.len(),
            kernel_choices: program.kernel_choices(),
        })
    }
}
