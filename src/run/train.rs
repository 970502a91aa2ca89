//! A run from its configuration, or from its last checkpoint, to its report: set up everything that can fail, then
//! train, measure and record.
//!
//! [`train`] and [`resume`] share the code from the data to the last step; a checkpoint replaces the initial
//! parameters, the empty tables and the eigensolver's cold start. The run folder is made once data, device and
//! parameters are known to be good.

use std::time::Instant;

use super::initial::initial;
use super::inputs::Inputs;
use super::launch::{Launch, OpenRun, say};
use super::measure::Measurer;
use super::own::OwnTask;
use super::progress::ProgressLine;
use super::request::{ResumeRequest, TrainRequest};
use super::setup::Workspace;
use super::steps::{Clock, Training};
use super::tables::Tables;
use super::{RunError, batches, forecast, kernels, memory_check};
use crate::folder::manifest::{Ended, Manifest};
use crate::folder::state::RunState;
use crate::folder::{RunDir, RunDirError};
use crate::gpu::GpuError;
use crate::observer::Observer;
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
/// As [`resume`]. Other examples than those of the run are refused; another network of as many parameters is not noticed.
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
    let gpu = kernels::choose(&inputs.gpu, &setup, true, observer)?;
    let (planned, dry) = setup.plan(&gpu)?;
    // Unreadable parameters are an error now, too.
    initial(config, dry.objective.layout())?;
    let objective = setup.objective(&gpu);
    let gradient_secs = objective
        .and_then(|mut objective| Ok(objective.gradient_secs()?))
        .map_err(|error| memory_check::refused(error, &planned, memory_check::SMALLER_RUN))?;
    Ok(forecast::plan(&request, inputs.data.train.len(), dry, planned, gradient_secs)?)
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
    let (mut batches, first) = inputs.batches(config)?;
    let setup = inputs.setup(config, &first);
    launch.check_data(&data)?;
    let state = launch.state(setup.model.as_ref())?;
    launch.check_tables(state.as_ref())?;
    let gpu = match &state {
        Some(state) => kernels::fixed(&inputs.gpu, state.known.clone()),
        None => kernels::choose(&inputs.gpu, &setup, false, observer)?,
    };
    let (planned, dry) = setup.plan(&gpu)?;
    memory_check::check(&setup, &gpu, &planned, memory_check::free_bytes())?;
    let (w, init) = launch.params(dry.objective.layout())?;
    gpu.reserve(dry.objective.gpu())?;
    drop(dry);
    let mut workspace =
        setup.assemble(&gpu).map_err(|error| memory_check::refused(error, &planned, memory_check::SMALLER_RUN))?;
    workspace.objective.set_params(workspace.optimizer.params(), &w)?;
    let (mut step, mut spent, mut bytes) = (0, 0.0, None);
    match state {
        None => {
            let prepare = workspace.measurer.as_ref().and_then(Measurer::prepare);
            gpu.run(prepare).map_err(|error| memory_check::refused(error, &planned, memory_check::SMALLER_RUN))?;
        }
        Some(state) => {
            (step, spent, bytes) = (state.step, state.secs, Some(state.tables));
            restore(&mut workspace, state)?;
        }
    }

    if let Some(batches) = &mut batches {
        batches.load(&workspace.objective, step)?;
    }
    let ahead = (step, config.run.steps.saturating_sub(step));
    let ahead = forecast::ahead(config, &workspace, &planned, ahead)
        .map_err(|error| memory_check::refused(error, &planned, memory_check::SMALLER_RUN))?;

    // From here on, a run that stops keeps its data.
    observer.is_stopped();
    let OpenRun { dir, lock, mut manifest } =
        launch.place(&workspace.objective, setup.measured, planned, (data, init), step, observer)?;
    // From here on, the manifest records the end of the run.
    let course = || {
        say(observer, &ahead)?;
        let mut run = Training {
            config,
            dir: &dir,
            batches,
            workspace,
            tables: Tables::open(&dir, config, bytes, observer)?,
            progress: ProgressLine::new(observer, config.run.steps, config.optim.batch > 0),
            observer,
            clock: Clock::new(began, spent),
            steps_done: step,
            saved: bytes.is_some().then_some(step),
        };
        let result = run.train();
        observer.finished();
        (manifest.steps_done, manifest.wall_secs) = (run.steps_done, run.clock.secs());
        result
    };
    let result = course();
    manifest.memory_peak_bytes = gpu.memory().peak;
    conclude(&dir, manifest, result, observer)?;
    drop(lock);
    Ok(dir)
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

/// Restores the numbers of a checkpoint to the device and to the measurements.
fn restore(workspace: &mut Workspace, mut state: RunState) -> Result<(), GpuError> {
    let gpu = workspace.objective.gpu();
    if let (Some(velocity), Some(momentum)) = (workspace.optimizer.velocity(), &state.momentum) {
        gpu.write(velocity, momentum)?;
    }
    if let Some(measurer) = &mut workspace.measurer {
        measurer.restore(gpu, &mut state)?;
    }
    Ok(())
}

/// Draws the pictures of the logged rows, and returns the summary.
fn show(dir: &RunDir, manifest: &Manifest) -> Result<String, RunError> {
    let readout = Readout::of(dir)?;
    if readout.metrics.is_empty() {
        return Ok(String::new());
    }
    let summary = readout.summary();
    #[cfg(feature = "plots")]
    {
        plot::plot_readout(dir, &readout, Format::Svg)?;
        report_readout(dir, readout)?;
    }
    let Manifest { wall_secs, steps_done, ended, .. } = manifest;
    let each = duration(wall_secs / (*steps_done).max(1) as f64);
    let times =
        format!("{} in {}, measurements included ({each} a step)", counted(*steps_done, "step"), duration(*wall_secs));
    let (path, word) = (dir.path().display(), shell_path(dir.path()));
    let stopped = match ended {
        Ended::Reached { until } => format!("ended at {until}\n"),
        Ended::Interrupted => format!("interrupted before step {steps_done}; `edgewalk resume {word}` goes on\n"),
        Ended::TimeLimit => {
            format!("run.time_limit reached before step {steps_done}; `edgewalk resume {word}` goes on\n")
        }
        Ended::Running | Ended::Done | Ended::Diverged { .. } | Ended::Failed { .. } => String::new(),
    };
    Ok(format!("{summary}\n{stopped}{times}; tables, plots and report.html in {path}\n"))
}
