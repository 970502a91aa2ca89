//! The update operator M of a rule: with the norms of its ascent (and the T of ASAM) held at their present values,
//! w⁺ − w = −η(M + c)(w − w*) in the linearisation of the gradient about w*, and M is symmetric.
//!
//! The gradient at the end of an ascent is, with δ = w − w*, ∇L = H(δ + Σ cₖT²gₖ), where gₖ is the gradient at the start
//! of step k. So each step multiplies by 1 + cₖHT², and for one group of examples M = Π (1 + cₖHT²) H, with T = 1 except
//! for ASAM. For m-SAM it is the mean over groups, each with its own Hessian and factors: M = Σ (n_g/n) M_g. SAM on
//! minibatches makes on average the update of m-SAM whose groups are the minibatches.
//!
//! An adaptive base divides by a diagonal P, here at its present values too: w⁺ − w = −ηP⁻¹(M + c)(w − w*), which for
//! P^½(w − w*) is the symmetric P^-½(M + c)P^-½. This is its update operator, c included where the decay is coupled.
//!
//! The largest eigenvalue of M against the rule's limit is its gauge ([`Rule::gauge`]). docs/rules.md has the table.

use std::borrow::Cow;

use super::climb::{Climb, GroupClimb};
use super::rule::{Ascent, Rule};
use crate::curvature::edge::AscentSteps;
use crate::curvature::{CurvatureError, Operator, check_lengths, dot};
use crate::device::{Buffer, DeviceError};
use crate::objective::{HessianOperator, Linearised, Objective};

/// Makes the update operator of a rule, again and again. See the module text.
pub struct UpdateProducts {
    rule: Rule,
    hessian: HessianOperator,
    /// Absent where ‖∇L(w)‖ tells all there is to know.
    climb: Option<Climb>,
    /// Of each group in all examples.
    shares: Vec<f64>,
}

impl UpdateProducts {
    /// Records its parts: Hessians at the parameters in `w`, of groups of `group` examples, which have ascents of their
    /// own (0 for one of all), and the ascents; with `blocks` the Hessian of all can multiply several vectors at once
    /// ([`HessianOperator::with_blocks`]).
    ///
    /// # Errors
    /// Compilation or device errors; [`DeviceError::Mismatch`] when a number of the rule is out of range, or a chunk of the
    /// objective reaches across two groups ([`Objective::in_groups`]).
    pub fn new(
        objective: &mut Objective,
        rule: Rule,
        w: &Buffer,
        group: usize,
        blocks: bool,
    ) -> Result<Self, DeviceError> {
        rule.check().map_err(DeviceError::Mismatch)?;
        let Some(groups) = objective.groups(group) else {
            let problem =
                format!("a chunk reaches across groups of {group} examples; make the objective in such groups");
            return Err(DeviceError::Mismatch(problem));
        };
        let hessian = HessianOperator::in_groups(objective, w, blocks, &groups)?;
        let is_first = matches!((rule.ascent, rule.ascent_steps), (Ascent::Usam, _) | (Ascent::Sam, 1));
        let is_known = !rule.perturbs() || groups.len() == 1 && is_first;
        let climb = if is_known { None } else { Some(Climb::new(objective, rule, &groups)?) };
        let shares = groups.iter().map(|chunks| objective.examples_of(chunks.clone()) as f64);
        let shares = shares.map(|examples| examples / objective.examples() as f64).collect();
        Ok(Self { rule, hessian, climb, shares })
    }

    /// The Hessian of all examples.
    pub fn hessian(&mut self) -> &mut HessianOperator {
        &mut self.hessian
    }

    /// The share in all examples and the ascent of each group, from the parameters `from`, where all examples have a
    /// gradient of this norm.
    ///
    /// # Errors
    /// Device errors.
    pub fn climbs(&self, objective: &Objective, from: &[f64], grad_norm: f64) -> Result<Vec<GroupClimb>, DeviceError> {
        match &self.climb {
            Some(climb) => climb.climbs(objective, from),
            None => Ok(self.same(&self.rule.climb(&[grad_norm]))),
        }
    }

    /// The groups without an ascent, as for an update that is not perturbed.
    pub fn level(&self) -> Vec<GroupClimb> {
        self.same(&[])
    }

    /// All groups with these steps.
    fn same(&self, steps: &[AscentSteps]) -> Vec<GroupClimb> {
        self.shares.iter().map(|&share| GroupClimb { share, steps: steps.to_vec() }).collect()
    }

