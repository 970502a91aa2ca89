//! A run from its configuration to its last picture: set up everything that can fail, then train, measure and record.
//!
//! The host stays ahead of the device: logged steps leave their metrics in a ring on the device, which is read when it is
//! full, before a measurement, and after `FLUSH_SECS`. The run folder appears only once data, device and parameters are
//! known to be good.

use std::borrow::Cow;
use std::path::Path;
use std::time::Instant;

use crate::cli::print;
use crate::curvature::CurvatureError;
use crate::data;
use crate::gpu::Gpu;
use crate::model::{Layout, initial_params, params_from_safetensors, params_to_safetensors};
use crate::objective::{Metrics, Objective};
use crate::optim::Optimizer;

use super::config::{Config, MeasureMethod};
use super::equipment::{Equipment, MemoryPlan, Parts};
use super::feed::Feed;
use super::manifest::{Ended, Manifest};
use super::measure::Measurer;
use super::measuring::MeasuringSet;
use super::progress::Progress;
use super::record::{CurvatureColumns, CurvatureWriter, MetricsRow, MetricsWriter, read_curvature, read_metrics};
use super::ring::{Ring, Waited};
use super::rundir::{self, RunDir};
use super::state::state_to_safetensors;
use super::summary::Summary;
use super::swings::OscillationWriter;
use super::test_set::TestSet;
use super::{ExperimentError, Format, TrainRequest, forecast, interrupt, kernels, network, plot};

/// Longest time before waiting metrics are read, so that files and progress stay fresh.
const FLUSH_SECS: f64 = 0.5;

/// Trains as asked, or plans if only that was asked.
///
/// # Errors
/// [`ExperimentError`]; a run folder that was created keeps everything logged before.
pub fn train(request: &TrainRequest) -> Result<(), ExperimentError> {
    let config = &request.config;
    if let Some(out) = &request.out {
        rundir::check(out)?;
    }
    let data = data::load(&data::Request {
        name: config.data.name,
        path: config.data.path.clone(),
        train: config.data.train,
        test: config.data.test,
        seq_len: config.model.seq_len,
    })?;
    let gpu = Gpu::open(request.adapter.as_deref())?;
    let model = network::model(config, &data.train)?;
    let mut feed = Feed::new(config, &data.train)?;
    let first = feed.as_mut().map_or(Cow::Borrowed(&data.train), |feed| Cow::Owned(feed.batch(0)));
    let measured = (config.measure.every > 0).then(|| MeasuringSet::of(config, data.train.len()));
    let parts = Parts { config, model, data: &data, first: &first, measured };
    let gpu = kernels::choose(&gpu, &parts, request.dry_run)?;
    let (planned, dry) = parts.plan(&gpu)?;
    let params = match &request.init {
        Some(path) => read_params(dry.objective.layout(), path)?,
        None => initial_params(dry.objective.layout(), config.run.seed),
    };
    if request.dry_run {
        let gradient_secs = parts.objective(&gpu)?.gradient_secs()?;
        return print(&forecast::plan(request, data.train.len(), dry, planned, gradient_secs)?);
    }
    gpu.reserve(dry.objective.gpu())?;
    drop(dry);
    let Equipment { objective, optimizer, measurer, test, ring } = parts.assemble(&gpu)?;
    gpu.write(optimizer.params(), &params);
    gpu.run(measurer.as_ref().and_then(Measurer::prepare))?;

    interrupt::listen();
    let dir = RunDir::create(request.out.as_deref(), &request.name)?;
    dir.write_config(config)?;
    let mut manifest = manifest(request, &objective, measured, planned);
    dir.write_manifest(&manifest)?;
    let mut run = Run {
        metrics: MetricsWriter::create(&dir.metrics())?,
        curvature: CurvatureWriter::create(
            &dir.curvature(),
            CurvatureColumns {
                top: config.measure.top,
                bottom: config.measure.bottom,
                batch: config.optim.batch > 0,
                official: config.measure.method == MeasureMethod::Official,
            },
        )?,
        oscillation: match config.measure.window {
            0 => None,
            _ => Some(OscillationWriter::create(&dir.oscillation())?),
        },
        config,
        dir: &dir,
        feed,
        objective,
        optimizer,
        measurer,
        test,
        ring,
        progress: Progress::new(config.run.steps, config.optim.batch > 0),
        start: Instant::now(),
        last_flush: Instant::now(),
        steps_done: 0,
    };
    let result = run.train();
    run.progress.finish();
    manifest.steps_done = run.steps_done;
    manifest.memory_peak_bytes = gpu.memory().peak;
    manifest.wall_secs = run.start.elapsed().as_secs_f64();
    manifest.ended = match &result {
        Ok(ended) => ended.clone(),
        Err(ExperimentError::Diverged { step, .. }) => Ended::Diverged { step: *step },
        Err(error) => Ended::Failed { error: error.to_string() },
    };
    dir.write_manifest(&manifest)?;
    let (metrics, curvature) = (read_metrics(&dir.metrics())?, read_curvature(&dir.curvature())?);
    if !metrics.is_empty() {
        plot::plot_run(&dir, Format::Svg)?;
        let secs = manifest.wall_secs;
        let each = forecast::duration(secs / manifest.steps_done.max(1) as f64);
        let times = format!(
            "{} steps in {}, measurements included ({each} a step)",
            manifest.steps_done,
            forecast::duration(secs)
        );
        print(&format!(
            "{}\n{times}; tables and plots in {}\n",
            Summary { batch: config.optim.batch, rule: network::rule(config), ..Summary::of(&metrics, &curvature) },
            dir.path().display()
        ))?;
    }
    result.map(|_| ())
}

