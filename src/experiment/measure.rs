//! One row of `curvature.csv`: the top of the Hessian's spectrum at the present parameters, and where the edges are.

use crate::curvature::edge::{alignment, gauge, gd_edge, sam_edge};
use crate::curvature::{EigenOptions, Spectrum, lanczos, official, power_iteration};
use crate::objective::{DifferenceOperator, HessianOperator, Objective};
use crate::optim::{Optimizer, StepMetrics};

use super::ExperimentError;
use super::config::{MeasureConfig, MeasureMethod};
use super::record::{CurvatureRow, OfficialRow};

/// The random stream of the official method's start at step 0; later steps use those that follow.
const OFFICIAL_STREAM: u64 = 1 << 40;

/// Measures again and again, each time starting from the eigenvectors found last.
pub struct Measurer {
    method: MeasureMethod,
    options: EigenOptions,
    hessian: HessianOperator,
    difference: Option<DifferenceOperator>,
    last: Option<Spectrum>,
}

impl Measurer {
    /// Records the Hessian, and what the method needs beside it, at the optimizer's parameters.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn new(
        objective: &mut Objective,
        optimizer: &Optimizer,
        config: &MeasureConfig,
        seed: u64,
    ) -> Result<Self, ExperimentError> {
        let options = EigenOptions { top: config.top, tol: config.tol, max_iterations: config.max_iterations, seed };
        let hessian = HessianOperator::new(objective, optimizer.params())?;
        let difference = match config.method {
            MeasureMethod::Official => Some(DifferenceOperator::new(objective, optimizer.params())?),
            MeasureMethod::Lanczos | MeasureMethod::Power => None,
        };
        Ok(Self { method: config.method, options, hessian, difference, last: None })
    }

    /// Measures at the present parameters, where no update is under way.
    ///
    /// # Errors
    /// Device errors, and [`ExperimentError::Curvature`] when a product is not finite.
    pub fn measure(
        &mut self,
        objective: &Objective,
        optimizer: &Optimizer,
        step: u64,
        secs: f64,
    ) -> Result<CurvatureRow, ExperimentError> {
        let gpu = objective.gpu();
        gpu.run([&optimizer.probe])?;
        let StepMetrics { loss, .. } = optimizer.metrics(objective, &gpu.read(optimizer.row())?);
        let widen = |v: Vec<f32>| v.into_iter().map(f64::from).collect::<Vec<f64>>();
        let gradient = widen(objective.read(optimizer.gradient())?);
        let update_gradient = widen(objective.read(optimizer.update_gradient())?);
        let grad_norm = gradient.iter().map(|x| x * x).sum::<f64>().sqrt();

        let solve = match self.method {
            MeasureMethod::Lanczos | MeasureMethod::Official => lanczos,
            MeasureMethod::Power => power_iteration,
        };
        let start = self.last.as_ref().map(Spectrum::start_vectors).unwrap_or_default();
        let spectrum = solve(&mut self.hessian, &start, &self.options)?;

        let rule = optimizer.rule();
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
            official,
        };
        self.last = Some(spectrum);
        Ok(row)
    }
}
