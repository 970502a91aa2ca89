//! Update rules and their edges of stability.
//!
//! On a quadratic every rule here multiplies a mode of eigenvalue λ by a number or a 2 × 2 matrix that depends on λ
//! alone (for SAM, also on ‖g‖). The perturbation turns λ into an effective curvature h(λ), the decay adds c to it, and
//! the momentum gives the limit S of η(h(λ) + c). So the edge is the λ with h(λ) = S/η − c, and the gauge is η(h(λ) +
//! c)/S.

use std::fmt;

use crate::curvature::edge::{gauge, gd_edge, momentum_limit, sam_edge, usam_curvature, usam_edge};

/// The direction and length of the perturbation; g = ∇L(w).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ascent {
    /// ρ g/(‖g‖ + ε): sharpness-aware minimisation (Foret et al. 2021).
    Sam,
    /// ρ g, un-normalised (Agarwala and Dauphin 2023).
    Usam,
    /// ρ T²g/(‖Tg‖ + ε) with T = diag(|w| + eta): ASAM (Kwon et al. 2021), with T for biases as for weights.
    Asam {
        /// Keeps T above 0 where a weight is 0.
        eta: f64,
    },
}

/// An update rule: d = ∇L(w + perturbation) + c w, and w ← w − η d, with a momentum w ← w − η v or w ← w − η (d + β v).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Learning rate η.
    pub lr: f64,
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
    /// Momentum β below 1: v ← βv + d.
    pub momentum: f64,
    /// Whether the update follows d + βv (as in PyTorch) rather than v.
    pub nesterov: bool,
    /// Weight decay c, added to the gradient as c w, at the unperturbed w.
    pub weight_decay: f64,
}

/// The reason that an eigenvalue has no edge to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoEdge {
    /// Theory has none.
    Unknown,
    /// The decay alone makes every mode of non-negative curvature unstable.
    Decay,
    /// ‖∇L(w)‖ = 0, and with it the edge.
    ZeroGradient,
}

impl NoEdge {
    /// The reason in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Unknown => "no edge is known for this rule",
            Self::Decay => {
                "the weight decay alone is past the edge: lr · weight_decay is as large as the rule allows, whatever the eigenvalues"
            }
            Self::ZeroGradient => "the gradient is 0, and with it the edge of this rule",
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
            Ascent::Asam { eta } => eta,
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
        Ok(())
    }

    /// Whether some update uses a perturbed gradient.
    pub fn perturbs(&self) -> bool {
        self.rho > 0.0
    }

    /// The rule of update `step`, counted from 0: outside of `sam_from..sam_until` its ρ is 0.
    #[must_use]
    pub fn at(&self, step: u64) -> Self {
        let on = step >= self.sam_from && (self.sam_until == 0 || step < self.sam_until);
        Self { rho: if on { self.rho } else { 0.0 }, ..*self }
    }

    /// The rule without its perturbation.
    #[must_use]
    pub fn unperturbed(&self) -> Self {
        Self { rho: 0.0, ..*self }
    }

    /// The eigenvalue beyond which a mode is unstable on a quadratic with ‖∇L(w)‖ = `grad_norm` (decay left out); 0 if
    /// the decay alone makes it so. `None` for ASAM, whose T mixes the modes, and for m-SAM, whose groups have
    /// different Hessians.
    ///
    /// Several ascent steps have the edge of one for a gradient along the eigenvector: the steps add up to ρ, and h(λ)
    /// = λ Π (1 + ρλ/(K‖gₖ‖)) with ‖gₖ‖ = ‖g‖ + kρλ/K telescopes to that of one. Un-normalised, the product is (1 +
    /// ρλ/K)^K whatever the gradient.
    pub fn edge(&self, grad_norm: f64) -> Option<f64> {
        let room = self.limit() - self.lr * self.weight_decay;
        if room <= 0.0 {
            return Some(0.0);
        }
        // The rate at which gradient descent without momentum or decay has this limit.
        let lr = 2.0 * self.lr / room;
        match self.ascent {
            _ if !self.perturbs() => Some(gd_edge(lr)),
            _ if self.micro_batch > 0 => None,
            Ascent::Sam => Some(sam_edge(lr, self.rho, grad_norm)),
            Ascent::Usam => Some(usam_edge(lr, self.rho, self.ascent_steps)),
            Ascent::Asam { .. } => None,
        }
    }

    /// Why an eigenvalue cannot be compared with [`Self::edge`], if it cannot.
    pub fn no_edge(&self, grad_norm: f64) -> Option<NoEdge> {
        match self.edge(grad_norm) {
            None => Some(NoEdge::Unknown),
            Some(edge) if edge > 0.0 => None,
            Some(_) if self.unperturbed().edge(grad_norm) == Some(0.0) => Some(NoEdge::Decay),
            Some(_) => Some(NoEdge::ZeroGradient),
        }
    }

    /// The name of the edge: its formula, or the method for a rule with a perturbation.
    pub fn edge_name(&self) -> String {
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

    /// The gauge η(h(λ) + c)/S of an eigenvalue: stable below 1, and 1 at [`Self::edge`]; `None` where that is `None`.
    pub fn gauge(&self, grad_norm: f64, lambda: f64) -> Option<f64> {
        let lr = 2.0 * self.lr / self.limit();
        let decay = lr / 2.0 * self.weight_decay;
        match self.ascent {
            _ if !self.perturbs() => Some(gauge(lr, 0.0, grad_norm, lambda) + decay),
            _ if self.micro_batch > 0 => None,
            Ascent::Sam => Some(gauge(lr, self.rho, grad_norm, lambda) + decay),
            Ascent::Usam => Some(lr / 2.0 * usam_curvature(self.rho, self.ascent_steps, lambda) + decay),
            Ascent::Asam { .. } => None,
        }
    }

    /// S
    fn limit(&self) -> f64 {
        momentum_limit(self.momentum, self.nesterov)
    }
}
