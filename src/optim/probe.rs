//! The metrics and gradients at the current parameters: loss, error, ∇L(w), and the gradient that an update would
//! follow. A step is a probe and a descent, so logged values are those of the step. A probe of another objective
//! evaluates the same parameters on other examples.

use super::ascent::{Climber, PARTIALS, squares};
use super::rule::{Ascent, Rule};
use super::schedule::Decay;
use super::{StepMetrics, settings};
use crate::device::{Buffer, DeviceError, Recording};
use crate::objective::{Metrics, Objective};

/// A recorded probe. See the module text.
pub struct Probe {
    rule: Rule,
    w: Buffer,
    gradient: Buffer,
    /// Loss and error partials, those of ‖g‖², and, for a rule that perturbs, those of the gradient followed.
    row: Buffer,
    pub(super) settings: Buffer,
    /// ∇L(w) and the metrics.
    pub(super) plain: Recording,
    /// The perturbed gradient too, for a rule that perturbs.
    pub(super) perturbed: Option<Perturbed>,
}

/// The gradient at the perturbed parameters.
pub(super) struct Perturbed {
    pub gradient: Buffer,
    /// The recording of a step that is not logged, from `w` alone, with its metrics except an unused ‖g‖.
    pub step: Recording,
    /// The same with ∇L(w) and all metrics.
    pub look: Recording,
}

impl Probe {
    /// Records a probe at `w`, a vector of the objective, for a step of `rule`.
    ///
    /// # Errors
    /// Compilation or device errors; [`DeviceError::Mismatch`] when a number of the rule is out of range
    /// ([`Rule::check`]), `w` is no vector of the objective, or its chunks are not the rule's groups
    /// ([`Rule::micro_batch`]).
    pub fn new(objective: &mut Objective, rule: Rule, w: &Buffer) -> Result<Self, DeviceError> {
        rule.check().map_err(DeviceError::Mismatch)?;
        objective.check_vector(w)?;
        let device = objective.device().clone();
        let gradient = objective.vector("the gradient")?;
        let norm = device.buffer("partial sums", PARTIALS)?;
        let norms_at = objective.partials_len();
        let norms = if rule.perturbs() { 2 } else { 1 };
        let row = device.buffer("metrics", norms_at + norms * PARTIALS)?;
        let settings = device.buffer_from("settings", &settings::numbers(&rule, 0, 0))?;
        [w, &row].into_iter().try_for_each(|buffer| device.prepare_read(buffer))?;

        let logged = objective.gradient(w, &gradient, Some(&row))?;
        let to_row = |number: usize| Recording::copy(&norm, &row, norms_at + number * PARTIALS);
        let logged = logged.then(&squares(&device, &gradient, &norm, 0)?).then(&to_row(0)?);
        let (perturbed, plain) = if rule.perturbs() {
            let second = objective.vector("the perturbed gradient")?;
            let climb = record_climb(objective, &rule, [w, &gradient, &norm, &settings, &second, &row])?;
            let climb = climb.then(&squares(&device, &second, &row, norms_at + PARTIALS)?);
            let look = logged.clone().then(&climb);
            let step = if is_whole(objective, &rule)? { look.clone() } else { climb };
            (Some(Perturbed { gradient: second, step, look }), logged.then(&to_row(1)?))
        } else {
            (None, logged)
        };
        Ok(Self { rule, w: w.clone(), gradient, row, settings, plain, perturbed })
    }

    /// Both gradients and the metrics, as for update `step`.
    pub fn recording(&self, step: u64) -> &Recording {
        self.perturbed_at(step).map_or(&self.plain, |perturbed| &perturbed.look)
    }

    /// The rule.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Sets the factor of [`Decay::Edge`], if the rule has that schedule.
    pub(super) fn hold(&mut self, now: f64) {
        if let Decay::Edge { factor, .. } = &mut self.rule.schedule.decay {
            *factor = now;
        }
    }

    /// The parameters.
    pub fn params(&self) -> &Buffer {
        &self.w
    }

    /// ∇L(w), written by the recording.
    pub fn gradient(&self) -> &Buffer {
        &self.gradient
    }

    /// The gradient that update `step` follows: at the perturbed parameters if it perturbs, otherwise ∇L(w).
    pub fn update_gradient(&self, step: u64) -> &Buffer {
        self.perturbed_at(step).map_or(&self.gradient, |perturbed| &perturbed.gradient)
    }

    /// The perturbed gradient, if update `step` is perturbed.
    fn perturbed_at(&self, step: u64) -> Option<&Perturbed> {
        self.perturbed.as_ref().filter(|_| self.rule.at(step).perturbs())
    }

