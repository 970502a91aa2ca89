//! The setup of an analysis: options checked by the names of their flags, and everything on the device, planned before
//! it is made.

use std::sync::Arc;

use super::{AnalysisRequest, Block};
use crate::config::{Config, ConfigError, build};
use crate::curvature::{CurvatureError, DensityOptions};
use crate::data::Examples;
use crate::device::{Buffer, Device};
use crate::folder::manifest::MemoryPlan;
use crate::model::Model;
use crate::objective::{GaussNewtonOperator, Objective};
use crate::observer::Observer;
use crate::optim::{Probe, UpdateProducts};
use crate::run::setup::objective;
use crate::run::update::{UpdateMeasure, group};
use crate::run::{RunError, memory_check};
use crate::text::counted;

/// Everything on the device.
pub(super) struct AnalysisWorkspace {
    pub objective: Objective,
    pub w: Buffer,
    pub probe: Probe,
    pub update: UpdateMeasure,
    pub gauss_newton: Option<GaussNewtonOperator>,
}

/// Its parts.
pub(super) struct AnalysisSetup<'a> {
    pub config: &'a Config,
    pub model: Arc<dyn Model>,
    pub train: &'a Examples,
    pub request: &'a AnalysisRequest,
    /// The most bytes in which products keep values.
    pub most_kept: u64,
}

impl AnalysisSetup<'_> {
    /// Makes and records everything; the parameters are still zeros.
    pub fn assemble(&self, device: &Device) -> Result<AnalysisWorkspace, RunError> {
        let (config, loss) = (self.config, build::loss(self.config));
        let group = group(config, self.train.len(), false);
        let mut objective = objective(device, config, Arc::clone(&self.model), loss, self.train, group)?;
        objective.keep_at_most(self.most_kept);
        let w = objective.vector("the parameters")?;
        let rule = build::rule(config);
        let probe = Probe::new(&mut objective, rule, &w)?;
        let update = UpdateMeasure::new(UpdateProducts::new(&mut objective, rule, &w, group, true)?);
        let split = self.request.split;
        let gauss_newton = split.then(|| GaussNewtonOperator::with_blocks(&mut objective, &w)).transpose()?;
        Ok(AnalysisWorkspace { objective, w, probe, update, gauss_newton })
    }

    /// Assembles everything if it fits in memory with the solvers' vectors for these blocks; `parameters` is the number
    /// of all.
    pub fn assemble_planned(
        &self,
        device: &Device,
        blocks: &[Block],
        parameters: usize,
    ) -> Result<AnalysisWorkspace, RunError> {
        let dry = device.dry();
        drop(self.assemble(&dry)?);
        let plan = MemoryPlan { device_bytes: dry.memory().peak, host_bytes: self.host_bytes(blocks, parameters) };
        let advice = if plan.host_bytes > plan.device_bytes {
            "ask for fewer eigenvalues (--top, --bottom) or steps (--density-steps), a smaller --eigen-block, or one \
             layer at a time (--block)"
        } else {
            "look at fewer training examples (--examples), or choose another --adapter"
        };
        memory_check::require(device, &plan, memory_check::free_bytes(), || Ok(advice.to_owned()))?;
        device.reserve(&dry)?;
        self.assemble(device).map_err(|error| memory_check::refused(error, &plan, advice))
    }

    /// The most bytes on the host: the examples, the gradients, the vectors of the largest solver, and the kept
    /// eigenvectors.
    fn host_bytes(&self, blocks: &[Block], parameters: usize) -> u64 {
        let AnalysisRequest { eigen, trace, density, split, .. } = self.request;
        let numbers = |block: &Block| {
            let dim = block.parameters();
            let solvers = [
                eigen.most_vectors(dim),
                trace.as_ref().map_or(0, |options| options.most_vectors(dim)),
                density.as_ref().map_or(0, |options| options.most_vectors(dim)),
            ];
            dim.saturating_mul(solvers.into_iter().max().unwrap_or(0))
        };
        let work = blocks.iter().map(numbers).max().unwrap_or(0);
        // For each matrix: the pairs and their track.
        let kept = |block: &Block| block.parameters().saturating_mul(eigen.most_kept(block.parameters()));
        let kept = blocks.iter().map(kept).fold(0, usize::saturating_add).saturating_mul(if *split { 3 } else { 1 });
        // A block of vectors is extended to all parameters, multiplied, and cut again.
        let wide = [eigen.block, trace.as_ref().map_or(0, |t| t.block), density.as_ref().map_or(0, |d| d.block)];
        let moved = parameters.saturating_mul(4 + 4 * wide.into_iter().max().unwrap_or(0));
        let numbers = work.saturating_add(kept).saturating_add(moved);
        numbers.saturating_mul(size_of::<f64>()).saturating_add(self.train.bytes()) as u64
    }
}

/// The most eigenvalues from an end of the spectrum, as of `measure.top`.
const MOST_EIGENVALUES: usize = 100;

/// Refuses options that suit no block, before anything is computed, and notes those that ask a block for more
/// eigenvalues than it has.
pub(super) fn check(request: &AnalysisRequest, blocks: &[Block], observer: &dyn Observer) -> Result<(), ConfigError> {
    let AnalysisRequest { eigen, trace, density, .. } = request;
    for (flag, least, asked) in [("--top", 1, eigen.top), ("--bottom", 0, eigen.bottom)] {
        if !(least..=MOST_EIGENVALUES).contains(&asked) {
            return Err(ConfigError::BadValue {
                key: flag.into(),
                value: asked.to_string(),
                allowed: format!("from {least} to {MOST_EIGENVALUES}"),
            });
        }
        for block in blocks.iter().filter(|block| block.parameters() < asked) {
            let (name, there) = (&block.name, counted(block.parameters(), "parameter"));
            let words = format!("{flag} {asked} is more than the {there} of {name}, which has as many eigenvalues");
            observer.note(&format!("note: {words}"));
        }
    }
    if eigen.block > eigen.max_iterations {
        return Err(ConfigError::BadValue {
            key: "--eigen-block".into(),
            value: eigen.block.to_string(),
            allowed: format!("at most --max-products, {}", eigen.max_iterations),
        });
    }
    let check = |dim: usize| {
        eigen.check(dim)?;
        trace.as_ref().map_or(Ok(()), |options| options.check(dim))?;
        density.as_ref().map_or(Ok(()), DensityOptions::check)
    };
    blocks.iter().try_for_each(|block| match check(block.parameters()) {
        Err(CurvatureError::Option { name, value, expected }) => Err(by_flag(name, value, expected)),
        // The solver reports other faults.
        Ok(()) | Err(_) => Ok(()),
    })
}

/// A solver's refusal of an option, by the flag that sets it.
fn by_flag(name: &str, value: f64, expected: &str) -> ConfigError {
    let (flag, allowed) = match name {
        "block" => ("--eigen-block", expected),
        "max_iterations" => ("--max-products", "at least --top and --bottom together"),
        "products" => ("--trace-products", expected),
        "steps" => ("--density-steps", expected),
        "tol" => ("--tol", expected),
        "probes" => ("--probes", expected),
        other => (other, expected),
    };
    ConfigError::BadValue { key: flag.into(), value: value.to_string(), allowed: allowed.into() }
}
