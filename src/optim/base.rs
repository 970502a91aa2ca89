//! What makes an update of the gradient that it follows: the gradient itself, or a quotient of running means.
//!
//! With g the followed gradient (and coupled decay) and t = 1, 2 … the updates: ν ← ν + (1 − β₂)(g² − ν), and for Adam
//! m ← m + (1 − β₁)(g − m). RMSProp moves by −η g/(√ν + ε) (T. Tieleman and G. Hinton, Coursera 2012, as in PyTorch), Adam
//! by −η m̂/(√ν̂ + ε) with m̂ = m/(1 − β₁ᵗ) and ν̂ = ν/(1 − β₂ᵗ) (D. Kingma and J. Ba, ICLR 2015), and AdamW decays w beside
//! that (I. Loshchilov and F. Hutter, ICLR 2019). Gradient flow follows the gradient at four places (`flow`).

/// See the module text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Base {
    /// The gradient, or with a momentum the velocity.
    Sgd,
    /// Gradient flow dw/dt = −∇L(w): an update is a step η of time by the classical Runge–Kutta method of order 4. It
    /// takes neither perturbation nor momentum nor weight decay.
    Flow,
    /// RMSProp, without correction of the bias.
    RmsProp {
        /// β₂ below 1.
        beta2: f64,
        /// ε above 0, which bounds the step where the gradient has always been 0.
        eps: f64,
    },
    /// Adam.
    Adam {
        /// β₁ below 1.
        beta1: f64,
        /// β₂ below 1.
        beta2: f64,
        /// As for RMSProp.
        eps: f64,
        /// Whether the weight decay acts on w itself (AdamW), and not through the gradient.
        decoupled: bool,
    },
}

impl Base {
    /// Whether it divides by running means.
    pub fn is_adaptive(self) -> bool {
        matches!(self, Self::RmsProp { .. } | Self::Adam { .. })
    }

    /// Whether weight decay acts on w itself.
    pub(super) fn decouples(self) -> bool {
        matches!(self, Self::Adam { decoupled: true, .. })
    }

    /// Its β₁, β₂ and ε, as far as it has them; otherwise 0.
    pub(super) fn numbers(self) -> [f64; 3] {
        match self {
            Self::Sgd | Self::Flow => [0.0; 3],
            Self::RmsProp { beta2, eps } => [0.0, beta2, eps],
            Self::Adam { beta1, beta2, eps, .. } => [beta1, beta2, eps],
        }
    }

    /// An element of P ([`Rule::preconditioner`](super::Rule::preconditioner)) where ν is this after the update, `age`
    /// updates after it began.
    pub(super) fn preconditioner(self, age: u64, second_moment: f64) -> Option<f64> {
        let [correction1, correction2] = self.corrections(age);
        match self {
            Self::Sgd | Self::Flow => None,
            Self::RmsProp { eps, .. } => Some(second_moment.sqrt() + eps),
            Self::Adam { eps, .. } => Some(((second_moment / correction2).sqrt() + eps) * correction1),
        }
    }

    /// 1 − β₁ᵗ and 1 − β₂ᵗ, t = `age` + 1; 1 without correction of the bias.
    pub(super) fn corrections(self, age: u64) -> [f64; 2] {
        match self {
            Self::Sgd | Self::Flow | Self::RmsProp { .. } => [1.0; 2],
            // βᵗ = exp(t ln β); β = 0 gives 0.
            Self::Adam { beta1, beta2, .. } => [beta1, beta2].map(|beta| -((age as f64 + 1.0) * beta.ln()).exp_m1()),
        }
    }

    /// Refuses numbers with which no update can be made in 32-bit floats.
    pub(super) fn check(self) -> Result<(), String> {
        let [beta1, beta2, eps] = self.numbers();
        for (name, beta) in [("beta1", beta1), ("beta2", beta2)] {
            if !(beta >= 0.0 && (beta as f32) < 1.0) {
                return Err(format!(
                    "Base.{name} = {beta:?} is out of range; it must be 0 or more, and below 1 in 32 bits"
                ));
            }
        }
        if self.is_adaptive() && !(eps as f32 > 0.0 && (eps as f32).is_finite()) {
            return Err(format!("Base.eps = {eps:?} is out of range; it must be above 0, and finite, in 32 bits"));
        }
        Ok(())
    }

    /// The formula of the edge, for an adaptive base that of the preconditioned sharpness.
    pub(super) fn edge_name(self, weight_decay: f64) -> &'static str {
        match self {
            Self::Sgd | Self::RmsProp { .. } => "2/η",
            Self::Flow => "2.785/η",
            Self::Adam { decoupled: true, .. } if weight_decay > 0.0 => "(1 + β₁)(2 − ηc)/((1 − β₁)η)",
            Self::Adam { .. } => "(2 + 2β₁)/((1 − β₁)η)",
        }
    }
}
