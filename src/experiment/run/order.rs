//! Where a run begins: at its first step in a folder of its own, or at a checkpoint in the folder that it has.

use super::tables::Tables;
use super::{ResumeRequest, TrainRequest, initial};
use crate::aside::aside;
use crate::experiment::checkpoint::{self, Checkpoint};
use crate::experiment::config::{Config, ConfigError};
use crate::experiment::equipment::MemoryPlan;
use crate::experiment::manifest::{DataRecord, Ended, Init, Manifest, Resumed};
use crate::experiment::measuring::MeasuringSet;
use crate::experiment::output::print;
use crate::experiment::record::RecordError;
use crate::experiment::rundir::{RunDir, RunDirError};
use crate::experiment::state::State;
use crate::experiment::{ExperimentError, feed, kernels, settled};
use crate::gpu::{self, GpuError};
use crate::lock::Lock;
use crate::model::{Layout, Model, params_from_safetensors};
use crate::objective::Objective;

/// What to do, and where.
pub(super) struct Order<'a> {
    pub config: Config,
    pub adapter: Option<String>,
    pub json: bool,
    command_line: &'a [String],
    begin: Begin<'a>,
}

enum Begin<'a> {
    New(&'a TrainRequest),
    /// Boxed, since the other is so much smaller.
    Old(Box<Old>),
}

/// A run that goes on.
struct Old {
    dir: RunDir,
    lock: Lock,
    manifest: Manifest,
    checkpoint: Option<Checkpoint>,
}

/// The folder of a run under way, kept from other processes, and its manifest.
pub(super) struct Place {
    pub dir: RunDir,
    pub lock: Lock,
    pub manifest: Manifest,
}

impl<'a> Order<'a> {
    /// A run from its first step.
    pub fn of_new(request: &'a TrainRequest) -> Self {
        let TrainRequest { config, adapter, command_line, json, .. } = request;
        let (mut config, adapter) = (config.clone(), adapter.clone());
        config.settle_paths();
        Self { config, adapter, json: *json, command_line, begin: Begin::New(request) }
    }

    /// The rest of a run; none if nothing is left to do, which is said.
    pub fn of_old(request: &'a ResumeRequest) -> Result<Option<Self>, ExperimentError> {
        let dir = RunDir::open(&request.path)?;
        let lock = dir.lock()?;
        let manifest = dir.read_manifest()?;
        let old = settled::settings(&dir, &manifest)?;
        let config = settled::changed(&dir, &old, &request.sets)?;
        let (checkpoint, damaged) = checkpoint::last(&dir);
        for error in &damaged {
            aside(&format!("warning: {error}\n"));
        }
        let path = dir.path().display();
        let more = config.run.steps > manifest.steps_done && config != old;
        if manifest.ended.is_final() && !more {
            saying(request.json)(&format!(
                "nothing is left to do in {path} ({}); `--set run.steps=N` makes it longer\n",
                manifest.ended
            ))?;
            return Ok(None);
        }
        let adapter = match &request.adapter {
            Some(adapter) => adapter.clone(),
            None => the_same(&manifest)?,
        };
        let begin = Begin::Old(Box::new(Old { dir, lock, manifest, checkpoint }));
        let ResumeRequest { command_line, json, .. } = request;
        Ok(Some(Self { config, adapter: Some(adapter), json: *json, command_line, begin }))
    }

    /// Prints what is not a row.
    pub fn say(&self) -> fn(&str) -> Result<(), ExperimentError> {
        saying(self.json)
    }

    /// Refuses to go on with other data.
    pub fn check_data(&self, data: &DataRecord) -> Result<(), ConfigError> {
        match &self.begin {
            Begin::Old(old) if old.manifest.data != *data => Err(ConfigError::Conflict {
                problem: format!("the data are {data}, and this run was made on {}", old.manifest.data),
                remedy: "put back the files that it was made on, see config.toml and manifest.json",
            }),
            Begin::Old(_) | Begin::New(_) => Ok(()),
        }
    }

    fn checkpoint(&self) -> Option<&Checkpoint> {
        match &self.begin {
            Begin::New(_) => None,
            Begin::Old(old) => old.checkpoint.as_ref(),
        }
    }

    /// The state to go on from.
    pub fn state(&self, model: &dyn Model) -> Result<Option<State>, ExperimentError> {
        let Some(checkpoint) = self.checkpoint() else { return Ok(None) };
        let n = Layout::of(model)?.len();
        let state = State::from_bytes(&checkpoint.state, n);
        state.map(Some).map_err(|problem| RunDirError::Damaged { path: checkpoint.path.clone(), problem }.into())
    }

    /// Refuses tables that the run cannot go on with, before anything is changed.
    pub fn check_tables(&self, state: Option<&State>) -> Result<(), RecordError> {
        match (&self.begin, state) {
            (Begin::Old(old), Some(state)) => Tables::check(&old.dir, &self.config, state.tables),
            _ => Ok(()),
        }
    }

    /// Takes a group of m-SAM that is all examples for none. A run that has begun keeps its settings.
    pub fn settle_groups(&mut self, train: usize) -> Result<(), ConfigError> {
        match self.begin {
            Begin::New(_) => feed::settle_groups(&mut self.config, train),
            Begin::Old(_) => Ok(()),
        }
    }

