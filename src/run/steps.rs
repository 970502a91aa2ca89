//! The steps of a run: train, measure, log, and write checkpoints.
//!
//! The host stays ahead of the device: metrics wait in a ring on the device, which is read when full, before a
//! measurement or a checkpoint, and after `FLUSH_SECS`. A checkpoint is taken between two updates, before the
//! measurement that may be due there, so that a resumed run repeats it. It is written, and others are removed, only
//! when all numbers up to the next step are known to be finite.

use std::time::Instant;

use super::RunError;
use super::batches::BatchLoader;
use super::divergence::Divergence;
use super::measure::{Measurer, probed};
use super::progress::ProgressLine;
use super::ring::Made;
use super::setup::Workspace;
use super::tables::Tables;
use super::test_set::TestSet;
use crate::config::{CheckpointEvery, Config};
use crate::curvature::CurvatureError;
use crate::device::Precision;
use crate::folder::RunDir;
use crate::folder::checkpoint::{self, Checkpoint};
use crate::folder::manifest::Ended;
use crate::folder::rows::MetricsRow;
use crate::folder::state::RunState;
use crate::folder::tables::read_metrics;
use crate::model::params_to_safetensors;
use crate::objective::Metrics;
use crate::observer::Observer;
use crate::optim::StepMetrics;

/// The longest time before waiting metrics are read, so that files and progress stay fresh.
const FLUSH_SECS: f64 = 0.5;
/// The shortest time between automatic checkpoints, and the largest share of time that they may take.
const CHECKPOINT_SECS: f64 = 10.0;
const CHECKPOINT_SHARE: f64 = 0.02;

/// A run under way.
pub(crate) struct Training<'a> {
    pub config: &'a Config,
    pub dir: &'a RunDir,
    pub batches: Option<BatchLoader<'a>>,
    pub workspace: Workspace,
    pub tables: Tables<'a>,
    pub progress: ProgressLine<'a>,
    pub observer: &'a dyn Observer,
    pub clock: Clock,
    pub steps_done: u64,
    /// The step of the latest checkpoint.
    pub saved: Option<u64>,
}

/// The times of a run.
pub(crate) struct Clock {
    /// The start of the program, for the time limit.
    pub began: Instant,
    /// The start of its first step.
    pub start: Instant,
    /// Seconds spent by earlier processes of the run.
    pub spent: f64,
    last_flush: Instant,
    last_checkpoint: Instant,
    checkpoint_secs: f64,
}

impl Clock {
    /// A clock that starts now.
    pub fn new(began: Instant, spent: f64) -> Self {
        let now = Instant::now();
        Self { began, start: now, spent, last_flush: now, last_checkpoint: now, checkpoint_secs: 0.0 }
    }

    /// Seconds since the run's first step.
    pub fn secs(&self) -> f64 {
        self.spent + self.start.elapsed().as_secs_f64()
    }
}

