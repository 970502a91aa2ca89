//! Everything on the device that a run needs, made before its first step. The same code on a dry device, which only
//! counts, plans the memory.

use std::borrow::Cow;
use std::sync::Arc;

use super::RunError;
use super::measure::{MeasuredOn, Measurer};
use super::ring::Ring;
use super::test_set::TestSet;
use super::update::group;
use crate::config::{Config, ConfigError, MeasureAt, MeasureConfig, MeasureMethod, MeasuringSet, build};
use crate::curvature::EigenOptions;
use crate::data::{DataError, Dataset, Examples};
use crate::device::Device;
use crate::folder::manifest::MemoryPlan;
use crate::model::{Loss, Model};
use crate::objective::Objective;
use crate::observer::Observer;
use crate::optim::{Batches, Optimizer};
use crate::text::counted;

/// The parts of a run.
pub struct RunSetup<'a> {
    /// The settings.
    pub config: &'a Config,
    /// The model of these settings.
    pub model: Arc<dyn Model>,
    /// Its loss.
    pub loss: Loss,
    /// All examples.
    pub data: &'a Dataset,
    /// The examples of the first update.
    pub first: &'a Examples,
    /// The measuring set, if curvature is measured.
    pub measured: Option<MeasuringSet>,
    /// The most bytes in which products keep values.
    pub most_kept: u64,
}

/// The objects of a run on the device. See the module text.
pub struct Workspace {
    /// The trained objective.
    pub objective: Objective,
    /// Its recorded steps; the parameters are still zeros.
    pub optimizer: Optimizer,
    /// Recorded measurements.
    pub measurer: Option<Measurer>,
    /// Held-out examples.
    pub test: Option<TestSet>,
    /// Metrics that wait for the host.
    pub ring: Ring,
}

