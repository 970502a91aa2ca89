//! The steps of a run: train, measure, log, and keep what is needed to go on.
//!
//! The host stays ahead of the device: logged steps leave their metrics in a ring on the device, which is read when it is
//! full, before a measurement or a checkpoint, and after `FLUSH_SECS`. A checkpoint is taken between two updates, before the
//! measurement that may be due there, so that a run that goes on from it does from its first step what this one does.

use std::time::Instant;

use super::tables::Tables;
use crate::curvature::CurvatureError;
use crate::experiment::checkpoint::{self, Checkpoint};
use crate::experiment::config::{CheckpointEvery, Config};
use crate::experiment::equipment::Equipment;
use crate::experiment::feed::Feed;
use crate::experiment::manifest::Ended;
use crate::experiment::measure::Measurer;
use crate::experiment::progress::Progress;
use crate::experiment::record::MetricsRow;
use crate::experiment::ring::Waited;
use crate::experiment::rundir::RunDir;
use crate::experiment::state::State;
use crate::experiment::test_set::TestSet;
use crate::experiment::{ExperimentError, interrupt};
use crate::model::params_to_safetensors;
use crate::objective::Metrics;

/// Longest time before waiting metrics are read, so that files and progress stay fresh.
const FLUSH_SECS: f64 = 0.5;
/// Shortest time between two checkpoints that the run chooses itself, and most of the time that they may take.
const CHECKPOINT_SECS: f64 = 10.0;
const CHECKPOINT_SHARE: f64 = 0.02;

/// A run under way.
pub(super) struct Run<'a> {
    pub config: &'a Config,
    pub dir: &'a RunDir,
    pub feed: Option<Feed<'a>>,
    pub equipment: Equipment,
    pub tables: Tables,
    pub progress: Progress,
    pub clock: Clock,
    pub steps_done: u64,
    /// Where the latest checkpoint is from.
    pub saved: Option<u64>,
}

