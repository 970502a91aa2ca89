//! A run from its configuration to its last picture: set up everything that can fail, then train, measure and record.
//!
//! The host stays ahead of the device: logged steps leave their metrics in a ring on the device, which is read every
//! `RING_ROWS` rows, before a measurement, and after `FLUSH_SECS`. The run folder appears only once data, device and
//! parameters are known to be good.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::cli::print;
use crate::curvature::CurvatureError;
use crate::data::{self, Examples};
use crate::gpu::{Buffer, Gpu, Recording};
use crate::model::{Layout, Loss, Model, initial_params, params_from_safetensors, params_to_safetensors};
use crate::objective::{Metrics, Objective};
use crate::optim::Optimizer;

use super::config::Config;
use super::manifest::{Ended, Manifest};
use super::measure::Measurer;
use super::progress::Progress;
use super::record::{CurvatureWriter, MetricsRow, MetricsWriter, read_curvature, read_metrics};
use super::rundir::{self, RunDir};
use super::summary::Summary;
use super::{ExperimentError, Format, TrainRequest, interrupt, network, plot, report};

/// Logged steps whose metrics wait on the device.
const RING_ROWS: usize = 32;
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
    let loss = network::loss(config);
    let mut objective = Objective::new(&gpu, Arc::clone(&model), loss, &data.train, config.run.chunk)?;
    let params = match &request.init {
        Some(path) => read_params(objective.layout(), path)?,
        None => initial_params(objective.layout(), config.run.seed),
    };
    if request.dry_run {
        return print(&report::plan(request, &mut objective)?);
    }
    let w = objective.vector("the parameters")?;
    gpu.write(&w, &params);
    let optimizer = Optimizer::new(&mut objective, network::rule(config), &w)?;
    let measurer = match config.measure.every {
        0 => None,
        _ => Some(Measurer::new(&mut objective, &optimizer, &config.measure, config.run.seed)?),
    };
    let test = match &data.test {
        Some(test) => Some(TestSet::new(&gpu, model, loss, test, config.run.chunk, &w)?),
        None => None,
    };
    let ring = Ring::new(&gpu, &optimizer)?;

    interrupt::listen();
    let dir = RunDir::create(request.out.as_deref(), &request.name)?;
    dir.write_config(config)?;
    let mut manifest = manifest(request, &objective);
    dir.write_manifest(&manifest)?;
    let mut run = Run {
        metrics: MetricsWriter::create(&dir.metrics())?,
        curvature: CurvatureWriter::create(&dir.curvature(), config.measure.top)?,
        config,
        dir: &dir,
        objective,
        optimizer,
        measurer,
        test,
        ring,
        progress: Progress::new(config.run.steps),
        start: Instant::now(),
        last_flush: Instant::now(),
        steps_done: 0,
    };
    let result = run.train();
    run.progress.finish();
    manifest.steps_done = run.steps_done;
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
        let each = report::duration(secs / manifest.steps_done.max(1) as f64);
        let times = format!(
            "{} steps in {}, measurements included ({each} a step)",
            manifest.steps_done,
            report::duration(secs)
        );
        print(&format!(
            "{}\n{times}; tables and plots in {}\n",
            Summary::of(&metrics, &curvature),
            dir.path().display()
        ))?;
    }
    result.map(|_| ())
}

fn read_params(layout: &Layout, path: &Path) -> Result<Vec<f32>, ExperimentError> {
    let bytes = std::fs::read(path).map_err(|cause| ExperimentError::ReadInit { path: path.into(), cause })?;
    params_from_safetensors(layout, &bytes).map_err(|cause| ExperimentError::Init { path: path.into(), cause })
}

fn manifest(request: &TrainRequest, objective: &Objective) -> Manifest {
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
        chunk: plan.rows,
        chunks: plan.chunks,
        parameters: plan.parameters,
        wall_secs: 0.0,
        steps_done: 0,
        ended: Ended::Running,
    }
}

/// Loss and error on the test set.
struct TestSet {
    objective: Objective,
    partials: Buffer,
    recording: Recording,
}

impl TestSet {
    fn new(
        gpu: &Gpu,
        model: Arc<dyn Model>,
        loss: Loss,
        data: &Examples,
        chunk: usize,
        w: &Buffer,
    ) -> Result<Self, ExperimentError> {
        let mut objective = Objective::new(gpu, model, loss, data, chunk)?;
        let partials = gpu.buffer("partial sums", objective.partials_len())?;
        let recording = objective.loss(w, &partials)?;
        Ok(Self { objective, partials, recording })
    }