impl Training<'_> {
    /// Makes the steps that are left. Returns why it ended.
    pub fn train(&mut self) -> Result<Ended, RunError> {
        let device = self.workspace.objective.device().clone();
        let run = &self.config.run;
        let mut ended = self.reached()?.unwrap_or(Ended::Done);
        while ended == Ended::Done && self.steps_done < run.steps {
            let step = self.steps_done;
            self.load(step)?;
            if self.is_checkpoint_due() {
                self.checkpoint()?;
            }
            let measured = self.config.measure.due(step);
            if measured {
                self.flush()?;
                if !self.measure(step)? {
                    ended = Ended::Interrupted;
                    break;
                }
            }
            // Before any update, since the end of the run is not known yet.
            if let Some(prepare) = self.workspace.measurer.as_ref().and_then(Measurer::prepare) {
                device.run([prepare])?;
            }
            let Workspace { optimizer, ring, test, .. } = &mut self.workspace;
            let logged = step.is_multiple_of(run.log_every);
            let test = if logged && measured { test_metrics(test.as_ref())? } else { None };
            ring.run(&device, optimizer, Made { step, logged, test })?;
            // With `run.until`, every row is checked before the next step.
            let is_looked_at = logged && run.until.is_some();
            let met = if ring.is_full() || is_looked_at { self.flush()? } else { false };
            self.steps_done += 1;
            self.follow()?;
            if self.clock.last_flush.elapsed().as_secs_f64() > FLUSH_SECS {
                self.flush()?;
            }
            if let (true, Some(until)) = (met, run.until) {
                ended = Ended::Reached { until: until.to_string() };
                break;
            }
            if self.observer.is_stopped() {
                ended = Ended::Interrupted;
                break;
            }
            if run.time_limit > 0.0 && self.clock.began.elapsed().as_secs_f64() > run.time_limit {
                ended = Ended::TimeLimit;
                break;
            }
        }
        self.load(self.steps_done)?;
        self.checkpoint()?;
        // An interrupted run skips its final measurement; `resume` makes it.
        if ended.is_final() && !self.finish()? {
            ended = Ended::Interrupted;
        }
        Ok(ended)
    }

    /// The end of a run whose rule was met, if its last measurement was interrupted.
    fn reached(&self) -> Result<Option<Ended>, RunError> {
        let (Some(until), Some(_)) = (self.config.run.until, self.saved) else { return Ok(None) };
        let last = read_metrics(&self.dir.metrics())?.pop();
        let met = last.is_some_and(|row| row.step + 1 == self.steps_done && until.is_met(row.loss, row.error));
        Ok(met.then(|| Ended::Reached { until: until.to_string() }))
    }

    fn is_checkpoint_due(&self) -> bool {
        match self.config.run.checkpoint_every {
            _ if self.saved == Some(self.steps_done) => false,
            CheckpointEvery::Steps(every) => every > 0 && self.steps_done > 0 && self.steps_done.is_multiple_of(every),
            CheckpointEvery::Word(_) => {
                let pause = CHECKPOINT_SECS.max(self.clock.checkpoint_secs / CHECKPOINT_SHARE);
                self.clock.last_checkpoint.elapsed().as_secs_f64() > pause
            }
        }
    }

    /// Writes a checkpoint, unless it exists, and removes the surplus ones. The objective must hold the examples of the
    /// next step.
    fn checkpoint(&mut self) -> Result<(), RunError> {
        let step = self.steps_done;
        self.flush()?;
        if self.saved == Some(step) {
            return Ok(());
        }
        let began = Instant::now();
        let Workspace { objective, optimizer, measurer, .. } = &mut self.workspace;
        let (rule, params): (_, Vec<f64>) = (*optimizer.probe.rule(), objective.read(optimizer.params())?);
        Divergence::check_all(&rule, "a parameter", step, &params)?;
        let mut moments = vec![];
        for (moment, buffer) in optimizer.state().iter() {
            let vector: Vec<f64> = objective.read(buffer)?;
            Divergence::check_all(&rule, "the state of the optimizer", step, &vector)?;
            moments.push((*moment, vector));
        }
        probed(objective, &optimizer.probe, step)?;
        let mut state = RunState {
            step,
            secs: self.clock.secs(),
            tables: self.tables.sync()?,
            cursor: self.batches.as_ref().map(|batches| batches.cursor(step)),
            moments,
            moments_since: optimizer.since(),
            held: optimizer.held(),
            before: None,
            track: None,
            update_track: None,
            window: None,
            known: objective.device().variants(),
        };
        let params = match objective.device().precision() {
            Precision::F32 => params_to_safetensors(objective.layout(), &objective.read::<f32>(optimizer.params())?)?,
            Precision::F64 => params_to_safetensors(objective.layout(), &params)?,
        };
        if let Some(measurer) = measurer {
            measurer.lend(objective, &mut state)?;
        }
        let bytes = state.to_bytes()?;
        Checkpoint::write(self.dir, step, &params, &bytes)?;
        if let Some(measurer) = measurer {
            measurer.take_back(&mut state);
        }
        checkpoint::prune(self.dir, step, self.config.run.keep)?;
        self.saved = Some(step);
        self.clock.checkpoint_secs = began.elapsed().as_secs_f64();
        self.clock.last_checkpoint = Instant::now();
        Ok(())
    }

    /// Writes the last rows, for the parameters after the last update. Returns whether they were made.
    fn finish(&mut self) -> Result<bool, RunError> {
        let step = self.steps_done;
        if !self.measure(step)? {
            return Ok(false);
        }
        let Workspace { objective, optimizer, test, .. } = &self.workspace;
        let metrics = probed(objective, &optimizer.probe, step)?;
        let test = test_metrics(test.as_ref())?;
        let secs = self.clock.secs();
        self.log(step, secs, metrics, test)?;
        Ok(true)
    }

    /// Uploads the minibatch of a step.
    fn load(&mut self, step: u64) -> Result<(), RunError> {
        match &mut self.batches {
            Some(batches) => batches.load(&self.workspace.objective, step),
            None => Ok(()),
        }
    }

    /// Measures the curvature, if due. Returns false if a request to stop postponed it.
    fn measure(&mut self, step: u64) -> Result<bool, RunError> {
        let secs = self.clock.secs();
        let Workspace { objective, optimizer, measurer, .. } = &mut self.workspace;
        let Some(measurer) = measurer else { return Ok(true) };
        let mut row = match measurer.measure(objective, optimizer, step, secs, self.observer) {
            Err(RunError::Curvature(CurvatureError::NonFinite { .. })) => {
                return Err(Divergence::of(optimizer.probe.rule(), "a curvature product", step).into());
            }
            Err(RunError::Curvature(CurvatureError::Interrupted)) => return Ok(false),
            row => row?,
        };
        if let (Some(batch), Some(loader)) = (&mut row.batch, &mut self.batches) {
            batch.fresh = measurer.fresh_batches(objective, loader, step)?;
            loader.load(objective, step)?;
        }
        self.progress.measured(row.hessian_norm, if row.is_sound() { row.gauge } else { f64::NAN });
        self.tables.curvature(&row)?;
        Ok(true)
    }

    /// Follows the parameters through the update just made, if configured.
    fn follow(&mut self) -> Result<(), RunError> {
        let Workspace { objective, optimizer, measurer, .. } = &mut self.workspace;
        if let Some(measurer) = measurer
            && let Some(row) = measurer.follow(objective, optimizer)?
        {
            // Written only for steps that are known to be finite.
            self.flush()?;
            self.tables.oscillation(&row)?;
        }
        Ok(())
    }

    /// Reads the waiting metrics and writes their rows. Returns whether one of them meets `run.until`.
    fn flush(&mut self) -> Result<bool, RunError> {
        let waited = self.workspace.ring.read(self.workspace.objective.device())?;
        self.tables.check_there(self.dir)?;
        let before = self.clock.spent + self.clock.last_flush.duration_since(self.clock.start).as_secs_f64();
        self.clock.last_flush = Instant::now();
        let took = self.clock.secs() - before;
        let (count, mut met) = (waited.len() as f64, false);
        for (i, (Made { step, logged, test }, row)) in waited.into_iter().enumerate() {
            // The device runs evenly between two reads.
            let secs = before + took * (i + 1) as f64 / count;
            let Workspace { objective, optimizer, .. } = &self.workspace;
            let metrics = optimizer.probe.metrics(objective, &row);
            Divergence::check(optimizer.probe.rule(), step, &metrics)?;
            if logged {
                met |= self.log(step, secs, metrics, test)?;
            }
        }
        Ok(met)
    }

    /// Writes one row of metrics.csv. Returns whether it meets `run.until`.
    fn log(&mut self, step: u64, secs: f64, metrics: StepMetrics, test: Option<Metrics>) -> Result<bool, RunError> {
        let row = MetricsRow {
            step,
            secs,
            loss: metrics.loss,
            error: metrics.error,
            grad_norm: metrics.grad_norm,
            test_loss: test.map(|t| t.loss),
            test_error: test.map(|t| t.error),
            lr: Some(self.workspace.optimizer.probe.rule().at(step).lr),
        };
        self.tables.metrics(&row)?;
        self.progress.step(step, metrics.loss, metrics.grad_norm);
        Ok(self.config.run.until.is_some_and(|until| until.is_met(row.loss, row.error)))
    }
}

fn test_metrics(test: Option<&TestSet>) -> Result<Option<Metrics>, RunError> {
    Ok(test.map(TestSet::metrics).transpose()?)
}
