//! One row of `curvature.csv`: the top of the Hessian's spectrum at the present parameters, and the edges.
//!
//! Loss, gradients and Hessian of a row use one set of examples: that of the trained objective, or a set of the
//! measurer. With `measure.at = "midpoint"` the Hessian alone is taken elsewhere.

use std::time::Instant;

use super::RunError;
use super::batches::BatchLoader;
use super::divergence::Divergence;
use super::interruptible::Interruptible;
use super::midpoint::Midpoint;
use super::oscillation::Oscillation;
use super::update::{Leading, Start, UpdateMeasure, group};
use crate::config::{Config, MeasureAt, MeasureConfig, MeasureMethod, MeasureOn, MeasuringSet};
use crate::curvature::edge::{AscentSteps, alignment};
use crate::curvature::{
    EigenOptions, Eigenpair, Estimate, RitzValue, Spectrum, Track, dot, lanczos, official, power_iteration,
    subspace_alignment,
};
use crate::device::{Buffer, Device, DeviceError, Recording};
use crate::folder::rows::{
    BatchRow, CurvatureRow, Extreme, FreshBatches, OfficialRow, OscillationRow, PreconditionedRow,
};
use crate::folder::state::RunState;
use crate::objective::{DifferenceOperator, Objective};
use crate::observer::Observer;
use crate::optim::{Optimizer, Probe, Rule, StepMetrics, UpdateProducts};

/// The share of the lowest Ritz value by which it may miss an eigenvalue and still be logged.
const CERTAIN: f64 = 0.01;
/// Fresh minibatches before their standard error counts, and the share of their mean at which it is small enough.
const FEWEST_BATCHES: usize = 4;
const CLEAR: f64 = 0.02;
/// The level of the interval that an estimate has beside its standard error; no row shows it.
const LEVEL: f64 = 0.95;
/// The random stream of the official method's start at step 0; later steps use those that follow.
const OFFICIAL_STREAM: u64 = 1 << 40;

/// Measures repeatedly, starting from the latest eigenvectors.
pub struct Measurer {
    set: MeasuringSet,
    /// The measuring set with its probe, if it differs from the trained one.
    own: Option<(Objective, Probe)>,
    config: MeasureConfig,
    seed: u64,
    midpoint: Option<Midpoint>,
    update: UpdateMeasure,
    difference: Option<DifferenceOperator>,
    oscillation: Option<Oscillation>,
    batch: Option<BatchSharpness>,
    last: Option<Track>,
}

/// The examples to measure on, and their objective unless it is the trained one.
pub struct MeasuredOn {
    /// The set.
    pub set: MeasuringSet,
    /// Its objective.
    pub own: Option<Objective>,
}

/// g_B and H_B g_B of the minibatch B that the trained objective holds.
struct BatchSharpness {
    gradient: Recording,
    product: Recording,
    /// g_B, which is the probe's gradient as well.
    at: Buffer,
    result: Buffer,
}