    fn metrics(&self) -> Result<Metrics, ExperimentError> {
        let gpu = self.objective.gpu();
        gpu.run([&self.recording])?;
        Ok(self.objective.metrics(&gpu.read(&self.partials)?))
    }
}

/// Metrics of logged steps, waiting on the device.
struct Ring {
    buffer: Buffer,
    row_len: usize,
    /// A logged step that leaves its metrics in row i.
    steps: Vec<Recording>,
    /// Which step each filled row is about, with its test metrics.
    filled: Vec<(u64, Option<Metrics>)>,
}

impl Ring {
    fn new(gpu: &Gpu, optimizer: &Optimizer) -> Result<Self, ExperimentError> {
        let row_len = optimizer.row().len();
        let buffer = gpu.buffer("metrics of several steps", RING_ROWS * row_len)?;
        let to_row = |i: usize| Recording::copy(optimizer.row(), &buffer, i * row_len);
        let steps = (0..RING_ROWS).map(|i| optimizer.logged_step.clone().then(&to_row(i))).collect();
        Ok(Self { buffer, row_len, steps, filled: vec![] })
    }
}

/// Everything a run under way needs.
struct Run<'a> {
    config: &'a Config,
    dir: &'a RunDir,
    objective: Objective,
    optimizer: Optimizer,
    measurer: Option<Measurer>,
    test: Option<TestSet>,
    ring: Ring,
    metrics: MetricsWriter,
    curvature: CurvatureWriter,
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
            let measured = due(self.config.measure.every, step);
            if measured {
                self.flush()?;
                self.measure(step)?;
            }
            if due(self.config.run.log_every, step) {
                let test = if measured { self.test_metrics()? } else { None };
                gpu.run([&self.ring.steps[self.ring.filled.len()]])?;
                self.ring.filled.push((step, test));
            } else {
                gpu.run([&self.optimizer.step])?;
            }
            self.steps_done += 1;
            if self.ring.filled.len() == RING_ROWS || self.last_flush.elapsed().as_secs_f64() > FLUSH_SECS {
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
        if self.measurer.is_some() {
            // A measurement probes too, and leaves the metrics where the last row is read.
            self.measure(step)?;
        } else {
            gpu.run([&self.optimizer.probe])?;
        }
        let test = self.test_metrics()?;
        let row: Vec<f32> = gpu.read(self.optimizer.row())?;
        let secs = self.start.elapsed().as_secs_f64();
        self.log(step, secs, &row, test)?;
        let params = self.objective.read(self.optimizer.params())?;
        self.dir.write_checkpoint(step, &params_to_safetensors(self.objective.layout(), &params)?)?;
        Ok(())
    }

    fn test_metrics(&self) -> Result<Option<Metrics>, ExperimentError> {
        self.test.as_ref().map(TestSet::metrics).transpose()
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

    /// Reads the waiting metrics and writes their rows.
    fn flush(&mut self) -> Result<(), ExperimentError> {
        let filled = std::mem::take(&mut self.ring.filled);
        if filled.is_empty() {
            // Steps that are not logged must not run ahead of Ctrl-C and the progress line without bound.
            self.objective.gpu().wait()?;
            self.last_flush = Instant::now();
            return Ok(());
        }
        let rows: Vec<f32> = self.objective.gpu().read(&self.ring.buffer)?;
        let before = self.last_flush.duration_since(self.start).as_secs_f64();
        self.last_flush = Instant::now();
        let took = self.start.elapsed().as_secs_f64() - before;
        let count = filled.len() as f64;
        for (i, (step, test)) in filled.into_iter().enumerate() {
            // The device runs at an even pace between two reads.
            let secs = before + took * (i + 1) as f64 / count;
            let range = i * self.ring.row_len..(i + 1) * self.ring.row_len;
            self.log(step, secs, &rows[range], test)?;
        }
        Ok(())
    }

    /// Writes one row of metrics.csv.
    fn log(&mut self, step: u64, secs: f64, row: &[f32], test: Option<Metrics>) -> Result<(), ExperimentError> {
        let metrics = self.optimizer.metrics(&self.objective, row);
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
