//! Update rules and their edges of stability.
//!
//! With the norms of its ascent held fixed, the update of every rule here is linear in the gradient's linearisation:
//! w⁺ − w = −η(M + c)(w − w*) without momentum, with a symmetric matrix M, the update operator
//! ([`UpdateOperator`](super::UpdateOperator)). The momentum gives the limit S of η(μ + c) for its eigenvalues μ, so the
//! gauge η(λ_max(M) + c)/S is 1 at the edge. Where the ascent treats eigenvectors of H one by one, M is h(H) with a
//! function h such as λ(1 + ρλ/(‖g‖ + ε)) for SAM, and the edge of λ is where h(λ) = S/η − c.
//!
//! An adaptive base divides the update by a diagonal P. With P held fixed too, P^½w moves under P^-½MP^-½, whose largest
//! eigenvalue is the preconditioned sharpness (J. Cohen et al., "Adaptive Gradient Methods at the Edge of Stability",
//! arXiv 2207.14484).

use std::fmt;

use super::base::Base;
use super::schedule::Schedule;
use crate::curvature::edge::{AscentSteps, felt_edge, momentum_limit};
use crate::model::Layout;

/// The largest z for which the Runge–Kutta method of order 4 is stable on a mode of eigenvalue λ = z/η: it multiplies it by
/// 1 − z + z²/2 − z³/6 + z⁴/24, which is 1 for this root of z³ − 4z² + 12z − 24.
const RUNGE_KUTTA_LIMIT: f64 = 2.785_293_563_405_28;

/// The direction and length of the perturbation; g = ∇L(w).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ascent {
    /// ρ g/(‖g‖ + ε): sharpness-aware minimisation (Foret et al. 2021).
    Sam,
    /// ρ g, un-normalised (Agarwala and Dauphin 2023).
    Usam,
    /// ρ T²g/(‖Tg‖ + ε) with T = diag(|w| + eta): ASAM (Kwon et al. 2021).
    Asam {
        /// Keeps T above 0 where a weight is 0.
        eta: f64,
        /// Whether T is the same for biases, as in the paper's formula; in the paper's code it is 1 there.
        biases: bool,
    },
}

impl Ascent {
    /// The elements of a flat vector for which the T of ASAM is |w| + eta rather than 1: all, or all but the tensors
    /// whose name ends in `bias`.
    pub fn scaled(&self, layout: &Layout) -> Vec<bool> {
        let biases = !matches!(self, Self::Asam { biases: false, .. });
        let mut scaled = vec![];
        for (param, _) in layout.iter() {
            let len = scaled.len() + param.shape.iter().product::<usize>();
            scaled.resize(len, biases || !param.name.ends_with("bias"));
        }
        scaled
    }
}

/// An update rule: d = ∇L(w + perturbation) + c w, and w ← w − η d, with a momentum w ← w − η v or w ← w − η (d + β v), or
/// with an adaptive [`Base`] that of d.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Learning rate η, the largest of the schedule.
    pub lr: f64,
    /// How η depends on the step.
    pub schedule: Schedule,
    /// What makes the update of a gradient.
    pub base: Base,
    /// The perturbation.
    pub ascent: Ascent,
    /// Radius ρ of the perturbation; 0 for gradient descent.
    pub rho: f64,
    /// ε of the normaliser.
    pub epsilon: f64,
    /// Steps K of the ascent, at least 1, each of ρ/K along the gradient at its start: ρ bounds the length of a
    /// normalised perturbation for any K, so runs of different K compare.
    pub ascent_steps: usize,
    /// m of m-SAM (Foret et al. 2021): the examples are cut into groups of m in their order, the last one perhaps smaller; each
    /// has a perturbation from its own mean gradient, and the gradients there are averaged over all examples. The groups
    /// are the chunks of the objective, which must hold m rows. 0, or m for all examples or more, is one group.
    pub micro_batch: usize,
    /// First update that is perturbed; those before are gradient descent.
    pub sam_from: u64,
    /// First update after `sam_from` that is not perturbed; 0 for none.
    pub sam_until: u64,
    /// Momentum β below 1 of [`Base::Sgd`]: v ← βv + d.
    pub momentum: f64,
    /// Whether the update follows d + βv (as in PyTorch) rather than v.
    pub nesterov: bool,
    /// Weight decay c, added to the gradient as c w, at the unperturbed w; for AdamW w ← (1 − ηc)w beside the update.
    pub weight_decay: f64,
}

/// The reason that an eigenvalue has no edge to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoEdge {
    /// The rule mixes the eigenvectors of the Hessian.
    Mixes,
    /// The decay alone makes every mode of non-negative curvature unstable.
    Decay,
    /// ‖∇L(w)‖ + ε = 0, and with it the edge.
    ZeroGradient,
}

impl NoEdge {
    /// The reason in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Mixes => {
                "the rule mixes the eigenvectors of the Hessian, so the gauge alone tells how close its edge is"
            }
            Self::Decay => {
                "the weight decay alone is past the edge: lr · weight_decay is as large as the rule allows, whatever the eigenvalues"
            }
            Self::ZeroGradient => {
                "the gradient is 0, and with it the edge of this rule (optim.epsilon above 0 bounds the perturbation)"
            }
        }
    }
}