/// Reads the parameters of a model.
pub(super) fn read_params(layout: &Layout, path: &Path) -> Result<Vec<f32>, ExperimentError> {
    let bytes = std::fs::read(path).map_err(|cause| ExperimentError::ReadInit { path: path.into(), cause })?;
    params_from_safetensors(layout, &bytes).map_err(|cause| ExperimentError::Init { path: path.into(), cause })
}

fn manifest(
    request: &TrainRequest,
    objective: &Objective,
    measured: Option<MeasuringSet>,
    memory_plan: MemoryPlan,
) -> Manifest {
    let (adapter, plan) = (objective.gpu().adapter().clone(), objective.plan());
    Manifest {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: Manifest::COMMIT.map(str::to_owned),
        command: request.command_line.clone(),
        seed: request.config.run.seed,
        adapter: adapter.name,
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
    }
}

/// Everything a run under way needs.
struct Run<'a> {
    config: &'a Config,
    dir: &'a RunDir,
    feed: Option<Feed<'a>>,
    objective: Objective,
    optimizer: Optimizer,
    measurer: Option<Measurer>,
    test: Option<TestSet>,
    ring: Ring,
    metrics: MetricsWriter,
    curvature: CurvatureWriter,
    oscillation: Option<OscillationWriter>,
    progress: Progress,
    start: Instant,
    last_flush: Instant,
    steps_done: u64,
}

