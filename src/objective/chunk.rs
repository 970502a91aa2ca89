//! A chunk of examples on the device.

use super::problem::{PARTIALS, Problem};
use crate::data::{Examples, Features, Targets};
use crate::device::{Buffer, Device, DeviceError};

/// The rows of the chunks: at most `rows` each, and none reaches across a multiple of `group`.
pub(super) fn chunk_rows(examples: usize, rows: usize, group: usize) -> impl Iterator<Item = usize> {
    let within = move |first: usize| {
        let of_group = group.min(examples - first);
        (0..of_group).step_by(rows).map(move |at| rows.min(of_group - at))
    };
    (0..examples).step_by(group.max(1)).flat_map(within)
}

pub(super) struct Chunk {
    pub rows: usize,
    pub x: Buffer,
    pub labels: Buffer,
    /// Weights of the labels, where they differ.
    pub weights: Option<Buffer>,
    /// Partial sums of loss and error.
    pub partials: Buffer,
}

impl Chunk {
    /// Room for so many examples of a problem.
    pub fn new(device: &Device, problem: &Problem, rows: usize) -> Result<Self, DeviceError> {
        let weights = match problem.weighted {
            true => Some(device.buffer("the weights of a chunk's labels", rows * problem.labels_each)?),
            false => None,
        };
        Ok(Self {
            rows,
            x: device.buffer("a chunk of examples", rows * problem.dim)?,
            labels: device.buffer("a chunk of labels", rows * problem.values_each())?,
            weights,
            partials: device.buffer("partial sums", 2 * PARTIALS)?,
        })
    }

    /// Writes its examples, the first of which has the number `first`, with the weights of all labels.
    pub fn write(
        &self,
        device: &Device,
        problem: &Problem,
        data: &Examples,
        weights: Option<&[f64]>,
        first: usize,
    ) -> Result<(), DeviceError> {
        let range = |each: usize| first * each..(first + self.rows) * each;
        let (x, labels, values) = (range(problem.dim), range(problem.labels_each), range(problem.values_each()));
        match data.features() {
            Features::Real(numbers) => device.write(&self.x, &numbers[x])?,
            Features::Tokens(codes) => device.write(&self.x, &codes[x])?,
        }
        match data.targets() {
            Targets::Classes { labels, .. } => device.write(&self.labels, &labels[values])?,
            Targets::Signs(numbers) | Targets::Numbers { values: numbers, .. } => {
                device.write(&self.labels, &numbers[values])?;
            }
        }
        match (&self.weights, weights) {
            (Some(buffer), Some(weights)) => device.write(buffer, &weights[labels]),
            _ => Ok(()),
        }
    }
}
