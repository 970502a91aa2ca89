//! Explanations of pictures and words, for readers who know neither.

use maud::{Markup, html};

/// The explanation of a picture.
pub(crate) fn caption(stem: &str) -> &'static str {
    match stem {
        "edges" => {
            "Sharpness ‖H‖ and the largest eigenvalues of the Hessian, with the edge of gradient descent and, where the rule \
             perturbs, its own edge. Training that has reached its edge stays near it."
        }
        "edges_sam_only" => "‖H‖ beside the one edge that decides stability in this run, on a scale of its own.",
        "alignment" => {
            "How far the gradient, and the gradient that the update follows, point along the top eigenvector v₁. At the edge an \
             update overshoots along v₁, so that these gradients align with it."
        }
        "preconditioned" => {
            "The largest eigenvalue of the matrix that an update of the adaptive base feels, with its preconditioner held \
             fixed, and the edge beyond which it grows."
        }
        "oscillation" => "How far the parameters swing along v₁, beside what theory gives for a quadratic loss.",
        "drift" => {
            "How far the parameters move, an update, in the direction in which λ₁ rises (negative: towards wider minima), beside the \
             parts that theory gives."
        }
        "loss" => "The loss that is minimised, and that of the held-out examples where there are such.",
        "gradient" => {
            "The length of the gradient. The edge of SAM sinks with it: near a minimum even flat directions turn unstable."
        }
        _ => "",
    }
}

/// The words of a report, with formulas and sources.
pub(crate) fn glossary() -> Markup {
    html! {
        dl {
            dt { "Hessian H, eigenvalues λ₁, λ₂ …, sharpness ‖H‖" }
            dd {
                "H = ∇²L(w), the matrix of second derivatives of the loss. λ₁ is its eigenvalue of largest magnitude, v₁ its \
                 eigenvector, and ‖H‖ = |λ₁|: how sharply the loss bends in the direction where it bends most."
            }
            dt { "2/η, the edge of gradient descent" }
            dd {
                "A step of gradient descent multiplies the distance to a minimum along an eigenvector by 1 − ηλ. Beyond λ = 2/η that \
                 is less than −1: the steps overshoot ever further. Momentum β moves this edge to (2 + 2β)/η, or with Nesterov's to \
                 (2 + 2β)/(η + 2βη); weight decay c takes c off."
            }
            dt { "SAM-edge" }
            dd {
                "SAM follows the gradient at w + ρg/‖g‖, which multiplies the distance by 1 − ηλ − ηρλ²/‖g‖. Beyond"
                span.formula { "λ = (‖g‖/2ρ)·(√(1 + 8ρ/(η‖g‖)) − 1)" }
                "that is less than −1. This edge lies below 2/η and sinks with ‖g‖ (P. M. Long and P. L. Bartlett, “Sharpness-Aware \
                 Minimization and the Edge of Stability”, arXiv 2309.12488). SAM without normalisation has the edge \
                 (√(1 + 8ρ/η) − 1)/(2ρ)."
            }
            dt { "Edge ratio" }
            dd { "The largest eigenvalue ÷ the edge of the rule, where the rule has an edge for one eigenvalue." }
            dt { "Gauge" }
            dd {
                "With its norms held fixed, an update multiplies the distance to a minimum by 1 − ηM, where M is the update operator: H \
                 for gradient descent, H + (ρ/(‖g‖ + ε))H² for SAM. The gauge is (η/2)·λ_max(M), for every rule: a mode of gauge S \
                 is multiplied by 1 − 2S. From 0 to 1 it is stable, beyond 1 it oscillates and grows, and below 0 it escapes. \
                 A run counts as “at the edge” if the median of its gauge differs from 1 by no more than its band, which follows \
                 from the distance between its quartiles and its error bars."
            }
            dt { "Preconditioned sharpness" }
            dd {
                "An adaptive base divides the update by a diagonal P: √ν + ε for RMSProp, and (1 − β₁ᵗ)(√(ν/(1 − β₂ᵗ)) + ε) \
                 for Adam. The distance to a minimum, times P^½, is multiplied as by plain descent with P^-½MP^-½. The \
                 largest eigenvalue of that is stable up to 2/η for RMSProp, and up to (2 + 2β₁)/((1 − β₁)η) for Adam \
                 (J. Cohen et al., arXiv 2207.14484); their quotient is the gauge."
            }
            dt { "Alignment" }
            dd { "|cos(g, v₁)| = |⟨g, v₁⟩|/(‖g‖·‖v₁‖): 1 where the gradient lies along the top eigenvector, 0 where it is orthogonal to it." }
            dt { "Residual and error bar" }
            dd {
                "The relative residual of an eigenpair is ‖Hv − λv‖/|λ|, or of an eigenvalue next to nothing ‖Hv − λv‖ ÷ (‖H‖/1000). The error bar of an eigenvalue bounds its distance from \
                 the nearest eigenvalue of H, rounding included."
            }
            dt { "The second half" }
            dd { "Medians and ranges are over the steps from half of the last measured one, so that the climb to the edge does not count." }
        }
    }
}