impl Measurer {
    /// Records measurements at the optimizer's parameters.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn new(
        trained: &mut Objective,
        MeasuredOn { set, own }: MeasuredOn,
        optimizer: &Optimizer,
        run: &Config,
    ) -> Result<Self, RunError> {
        let w = optimizer.params();
        let batch = if run.optim.batch > 0 {
            let result = trained.vector("H g of the minibatch")?;
            let at = optimizer.probe.gradient().clone();
            let (gradient, product) = (trained.gradient(w, &at, None)?, trained.hvp(w, &at, &result)?);
            Some(BatchSharpness { gradient, product, at, result })
        } else {
            None
        };
        let mut own = match own {
            Some(mut objective) => {
                let probe = Probe::new(&mut objective, *optimizer.probe.rule(), w)?;
                Some((objective, probe))
            }
            None => None,
        };
        let objective = own.as_mut().map_or(trained, |(objective, _)| objective);
        let (seed, config) = (run.run.seed, run.measure.clone());
        let midpoint = match config.at {
            MeasureAt::Iterate => None,
            MeasureAt::Midpoint => Some(Midpoint::new(objective, optimizer)?),
        };
        let w = midpoint.as_ref().map_or(w, Midpoint::params);
        let is_minibatch = set.on == MeasureOn::Batch;
        let group = group(run, objective.examples(), is_minibatch);
        let products = UpdateProducts::new(objective, *optimizer.probe.rule(), w, group, false)?;
        let update = UpdateMeasure::new(products);
        let difference = match config.method {
            MeasureMethod::Official => Some(DifferenceOperator::new(objective, w)?),
            MeasureMethod::Lanczos | MeasureMethod::Power => None,
        };
        let oscillation = match config.window {
            0 => None,
            window => Some(Oscillation::new(objective, w, *optimizer.probe.rule(), window)?),
        };
        Ok(Self { set, own, config, seed, midpoint, update, difference, oscillation, batch, last: None })
    }

    /// The measuring set, if it differs from the trained one.
    pub fn own(&mut self) -> Option<&mut Objective> {
        self.own.as_mut().map(|(objective, _)| objective)
    }

    /// The work at the first parameters and before every update, if any.
    pub fn prepare(&self) -> Option<&Recording> {
        self.midpoint.as_ref().map(Midpoint::remember)
    }

    /// Moves the state of measurements into that of a checkpoint: [`Self::take_back`] must follow.
    ///
    /// # Errors
    /// Device errors.
    pub fn lend(&mut self, trained: &Objective, state: &mut RunState) -> Result<(), RunError> {
        state.before = self.midpoint.as_ref().map(|midpoint| trained.read(midpoint.before())).transpose()?;
        state.track = self.last.take();
        state.update_track = self.update.track().take();
        state.window = self.oscillation.as_mut().and_then(Oscillation::lend);
        Ok(())
    }

    /// Takes it back from the state of a checkpoint.
    pub fn take_back(&mut self, state: &mut RunState) {
        self.last = state.track.take();
        *self.update.track() = state.update_track.take();
        if let Some(oscillation) = &mut self.oscillation {
            oscillation.go_on(state.window.take());
        }
    }

    /// The same from the checkpoint of a resumed run.
    ///
    /// # Errors
    /// Device errors.
    pub fn restore(&mut self, device: &Device, state: &mut RunState) -> Result<(), DeviceError> {
        match (&self.midpoint, &state.before) {
            (Some(midpoint), Some(before)) => device.write(midpoint.before(), before)?,
            // As at the first parameters.
            (Some(midpoint), None) => device.run([midpoint.remember()])?,
            (None, _) => {}
        }
        self.take_back(state);
        Ok(())
    }

    /// Measures at the present parameters, between updates, and starts to follow them if configured.
    ///
    /// # Errors
    /// Device errors, [`RunError::Diverged`] when a number of the step or of the measuring set is not finite, and
    /// [`RunError::Curvature`] when a product is not, or on a request to stop, after which nothing has changed.
    pub fn measure(
        &mut self,
        trained: &Objective,
        optimizer: &mut Optimizer,
        step: u64,
        secs: f64,
        observer: &dyn Observer,
    ) -> Result<CurvatureRow, RunError> {
        if let Some(midpoint) = &self.midpoint {
            midpoint.find(trained, optimizer, step)?;
        }
        let metrics = probed(trained, &optimizer.probe, step)?;
        let preconditioner = optimizer.preconditioner(trained, step)?;
        let batch = self.batch.as_ref().map(|batch| batch.row(trained)).transpose()?;
        let (objective, probe, metrics) = match &self.own {
            Some((objective, probe)) => (objective, probe, probed(objective, probe, step)?),
            None => (trained, &optimizer.probe, metrics),
        };
        let began = Instant::now();
        let from = objective.read(optimizer.params())?;
        let mut point = Point::of(objective, probe, step, secs, &metrics)?;
        let batch_norm = batch.map_or(point.grad_norm, |batch| batch.grad_norm);
        let climbs = self.update.climbs(objective, &point.rule, &from, [point.grad_norm, batch_norm])?;
        let of_modes = climbs.of_modes.clone();
        point.set_rule(*optimizer.probe.rule(), of_modes.as_deref());
        let (spectrum, options) = self.solve(point.sam_edge, observer)?;
        let start = Start { params: &from, preconditioner: preconditioner.as_deref() };
        let leading = self.update.leading(climbs, &start, &spectrum, &options, observer)?;
        let solve_secs = Some(began.elapsed().as_secs_f64());
        optimizer.hold_gauge(leading.update.value);
        point.set_rule(*optimizer.probe.rule(), of_modes.as_deref());
        let official = self.official(&point, observer)?;
        if let Some(oscillation) = &mut self.oscillation {
            let objective = self.own.as_ref().map_or(trained, |(objective, _)| objective);
            oscillation.open(objective, optimizer.params(), step, &point.gradient, &spectrum.pairs[0])?;
        }
        let (at, measured) = (Some(self.config.at), Some(self.set));
        let follows = self.follows(&spectrum.pairs);
        let row = CurvatureRow { follows, solve_secs, batch, at, measured, official, ..point.row(&spectrum, &leading) };
        self.last = Some(spectrum.track);
        self.update.keep(leading);
        Ok(row)
    }

    fn solve(&mut self, sam_edge: f64, observer: &dyn Observer) -> Result<(Spectrum, EigenOptions), RunError> {
        let MeasureConfig { top, order, bottom, track, tol, max_iterations, .. } = self.config;
        // Without an edge to compare with, all are wanted.
        let above = Some(track * sam_edge).filter(|above| *above > 0.0);
        let seed = self.seed;
        let options = EigenOptions { top, order, bottom, above, tol, max_iterations, seed, ..Default::default() };
        let solve = match self.config.method {
            MeasureMethod::Lanczos | MeasureMethod::Official => lanczos,
            MeasureMethod::Power => power_iteration,
        };
        let hessian = &mut Interruptible(self.update.hessian().linearise()?, observer);
        Ok((solve(hessian, self.last.as_ref(), &options)?, options))
    }

    /// The eigenpairs of the last measurement that these continue.
    fn follows(&self, pairs: &[Eigenpair]) -> Vec<Option<u64>> {
        let vectors: Vec<&[f64]> = pairs.iter().map(|pair| pair.vector.as_slice()).collect();
        let places = self.last.as_ref().map(|last| last.continued_by(&vectors, self.config.top)).unwrap_or_default();
        let numbers: Vec<_> = places.into_iter().map(|place| place.map(|place| place as u64 + 1)).collect();
        if numbers.iter().any(Option::is_some) { numbers } else { vec![] }
    }

    /// The estimate of the official code, if requested.
    fn official(&mut self, point: &Point, observer: &dyn Observer) -> Result<Option<OfficialRow>, RunError> {
        let Some(difference) = &mut self.difference else { return Ok(None) };
        let stream = OFFICIAL_STREAM.wrapping_add(point.step);
        let estimate = official(&mut Interruptible(difference, observer), self.seed, stream)?;
        Ok(Some(OfficialRow {
            hessian_norm: estimate.hessian_norm,
            edge_ratio: estimate.hessian_norm / point.sam_edge,
            grad_alignment: alignment(&point.gradient, &estimate.vector),
            sam_grad_alignment: alignment(&point.update_gradient, &estimate.vector),
            hvps: estimate.products as u64,
        }))
    }

    /// Records the parameters after an update, if they are being followed. Returns a row at the end.
    ///
    /// # Errors
    /// Device errors.
    pub fn follow(&mut self, trained: &Objective, optimizer: &Optimizer) -> Result<Option<OscillationRow>, RunError> {
        match &mut self.oscillation {
            Some(oscillation) => Ok(oscillation.follow(trained, optimizer.params())?),
            None => Ok(None),
        }
    }

    /// The mean of the minibatch's own sharpness over minibatches drawn at random at `step`. The trained objective is left
    /// with the last of them.
    ///
    /// # Errors
    /// Device errors.
    pub fn fresh_batches(
        &self,
        trained: &Objective,
        loader: &BatchLoader<'_>,
        step: u64,
    ) -> Result<Option<FreshBatches>, RunError> {
        let Some(batch) = &self.batch else { return Ok(None) };
        let mut draws = vec![];
        let mut fresh = None;
        while (draws.len() as u64) < self.config.batches {
            trained.replace(&loader.fresh(step, draws.len() as u64)?)?;
            trained.device().run([&batch.gradient])?;
            draws.push(batch.row(trained)?.sharpness);
            if draws.len() < 2 {
                continue;
            }
            let Estimate { value: mean, standard_error: error, .. } = Estimate::of(0.0, &draws, 0.0, LEVEL);
            fresh = Some(FreshBatches { mean, error, batches: draws.len() as u64 }).filter(|_| mean.is_finite());
            if draws.len() >= FEWEST_BATCHES && error <= CLEAR * mean.abs() {
                break;
            }
        }
        Ok(fresh)
    }
}

