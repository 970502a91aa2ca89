//! How close an update is to its edge: the largest eigenvalue of the update operator, beside that of the Hessian.

use super::RunError;
use super::interruptible::Interruptible;
use crate::config::Config;
use crate::curvature::edge::{AscentSteps, felt_curvature};
use crate::curvature::{EigenOptions, Operator, Order, Spectrum, Track, lanczos};
use crate::device::DeviceError;
use crate::folder::rows::Extreme;
use crate::objective::{HessianOperator, Objective};
use crate::observer::Observer;
use crate::optim::{Ascent, GroupClimb, Rule, UpdateProducts};

/// The number of examples with an ascent of their own when a set of `examples` is measured, or 0 if there is one ascent:
/// the groups of m-SAM, or the minibatches of a run, unless the set is the minibatch of a step.
pub(crate) fn group(config: &Config, examples: usize, is_minibatch: bool) -> usize {
    let optim = &config.optim;
    let group = match (optim.perturbs(), optim.micro_batch) {
        (false, _) => 0,
        (true, 0) if is_minibatch => 0,
        (true, 0) => optim.batch,
        (true, group) => group,
    };
    if group < examples { group } else { 0 }
}

/// Measures a rule's update operator on a set of examples. See the module text.
pub(crate) struct UpdateMeasure {
    products: UpdateProducts,
    last: Option<Track>,
}

/// The ascents of an update.
pub(crate) struct Climbs {
    groups: Vec<GroupClimb>,
    /// The ascent that an eigenvalue of the Hessian is compared with, if the rule keeps modes. Of minibatches it is that
    /// of the step's.
    pub of_modes: Option<Vec<AscentSteps>>,
    /// Whether the update operator is that ascent's function of the Hessian.
    pub is_function: bool,
}

/// Where an update starts.
pub(crate) struct Start<'a> {
    pub params: &'a [f64],
    /// The diagonal P of an adaptive base.
    pub preconditioner: Option<&'a [f64]>,
}

/// The share of entries that a vector consists of: 1 if all are equal in size, 1/n for a single one.
fn participation(v: &[f64]) -> f64 {
    let (squares, fourths) = v.iter().fold((0.0, 0.0), |(squares, fourths), x| (squares + x * x, fourths + x.powi(4)));
    squares * squares / fourths / v.len() as f64
}

/// The ends of a measurement.
pub(crate) struct Leading {
    /// The largest eigenvalue of the Hessian.
    pub lambda_max: Extreme,
    /// The largest of the update operator.
    pub update: Extreme,
    /// The share of the parameters that take part in its eigenvector, (Σv²)²/Σv⁴ ÷ n, for an adaptive base.
    pub participation: Option<f64>,
    /// Products with the Hessian that they took.
    pub products: usize,
    track: Option<Track>,
}

impl UpdateMeasure {
    /// Measures these products, cold at first; [`group`] has the groups of their examples.
    pub fn new(products: UpdateProducts) -> Self {
        Self { products, last: None }
    }

    /// The Hessian of all examples.
    pub fn hessian(&mut self) -> &mut HessianOperator {
        self.products.hessian()
    }

    /// The warm start of the next measurement.
    pub fn track(&mut self) -> &mut Option<Track> {
        &mut self.last
    }

    /// The ascents of an update by `rule` (that of the step) from the parameters `from`, whose gradient has the norm
    /// `grad_norm`, or on the step's minibatch `batch_norm` if it is not the set that is measured.
    pub fn climbs(
        &self,
        objective: &Objective,
        rule: &Rule,
        from: &[f64],
        [grad_norm, batch_norm]: [f64; 2],
    ) -> Result<Climbs, DeviceError> {
        if !rule.perturbs() {
            let is_function = rule.keeps_modes();
            let groups = if is_function { vec![] } else { self.products.level() };
            return Ok(Climbs { groups, of_modes: is_function.then(Vec::new), is_function });
        }
        let groups = self.products.climbs(objective, from, grad_norm)?;
        let is_function = rule.keeps_modes() && groups.len() == 1;
        let knows_batch = rule.ascent_steps == 1 || rule.ascent == Ascent::Usam;
        let of_modes = match is_function {
            true => Some(groups[0].steps.clone()),
            false => (rule.keeps_modes() && knows_batch).then(|| rule.climb(&[batch_norm])),
        };
        Ok(Climbs { groups, of_modes, is_function })
    }

    /// The ends, after the solve that found `spectrum` with `options`.
    pub fn leading(
        &mut self,
        climbs: Climbs,
        start: &Start<'_>,
        spectrum: &Spectrum,
        options: &EigenOptions,
        observer: &dyn Observer,
    ) -> Result<Leading, RunError> {
        let options = EigenOptions { top: 1, bottom: 0, above: None, order: Order::Algebraic, ..options.clone() };
        let mut products = 0;
        let first = &spectrum.pairs[0];
        let lambda_max = if first.value > 0.0 {
            Extreme { value: first.value, error: first.error }
        } else {
            let hessian = &mut Interruptible(self.products.hessian().linearise()?, observer);
            let found = lanczos(hessian, Some(&spectrum.track), &options)?;
            products += found.products;
            let first = &found.pairs[0];
            Extreme { value: first.value, error: first.error }
        };
        // A negative eigenvalue of larger magnitude may be felt more, and as a positive one.
        let leads = lambda_max.value >= -spectrum.lambda_min.value;
        if let (true, Some(steps)) = (climbs.is_function, &climbs.of_modes)
            && (steps.is_empty() || leads)
        {
            let Extreme { value, error } = lambda_max;
            let [value, above] = [value, value + error].map(|lambda| felt_curvature(steps, lambda));
            let update = Extreme { value, error: above - value };
            return Ok(Leading { lambda_max, update, participation: None, products, track: None });
        }
        let mut operator = self.products.linearise(climbs.groups, start.params, start.preconditioner)?;
        let cost = operator.cost();
        let found =
            lanczos(&mut Interruptible(&mut operator as &mut dyn Operator, observer), self.last.as_ref(), &options)?;
        let first = &found.pairs[0];
        let update = Extreme { value: first.value, error: first.error };
        products += found.products * cost;
        let participation = start.preconditioner.map(|_| participation(&first.vector));
        Ok(Leading { lambda_max, update, participation, products, track: Some(found.track) })
    }

    /// Keeps the warm start that a measurement leaves.
    pub fn keep(&mut self, leading: Leading) {
        if leading.track.is_some() {
            self.last = leading.track;
        }
    }
}
