//! The start of a run: a new run at step 0 in a new folder, or an earlier run at its last checkpoint in its own folder.

use super::initial::{self, initial};
use super::request::{ResumeRequest, TrainRequest};
use super::tables::Tables;
use super::{RunError, batches, divergence};
use crate::config::{Config, ConfigError, MeasuringSet, Until, build};
use crate::device::{self, DeviceError};
use crate::files::lock::{self, Lock};
use crate::folder::checkpoint::{self, Checkpoint};
use crate::folder::data_record::DataRecord;
use crate::folder::manifest::{Ended, InitFile, Manifest, MemoryPlan, Resumed};
use crate::folder::state::RunState;
use crate::folder::table::RecordError;
use crate::folder::{RunDir, RunDirError, choices, settled};
use crate::model::{Layout, Model, params_from_safetensors};
use crate::objective::Objective;
use crate::observer::{Observer, OutputError};
use crate::text::{now, utc};

/// A run to carry out: its settings, its adapter and its start.
pub(crate) struct Launch<'a> {
    pub config: Config,
    pub adapter: Option<String>,
    command_line: &'a [String],
    begin: Begin<'a>,
}

enum Begin<'a> {
    New(&'a TrainRequest),
    /// Boxed, because the other variant is much smaller.
    Old(Box<Old>),
}

/// An earlier run to continue.
struct Old {
    dir: RunDir,
    lock: Lock,
    manifest: Manifest,
    checkpoint: Option<Checkpoint>,
}

/// The locked folder of a run under way, and its manifest.
pub(crate) struct OpenRun {
    pub dir: RunDir,
    pub lock: Lock,
    pub manifest: Manifest,
}

/// The facts for the manifest besides the settings.
pub(crate) struct RunFacts<'a> {
    pub objective: &'a Objective,
    pub measured: Option<MeasuringSet>,
    pub memory_plan: MemoryPlan,
    pub data: DataRecord,
    pub network: Option<InitFile>,
    pub init: Option<InitFile>,
    /// The next step.
    pub step: u64,
}

impl<'a> Launch<'a> {
    /// A run from its first step.
    pub fn of_new(request: &'a TrainRequest) -> Self {
        let TrainRequest { config, adapter, command_line, .. } = request;
        let (mut config, adapter) = (config.clone(), adapter.clone());
        config.settle_paths();
        Self { config, adapter, command_line, begin: Begin::New(request) }
    }

    /// The rest of an earlier run; `None`, with a message to the observer, if nothing is left to do.
    pub fn of_old(request: &'a ResumeRequest, own: bool, observer: &dyn Observer) -> Result<Option<Self>, RunError> {
        let dir = RunDir::open(&request.path)?;
        let lock = locked(&dir, observer)?;
        let manifest = dir.read_manifest()?;
        if manifest.data.is_own() && !own {
            return Err(RunDirError::Own { path: request.path.clone() }.into());
        }
        let old = settled::settings(&dir, &manifest)?;
        let config = settled::changed(&dir, &old, &request.sets)?;
        if !own {
            Until::check(config.run.until, build::loss(&config))?;
        }
        let (checkpoint, damaged) = checkpoint::last(&dir);
        for error in &damaged {
            observer.note(&format!("warning: {error}"));
        }
        check_new_init(&manifest, &config)?;
        // A complete run continues if `config.toml` or a change asks for more steps.
        let more = config.run.steps > manifest.steps_done && (config != old || manifest.ended == Ended::Done);
        if manifest.ended.is_final() && !more {
            let advice = match manifest.ended {
                Ended::Diverged { .. } => format!("begin a new run, and {}", divergence::lower(&build::rule(&config))),
                _ => "`--set run.steps=N` makes it longer".to_owned(),
            };
            say(
                observer,
                &format!("nothing is left to do in {} ({}); {advice}\n", dir.path().display(), manifest.ended),
            )?;
            return Ok(None);
        }
        let adapter = match &request.adapter {
            Some(adapter) => adapter.clone(),
            None => the_same(&manifest)?,
        };
        let begin = Begin::Old(Box::new(Old { dir, lock, manifest, checkpoint }));
        let ResumeRequest { command_line, .. } = request;
        Ok(Some(Self { config, adapter: Some(adapter), command_line, begin }))
    }