impl BatchSharpness {
    /// The row of the minibatch whose gradient has been computed.
    fn row(&self, trained: &Objective) -> Result<BatchRow, DeviceError> {
        trained.device().run([&self.product])?;
        let [gradient, product] = [&self.at, &self.result].map(|buffer| trained.read::<f64>(buffer));
        let (gradient, product) = (gradient?, product?);
        let square = dot(&gradient, &gradient);
        Ok(BatchRow { sharpness: dot(&gradient, &product) / square, grad_norm: square.sqrt(), fresh: None })
    }
}

/// Where a row is measured, with the gradients of the measuring set.
struct Point {
    step: u64,
    secs: f64,
    loss: f64,
    gradient: Vec<f64>,
    update_gradient: Vec<f64>,
    grad_norm: f64,
    rule: Rule,
    gd_edge: f64,
    /// NaN, an empty cell, if the rule has no edge for one eigenvalue.
    sam_edge: f64,
}

impl Point {
    /// Reads the gradients of a probe that has run.
    fn of(
        objective: &Objective,
        probe: &Probe,
        step: u64,
        secs: f64,
        metrics: &StepMetrics,
    ) -> Result<Self, DeviceError> {
        let gradient = objective.read(probe.gradient())?;
        let update_gradient = objective.read(probe.update_gradient(step))?;
        let grad_norm = gradient.iter().map(|x| x * x).sum::<f64>().sqrt();
        let rule = probe.rule().at(step);
        let (loss, gd_edge, sam_edge) = (metrics.loss, f64::NAN, f64::NAN);
        Ok(Self { step, secs, loss, gradient, update_gradient, grad_norm, rule, gd_edge, sam_edge })
    }

