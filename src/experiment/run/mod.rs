//! A run from its configuration to its last picture, or from its last checkpoint: set up everything that can fail, then train,
//! measure and record.
//!
//! The one idea: going on is beginning, with other numbers in the buffers. [`train`] and [`resume`] share every line from the
//! data to the last step; a checkpoint replaces the initial parameters, the empty tables and the eigensolver's cold start.
//! The run folder appears only once data, device and parameters are known to be good.

mod order;
mod steps;
mod tables;

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::data::page;
use crate::gpu::GpuError;
use crate::model::{Layout, StoreError, initial_params, params_from_safetensors};

use super::config::Config;
use super::digits::counted;
use super::equipment::Equipment;
use super::ground::Ground;
use super::manifest::{Ended, Init, Manifest};
use super::measure::Measurer;
use super::output::shell_path;
use super::progress::Progress;
use super::readout::Readout;
use super::report::report_readout;
use super::rundir::{self, RunDir, RunDirError};
use super::state::State;
use super::{ExperimentError, Format, feed, forecast, interrupt, kernels, plot, room, with_causes};

use order::{Order, Place};
use steps::{Clock, Run};
use tables::Tables;

/// What `edgewalk train` was asked to do.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainRequest {
    /// The settings.
    pub config: Config,
    /// The preset's or file's name, after which a folder under `runs` is called.
    pub name: String,
    /// The command line, program name included, for the manifest.
    pub command_line: Vec<String>,
    /// The run folder; none is `runs/<name>-<n>`.
    pub out: Option<PathBuf>,
    /// The adapter: part of its name, its number in `edgewalk info`, or `cpu` or `gpu`.
    pub adapter: Option<String>,
    /// Whether each logged row goes to standard output as a line of JSON, and all else to standard error.
    pub json: bool,
}

impl TrainRequest {
    /// Refuses folders that cannot be made, and paths that config.toml cannot hold.
    fn check(&self) -> Result<(), RunDirError> {
        let Self { config: Config { data, run, .. }, out, .. } = self;
        let paths = [&data.path, &run.init, &run.kernels];
        paths.into_iter().flatten().try_for_each(|path| rundir::text(path).map(|_| ()))?;
        out.as_deref().map_or(Ok(()), rundir::check)
    }
}

/// What `edgewalk resume` was asked to do.
#[derive(Debug, Clone, PartialEq)]
pub struct ResumeRequest {
    /// The run folder.
    pub path: PathBuf,
    /// Changes of when the run ends and is saved, as `key=value`; nothing else can change.
    pub sets: Vec<String>,
    /// The command line, program name included, for the manifest.
    pub command_line: Vec<String>,
    /// The adapter; none is the one that the run had.
    pub adapter: Option<String>,
    /// As in [`TrainRequest`].
    pub json: bool,
}

/// Trains as asked, and returns the run folder.
///
/// # Errors
/// [`ExperimentError`]; a run folder that was created keeps everything logged before.
pub fn train(request: &TrainRequest) -> Result<RunDir, ExperimentError> {
    let began = Instant::now();
    request.check()?;
    carry_out(Order::of_new(request), began)
}

/// Goes on with a run from its last undamaged checkpoint, or from its beginning if it has none: the rows that follow are bit
/// for bit those of a run that was never stopped, on the same adapter and driver. What was logged after the checkpoint is made again.
///
/// # Errors
/// [`ExperimentError`]; what was logged before the checkpoint is kept.
pub fn resume(request: &ResumeRequest) -> Result<(), ExperimentError> {
    let began = Instant::now();
    match Order::of_old(request)? {
        Some(order) => carry_out(order, began).map(|_| ()),
        None => Ok(()),
    }
}

/// What [`train`] would do, in words: chunks, memory, and times, for which a gradient is measured. Nothing is written.
///
/// # Errors
/// As [`train`], for all that is known before the first step.
pub fn plan(request: &TrainRequest) -> Result<String, ExperimentError> {
    request.check()?;
    let mut request = request.clone();
    let ground = Ground::of(&request.config, request.adapter.as_deref())?;
    feed::settle_groups(&mut request.config, ground.data.train.len())?;
    let config = &request.config;
    let (_, first) = ground.feed(config)?;
    let parts = ground.parts(config, &first);
    let gpu = kernels::choose(&ground.gpu, &parts, true)?;
    let (planned, dry) = parts.plan(&gpu)?;
    // What cannot be read is to be known now, too.
    initial(config, dry.objective.layout())?;
    let objective = parts.objective(&gpu);
    let gradient_secs = objective
        .and_then(|mut objective| Ok(objective.gradient_secs()?))
        .map_err(|error| room::refused(error, &planned, room::SMALLER_RUN))?;
    Ok(forecast::plan(&request, ground.data.train.len(), dry, planned, gradient_secs)?)
}