    /// Refuses other data than those of an earlier run.
    pub fn check_data(&self, data: &DataRecord) -> Result<(), ConfigError> {
        match &self.begin {
            Begin::Old(old) => old.manifest.data.check(data),
            Begin::New(_) => Ok(()),
        }
    }

    /// Refuses another network than that of an earlier run.
    pub fn check_network(&self, network: Option<&InitFile>) -> Result<(), ConfigError> {
        match &self.begin {
            Begin::Old(old) => old.manifest.check_network(network),
            Begin::New(_) => Ok(()),
        }
    }

    fn checkpoint(&self) -> Option<&Checkpoint> {
        match &self.begin {
            Begin::New(_) => None,
            Begin::Old(old) => old.checkpoint.as_ref(),
        }
    }

    /// The state in the checkpoint, if there is one.
    pub fn state(&self, model: &dyn Model) -> Result<Option<RunState>, RunError> {
        let Some(checkpoint) = self.checkpoint() else { return Ok(None) };
        Ok(Some(RunState::of(checkpoint, Layout::of(model)?.len())?))
    }

    /// Refuses tables that cannot be continued. Nothing has been changed yet.
    pub fn check_tables(&self, state: Option<&RunState>) -> Result<(), RecordError> {
        match (&self.begin, state) {
            (Begin::Old(old), Some(state)) => Tables::check(&old.dir, &self.config, state.tables),
            _ => Ok(()),
        }
    }

    /// [`batches::settle_groups`] for a new run; an earlier run keeps its settings.
    pub fn settle_groups(&mut self, train: usize) -> Result<(), ConfigError> {
        match self.begin {
            Begin::New(_) => batches::settle_groups(&mut self.config, train),
            Begin::Old(_) => Ok(()),
        }
    }

    /// The parameters of the next step, and the file of a new run's initial weights.
    pub fn params(&self, network: Option<InitFile>, layout: &Layout) -> Result<(Vec<f64>, Option<InitFile>), RunError> {
        if let Some(Checkpoint { path, params, .. }) = self.checkpoint() {
            let params = params_from_safetensors(layout, params);
            let params = params.map_err(|cause| RunError::Init { path: path.join(checkpoint::PARAMS), cause })?;
            return Ok((params, None));
        }
        let (params, init) = initial(&self.config, network, layout)?;
        if let Begin::Old(old) = &self.begin {
            check_init(old.manifest.init.as_ref(), init.as_ref())?;
        }
        Ok((params, init))
    }

    /// Makes or opens the run folder, and writes its configuration and manifest.
    pub fn place(self, facts: RunFacts<'_>, observer: &dyn Observer) -> Result<OpenRun, RunError> {
        let (step, memory_plan) = (facts.step, facts.memory_plan);
        let mut manifest = self.manifest(facts);
        match self.begin {
            Begin::New(request) => {
                let dir = RunDir::create(request.out.as_deref(), &request.name)?;
                let lock = locked(&dir, observer)?;
                // The configuration comes last: a folder with config.toml is a run folder.
                dir.write_manifest(&manifest)?;
                dir.write_config(&self.config)?;
                Ok(OpenRun { dir, lock, manifest })
            }
            Begin::Old(old) => {
                let Old { dir, lock, manifest: earlier, checkpoint } = *old;
                say(
                    observer,
                    &match &checkpoint {
                        Some(checkpoint) => format!("going on from {}\n", checkpoint.path.display()),
                        None => {
                            format!("{}: no checkpoint can be used, so it begins at step 0\n", dir.path().display())
                        }
                    },
                )?;
                if let Some(change) = earlier.change(&manifest) {
                    observer.note(&format!(
                        "warning: {change}; the rest of the run need not have the bits that it would have had"
                    ));
                }
                // The facts of the start stay, and the resumption is added.
                let resumed = Resumed::at(step, &manifest);
                manifest = Manifest { limits: manifest.limits, tier: manifest.tier, memory_plan, ..earlier };
                manifest.resumed.push(resumed);
                (manifest.ended, manifest.not_finite) = (Ended::Running, None);
                // The manifest comes last: if the settings cannot be written, the run is not resumed.
                dir.write_config(&self.config)?;
                dir.write_manifest(&manifest)?;
                Ok(OpenRun { dir, lock, manifest })
            }
        }
    }