    /// The operator of these ascents from the parameters `from`, divided by the diagonal P of an adaptive base
    /// ([`Optimizer::preconditioner`](super::Optimizer::preconditioner)), with the Hessians at the present parameters in
    /// `w`, which must not change while it is in use.
    ///
    /// # Errors
    /// Device errors.
    pub fn linearise(
        &mut self,
        climbs: Vec<GroupClimb>,
        from: &[f64],
        preconditioner: Option<&[f64]>,
    ) -> Result<UpdateOperator<'_>, DeviceError> {
        let metric = self.climb.as_ref().and_then(|climb| climb.metric(from));
        let roots = preconditioner.map(|p| p.iter().map(|p| p.sqrt().recip()).collect());
        let decay = self.rule.coupled_decay();
        Ok(UpdateOperator { hessian: self.hessian.linearise()?, climbs, metric, roots, decay, largest: 0.0 })
    }
}

/// See the module text.
pub struct UpdateOperator<'a> {
    hessian: Linearised<'a>,
    climbs: Vec<GroupClimb>,
    /// T², if it is not 1.
    metric: Option<Vec<f64>>,
    /// P^-½ of an adaptive base.
    roots: Option<Vec<f64>>,
    /// The c that an adaptive base divides by P as well.
    decay: f64,
    /// The largest ‖Mv‖/‖v‖ seen.
    largest: f64,
}

impl UpdateOperator<'_> {
    /// Products with H that one with M takes, in passes over all examples.
    pub fn cost(&self) -> usize {
        let steps = |climb: &GroupClimb| climb.steps.iter().map(|steps| steps.count as usize).sum::<usize>();
        1 + self.climbs.iter().map(steps).max().unwrap_or(0)
    }

    /// Adds the share of a group in the product with `v` to `out`.
    fn add_group(&mut self, group: usize, v: &[f64], out: &mut [f64]) -> Result<(), CurvatureError> {
        let mut felt = vec![0.0; v.len()];
        let mut image = vec![0.0; v.len()];
        self.hessian.apply_group(group, v, &mut felt)?;
        let GroupClimb { share, steps } = self.climbs[group].clone();
        for AscentSteps { factor, count } in steps {
            for _ in 0..count as usize {
                // Products have the share of the group as a factor, and the ascent has not.
                let climbed: Vec<f64> = match &self.metric {
                    Some(metric) => felt.iter().zip(metric).map(|(x, t)| x * t / share).collect(),
                    None => felt.iter().map(|x| x / share).collect(),
                };
                self.hessian.apply_group(group, &climbed, &mut image)?;
                felt.iter_mut().zip(&image).for_each(|(x, y)| *x += factor * y);
            }
        }
        out.iter_mut().zip(&felt).for_each(|(x, y)| *x += y);
        Ok(())
    }
}

impl UpdateOperator<'_> {
    /// P^-½v, or v itself.
    fn scaled<'v>(&self, v: &'v [f64]) -> Cow<'v, [f64]> {
        match &self.roots {
            Some(roots) => Cow::Owned(roots.iter().zip(v).map(|(root, x)| root * x).collect()),
            None => Cow::Borrowed(v),
        }
    }
}

impl Operator for UpdateOperator<'_> {
    fn dim(&self) -> usize {
        self.hessian.dim()
    }

    fn rounding(&self) -> f64 {
        self.cost() as f64 * self.hessian.product_error() * self.largest
    }

    /// M is a polynomial of H (of each group, and T aside), so its relative error is at most its degree times that of H.
    fn form_errors(&mut self, vectors: &[&[f64]], values: &[f64]) -> Result<Vec<f64>, CurvatureError> {
        let scaled: Vec<Cow<'_, [f64]>> = vectors.iter().map(|v| self.scaled(v)).collect();
        let vectors: Vec<&[f64]> = scaled.iter().map(AsRef::as_ref).collect();
        let mut images = vec![vec![0.0; self.dim()]; vectors.len()];
        self.hessian.apply_block(&vectors, &mut images)?;
        let forms: Vec<f64> = vectors.iter().zip(&images).map(|(v, image)| dot(v, image)).collect();
        let degree = self.cost() as f64;
        let errors = self.hessian.form_errors(&vectors, &forms)?;
        Ok((errors.iter().zip(&forms).zip(values))
            .map(|((error, form), value)| {
                let slope = if *form == 0.0 { 0.0 } else { degree * (value / form).abs() };
                error * slope.max(1.0) + self.rounding()
            })
            .collect())
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), CurvatureError> {
        check_lengths(self.dim(), [v.len()], [out.len()])?;
        out.fill(0.0);
        let scaled = self.scaled(v);
        for group in 0..self.climbs.len() {
            self.add_group(group, &scaled, out)?;
        }
        if let Some(roots) = &self.roots {
            for ((out, x), root) in out.iter_mut().zip(scaled.iter()).zip(roots) {
                *out = root * (*out + self.decay * x);
            }
        }
        let square = dot(v, v);
        if square > 0.0 {
            self.largest = self.largest.max((dot(out, out) / square).sqrt());
        }
        Ok(())
    }
}