fn carry_out(mut order: Order, began: Instant) -> Result<RunDir, ExperimentError> {
    let ground = Ground::of(&order.config, order.adapter.as_deref())?;
    order.settle_groups(ground.data.train.len())?;
    let config = &order.config.clone();
    let data = ground.record(config);
    let (mut feed, first) = ground.feed(config)?;
    let parts = ground.parts(config, &first);
    order.check_data(&data)?;
    let state = order.state(parts.model.as_ref())?;
    order.check_tables(state.as_ref())?;
    let gpu = match &state {
        Some(state) => kernels::fixed(&ground.gpu, state.known.clone()),
        None => kernels::choose(&ground.gpu, &parts, false)?,
    };
    let (planned, dry) = parts.plan(&gpu)?;
    room::check(&parts, &gpu, &planned, room::free_bytes())?;
    let (w, init) = order.params(dry.objective.layout())?;
    gpu.reserve(dry.objective.gpu())?;
    drop(dry);
    let mut equipment = parts.assemble(&gpu).map_err(|error| room::refused(error, &planned, room::SMALLER_RUN))?;
    equipment.objective.set_params(equipment.optimizer.params(), &w)?;
    let (mut step, mut spent, mut bytes) = (0, 0.0, None);
    match state {
        None => {
            let prepare = equipment.measurer.as_ref().and_then(Measurer::prepare);
            gpu.run(prepare).map_err(|error| room::refused(error, &planned, room::SMALLER_RUN))?;
        }
        Some(state) => {
            (step, spent, bytes) = (state.step, state.secs, Some(state.tables));
            restore(&mut equipment, state)?;
        }
    }

    if let Some(feed) = &mut feed {
        feed.load(&equipment.objective, step)?;
    }
    let ahead = (step, config.run.steps.saturating_sub(step));
    let ahead = forecast::ahead(config, &equipment, &planned, ahead)
        .map_err(|error| room::refused(error, &planned, room::SMALLER_RUN))?;

    let (json, say) = (order.json, order.say());
    interrupt::listen();
    let Place { dir, lock, mut manifest } =
        order.place(&equipment.objective, parts.measured, planned, (data, init), step)?;
    // Whatever ends it from here on, the manifest says so.
    let course = || {
        say(&ahead)?;
        let mut run = Run {
            config,
            dir: &dir,
            feed,
            equipment,
            tables: Tables::open(&dir, config, bytes, json)?,
            progress: Progress::new(config.run.steps, config.optim.batch > 0),
            clock: Clock::new(began, spent),
            steps_done: step,
            saved: bytes.is_some().then_some(step),
        };
        let result = run.train();
        run.progress.finish();
        (manifest.steps_done, manifest.wall_secs) = (run.steps_done, run.clock.secs());
        result
    };
    let result = course();
    manifest.memory_peak_bytes = gpu.memory().peak;
    conclude(&dir, manifest, result, say)?;
    drop(lock);
    Ok(dir)
}

/// Says in the manifest how a run ended, and shows what came of it.
fn conclude(
    dir: &RunDir,
    mut manifest: Manifest,
    result: Result<Ended, ExperimentError>,
    say: fn(&str) -> Result<(), ExperimentError>,
) -> Result<(), ExperimentError> {
    manifest.ended = match &result {
        Ok(ended) => ended.clone(),
        Err(ExperimentError::Diverged(at)) => Ended::Diverged { step: at.step },
        Err(error) => Ended::Failed { error: with_causes(error) },
    };
    if let Ended::Diverged { step } = manifest.ended {
        // The host may have been ahead.
        manifest.steps_done = step;
    }
    // Where the folder is gone, writing would make it anew.
    if let Err(error @ ExperimentError::RunDir(RunDirError::Gone { .. })) = result {
        return Err(error);
    }
    let shown = dir
        .write_manifest(&manifest)
        .map_err(ExperimentError::from)
        .and_then(|()| show(dir, &manifest))
        .and_then(|text| say(&text));
    // What ended the run is worth more than what came of it.
    result.and(shown)
}

/// The numbers of a checkpoint, back on the device and where the measurements look for them.
fn restore(equipment: &mut Equipment, mut state: State) -> Result<(), GpuError> {
    let gpu = equipment.objective.gpu();
    if let (Some(velocity), Some(momentum)) = (equipment.optimizer.velocity(), &state.momentum) {
        gpu.write(velocity, momentum)?;
    }
    if let Some(measurer) = &mut equipment.measurer {
        measurer.restore(gpu, &mut state)?;
    }
    Ok(())
}

/// Draws the pictures of what was logged, and returns what it says.
fn show(dir: &RunDir, manifest: &Manifest) -> Result<String, ExperimentError> {
    let readout = Readout::of(dir)?;
    if readout.metrics.is_empty() {
        return Ok(String::new());
    }
    let summary = readout.summary();
    plot::plot_readout(dir, &readout, Format::Svg)?;
    report_readout(dir, readout)?;
    let Manifest { wall_secs, steps_done, ended, .. } = manifest;
    let each = forecast::duration(wall_secs / (*steps_done).max(1) as f64);
    let times = format!(
        "{} in {}, measurements included ({each} a step)",
        counted(*steps_done, "step"),
        forecast::duration(*wall_secs)
    );
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

/// The initial parameters, and the file that they come from.
fn initial(config: &Config, layout: &Layout) -> Result<(Vec<f32>, Option<Init>), ExperimentError> {
    match &config.run.init {
        Some(path) => read_params(layout, path).map(|(params, init)| (params, Some(init))),
        None => Ok((initial_params(layout, config.run.seed), None)),
    }
}

/// Reads the parameters of a model, and says from which bytes.
pub(in crate::experiment) fn read_params(layout: &Layout, path: &Path) -> Result<(Vec<f32>, Init), ExperimentError> {
    let read = || match std::fs::metadata(path)?.is_file() {
        true => std::fs::read(path),
        // A device or a pipe may never end.
        false => Err(std::io::Error::other("it is not a regular file")),
    };
    let bytes = read().map_err(|cause| ExperimentError::ReadInit { path: path.into(), cause })?;
    let params = params_from_safetensors(layout, &bytes).map_err(|cause| match (cause, page::foreign(&bytes)) {
        (StoreError::Format(_), Some((what, advice))) => StoreError::Foreign { what, advice },
        (cause, _) => cause,
    });
    let params = params.map_err(|cause| ExperimentError::Init { path: path.into(), cause })?;
    Ok((params, Init::of(path, &bytes)))
}