impl fmt::Display for NoEdge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

impl Rule {
    /// Gradient descent.
    pub const fn gd(lr: f64) -> Self {
        Self::sam(lr, 0.0)
    }

    /// SAM with ε = 1e-5, as in the code of Long and Bartlett.
    pub const fn sam(lr: f64, rho: f64) -> Self {
        Self {
            lr,
            schedule: Schedule::CONSTANT,
            base: Base::Sgd,
            ascent: Ascent::Sam,
            rho,
            epsilon: 1e-5,
            ascent_steps: 1,
            micro_batch: 0,
            sam_from: 0,
            sam_until: 0,
            momentum: 0.0,
            nesterov: false,
            weight_decay: 0.0,
        }
    }

    /// Refuses numbers with which no update can be made in 32-bit floats, and names the number.
    ///
    /// # Errors
    /// The number, its value and its range.
    pub fn check(&self) -> Result<(), String> {
        let eta = match self.ascent {
            Ascent::Asam { eta, .. } => eta,
            Ascent::Sam | Ascent::Usam => 0.0,
        };
        for (name, value) in [
            ("lr", self.lr),
            ("rho", self.rho),
            ("epsilon", self.epsilon),
            ("momentum", self.momentum),
            ("weight_decay", self.weight_decay),
            ("eta", eta),
        ] {
            if !(value >= 0.0 && (value as f32).is_finite()) {
                return Err(format!(
                    "Rule.{name} = {value:?} is out of range; it must be 0 or more, and finite in 32 bits"
                ));
            }
        }
        if self.momentum as f32 >= 1.0 {
            return Err(format!("Rule.momentum = {:?} is out of range; it must be below 1", self.momentum));
        }
        if self.ascent_steps == 0 {
            return Err("Rule.ascent_steps = 0 is out of range; it must be at least 1".to_owned());
        }
        if self.base.is_adaptive() && (self.momentum > 0.0 || self.nesterov) {
            return Err("Rule.momentum is for Base::Sgd; Adam has beta1 in its place".to_owned());
        }
        if self.base == Base::Flow
            && (self.perturbs() || self.momentum > 0.0 || self.nesterov || self.weight_decay > 0.0)
        {
            return Err("Base::Flow takes neither rho nor momentum nor weight_decay; set them to 0".to_owned());
        }
        self.base.check()?;
        self.schedule.check()
    }

    /// Whether some update uses a perturbed gradient.
    pub fn perturbs(&self) -> bool {
        self.rho > 0.0
    }

    /// The rule of update `step`, counted from 0, with the η of the schedule. Outside of `sam_from..sam_until` its ρ is
    /// 0.
    #[must_use]
    pub fn at(&self, step: u64) -> Self {
        let on = step >= self.sam_from && (self.sam_until == 0 || step < self.sam_until);
        let lr = self.lr * self.schedule.factor(step);
        Self { lr, schedule: Schedule::CONSTANT, rho: if on { self.rho } else { 0.0 }, ..*self }
    }

    /// The rule without its perturbation.
    #[must_use]
    pub fn unperturbed(&self) -> Self {
        Self { rho: 0.0, ..*self }
    }

    /// The steps of the ascent that start with gradients of these `norms`, first to last, of which the first is ‖∇L(w)‖.
    /// Missing norms count as the last, and without any the factors are NaN; un-normalised steps need none. No step for an
    /// update that is not perturbed.
    pub fn climb(&self, norms: &[f64]) -> Vec<AscentSteps> {
        if !self.perturbs() {
            return vec![];
        }
        let rho = self.rho / self.ascent_steps as f64;
        let factor = |norm: f64| match self.ascent {
            Ascent::Usam => rho,
            Ascent::Sam | Ascent::Asam { .. } => rho / (norm + self.epsilon),
        };
        let norms = match self.ascent {
            Ascent::Usam => &[0.0],
            Ascent::Sam | Ascent::Asam { .. } if norms.is_empty() => &[f64::NAN],
            Ascent::Sam | Ascent::Asam { .. } => &norms[..norms.len().min(self.ascent_steps)],
        };
        let missing = self.ascent_steps.saturating_sub(norms.len()) as f64;
        let mut steps: Vec<AscentSteps> =
            norms.iter().map(|&norm| AscentSteps { factor: factor(norm), count: 1.0 }).collect();
        if let Some(last) = steps.last_mut() {
            last.count += missing;
        }
        steps
    }

    /// Whether the update operator is a function of the Hessian, so that each eigenvalue has an edge. The T of ASAM, the
    /// groups of m-SAM, which have different Hessians, and the P of an adaptive base mix eigenvectors.
    pub fn keeps_modes(&self) -> bool {
        let is_plain = self.micro_batch == 0 && !matches!(self.ascent, Ascent::Asam { .. });
        !self.base.is_adaptive() && (!self.perturbs() || is_plain)
    }