impl Run<'_> {
    fn train(&mut self) -> Result<Ended, ExperimentError> {
        let gpu = self.objective.gpu().clone();
        let steps = self.config.run.steps;
        let due = |every: u64, step: u64| every > 0 && (step.is_multiple_of(every) || step == steps);
        let mut ended = Ended::Done;
        while self.steps_done < steps {
            let step = self.steps_done;
            self.load(step);
            let measured = due(self.config.measure.every, step);
            if measured {
                self.flush()?;
                self.measure(step)?;
            }
            // Whichever update is the last before a measurement: an interrupted run measures where it stands.
            if let Some(prepare) = self.measurer.as_ref().and_then(Measurer::prepare) {
                gpu.run([prepare])?;
            }
            if due(self.config.run.log_every, step) {
                let test = if measured { self.test_metrics()? } else { None };
                self.ring.run(&gpu, &self.optimizer, step, test)?;
            } else {
                gpu.run([self.optimizer.step(step)])?;
            }
            self.steps_done += 1;
            self.follow()?;
            if self.ring.is_full() || self.last_flush.elapsed().as_secs_f64() > FLUSH_SECS {
                self.flush()?;
            }
            if interrupt::requested() {
                ended = Ended::Interrupted;
                break;
            }
        }
        self.flush()?;
        self.finish()?;
        Ok(ended)
    }

    /// The last rows, which describe the parameters after the last update, and those parameters.
    fn finish(&mut self) -> Result<(), ExperimentError> {
        let step = self.steps_done;
        let gpu = self.objective.gpu().clone();
        self.load(step);
        self.measure(step)?;
        if !self.measurer.as_ref().is_some_and(Measurer::probes_trained) {
            gpu.run([self.optimizer.probe.recording(step)])?;
        }
        let test = self.test_metrics()?;
        let row: Vec<f32> = gpu.read(self.optimizer.probe.row())?;
        let secs = self.start.elapsed().as_secs_f64();
        self.log(step, secs, &row, test)?;
        let params = self.objective.read(self.optimizer.params())?;
        let params = params_to_safetensors(self.objective.layout(), &params)?;
        let cursor = self.feed.as_ref().map(|feed| feed.cursor(step));
        let momentum = self.optimizer.velocity().map(|v| self.objective.read(v)).transpose()?;
        let state = state_to_safetensors(step, cursor, momentum.as_deref(), &gpu.variants())?;
        self.dir.write_checkpoint(step, &params, &state)?;
        Ok(())
    }

    /// Sees to it that the objective holds the examples of a step.
    fn load(&mut self, step: u64) {
        if let Some(feed) = &mut self.feed {
            feed.load(&self.objective, step);
        }
    }

    fn test_metrics(&self) -> Result<Option<Metrics>, ExperimentError> {
        Ok(self.test.as_ref().map(TestSet::metrics).transpose()?)
    }

    fn diverged(&self, step: u64, what: &'static str) -> ExperimentError {
        ExperimentError::Diverged { step, what, folder: self.dir.path().to_owned() }
    }

    fn measure(&mut self, step: u64) -> Result<(), ExperimentError> {
        let secs = self.start.elapsed().as_secs_f64();
        let Some(measurer) = &mut self.measurer else { return Ok(()) };
        let row = match measurer.measure(&self.objective, &self.optimizer, step, secs) {
            Err(ExperimentError::Curvature(CurvatureError::NonFinite { .. })) => {
                return Err(self.diverged(step, "a curvature product"));
            }
            row => row?,
        };
        self.progress.measured(row.hessian_norm, row.edge_ratio);
        self.curvature.write(&row)?;
        Ok(())
    }

    /// Follows the parameters through the update just made, where that was asked for.
    fn follow(&mut self) -> Result<(), ExperimentError> {
        if let (Some(measurer), Some(table)) = (&mut self.measurer, &mut self.oscillation)
            && let Some(row) = measurer.follow(&self.objective, &self.optimizer)?
        {
            table.write(&row)?;
        }
        Ok(())
    }

    /// Reads the waiting metrics and writes their rows.
    fn flush(&mut self) -> Result<(), ExperimentError> {
        let waited = self.ring.read(self.objective.gpu())?;
        let before = self.last_flush.duration_since(self.start).as_secs_f64();
        self.last_flush = Instant::now();
        let took = self.start.elapsed().as_secs_f64() - before;
        let count = waited.len() as f64;
        for (i, Waited { step, row, test }) in waited.into_iter().enumerate() {
            // The device runs at an even pace between two reads.
            let secs = before + took * (i + 1) as f64 / count;
            self.log(step, secs, &row, test)?;
        }
        Ok(())
    }

    /// Writes one row of metrics.csv.
    fn log(&mut self, step: u64, secs: f64, row: &[f32], test: Option<Metrics>) -> Result<(), ExperimentError> {
        let metrics = self.optimizer.probe.metrics(&self.objective, row);
        if !metrics.loss.is_finite() {
            return Err(self.diverged(step, "the loss"));
        }
        if !metrics.grad_norm.is_finite() {
            return Err(self.diverged(step, "the gradient"));
        }
        self.metrics.write(&MetricsRow {
            step,
            secs,
            loss: metrics.loss,
            error: metrics.error,
            grad_norm: metrics.grad_norm,
            test_loss: test.map(|t| t.loss),
            test_error: test.map(|t| t.error),
        })?;
        self.progress.step(step, metrics.loss, metrics.grad_norm);
        Ok(())
    }
}