    /// Sets the edges of the step by a rule, with the ascent that an eigenvalue of the Hessian is compared with.
    fn set_rule(&mut self, rule: Rule, of_modes: Option<&[AscentSteps]>) {
        self.rule = rule.at(self.step);
        self.gd_edge = self.rule.unperturbed().edge(&[]).unwrap_or(f64::NAN);
        self.sam_edge = of_modes.and_then(|climb| self.rule.edge(climb)).unwrap_or(f64::NAN);
    }

    /// The row of a spectrum there, without the columns that depend on how it was measured.
    fn row(&self, spectrum: &Spectrum, leading: &Leading) -> CurvatureRow {
        let Self { step, secs, loss, ref gradient, ref update_gradient, grad_norm, gd_edge, sam_edge, .. } = *self;
        let vector = &spectrum.pairs[0].vector;
        let ends = [spectrum.lambda_max.value, spectrum.lambda_min.value];
        let positive = Some(leading.lambda_max).filter(|max| max.value > 0.0);
        let vectors: Vec<&[f64]> = spectrum.pairs.iter().map(|pair| pair.vector.as_slice()).collect();
        let found = |ritz: RitzValue| Extreme { value: ritz.value, error: ritz.residual };
        let lambda_min = match spectrum.bottom.first() {
            Some(&Eigenpair { value, error, .. }) => Some(Extreme { value, error }),
            None => Some(found(spectrum.lambda_min)).filter(|min| min.error <= CERTAIN * min.value.abs()),
        };
        let gauge = self.rule.gauge(leading.update.value);
        let preconditioned = leading.participation.map(|participation| {
            let (Extreme { value, error }, edge) = (leading.update, self.rule.most());
            PreconditionedRow { sharpness: value, error, edge, gauge, participation }
        });
        let each = |pairs: &[Eigenpair], value: &dyn Fn(&Eigenpair) -> f64| pairs.iter().map(value).collect();
        CurvatureRow {
            step,
            secs,
            loss,
            grad_norm,
            lambdas: each(&spectrum.pairs, &|pair| pair.value),
            residuals: spectrum.relative_residuals(),
            converged: spectrum.pairs.iter().map(|pair| pair.converged).collect(),
            errors: each(&spectrum.pairs, &|pair| pair.error),
            bottoms: each(&spectrum.bottom, &|pair| pair.value),
            bottom_errors: each(&spectrum.bottom, &|pair| pair.error),
            lambda_max: Some(leading.lambda_max),
            lambda_min,
            hessian_norm: ends.into_iter().chain([spectrum.pairs[0].value]).fold(0.0, |most, x| x.abs().max(most)),
            gd_edge,
            sam_edge,
            edge_ratio: positive.map_or(f64::NAN, |max| max.value / sam_edge),
            update_sharpness: Some(leading.update.value).filter(|x| x.is_finite()),
            update_error: Some(leading.update.error).filter(|x| x.is_finite()),
            gauge,
            preconditioned,
            grad_alignment: alignment(gradient, vector),
            sam_grad_alignment: alignment(update_gradient, vector),
            grad_subspace: Some(subspace_alignment(gradient, &vectors)),
            sam_grad_subspace: Some(subspace_alignment(update_gradient, &vectors)),
            hvps: (spectrum.products + leading.products) as u64,
            follows: vec![],
            solve_secs: None,
            batch: None,
            at: None,
            measured: None,
            official: None,
        }
    }
}

/// Runs a probe, whose metrics must be finite.
pub(crate) fn probed(objective: &Objective, probe: &Probe, step: u64) -> Result<StepMetrics, RunError> {
    let device = objective.device();
    device.run([probe.recording(step)])?;
    let metrics = probe.metrics(objective, &device.read(probe.row())?);
    Divergence::check(probe.rule(), step, &metrics)?;
    Ok(metrics)
}
