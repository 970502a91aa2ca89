//! A look at the present parameters: loss, error, ∇L(w), and the gradient that an update would follow.
//!
//! A step is a probe and a descent, so what is logged is what the step used. A probe of another objective shows the same
//! parameters on other examples.

use crate::gpu::{Buffer, GpuError, Recording};
use crate::objective::{Metrics, Objective};

use super::ascent::{PARTIALS, climb, rescaled_squares, squares};
use super::rule::{Ascent, Rule};
use super::{StepMetrics, settings};

/// A recorded look at parameters. See the module text.
pub struct Probe {
    rule: Rule,
    w: Buffer,
    gradient: Buffer,
    /// Loss and error partials, then those of ‖g‖².
    row: Buffer,
    pub(super) settings: Buffer,
    /// ∇L(w) and the metrics.
    pub(super) plain: Recording,
    /// The perturbed gradient too, for a rule that perturbs.
    pub(super) perturbed: Option<Perturbed>,
}

/// From ∇L(w) to the gradient at the perturbed parameters.
pub(super) struct Perturbed {
    pub gradient: Buffer,
    /// The climb and the gradient there, nothing else.
    pub climb: Recording,
    /// ∇L(w), the metrics, and the climb.
    pub look: Recording,
}

impl Probe {
    /// Records a look at `w`, a vector of the objective, as a step of `rule` would take it.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn new(objective: &mut Objective, rule: Rule, w: &Buffer) -> Result<Self, GpuError> {
        let gpu = objective.gpu().clone();
        let gradient = objective.vector("the gradient")?;
        let norm = gpu.buffer("partial sums", PARTIALS)?;
        let row = gpu.buffer("metrics", objective.partials_len() + PARTIALS)?;
        let settings = settings::buffer(&gpu, &rule)?;

        let logged = objective.gradient(w, &gradient, Some(&row))?;
        let squares = squares(&gpu, &gradient, &norm)?;
        let to_row = Recording::copy(&norm, &row, objective.partials_len());
        let logged = logged.then(&squares);
        let perturbed = if rule.perturbs() {
            let second = objective.vector("the perturbed gradient")?;
            let climb = record_climb(objective, &rule, [w, &gradient, &norm, &settings, &second])?;
            let look = logged.clone().then(&climb).then(&to_row);
            // A step that is not logged lacks the norm, which SAM alone has a use for.
            let climb = if rule.ascent == Ascent::Sam { squares.then(&climb) } else { climb };
            Some(Perturbed { gradient: second, climb, look })
        } else {
            None
        };
        Ok(Self { rule, w: w.clone(), gradient, row, settings, plain: logged.then(&to_row), perturbed })
    }

    /// Both gradients and the metrics, as update `step` would look at them.
    pub fn recording(&self, step: u64) -> &Recording {
        self.perturbed_at(step).map_or(&self.plain, |perturbed| &perturbed.look)
    }

    /// The rule.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// The parameters.
    pub fn params(&self) -> &Buffer {
        &self.w
    }

    /// ∇L(w), as left by the recording.
    pub fn gradient(&self) -> &Buffer {
        &self.gradient
    }

    /// The gradient that update `step` follows: that at the perturbed parameters where it perturbs, or ∇L(w).
    pub fn update_gradient(&self, step: u64) -> &Buffer {
        self.perturbed_at(step).map_or(&self.gradient, |perturbed| &perturbed.gradient)
    }

    /// What a perturbed update needs, if update `step` is one.
    fn perturbed_at(&self, step: u64) -> Option<&Perturbed> {
        self.perturbed.as_ref().filter(|_| self.rule.at(step).perturbs())
    }

    /// Where the recording leaves its metrics, see [`Self::metrics`].
    pub fn row(&self) -> &Buffer {
        &self.row
    }

    /// Metrics from a row, finished in f64.
    pub fn metrics(&self, objective: &Objective, row: &[f32]) -> StepMetrics {
        let (partials, norm) = row.split_at(objective.partials_len());
        let Metrics { loss, error } = objective.metrics(partials);
        let grad_norm = norm.iter().map(|&x| f64::from(x)).sum::<f64>().sqrt();
        StepMetrics { loss, error, grad_norm }
    }
}

/// second = the gradient at the top of the climb from `w`, where ∇L(w) = `gradient` with its squares in `norm`
fn record_climb(
    objective: &mut Objective,
    rule: &Rule,
    [w, gradient, norm, settings, second]: [&Buffer; 5],
) -> Result<Recording, GpuError> {
    let gpu = objective.gpu().clone();
    let above = objective.vector("the perturbed parameters")?;
    let own_norm = gpu.buffer("partial sums", PARTIALS)?;
    let again = objective.gradient(&above, second, None)?;
    let mut recording = Recording::default();
    for number in 0..rule.ascent_steps {
        let (from, slope) = if number == 0 { (w, gradient) } else { (&above, second) };
        let (measure, partials) = match rule.ascent {
            Ascent::Sam if number == 0 => (Recording::default(), norm),
            Ascent::Sam => (squares(&gpu, slope, &own_norm)?, &own_norm),
            Ascent::Usam => (Recording::default(), &own_norm),
            Ascent::Asam { .. } => (rescaled_squares(&gpu, from, slope, &own_norm, settings)?, &own_norm),
        };
        let to = (number == 0).then_some(&above);
        let up = climb(&gpu, rule.ascent, from, slope, partials, settings, to)?;
        recording = recording.then(&measure).then(&up).then(&again);
    }
    Ok(recording)
}
