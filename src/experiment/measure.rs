//! One row of `curvature.csv`: the top of the Hessian's spectrum at the present parameters, and where the edges are.
//!
//! Everything in a row (loss, gradients, Hessian) is taken on one set of examples: those that the trained objective holds,
//! or a set of the measurer's own.

use crate::curvature::edge::{alignment, gauge, gd_edge, sam_edge};
use crate::curvature::{EigenOptions, Spectrum, lanczos, official, power_iteration};
use crate::objective::{DifferenceOperator, HessianOperator, Objective};
use crate::optim::{Optimizer, Probe, StepMetrics};

use super::ExperimentError;
use super::config::{MeasureConfig, MeasureMethod};
use super::measuring::MeasuringSet;
use super::record::{CurvatureRow, OfficialRow};

/// The random stream of the official method's start at step 0; later steps use those that follow.
const OFFICIAL_STREAM: u64 = 1 << 40;

/// Measures again and again, each time starting from the eigenvectors found last.
pub struct Measurer {
    set: MeasuringSet,
    /// The measuring set with a look at it, where it is not what is trained on.
    own: Option<(Objective, Probe)>,
    method: MeasureMethod,
    options: EigenOptions,
    hessian: HessianOperator,
    difference: Option<DifferenceOperator>,
    last: Option<Spectrum>,
}

impl Measurer {
    /// Records what a measurement on `set` needs at the optimizer's parameters; `own` holds the set where the trained
    /// objective does not.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn new(
        trained: &mut Objective,
        own: Option<Objective>,
        set: MeasuringSet,
        optimizer: &Optimizer,
        config: &MeasureConfig,
        seed: u64,
    ) -> Result<Self, ExperimentError> {
        let MeasureConfig { top, tol, max_iterations, .. } = *config;
        let options = EigenOptions { top, tol, max_iterations, seed, ..Default::default() };
        let w = optimizer.params();
        let mut own = match own {
            Some(mut objective) => {
                let probe = Probe::new(&mut objective, *optimizer.probe.rule(), w)?;
                Some((objective, probe))
            }
            None => None,
        };
        let objective = own.as_mut().map_or(trained, |(objective, _)| objective);
        let hessian = HessianOperator::new(objective, w)?;
        let difference = match config.method {
            MeasureMethod::Official => Some(DifferenceOperator::new(objective, w)?),
            MeasureMethod::Lanczos | MeasureMethod::Power => None,
        };
        Ok(Self { set, own, method: config.method, options, hessian, difference, last: None })
    }

    /// Whether a measurement runs the optimizer's probe, and leaves its metrics there.
    pub fn probes_trained(&self) -> bool {
        self.own.is_none()
    }

    /// Measures at the present parameters, where no update is under way.
    ///
    /// # Errors
    /// Device errors, and [`ExperimentError::Curvature`] when a product is not finite.
    pub fn measure(
        &mut self,
        trained: &Objective,
        optimizer: &Optimizer,
        step: u64,
        secs: f64,
    ) -> Result<CurvatureRow, ExperimentError> {
        let (objective, probe) = match &self.own {
            Some((objective, probe)) => (objective, probe),
            None => (trained, &optimizer.probe),
        };
        let gpu = objective.gpu();
        gpu.run([&probe.recording])?;
        let StepMetrics { loss, .. } = probe.metrics(objective, &gpu.read(probe.row())?);
        let widen = |v: Vec<f32>| v.into_iter().map(f64::from).collect::<Vec<f64>>();
        let gradient = widen(objective.read(probe.gradient())?);
        let update_gradient = widen(objective.read(probe.update_gradient())?);
        let grad_norm = gradient.iter().map(|x| x * x).sum::<f64>().sqrt();

        let solve = match self.method {
            MeasureMethod::Lanczos | MeasureMethod::Official => lanczos,
            MeasureMethod::Power => power_iteration,
        };
        let spectrum = solve(&mut self.hessian, self.last.as_ref(), &self.options)?;

        let rule = probe.rule();
        let lambdas: Vec<f64> = spectrum.pairs.iter().map(|p| p.value).collect();
        let relative = |residual: f64, value: f64| residual / value.abs().max(f64::MIN_POSITIVE);
        let lambda = lambdas[0];
        let gd = gd_edge(rule.lr);
        let sam = if rule.rho > 0.0 { sam_edge(rule.lr, rule.rho, grad_norm) } else { gd };
        let top = &spectrum.pairs[0].vector;
        let official = match &mut self.difference {
            Some(difference) => {
                let estimate = official(difference, self.options.seed, OFFICIAL_STREAM.wrapping_add(step))?;
                Some(OfficialRow {
                    hessian_norm: estimate.hessian_norm,
                    edge_ratio: estimate.hessian_norm / sam,
                    grad_alignment: alignment(&gradient, &estimate.vector),
                    sam_grad_alignment: alignment(&update_gradient, &estimate.vector),
                    hvps: estimate.products as u64,
                })
            }
            None => None,
        };
        let row = CurvatureRow {
            step,
            secs,
            loss,
            grad_norm,
            residuals: spectrum.pairs.iter().map(|p| relative(p.residual, p.value)).collect(),
            lambda_min: Some(spectrum.lambda_min.value),
            hessian_norm: lambda.abs(),
            gd_edge: gd,
            sam_edge: sam,
            edge_ratio: lambda.abs() / sam,
            gauge: gauge(rule.lr, rule.rho, grad_norm, lambda),
            grad_alignment: alignment(&gradient, top),
            sam_grad_alignment: alignment(&update_gradient, top),
            hvps: spectrum.products as u64,
            lambdas,
            measured: Some(self.set),
            official,
        };
        self.last = Some(spectrum);
        Ok(row)
    }
}
