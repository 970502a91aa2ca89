//! The motion of the parameters between two measurements: oscillation along v₁, its period, and drift.
//!
//! For some updates after a measurement the host follows w − w₀ along the eigenvector v₁ and along n, the direction in
//! which λ₁ rises (∇λ₁ = ∇(v₁ᵀHv₁) made orthogonal to v₁, a third-order product). On a quadratic SAM settles in a
//! two-cycle of amplitude a = ηρλ₁/(2 + 2β − η(λ₁ + c)), and in a valley of changing width that cycle drifts by
//! −[2ηρ²/(2 − ηλ₁)²]∇λ₁ an update (P. L. Bartlett, P. M. Long, O. Bousquet, "The Dynamics of Sharpness-Aware
//! Minimization: Bouncing Across Ravines and Drifting Towards Wide Minima", JMLR 2023). Both assume that the gradient lies
//! along v₁. Where other modes swing too, only the part |cos(g, v₁)| of the perturbation lies along v₁: the amplitude is
//! that part of the formula, and a swing of amplitude a, displaced by ρ|cos(g, v₁)|, drifts by
//! −(η/2)(a + ρ|cos(g, v₁)|)²∇λ₁. Far from the valley's bottom the plain gradient moves the parameters along n too; its
//! share is reported separately. A momentum divides every drift by 1 − β.

use crate::curvature::edge::alignment;
use crate::curvature::{Eigenpair, dot};
use crate::device::{Buffer, DeviceError, Recording};
use crate::folder::rows::OscillationRow;
use crate::folder::state::OscillationWindow;
use crate::objective::Objective;
use crate::optim::{Ascent, Rule};

/// Autocorrelation at one period above which a motion counts as periodic.
const PERIODIC: f64 = 0.5;

/// Follows the parameters of a run through one window after another. See the module text.
pub struct Oscillation {
    window: u64,
    v: Buffer,
    result: Buffer,
    /// ∇(vᵀHv) at the parameters.
    curvature_grad: Recording,
    /// The rule of the run, whatever the step.
    rule: Rule,
    open: Option<OscillationWindow>,
}

impl Oscillation {
    /// Records the third-order product at `w`, on the examples of `objective`, for windows of so many updates.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn new(objective: &mut Objective, w: &Buffer, rule: Rule, window: u64) -> Result<Self, DeviceError> {
        let [v, result] = [objective.vector("v₁")?, objective.vector("∇λ₁")?];
        let curvature_grad = objective.curvature_grad(w, &v, &result)?;
        Ok(Self { window, v, result, curvature_grad, rule, open: None })
    }

    /// Takes out the current window; [`Self::go_on`] restores it.
    pub fn lend(&mut self) -> Option<OscillationWindow> {
        self.open.take()
    }

    /// Restores a window, unless it cannot be from this run.
    pub fn go_on(&mut self, window: Option<OscillationWindow>) {
        self.open = window.filter(|window| !window.along.is_empty() && window.along.len() == window.drift.len());
    }

    /// Opens a window at the parameters `w`, with their gradient and top eigenpair; the objective is the recorded one.
    ///
    /// # Errors
    /// Device errors.
    pub fn open(
        &mut self,
        objective: &Objective,
        w: &Buffer,
        step: u64,
        gradient: &[f64],
        top: &Eigenpair,
    ) -> Result<(), DeviceError> {
        let device = objective.device();
        device.write(&self.v, &top.vector)?;
        device.run([&self.curvature_grad])?;
        let mut rise: Vec<f64> = objective.read(&self.result)?;
        let along = dot(&rise, &top.vector);
        rise.iter_mut().zip(&top.vector).for_each(|(r, v)| *r -= along * v);
        let slope = dot(&rise, &rise).sqrt();
        rise.iter_mut().for_each(|r| *r /= slope.max(f64::MIN_POSITIVE));
        self.open = Some(OscillationWindow {
            first_step: step,
            lambda: top.value,
            origin: objective.read(w)?,
            gradient: dot(gradient, &rise),
            alignment: alignment(gradient, &top.vector),
            v1: top.vector.clone(),
            rise,
            slope,
            along: vec![0.0],
            drift: vec![0.0],
        });
        Ok(())
    }

    /// Records the parameters after an update. Returns the row when the window ends.
    ///
    /// # Errors
    /// Device errors.
    pub fn follow(&mut self, objective: &Objective, w: &Buffer) -> Result<Option<OscillationRow>, DeviceError> {
        let Some(open) = &mut self.open else { return Ok(None) };
        let moved: Vec<f64> = objective.read::<f64>(w)?.iter().zip(&open.origin).map(|(w, o)| w - o).collect();
        open.along.push(dot(&moved, &open.v1));
        open.drift.push(dot(&moved, &open.rise));
        let is_over = open.along.len() as u64 > self.window;
        Ok(if is_over { self.open.take().map(|open| open.row(&self.rule)) } else { None })
    }
}