    /// The eigenvalue of the Hessian beyond which a mode is unstable on a quadratic (decay left out) under this ascent
    /// ([`Self::climb`]); 0 if the decay alone makes it so. `None` for a rule that mixes modes ([`Self::keeps_modes`]).
    pub fn edge(&self, climb: &[AscentSteps]) -> Option<f64> {
        let room = self.most() - self.added_decay();
        if room <= 0.0 {
            return Some(0.0);
        }
        self.keeps_modes().then(|| felt_edge(climb, room))
    }

    /// Why no eigenvalue of the Hessian can be compared with [`Self::edge`], if none can.
    pub fn no_edge(&self, climb: &[AscentSteps]) -> Option<NoEdge> {
        match self.edge(climb) {
            None => Some(NoEdge::Mixes),
            Some(edge) if edge > 0.0 => None,
            Some(_) if self.unperturbed().edge(&[]) == Some(0.0) => Some(NoEdge::Decay),
            Some(_) => Some(NoEdge::ZeroGradient),
        }
    }

    /// The name of the edge: its formula, or the method for a rule with a perturbation.
    pub fn edge_name(&self) -> String {
        if self.base != Base::Sgd {
            return self.base.edge_name(self.weight_decay).to_owned();
        }
        if self.perturbs() {
            return if self.ascent == Ascent::Usam { "USAM-edge" } else { "SAM-edge" }.to_owned();
        }
        let limit = match (self.momentum > 0.0, self.nesterov) {
            (false, _) => "2/η",
            (true, false) => "(2 + 2β)/η",
            (true, true) => "(2 + 2β)/(η + 2βη)",
        };
        if self.weight_decay > 0.0 { format!("{limit} − c") } else { limit.to_owned() }
    }

    /// The gauge η(μ + c)/S of an eigenvalue μ of the update operator, which for an adaptive base holds c itself: stable
    /// from 0 to 1, where 1 is the edge. Below 0 the mode escapes: it grows without changing sign, as along negative
    /// curvature.
    pub fn gauge(&self, felt: f64) -> f64 {
        (felt + self.added_decay()) / self.most()
    }

    /// The learning rate with which an eigenvalue `felt` of the update operator has this gauge; `None` if none has, as for
    /// an eigenvalue below 0.
    pub fn lr_of_gauge(&self, felt: f64, gauge: f64) -> Option<f64> {
        let unit = Self { lr: 1.0, weight_decay: 0.0, ..*self }.most();
        let added = match self.base {
            // The edge falls by this, whatever η.
            Base::Adam { beta1, decoupled: true, .. } => gauge * self.weight_decay * (1.0 + beta1) / (1.0 - beta1),
            Base::Sgd | Base::Flow | Base::RmsProp { .. } | Base::Adam { .. } => self.added_decay(),
        };
        let lr = gauge * unit / (felt + added);
        Some(lr).filter(|lr| *lr > 0.0 && lr.is_finite())
    }

    /// S/η, the largest eigenvalue of the update operator (and c) that is stable: the edge of the base, and for an adaptive
    /// one that of the preconditioned sharpness.
    pub fn most(&self) -> f64 {
        let limit = match self.base {
            Base::Sgd => momentum_limit(self.momentum, self.nesterov),
            Base::Flow => RUNGE_KUTTA_LIMIT,
            Base::RmsProp { .. } => 2.0,
            Base::Adam { beta1, decoupled, .. } => {
                // z² − (1 − ηc − η(1 − β₁)λ + β₁)z + β₁(1 − ηc) vanishes at z = −1.
                let decay = if decoupled { self.lr * self.weight_decay } else { 0.0 };
                (1.0 + beta1) * (2.0 - decay) / (1.0 - beta1)
            }
        };
        limit / self.lr
    }

    /// The diagonal P of an update by an adaptive base, which follows `gradient` at `w` with this ν before it, `age` updates
    /// after ν began: w⁺ = w − η P⁻¹m, with m the gradient for RMSProp. `None` for [`Base::Sgd`].
    pub fn preconditioner(&self, age: u64, second_moment: &[f64], [gradient, w]: [&[f64]; 2]) -> Option<Vec<f64>> {
        let decay = self.coupled_decay();
        let [_, beta2, _] = self.base.numbers();
        let of = |((before, gradient), w): ((&f64, &f64), &f64)| {
            let d = gradient + decay * w;
            self.base.preconditioner(age, before + (1.0 - beta2) * (d * d - before))
        };
        second_moment.iter().zip(gradient).zip(w).map(of).collect()
    }

    /// The c of the c w in the gradient: all of it but for AdamW.
    pub(super) fn coupled_decay(&self) -> f64 {
        if self.base.decouples() { 0.0 } else { self.weight_decay }
    }

    /// The c that adds to every eigenvalue of the update operator.
    fn added_decay(&self) -> f64 {
        if self.base.is_adaptive() { 0.0 } else { self.weight_decay }
    }
}
