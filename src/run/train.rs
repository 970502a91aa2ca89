//! A run from its configuration, or from its last checkpoint, to its report: set up everything that can fail, then
//! train, measure and record.
//!
//! [`train`] and [`resume`] share the code from the data to the last step; a checkpoint replaces the initial
//! parameters, the empty tables and the eigensolver's cold start. The run folder is made once data, device and
//! parameters are known to be good.

use std::time::Instant;

use super::batches::BatchLoader;
use super::forecast::Forecast;
use super::initial::initial;
use super::inputs::Inputs;
use super::launch::{Launch, OpenRun, RunFacts, say};
use super::measure::Measurer;
use super::own::OwnTask;
use super::progress::ProgressLine;
use super::request::{ResumeRequest, TrainRequest};
use super::setup::{RunSetup, Workspace};
use super::steps::{Clock, Training};
use super::tables::Tables;
use super::{RunError, batches, forecast, kernels, memory_check};
use crate::config::Config;
use crate::device::{Device, DeviceError};
use crate::folder::manifest::{Ended, InitFile, Manifest, MemoryPlan};
use crate::folder::state::RunState;
use crate::folder::{RunDir, RunDirError};
use crate::observer::Observer;
use crate::results::divergence;
use crate::results::readout::Readout;
#[cfg(feature = "plots")]
use crate::results::report::report_readout;
#[cfg(feature = "plots")]
use crate::results::{Format, plot};
use crate::text::{counted, duration, shell_path, with_causes};

/// Trains as requested, and returns the run folder.
///
/// # Errors
/// [`RunError`]; a run folder that was created keeps everything logged before.
pub fn train(request: &TrainRequest, observer: &dyn Observer) -> Result<RunDir, RunError> {
    begin(request, None, observer)
}

/// The same with a network, a loss and examples that the program brings.
///
/// # Errors
/// As [`train`].
pub fn train_own(request: &TrainRequest, own: &OwnTask, observer: &dyn Observer) -> Result<RunDir, RunError> {
    begin(request, Some(own), observer)
}

fn begin(request: &TrainRequest, own: Option<&OwnTask>, observer: &dyn Observer) -> Result<RunDir, RunError> {
    let began = Instant::now();
    request.check()?;
    carry_out(Launch::of_new(request), own, began, observer)
}

/// Continues a run from its last undamaged checkpoint, or from its start if it has none. On the same adapter and driver
/// the new rows are bit for bit those of an uninterrupted run. Rows after the checkpoint are made again.
///
/// # Errors
/// [`RunError`]; rows before the checkpoint are kept.
pub fn resume(request: &ResumeRequest, observer: &dyn Observer) -> Result<(), RunError> {
    go_on(request, None, observer)
}

/// The same of a run that [`train_own`] began, with the same network, loss and examples.
///
/// # Errors
/// As [`resume`]. Other examples than those of the run are refused; another network of as many parameters is not
/// noticed.
pub fn resume_own(request: &ResumeRequest, own: &OwnTask, observer: &dyn Observer) -> Result<(), RunError> {
    go_on(request, Some(own), observer)
}

fn go_on(request: &ResumeRequest, own: Option<&OwnTask>, observer: &dyn Observer) -> Result<(), RunError> {
    let began = Instant::now();
    match Launch::of_old(request, own.is_some(), observer)? {
        Some(launch) => carry_out(launch, own, began, observer).map(|_| ()),
        None => Ok(()),
    }
}

/// Describes the work of [`train`]: chunks, memory, and times, for which a gradient is measured. Nothing is written.
///
/// # Errors
/// As [`train`], for errors known before the first step.
pub fn plan(request: &TrainRequest, observer: &dyn Observer) -> Result<String, RunError> {
    request.check()?;
    let mut request = request.clone();
    let inputs = Inputs::of(&request.config, request.adapter.as_deref(), None)?;
    batches::settle_groups(&mut request.config, inputs.data.train.len())?;
    let config = &request.config;
    let (_, first) = inputs.batches(config)?;
    let setup = inputs.setup(config, &first);
    let device = kernels::choose(&inputs.device, &setup, true, observer)?;
    let (planned, dry) = setup.plan(&device)?;
    setup.note_limits(dry.objective.layout().len(), observer);
    // Unreadable parameters are an error, as in a run.
    initial(config, inputs.network_file(config), dry.objective.layout())?;
    let objective = setup.objective(&device);
    let gradient_secs = objective
        .and_then(|mut objective| Ok(objective.gradient_secs()?))
        .map_err(|error| memory_check::refused(error, &planned, memory_check::SMALLER_RUN))?;
    let train = inputs.data.train.len();
    Ok(Forecast { request: &request, train, workspace: dry, memory: planned, gradient_secs }.text()?)
}