impl RunSetup<'_> {
    /// The objective that is trained.
    ///
    /// # Errors
    /// Those of `build::objective`.
    pub fn objective(&self, device: &Device) -> Result<Objective, RunError> {
        self.on(device, self.first, group(self.config, self.first.len(), true))
    }

    fn on(&self, device: &Device, examples: &Examples, group: usize) -> Result<Objective, RunError> {
        let mut objective = objective(device, self.config, Arc::clone(&self.model), self.loss, examples, group)?;
        objective.keep_at_most(self.most_kept);
        Ok(objective)
    }

    /// The objective of a measuring set other than the trained one.
    fn measured(&self, device: &Device, examples: Cow<'_, Examples>) -> Result<Objective, RunError> {
        let group = group(self.config, examples.len(), false);
        self.on(device, in_batches(self.config, examples, group)?.as_ref(), group)
    }

    /// Makes and records everything.
    ///
    /// # Errors
    /// Compilation or device errors, and those of [`Self::objective`].
    pub fn assemble(&self, device: &Device) -> Result<Workspace, RunError> {
        let Self { config, data, measured, .. } = *self;
        let mut objective = self.objective(device)?;
        let on = |set: MeasuringSet| -> Result<MeasuredOn, RunError> {
            let own = set.own(config, &data.train).map(|examples| self.measured(device, examples)).transpose()?;
            Ok(MeasuredOn { set, own })
        };
        let on = measured.map(on).transpose()?;
        let w = objective.vector("the parameters")?;
        let optimizer = Optimizer::new(&mut objective, build::rule(config), &w)?;
        let measurer = on.map(|on| Measurer::new(&mut objective, on, &optimizer, config)).transpose()?;
        let test = match &data.test {
            Some(test) => Some(TestSet::new(self.on(device, test, 0)?, &w)?),
            None => None,
        };
        let ring = Ring::new(device, &optimizer)?;
        Ok(Workspace { objective, optimizer, measurer, test, ring })
    }

    /// Assembles everything on a dry device, and returns its needs.
    ///
    /// # Errors
    /// As [`Self::assemble`]; a buffer that the adapter cannot bind is found here.
    pub fn plan(&self, device: &Device) -> Result<(MemoryPlan, Workspace), RunError> {
        let dry = device.dry();
        let workspace = self.assemble(&dry)?;
        let parameters = workspace.objective.layout().len();
        let plan = MemoryPlan { device_bytes: dry.memory().peak, host_bytes: self.host_bytes(parameters) };
        Ok((plan, workspace))
    }

    /// Notes the settings that ask for more than there is, of which all is taken.
    pub(super) fn note_limits(&self, parameters: usize, observer: &dyn Observer) {
        let MeasureConfig { examples, top, bottom, .. } = self.config.measure;
        let train = counted(self.data.train.len(), "training example");
        let eigenvalues = counted(parameters, "parameter");
        for (key, asked, there, words) in [
            ("examples", examples, self.data.train.len(), format!("{train}: curvature is measured on all of them")),
            ("top", top, parameters, format!("{eigenvalues}, and there are as many eigenvalues")),
            ("bottom", bottom, parameters, format!("{eigenvalues}, and there are as many eigenvalues")),
        ] {
            if self.measured.is_some() && asked > there {
                observer.note(&format!("note: measure.{key} = {asked} is more than the {words}"));
            }
        }
    }

    /// The most bytes of numbers on the host: the examples and the eigensolver's vectors.
    fn host_bytes(&self, parameters: usize) -> u64 {
        let Self { config, data, measured, .. } = self;
        let examples = data.train.bytes() + data.test.as_ref().map_or(0, Examples::bytes);
        let batch = if config.optim.batch > 0 { self.first.bytes() } else { 0 };
        // A checkpoint has fewer: the track, the bytes of the file, and a tensor in transit.
        let vectors = match (measured, config.measure.method) {
            (None, _) => 0,
            // The vectors, their products, and the tracks of this solve and the one before.
            (_, MeasureMethod::Power) => 4 * config.measure.top,
            (_, MeasureMethod::Lanczos | MeasureMethod::Official) => {
                let (top, bottom) = (config.measure.top, config.measure.bottom);
                let hessian = EigenOptions { top, bottom, ..Default::default() };
                // Beside what that solve leaves, the update operator may be solved.
                let update = hessian.most_kept(parameters) + EigenOptions::default().most_vectors(parameters);
                hessian.most_vectors(parameters).max(update)
            }
        };
        // A checkpoint: the parameters, vectors of their length, and the bytes of both, in single precision.
        let at_midpoint = measured.is_some() && config.measure.at == MeasureAt::Midpoint;
        let singles = 1 + build::rule(config).state().len() + usize::from(at_midpoint);
        (examples + batch + 8 * parameters * (vectors + singles)) as u64
    }
}

/// Examples of which each `group` is a minibatch of the run's first epoch, as far as they are among its examples. In
/// file order minibatches could be of one class each.
///
/// # Errors
/// None for a group of no more examples than there are.
pub fn in_batches<'e>(
    config: &Config,
    examples: Cow<'e, Examples>,
    group: usize,
) -> Result<Cow<'e, Examples>, RunError> {
    if group == 0 || config.optim.batch == 0 {
        return Ok(examples);
    }
    let mut batches = Batches::new(examples.len(), group, config.run.seed)?;
    Ok(Cow::Owned(examples.select(batches.first_epoch()).map_err(DataError::from)?))
}

/// The configured loss of a model over these examples, in the chunks and groups that the update rule needs.
///
/// # Errors
/// Those of [`Objective::new`], and m-SAM groups that the planner had to cut.
pub fn objective(
    device: &Device,
    config: &Config,
    model: Arc<dyn Model>,
    loss: Loss,
    examples: &Examples,
    group: usize,
) -> Result<Objective, RunError> {
    let objective = Objective::in_groups(device, model, loss, examples, config.chunk(), group)?;
    check_groups(config, &objective)?;
    Ok(objective)
}

/// Refuses groups of m-SAM that the planner had to cut.
fn check_groups(config: &Config, objective: &Objective) -> Result<(), ConfigError> {
    let (wanted, rows) = (config.chunk().min(objective.examples()), objective.plan().rows);
    if config.optim.perturbs() && config.optim.micro_batch > 0 && rows != wanted {
        return Err(ConfigError::Conflict {
            problem: format!("`optim.micro_batch = {wanted}` examples do not fit this adapter at once"),
            remedy: "lower optim.micro_batch, or choose another adapter",
        });
    }
    Ok(())
}
