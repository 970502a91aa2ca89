//! An update rule in words and as a formula.

use crate::config::{Config, LrSchedule, OptimBase, OptimConfig, OptimKind};
use crate::text::{counted, digits};

/// The rule in a sentence, and its update.
pub(super) fn optimizer(config: &Config) -> (String, String) {
    let o = &config.optim;
    let number = |x: f64| digits(x, 6);
    let perturbs = o.perturbs();
    let base = match o.base {
        OptimBase::Sgd => "",
        OptimBase::RmsProp => "RMSProp (Tieleman and Hinton 2012)",
        OptimBase::Adam => "Adam (Kingma and Ba 2015)",
        OptimBase::AdamW => "AdamW (Loshchilov and Hutter 2019)",
    };
    let name = match o.kind {
        OptimKind::Flow => "Gradient flow by the Runge–Kutta method of order 4",
        _ if !perturbs && o.is_adaptive() => base,
        _ if !perturbs => "Gradient descent",
        OptimKind::Gd | OptimKind::Sam => "Sharpness-aware minimisation (SAM, Foret et al. 2021)",
        OptimKind::Usam => "SAM without normalisation (Agarwala and Dauphin 2023)",
        OptimKind::Asam => "Adaptive SAM (Kwon et al. 2021)",
    };
    let over = if perturbs && o.is_adaptive() { format!(" over {base}") } else { String::new() };
    let mut sentence = format!("{name}{over} with learning rate η = {}", number(o.lr));
    if perturbs {
        sentence += &format!(", radius ρ = {}", number(o.rho));
    }
    if o.momentum > 0.0 {
        sentence +=
            &format!(", {} momentum β = {}", if o.nesterov { "Nesterov's" } else { "Polyak's" }, number(o.momentum));
    }
    if o.weight_decay > 0.0 {
        sentence += &format!(", weight decay c = {}", number(o.weight_decay));
    }
    sentence += &match o.base {
        OptimBase::Sgd => String::new(),
        OptimBase::RmsProp => format!(", β₂ = {}, ε = {}", number(o.beta2), number(o.eps)),
        OptimBase::Adam | OptimBase::AdamW => {
            format!(", β₁ = {}, β₂ = {}, ε = {}", number(o.beta1), number(o.beta2), number(o.eps))
        }
    };
    sentence += ".";
    sentence += &learning_rate(o);
    if perturbs {
        if o.ascent_steps > 1 {
            let each = number(o.rho / o.ascent_steps as f64);
            sentence += &format!(
                " The perturbation is made in {} steps of {each}, each along the gradient where it stands.",
                o.ascent_steps
            );
        }
        if o.micro_batch > 0 {
            sentence +=
                &format!(" Groups of {} have perturbations of their own (m-SAM).", counted(o.micro_batch, "example"));
        }
        if o.sam_from > 0 || o.sam_until > 0 {
            let until = if o.sam_until > 0 { format!(" and before update {}", o.sam_until) } else { String::new() };
            sentence += &format!(" Updates from {} on{until} are perturbed, the others plain.", o.sam_from);
        }
    }
    let e = match o.kind {
        _ if !perturbs => "",
        OptimKind::Gd | OptimKind::Flow | OptimKind::Sam => "e = ρ g/(‖g‖ + ε)",
        OptimKind::Usam => "e = ρ g",
        OptimKind::Asam if o.asam_biases => "e = ρ T²g/(‖Tg‖ + ε), T = diag(|w| + asam_eta)",
        OptimKind::Asam => "e = ρ T²g/(‖Tg‖ + ε), T = diag(|w| + asam_eta) for weights and 1 for biases",
    };
    let gradient = if perturbs { "∇L(w + e)" } else { "∇L(w)" };
    let decays = o.weight_decay > 0.0;
    let decayed = if decays && o.base != OptimBase::AdamW { format!("{gradient} + c w") } else { gradient.to_owned() };
    let moments = "m ← β₁m + (1 − β₁)d, ν ← β₂ν + (1 − β₂)d²";
    let quotient = "η (m/(1 − β₁ᵗ))/(√(ν/(1 − β₂ᵗ)) + ε)";
    if o.kind == OptimKind::Flow {
        return (sentence, "dw/dt = −∇L(w), in steps η of time".to_owned());
    }
    let update = match (o.base, o.momentum > 0.0, o.nesterov) {
        (OptimBase::Sgd, false, _) if decays => format!("w ← w − η ({decayed})"),
        (OptimBase::Sgd, false, _) => format!("w ← w − η {decayed}"),
        (OptimBase::Sgd, true, false) => format!("d = {decayed}, v ← βv + d, w ← w − η v"),
        (OptimBase::Sgd, true, true) => format!("d = {decayed}, v ← βv + d, w ← w − η (d + βv)"),
        (OptimBase::RmsProp, ..) => format!("d = {decayed}, ν ← β₂ν + (1 − β₂)d², w ← w − η d/(√ν + ε)"),
        (OptimBase::AdamW, ..) if decays => format!("d = {decayed}, {moments}, w ← (1 − ηc)w − {quotient}"),
        (OptimBase::Adam | OptimBase::AdamW, ..) => format!("d = {decayed}, {moments}, w ← w − {quotient}"),
    };
    let formula = if perturbs { format!("{update},  where g = ∇L(w) and {e}") } else { update };
    (sentence, formula)
}

/// The schedule of the learning rate in words, if there is one.
fn learning_rate(o: &OptimConfig) -> String {
    let warmup = match o.warmup {
        0 => String::new(),
        updates => format!(" It rises along a straight line through {}.", counted(updates, "update")),
    };
    let then = match o.schedule {
        LrSchedule::Constant => String::new(),
        LrSchedule::Cosine | LrSchedule::Linear => {
            let course = if o.schedule == LrSchedule::Cosine { "half a cosine" } else { "a straight line" };
            format!(" It falls along {course}, to {} at update {}.", digits(o.final_lr, 6), o.decay_steps)
        }
        LrSchedule::Step => {
            let every = counted(o.drop_every, "update");
            format!(" After every {every} it is multiplied by {}.", digits(o.drop_factor, 6))
        }
        LrSchedule::Edge => {
            let gauge = digits(o.target_gauge, 6);
            format!(" It is the largest: every measurement sets η so that the gauge is {gauge}.")
        }
        LrSchedule::InverseSqrt => " It falls as 1/√t over the updates t.".to_owned(),
    };
    warmup + &then
}