fn carry_out(
    mut launch: Launch,
    own: Option<&OwnTask>,
    began: Instant,
    observer: &dyn Observer,
) -> Result<RunDir, RunError> {
    let inputs = Inputs::of(&launch.config, launch.adapter.as_deref(), own)?;
    launch.settle_groups(inputs.data.train.len())?;
    let config = &launch.config.clone();
    let data = inputs.record(config);
    let (batches, first) = inputs.batches(config)?;
    let setup = inputs.setup(config, &first);
    launch.check_data(&data)?;
    let network = inputs.network_file(config);
    launch.check_network(network.as_ref())?;
    let mut checked = check(&launch, &inputs, &setup, observer)?;
    let prepared = prepare(&setup, batches, &mut checked)
        .map_err(|error| memory_check::refused(error, &checked.memory_plan, memory_check::SMALLER_RUN))?;

    // From here on, a run that stops keeps its data.
    observer.is_stopped();
    let Checked { device, memory_plan, init, .. } = checked;
    let (objective, step) = (&prepared.workspace.objective, prepared.step);
    let facts = RunFacts { objective, measured: setup.measured, memory_plan, data, network, init, step };
    let OpenRun { dir, lock, mut manifest } = launch.place(facts, observer)?;
    // From here on, the manifest records the end of the run.
    let result = prepared.run(&dir, &mut manifest, began, observer);
    manifest.memory_peak_bytes = device.memory().peak;
    conclude(&dir, manifest, result, observer)?;
    drop(lock);
    Ok(dir)
}

/// The parts that are checked before anything is made on the device.
struct Checked {
    device: Device,
    state: Option<RunState>,
    memory_plan: MemoryPlan,
    params: Vec<f64>,
    init: Option<InitFile>,
}

/// Reads the initial parameters or the checkpoint, chooses kernels, and reserves the planned memory.
fn check(launch: &Launch, inputs: &Inputs, setup: &RunSetup, observer: &dyn Observer) -> Result<Checked, RunError> {
    let device = &inputs.device;
    let state = launch.state(setup.model.as_ref())?;
    launch.check_tables(state.as_ref())?;
    let device = match &state {
        Some(state) => kernels::fixed(device, state.known.clone()),
        None => kernels::choose(device, setup, false, observer)?,
    };
    let (memory_plan, dry) = setup.plan(&device)?;
    memory_check::check(setup, &device, &memory_plan, memory_check::free_bytes())?;
    setup.note_limits(dry.objective.layout().len(), observer);
    let (params, init) = launch.params(inputs.network_file(&launch.config), dry.objective.layout())?;
    device.reserve(dry.objective.device())?;
    Ok(Checked { device, state, memory_plan, params, init })
}

/// A run that is ready for its next step.
struct Prepared<'a> {
    config: &'a Config,
    workspace: Workspace,
    batches: Option<BatchLoader<'a>>,
    outlook: String,
    /// The next step, and the seconds spent before.
    step: u64,
    spent: f64,
    /// The bytes of its tables, if it is resumed.
    bytes: Option<[u64; 3]>,
}

/// Makes everything on the device, in the state of the next step.
fn prepare<'a>(
    setup: &RunSetup<'a>,
    mut batches: Option<BatchLoader<'a>>,
    checked: &mut Checked,
) -> Result<Prepared<'a>, RunError> {
    let mut workspace = setup.assemble(&checked.device)?;
    workspace.objective.set_params(workspace.optimizer.params(), &checked.params)?;
    let state = checked.state.take();
    let begun = state.as_ref().map(|state| (state.step, state.secs, Some(state.tables)));
    let (step, spent, bytes) = begun.unwrap_or((0, 0.0, None));
    restore(&mut workspace, state)?;
    if let Some(batches) = &mut batches {
        batches.load(&workspace.objective, step)?;
    }
    let outlook = forecast::ahead(setup.config, &workspace, &checked.memory_plan, step)?;
    Ok(Prepared { config: setup.config, workspace, batches, outlook, step, spent, bytes })
}