    /// The row of metrics of the recording, see [`Self::metrics`].
    pub fn row(&self) -> &Buffer {
        &self.row
    }

    /// Metrics from a row, finished in f64.
    pub fn metrics(&self, objective: &Objective, row: &[f64]) -> StepMetrics {
        let (partials, norms) = row.split_at(objective.partials_len().min(row.len()));
        let Metrics { loss, error } = objective.metrics(partials);
        let norm = |squares: &[f64]| squares.iter().sum::<f64>().sqrt();
        let mut norms = norms.chunks(PARTIALS).map(norm);
        let grad_norm = norms.next().unwrap_or_default();
        let followed_norm = norms.next().unwrap_or(grad_norm);
        StepMetrics { loss, error, grad_norm, followed_norm }
    }
}

/// Whether one ascent from ∇L(w) serves all examples, rather than one for each group of m-SAM.
fn is_whole(objective: &Objective, rule: &Rule) -> Result<bool, DeviceError> {
    let examples = objective.examples();
    let groups = rule.micro_batch > 0 && rule.micro_batch < examples;
    let rows = objective.plan().rows;
    if groups && rows != rule.micro_batch {
        let wanted = rule.micro_batch;
        let problem = format!(
            "groups of {wanted} examples need chunks of as many rows, and the objective has {rows}; make it with these"
        );
        return Err(DeviceError::Mismatch(problem));
    }
    Ok(!groups)
}

/// second = the gradient at the end of the ascent from `w`, with ∇L(w) = `gradient` and its squares in `norm`; for
/// m-SAM the mean over groups, each with its own ascent, with loss and error at `w` in `row`
fn record_climb(
    objective: &mut Objective,
    rule: &Rule,
    [w, gradient, norm, settings, second, row]: [&Buffer; 6],
) -> Result<Recording, DeviceError> {
    let device = objective.device().clone();
    let whole = is_whole(objective, rule)?;
    let above = objective.vector("the perturbed parameters")?;
    // The gradients on the way use `second`, unless groups are added up there.
    let slope = if whole { second.clone() } else { objective.vector("the gradient of a group")? };
    let own_norm = device.buffer("partial sums", PARTIALS)?;
    let mask = asam_mask(objective, rule)?;
    let (examples, rows) = (objective.examples(), if whole { objective.examples() } else { rule.micro_batch });
    let mut recording = Recording::default();
    // Groups of one size share their ascents, which use the same buffers.
    let mut climbs: (usize, Vec<Recording>) = (0, vec![]);
    for (group, first) in (0..examples).step_by(rows).enumerate() {
        let size = rows.min(examples - first);
        if size != climbs.0 {
            let share = size as f64 / examples as f64;
            let climber = Climber { device: &device, ascent: rule.ascent, share, settings, mask: mask.as_ref() };
            let step = |number: usize| {
                let from = if number == 0 { w } else { &above };
                let to = (number == 0).then_some(&above);
                if number == 0 && whole && rule.ascent == Ascent::Sam {
                    return climber.climb(from, gradient, norm, to);
                }
                let at = if number == 0 && whole { gradient } else { &slope };
                Ok(climber.measure(from, at, &own_norm)?.then(&climber.climb(from, at, &own_norm, to)?))
            };
            climbs = (size, (0..rule.ascent_steps).map(step).collect::<Result<_, _>>()?);
        }
        if !whole {
            recording = recording.then(&objective.chunk_gradient(group, w, &slope, false, Some(row))?);
        }
        let mut gradient_at = |w: &Buffer, result: &Buffer, accumulate: bool| match whole {
            true => objective.gradient(w, result, None),
            false => objective.chunk_gradient(group, w, result, accumulate, None),
        };
        for (number, climb) in climbs.1.iter().enumerate() {
            let is_last = number + 1 == rule.ascent_steps;
            let result = if is_last { second } else { &slope };
            recording = recording.then(climb).then(&gradient_at(&above, result, is_last && group > 0)?);
        }
    }
    Ok(recording)
}

/// 1 for the parameters that ASAM scales, 0 for the others, if there are others.
fn asam_mask(objective: &Objective, rule: &Rule) -> Result<Option<Buffer>, DeviceError> {
    let scaled = rule.ascent.scaled(objective.layout());
    if scaled.iter().all(|&scaled| scaled) {
        return Ok(None);
    }
    let mask = objective.vector("the parameters that ASAM scales")?;
    objective
        .device()
        .write(&mask, &scaled.into_iter().map(|scaled| f32::from(u8::from(scaled))).collect::<Vec<f32>>())?;
    Ok(Some(mask))
}