    fn manifest(&self, facts: RunFacts<'_>) -> Manifest {
        let RunFacts { objective, measured, memory_plan, data, network, init, step } = facts;
        let (adapter, plan) = (objective.device().adapter().clone(), objective.plan());
        Manifest {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: Manifest::COMMIT.map(str::to_owned),
            command: self.command_line.to_vec(),
            seed: self.config.run.seed,
            settings: Some(self.config.to_json()),
            data,
            network,
            init,
            host: lock::host(),
            began: utc(now()),
            adapter: adapter.name,
            adapter_place: adapter.place,
            driver: adapter.driver,
            driver_info: adapter.driver_info,
            backend: adapter.backend,
            limits: adapter.limits,
            tier: adapter.tier,
            kernel_choices: plan.kernel_choices.clone(),
            choices: choices::words(&objective.device().variants()),
            chunk: plan.rows,
            chunks: plan.chunks,
            measured,
            parameters: plan.parameters,
            memory_plan,
            memory_peak_bytes: 0,
            wall_secs: 0.0,
            steps_done: step,
            ended: Ended::Running,
            not_finite: None,
            resumed: vec![],
            parent: None,
        }
    }
}

/// Refuses another file of initial weights than that of the manifest, unless it has the same bytes.
fn check_new_init(manifest: &Manifest, config: &Config) -> Result<(), RunError> {
    let was = manifest.init.as_ref().map(|init| settled::settled(&init.path));
    let file = initial::file(config);
    if was.as_ref() == file {
        return Ok(());
    }
    Ok(check_init(manifest.init.as_ref(), initial::identity(config)?.as_ref())?)
}

/// Refuses other initial weights than those of the run.
fn check_init(was: Option<&InitFile>, now: Option<&InitFile>) -> Result<(), ConfigError> {
    let hash = |init: Option<&InitFile>| init.map(|init| init.sha256.clone());
    if hash(was) == hash(now) {
        return Ok(());
    }
    let words = |init: Option<&InitFile>| match init {
        Some(InitFile { path, sha256 }) => {
            format!("{} (SHA-256 {}…)", path.display(), sha256.get(..12).unwrap_or(sha256))
        }
        None => "drawn from the seed".to_owned(),
    };
    Err(ConfigError::Conflict {
        problem: format!("the initial weights are {}, and this run began with {}", words(now), words(was)),
        remedy: "put back the file that it began with, or begin a new run with `edgewalk train DIR/config.toml`",
    })
}

/// Locks a run folder, with a note if the file system has no locks.
fn locked(dir: &RunDir, observer: &dyn Observer) -> Result<Lock, RunDirError> {
    let lock = dir.lock()?;
    if let Some(warning) = lock.warning() {
        observer.note(warning);
    }
    Ok(lock)
}

/// Sends a text for people to the observer.
pub(super) fn say(observer: &dyn Observer, text: &str) -> Result<(), OutputError> {
    observer.say(text).map_err(OutputError)
}

/// The number of the adapter that a run had, for [`crate::device::Device::open`]; its name if this machine lacks it.
fn the_same(manifest: &Manifest) -> Result<String, DeviceError> {
    let Manifest { adapter, backend, adapter_place, .. } = manifest;
    let found = device::same(&device::adapters()?, adapter, backend, adapter_place);
    Ok(found.map_or_else(|| adapter.clone(), |index| index.to_string()))
}