impl OscillationWindow {
    fn row(&self, rule: &Rule) -> OscillationRow {
        let Self { lambda, along, drift, .. } = self;
        // As at the start of the window.
        let rule = &rule.at(self.first_step);
        let swings: Vec<f64> = along.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
        // A two-cycle cancels in the middle of two successive iterates.
        let middle = |i: usize| (drift[i] + drift[i + 1]) / 2.0;
        let last = drift.len() - 2;
        let slow = rule.lr / (1.0 - rule.momentum);
        let amplitude = swings.iter().sum::<f64>() / swings.len() as f64 / 2.0;
        let displaced = amplitude + rule.rho * self.alignment;
        let pull = self.gradient + rule.weight_decay * dot(&self.origin, &self.rise);
        let aligned = |x: f64| Some(x * self.alignment).filter(|x| x.is_finite());
        // Where λ₁ rises in no direction, there is none to drift in.
        let along_n = |x: f64| if self.slope > 0.0 { x } else { f64::NAN };
        OscillationRow {
            step: self.first_step,
            updates: along.len() as u64 - 1,
            lambda_1: *lambda,
            amplitude,
            amplitude_predicted: two_cycle(rule, *lambda),
            amplitude_aligned: two_cycle(rule, *lambda).and_then(aligned),
            period: period(along).map(|period| period as u64),
            drift: along_n((middle(last) - middle(0)) / last as f64),
            drift_of_gradient: along_n(-slow * pull),
            drift_predicted: drift_rate(rule, *lambda).map(|rate| rate * self.slope),
            drift_aligned: (is_sam(rule) && displaced.is_finite())
                .then(|| -0.5 * slow * displaced.powi(2) * self.slope),
        }
    }
}

/// SAM's amplitude on a quadratic along the eigenvector of λ, ηρλ/(2 + 2β − η(λ + c)); `None` for other rules, and
/// above the edge of gradient descent, where there is no cycle.
pub fn two_cycle(rule: &Rule, lambda: f64) -> Option<f64> {
    let room = 2.0 + 2.0 * rule.momentum - rule.lr * (lambda + rule.weight_decay);
    let holds = is_sam(rule) && !rule.nesterov && lambda > 0.0 && room > 0.0;
    holds.then(|| rule.lr * rule.rho * lambda / room)
}

/// −2ηρ²/(2 − ηλ)², the factor of ∇λ₁ in the drift per update of SAM without momentum or decay; `None` for other rules.
pub fn drift_rate(rule: &Rule, lambda: f64) -> Option<f64> {
    let room = 2.0 - rule.lr * lambda;
    let holds = is_sam(rule) && rule.momentum == 0.0 && rule.weight_decay == 0.0 && lambda > 0.0 && room > 0.0;
    holds.then(|| -2.0 * rule.lr * rule.rho.powi(2) / room.powi(2))
}

fn is_sam(rule: &Rule) -> bool {
    rule.ascent == Ascent::Sam && rule.ascent_steps == 1 && rule.perturbs()
}

/// The smallest period of a series about its straight-line trend, if any: a lag of at most half the length with the
/// largest autocorrelation, above one half, after a negative one.
pub fn period(series: &[f64]) -> Option<usize> {
    let n = series.len() as f64;
    let (mean_t, mean) = ((n - 1.0) / 2.0, series.iter().sum::<f64>() / n);
    let times = || (0..series.len()).map(|t| t as f64 - mean_t);
    let trend = times().zip(series).map(|(t, x)| t * (x - mean)).sum::<f64>() / times().map(|t| t * t).sum::<f64>();
    let rest: Vec<f64> = times().zip(series).map(|(t, x)| x - mean - trend * t).collect();
    let correlation = |lag: usize| {
        let (early, late) = (&rest[..rest.len() - lag], &rest[lag..]);
        dot(early, late) / (dot(early, early) * dot(late, late)).sqrt().max(f64::MIN_POSITIVE)
    };
    // A slow change correlates at small lags too, but has no negative correlation before.
    let lags: Vec<(usize, f64)> = (1..=series.len() / 2).map(|lag| (lag, correlation(lag))).collect();
    let turned = lags.iter().position(|&(_, c)| c < 0.0)?;
    let best = lags[turned..].iter().fold(PERIODIC, |best, &(_, c)| best.max(c));
    // Multiples of a period correlate as well as the period itself, up to noise.
    lags[turned..].iter().find(|&&(_, c)| c > PERIODIC && c >= 0.95 * best).map(|&(lag, _)| lag)
}
