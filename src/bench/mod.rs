//! The speed of a configuration's network on an adapter, kernel by kernel, beside the adapter's limits. Examples are
//! made up, except arrays, since time depends on shapes alone. [`bench()`] examines one size, [`growth()`] many sizes.

mod examples;
#[cfg(feature = "plots")]
pub mod growth;
mod report;
mod variants;

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{Config, Resolved, build};
use crate::device::{Buffer, Device, Peaks, Recording};
use crate::model::initial_params;
use crate::objective::{HessianOperator, Objective};
use crate::optim::{Optimizer, Rule};
use crate::run::RunError;
use examples::{ExampleSource, examples_of_update};

#[cfg(feature = "plots")]
pub use growth::growth;
pub use variants::{Variants, variants};

/// The most chunks of examples that are timed; others take as long.
const MOST_CHUNKS: usize = 4;
/// The number of examples for planning chunks.
const PLANNED: usize = 4096;
/// Seconds to time all kernels by themselves.
const KERNELS_SECS: f64 = 4.0;
/// Seconds to time each whole, in this many turns.
const WHOLE_SECS: f64 = 2.0;
const WHOLE_TURNS: u32 = 5;
/// A learning rate that leaves float32 parameters unchanged.
const NO_LEARNING: f64 = 1e-30;
/// The radius of the SAM step; time does not depend on it.
const RHO: f64 = 0.05;

/// Kernels of one label within a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelTime {
    /// Family and sizes.
    pub label: String,
    /// Dispatches.
    pub count: usize,
    /// Seconds of all of them.
    pub secs: f64,
    /// Floating-point operations of all of them, estimated.
    pub flops: f64,
    /// Bytes that all of them load and store, estimated.
    pub bytes: f64,
}

/// A recording as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct WholeTime {
    /// Its name.
    pub name: &'static str,
    /// Dispatches.
    pub dispatches: usize,
    /// Seconds.
    pub secs: f64,
    /// Floating-point operations, estimated.
    pub flops: f64,
}

/// The measurements of one configuration on one adapter.
#[derive(Clone, Debug, PartialEq)]
pub struct Bench {
    /// The preset or file.
    pub name: String,
    /// The adapter, with its backend and tier.
    pub adapter: String,
    /// Number of parameters.
    pub parameters: usize,
    /// Examples of the timed step.
    pub examples: usize,
    /// Examples of an update in the configuration, if its data set's size is known; more than `examples` if some are
    /// not timed.
    pub wanted: Option<usize>,
    /// Examples of a chunk.
    pub rows: usize,
    /// The adapter's limits.
    pub peaks: Peaks,
    /// The recording of `kernels`.
    pub kernels_of: &'static str,
    /// The kernels, the longest total time first.
    pub kernels: Vec<KernelTime>,
    /// Gradient step, SAM step, shared part of H·v, H·v. The others are compared with the first.
    pub wholes: Vec<WholeTime>,
}

/// An objective, and arbitrary parameters.
struct Scratch {
    objective: Objective,
    w: Buffer,
}

/// Measures the kernels of a gradient step, or with `hvp` of a Hessian-vector product, and the wholes.
///
/// # Errors
/// [`RunError::Config`] when the model does not fit the data set; device errors.
pub fn bench(device: &Device, Resolved { name, config }: &Resolved, hvp: bool) -> Result<Bench, RunError> {
    let peaks = device.peaks()?;
    let wanted = examples_of_update(config);
    let Scratch { mut objective, w } = Scratch::of_update(device, config)?;
    let examples = objective.examples();
    let gd = Optimizer::new(&mut objective, Rule::gd(NO_LEARNING), &w)?;
    let sam = Optimizer::new(&mut objective, Rule::sam(NO_LEARNING, RHO), &w)?;
    let hessian = HessianOperator::new(&mut objective, &w)?;
    let (product, keep) = hessian.recordings();
    let [gd_step, sam_step] = [gd.step(0)?, sam.step(0)?];
    let recordings = [("gradient step", &*gd_step), ("SAM step", &*sam_step), ("kept for H·v", keep), ("H·v", product)];
    let mut wholes = vec![];
    for (name, recording) in recordings.into_iter().filter(|(_, recording)| recording.dispatches() > 0) {
        let (dispatches, flops) = (recording.dispatches(), recording.flops());
        wholes.push((recording, WholeTime { name, dispatches, secs: f64::INFINITY, flops }));
    }
    // In turn, so that a temporarily slow machine does not spoil the ratios.
    for _ in 0..WHOLE_TURNS {
        for (recording, whole) in &mut wholes {
            whole.secs = whole.secs.min(device.time(recording, WHOLE_SECS / f64::from(WHOLE_TURNS))?);
        }
    }
    let wholes = wholes.into_iter().map(|(_, whole)| whole).collect();
    let (kernels_of, profiled) = if hvp { ("H·v", product) } else { ("a gradient step", &*gd_step) };
    let summary = device.adapter();
    Ok(Bench {
        name: name.clone(),
        adapter: format!("{} ({}, {} tier)", summary.name, summary.backend, summary.tier),
        parameters: objective.layout().len(),
        examples,
        wanted,
        rows: objective.plan().rows,
        peaks,
        kernels_of,
        kernels: kernels(device, profiled)?,
        wholes,
    })
}

/// The dispatches of a recording by label, the longest total time first.
fn kernels(device: &Device, recording: &Recording) -> Result<Vec<KernelTime>, RunError> {
    let mut kernels: Vec<KernelTime> = vec![];
    let mut place = HashMap::new();
    for row in device.profile(recording, KERNELS_SECS)? {
        let place = *place.entry(Arc::clone(&row.label)).or_insert(kernels.len());
        if place == kernels.len() {
            kernels.push(KernelTime { label: row.label.to_string(), count: 0, secs: 0.0, flops: 0.0, bytes: 0.0 });
        }
        let kernel = &mut kernels[place];
        kernel.count += 1;
        kernel.secs += row.secs;
        kernel.flops += row.flops;
        kernel.bytes += row.bytes;
    }
    kernels.sort_by(|a, b| b.secs.total_cmp(&a.secs));
    Ok(kernels)
}

impl Scratch {
    /// The examples of an update, or as many of them as are timed.
    fn of_update(device: &Device, config: &Config) -> Result<Self, RunError> {
        let (source, wanted) = (ExampleSource::of(config)?, examples_of_update(config));
        let planned = Self::new(device, config, &source, wanted.unwrap_or(PLANNED).min(PLANNED))?;
        let most = MOST_CHUNKS * planned.objective.plan().rows;
        let examples = wanted.unwrap_or(most).min(most);
        if examples == planned.objective.examples() {
            return Ok(planned);
        }
        Self::new(device, config, &source, examples)
    }

    /// This many examples, or as many as fit.
    fn new(device: &Device, config: &Config, source: &ExampleSource, count: usize) -> Result<Self, RunError> {
        let examples = source.examples(count)?;
        let model = build::model(config, source.network.as_ref(), &examples)?;
        let objective = Objective::new(device, model, build::loss(config), &examples, config.chunk())?;
        let w = objective.vector("w")?;
        objective.set_params(&w, &initial_params(objective.layout(), config.run.seed))?;
        Ok(Self { objective, w })
    }
}