/// Restores the numbers of a checkpoint to the device and to the measurements, or does the work at the first
/// parameters.
fn restore(workspace: &mut Workspace, state: Option<RunState>) -> Result<(), DeviceError> {
    let device = workspace.objective.device();
    let Some(mut state) = state else {
        return device.run(workspace.measurer.as_ref().and_then(Measurer::prepare));
    };
    workspace.optimizer.begin_at(state.moments_since);
    if let Some(held) = state.held {
        workspace.optimizer.hold(held);
    }
    for (moment, vector) in &state.moments {
        if let Some(buffer) = workspace.optimizer.state().get(*moment) {
            device.write(buffer, vector)?;
        }
    }
    if let Some(measurer) = &mut workspace.measurer {
        measurer.restore(device, &mut state)?;
    }
    Ok(())
}

impl Prepared<'_> {
    /// Makes the steps, and records their number and time in the manifest.
    fn run(
        self,
        dir: &RunDir,
        manifest: &mut Manifest,
        began: Instant,
        observer: &dyn Observer,
    ) -> Result<Ended, RunError> {
        let Self { config, workspace, batches, outlook, step, spent, bytes } = self;
        say(observer, &outlook)?;
        let mut run = Training {
            config,
            dir,
            batches,
            workspace,
            tables: Tables::open(dir, config, bytes, observer)?,
            progress: ProgressLine::new(observer, config.run.steps, config.optim.batch > 0),
            observer,
            clock: Clock::new(began, spent),
            steps_done: step,
            saved: bytes.is_some().then_some(step),
        };
        run.progress.begin(step);
        let result = run.train();
        observer.finished();
        (manifest.steps_done, manifest.wall_secs) = (run.steps_done, run.clock.secs());
        result
    }
}

/// Records the end of a run in the manifest, and shows the results.
fn conclude(
    dir: &RunDir,
    mut manifest: Manifest,
    result: Result<Ended, RunError>,
    observer: &dyn Observer,
) -> Result<(), RunError> {
    manifest.ended = match &result {
        Ok(ended) => ended.clone(),
        Err(RunError::Diverged(at)) => Ended::Diverged { step: at.step },
        Err(error) => Ended::Failed { error: with_causes(error) },
    };
    if let Err(RunError::Diverged(at)) = &result {
        manifest.not_finite = Some(at.what.to_owned());
    }
    if let Ended::Diverged { step } = manifest.ended {
        // The host may be ahead.
        manifest.steps_done = step;
    }
    // If the folder is missing, writing would make it again.
    if let Err(error @ RunError::RunDir(RunDirError::Gone { .. })) = result {
        return Err(error);
    }
    let shown = dir
        .write_manifest(&manifest)
        .map_err(RunError::from)
        .and_then(|()| show(dir, &manifest))
        .and_then(|text| Ok(say(observer, &text)?));
    // Report the error that ended the run before any error in writing its report.
    result.and(shown)
}

/// Draws the pictures of the logged rows, and returns the summary.
fn show(dir: &RunDir, manifest: &Manifest) -> Result<String, RunError> {
    let readout = Readout::of(dir)?;
    let Manifest { wall_secs, steps_done, ended, .. } = manifest;
    let (path, word) = (dir.path().display(), shell_path(dir.path()));
    let stopped = match ended {
        Ended::Reached { until } => format!("ended at {until}\n"),
        Ended::Interrupted => format!("interrupted before step {steps_done}; `edgewalk resume {word}` goes on\n"),
        Ended::TimeLimit => {
            format!("run.time_limit reached before step {steps_done}; `edgewalk resume {word}` goes on\n")
        }
        Ended::Diverged { .. } => divergence::account(&readout, manifest).join("\n") + "\n",
        Ended::Running | Ended::Done | Ended::Failed { .. } => String::new(),
    };
    if readout.metrics.is_empty() {
        return Ok(stopped);
    }
    let summary = readout.summary();
    #[cfg(feature = "plots")]
    {
        plot::plot_readout(dir, &readout, &Format::Svg.into())?;
        report_readout(dir, readout)?;
    }
    // A fork has not made the steps of its parent.
    let made = steps_done - manifest.parent.as_ref().map_or(0, |parent| parent.step.min(*steps_done));
    let each = duration(wall_secs / made.max(1) as f64);
    let times = format!("{} in {}, measurements included ({each} a step)", counted(made, "step"), duration(*wall_secs));
    Ok(format!("{summary}\n{stopped}{times}; tables, plots and report.html in {path}\n"))
}