/// The times of a run.
pub(super) struct Clock {
    /// When the program began, for the time limit.
    pub began: Instant,
    /// When its first step began.
    pub start: Instant,
    /// Seconds spent before, by the processes that this one goes on for.
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

impl Run<'_> {
    /// Makes the steps that are left. What it returns is why it ended.
    pub fn train(&mut self) -> Result<Ended, ExperimentError> {
        let gpu = self.equipment.objective.gpu().clone();
        let run = &self.config.run;
        let mut ended = Ended::Done;
        while self.steps_done < run.steps {
            let step = self.steps_done;
            if self.is_checkpoint_due() {
                self.checkpoint()?;
            }
            self.load(step)?;
            let measured = self.config.measure.due(step);
            if measured {
                self.flush()?;
                self.measure(step)?;
            }
            // Whichever update is the last before a measurement: nobody knows yet where the run will end.
            if let Some(prepare) = self.equipment.measurer.as_ref().and_then(Measurer::prepare) {
                gpu.run([prepare])?;
            }
            let Equipment { optimizer, ring, test, .. } = &mut self.equipment;
            let mut met = false;
            if step.is_multiple_of(run.log_every) {
                let test = if measured { test_metrics(test.as_ref())? } else { None };
                ring.run(&gpu, optimizer, step, test)?;
                // With a rule to end by, every row is looked at before the next step.
                if ring.is_full() || run.until.is_some() {
                    met = self.flush()?;
                }
            } else {
                gpu.run([optimizer.step(step)])?;
            }
            self.steps_done += 1;
            self.follow()?;
            if self.clock.last_flush.elapsed().as_secs_f64() > FLUSH_SECS {
                self.flush()?;
            }
            if let (true, Some(until)) = (met, run.until) {
                ended = Ended::Reached { until: until.to_string() };
                break;
            }
            if interrupt::requested() {
                ended = Ended::Interrupted;
                break;
            }
            if run.time_limit > 0.0 && self.clock.began.elapsed().as_secs_f64() > run.time_limit {
                ended = Ended::TimeLimit;
                break;
            }
        }
        self.checkpoint()?;
        // Who stops a run wants it to stop; the rows of where it stands come when it goes on.
        if ended.is_final() {
            self.finish()?;
        }
        Ok(ended)
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

    /// Writes a checkpoint of where the run stands, unless it is there, and removes those that are too many.
    fn checkpoint(&mut self) -> Result<(), ExperimentError> {
        let step = self.steps_done;
        self.flush()?;
        if self.saved == Some(step) {
            return Ok(());
        }
        let began = Instant::now();
        let Equipment { objective, optimizer, measurer, .. } = &self.equipment;
        let mut state = State {
            step,
            secs: self.clock.secs(),
            tables: self.tables.sync()?,
            cursor: self.feed.as_ref().map(|feed| feed.cursor(step)),
            momentum: optimizer.velocity().map(|v| objective.read(v)).transpose()?,
            before: None,
            track: None,
            window: None,
            known: objective.gpu().variants(),
        };
        if let Some(measurer) = measurer {
            measurer.save(objective, &mut state)?;
        }
        let params = params_to_safetensors(objective.layout(), &objective.read(optimizer.params())?)?;
        Checkpoint::write(self.dir, step, &params, &state.to_bytes()?)?;
        checkpoint::prune(self.dir, step, self.config.run.keep)?;
        self.saved = Some(step);
        self.clock.checkpoint_secs = began.elapsed().as_secs_f64();
        self.clock.last_checkpoint = Instant::now();
        Ok(())
    }

    /// The last rows, which describe the parameters after the last update.
    fn finish(&mut self) -> Result<(), ExperimentError> {
        let step = self.steps_done;
        self.load(step)?;
        self.measure(step)?;
        let Equipment { objective, optimizer, measurer, test, .. } = &self.equipment;
        let gpu = objective.gpu();
        if !measurer.as_ref().is_some_and(Measurer::probes_trained) {
            gpu.run([optimizer.probe.recording(step)])?;
        }
        let test = test_metrics(test.as_ref())?;
        let row: Vec<f32> = gpu.read(optimizer.probe.row())?;
        let secs = self.clock.secs();
        self.log(step, secs, &row, test)?;
        Ok(())
    }

    /// Sees to it that the objective holds the examples of a step.
    fn load(&mut self, step: u64) -> Result<(), ExperimentError> {
        match &mut self.feed {
            Some(feed) => feed.load(&self.equipment.objective, step),
            None => Ok(()),
        }
    }

    fn diverged(&self, step: u64, what: &'static str) -> ExperimentError {
        ExperimentError::Diverged { step, what, folder: self.dir.path().to_owned() }
    }

    fn measure(&mut self, step: u64) -> Result<(), ExperimentError> {
        let secs = self.clock.secs();
        let Equipment { objective, optimizer, measurer, .. } = &mut self.equipment;
        let Some(measurer) = measurer else { return Ok(()) };
        let row = match measurer.measure(objective, optimizer, step, secs) {
            Err(ExperimentError::Curvature(CurvatureError::NonFinite { .. })) => {
                return Err(self.diverged(step, "a curvature product"));
            }
            row => row?,
        };
        self.progress.measured(row.hessian_norm, row.sound_ratio());
        self.tables.curvature(&row)?;
        Ok(())
    }

    /// Follows the parameters through the update just made, where that was asked for.
    fn follow(&mut self) -> Result<(), ExperimentError> {
        let Equipment { objective, optimizer, measurer, .. } = &mut self.equipment;
        if let Some(measurer) = measurer
            && let Some(row) = measurer.follow(objective, optimizer)?
        {
            self.tables.oscillation(&row)?;
        }
        Ok(())
    }

    /// Reads the waiting metrics and writes their rows. Returns whether one of them is what the run was to go on until.
    fn flush(&mut self) -> Result<bool, ExperimentError> {
        let waited = self.equipment.ring.read(self.equipment.objective.gpu())?;
        self.dir.check_there()?;
        let before = self.clock.spent + self.clock.last_flush.duration_since(self.clock.start).as_secs_f64();
        self.clock.last_flush = Instant::now();
        let took = self.clock.secs() - before;
        let (count, mut met) = (waited.len() as f64, false);
        for (i, Waited { step, row, test }) in waited.into_iter().enumerate() {
            // The device runs at an even pace between two reads.
            let secs = before + took * (i + 1) as f64 / count;
            met |= self.log(step, secs, &row, test)?;
        }
        Ok(met)
    }

    /// Writes one row of metrics.csv. Returns whether it is what the run was to go on until.
    fn log(&mut self, step: u64, secs: f64, row: &[f32], test: Option<Metrics>) -> Result<bool, ExperimentError> {
        let Equipment { objective, optimizer, .. } = &self.equipment;
        let metrics = optimizer.probe.metrics(objective, row);
        if !metrics.loss.is_finite() {
            return Err(self.diverged(step, "the loss"));
        }
        if !metrics.grad_norm.is_finite() {
            return Err(self.diverged(step, "the gradient"));
        }
        let row = MetricsRow {
            step,
            secs,
            loss: metrics.loss,
            error: metrics.error,
            grad_norm: metrics.grad_norm,
            test_loss: test.map(|t| t.loss),
            test_error: test.map(|t| t.error),
        };
        self.tables.metrics(&row)?;
        self.progress.step(step, metrics.loss, metrics.grad_norm);
        Ok(self.config.run.until.is_some_and(|until| until.is_met(&row)))
    }
}

fn test_metrics(test: Option<&TestSet>) -> Result<Option<Metrics>, ExperimentError> {
    Ok(test.map(TestSet::metrics).transpose()?)
}