    /// The parameters to begin with or to go on from, and the file of the former.
    pub fn params(&self, layout: &Layout) -> Result<(Vec<f32>, Option<Init>), ExperimentError> {
        if let Some(Checkpoint { path, params, .. }) = self.checkpoint() {
            let params = params_from_safetensors(layout, params);
            let params =
                params.map_err(|cause| ExperimentError::Init { path: path.join(checkpoint::PARAMS), cause })?;
            return Ok((params, None));
        }
        let (params, init) = initial(&self.config, layout)?;
        if let Begin::Old(old) = &self.begin {
            check_init(old.manifest.init.as_ref(), init.as_ref())?;
        }
        Ok((params, init))
    }

    /// The folder, made if there is none, with its configuration and manifest in it.
    pub fn place(
        self,
        objective: &Objective,
        measured: Option<MeasuringSet>,
        memory_plan: MemoryPlan,
        (data, init): (DataRecord, Option<Init>),
        step: u64,
    ) -> Result<Place, ExperimentError> {
        let mut manifest = manifest(&self.config, self.command_line, objective, measured, memory_plan, data);
        (manifest.steps_done, manifest.init) = (step, init);
        match self.begin {
            Begin::New(request) => {
                let dir = RunDir::create(request.out.as_deref(), &request.name)?;
                let lock = dir.lock()?;
                // In this order: what has a config.toml is a run folder.
                dir.write_manifest(&manifest)?;
                dir.write_config(&self.config)?;
                Ok(Place { dir, lock, manifest })
            }
            Begin::Old(old) => {
                let Old { dir, lock, manifest: earlier, checkpoint } = *old;
                saying(self.json)(&match &checkpoint {
                    Some(checkpoint) => format!("going on from {}\n", checkpoint.path.display()),
                    None => format!("{}: no checkpoint can be used, so it begins at step 0\n", dir.path().display()),
                })?;
                if let Some(change) = earlier.change(&manifest) {
                    aside(&format!(
                        "warning: {change}; the rest of the run need not have the bits that it would have had\n"
                    ));
                }
                // What the run began with stays; what it goes on with is listed.
                let resumed = Resumed::at(step, &manifest);
                manifest = Manifest { limits: manifest.limits, tier: manifest.tier, memory_plan, ..earlier };
                manifest.resumed.push(resumed);
                manifest.ended = Ended::Running;
                // In this order: a run whose settings cannot be written has not begun to go on.
                dir.write_config(&self.config)?;
                dir.write_manifest(&manifest)?;
                Ok(Place { dir, lock, manifest })
            }
        }
    }
}

/// Refuses to begin again with other weights than those that a run began with.
fn check_init(was: Option<&Init>, now: Option<&Init>) -> Result<(), ConfigError> {
    let hash = |init: Option<&Init>| init.map(|init| init.sha256.clone());
    if hash(was) == hash(now) {
        return Ok(());
    }
    let words = |init: Option<&Init>| match init {
        Some(Init { path, sha256 }) => format!("{} (SHA-256 {}…)", path.display(), sha256.get(..12).unwrap_or(sha256)),
        None => "drawn from the seed".to_owned(),
    };
    Err(ConfigError::Conflict {
        problem: format!("the initial weights are {}, and this run began with {}", words(now), words(was)),
        remedy: "put back the file that it began with, or begin a new run with `edgewalk train DIR/config.toml`",
    })
}

/// To standard output, or to standard error where rows go to the former.
fn saying(json: bool) -> fn(&str) -> Result<(), ExperimentError> {
    let to_stderr = |text: &str| {
        aside(text);
        Ok(())
    };
    if json { to_stderr } else { print }
}

/// The adapter that a run had, as [`crate::gpu::Gpu::open`] takes it; its name if it is not here any more.
fn the_same(manifest: &Manifest) -> Result<String, GpuError> {
    let Manifest { adapter, backend, adapter_place, .. } = manifest;
    let found = gpu::same(&gpu::adapters()?, adapter, backend, adapter_place);
    Ok(found.map_or_else(|| adapter.clone(), |index| index.to_string()))
}

fn manifest(
    config: &Config,
    command_line: &[String],
    objective: &Objective,
    measured: Option<MeasuringSet>,
    memory_plan: MemoryPlan,
    data: DataRecord,
) -> Manifest {
    let (adapter, plan) = (objective.gpu().adapter().clone(), objective.plan());
    Manifest {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: Manifest::COMMIT.map(str::to_owned),
        command: command_line.to_vec(),
        seed: config.run.seed,
        settings: Some(config.to_json()),
        data,
        init: None,
        adapter: adapter.name,
        adapter_place: adapter.place,
        driver: adapter.driver,
        driver_info: adapter.driver_info,
        backend: adapter.backend,
        limits: adapter.limits,
        tier: adapter.tier,
        kernel_choices: plan.kernel_choices.clone(),
        choices: kernels::words(&objective.gpu().variants()),
        chunk: plan.rows,
        chunks: plan.chunks,
        measured,
        parameters: plan.parameters,
        memory_plan,
        memory_peak_bytes: 0,
        wall_secs: 0.0,
        steps_done: 0,
        ended: Ended::Running,
        resumed: vec![],
    }
}
