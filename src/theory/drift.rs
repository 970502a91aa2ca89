//! SAM drifts to wide minima: on its 2-cycle it descends the top eigenvalue along the valley.
//!
//! A step moves by −[2ηρ²/(2 − ηλ₁)²] ∇λ₁ across v₁, to leading order in ρ (Bartlett, Long and Bousquet 2023, arXiv
//! 2210.01513); ∇λ₁ = ∇(v₁ᵀHv₁) is a third-order product. Measured on a valley solved by hand, and on a network with
//! one example, whose minima are a hypersurface with the top eigenvector as its normal.

use std::sync::Arc;

use super::toys::{Toy, Valley, example};
use super::{Check, ROUNDING, TheoryError, TheorySection};
use crate::curvature::{Eigenpair, dot};
use crate::device::Device;
use crate::model::{Activation, Loss, Mlp, Reduction, initial_params};
use crate::optim::Rule;

pub(super) fn sections(device: &Device) -> Result<Vec<TheorySection>, TheoryError> {
    Ok(vec![valley(device)?, network(device)?])
}

fn rule(lr: f64, rho: f64) -> Rule {
    Rule { epsilon: 0.0, ..Rule::sam(lr, rho) }
}

/// The predicted cycle of a minimum with this λ₁, and its drift for each unit of ∇λ₁.
fn cycle(rule: &Rule, lambda: f64) -> (f64, f64) {
    let room = 2.0 - rule.lr * lambda;
    (rule.lr * rule.rho * lambda / room, -2.0 * rule.lr * (rule.rho / room).powi(2))
}

/// The top eigenpair at the parameters, and the gradient of its eigenvalue.
fn sharpness(toy: &mut Toy) -> Result<(Eigenpair, Vec<f64>), TheoryError> {
    let top = toy.spectrum(1)?.pairs.remove(0);
    let [v, result] = [toy.objective.vector("v")?, toy.objective.vector("a curvature gradient")?];
    toy.device().write(&v, &top.vector)?;
    let recording = toy.objective.curvature_grad(&toy.w, &v, &result)?;
    toy.device().run([&recording])?;
    let gradient = toy.objective.read(&result)?;
    Ok((top, gradient))
}

/// a + s b
fn plus(a: &[f64], s: f64, b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + s * b).collect()
}

/// ½(1 + y)x² at η = 0.1: a cycle in x, a drift in y.
fn valley(device: &Device) -> Result<TheorySection, TheoryError> {
    let mut toy = Toy::new(device, Arc::new(Valley), Loss::Output, &example(&[0.0]), 0)?;
    toy.put(&[0.0, 0.0])?;
    let (top, gradient) = sharpness(&mut toy)?;
    let rule = rule(0.1, 0.02);
    let (amplitude, rate) = cycle(&rule, top.value);
    let after = toy.start(rule, &[amplitude, 0.0])?.advance(2)?;
    Ok(TheorySection {
        title: "drift to wide minima: L = ½(1 + y)x² (η 0.1, ρ 0.02)".into(),
        checks: vec![
            Check::new("∂λ₁/∂y from ∇(vᵀHv)", 1.0, gradient[1], ROUNDING),
            // The next order in ρ is 1e-6 of it, by the same steps in float64.
            Check::new("Δy a step = −[2ηρ²/(2 − ηλ₁)²] ∂λ₁/∂y", rate * gradient[1], after[1] / 2.0, ROUNDING),
        ],
    })
}

/// A tanh network of 13 parameters that fits one example exactly.
fn network(device: &Device) -> Result<TheorySection, TheoryError> {
    const RHO: f64 = 0.03;
    const WARM: usize = 8;
    const STEPS: usize = 20;
    // The next order in ρ is 1e-4 of the drift, by the same steps in float64. And float32 rounds every step of 2e-4 by
    // some 1e-7 a parameter, which over 20 steps averages to 1e-4 of it.
    const TOLERANCE: f64 = 1e-3;
    let model = Mlp { inputs: 2, width: 3, depth: 2, outputs: 1, activation: Activation::Tanh };
    let mut toy = Toy::new(device, Arc::new(model), Loss::Mse(Reduction::HalfSum), &example(&[0.9, -0.5]), 0)?;
    let first: Vec<f64> = initial_params(toy.objective.layout(), 1).into_iter().map(f64::from).collect();
    // Gradient descent leads to a minimum: at this rate the residual shrinks by a constant factor.
    let minimum = toy.start(Rule::gd(0.3), &first)?.advance(200)?;
    let (top, _) = sharpness(&mut toy)?;
    let rule = rule(0.3 / top.value, RHO);
    let (amplitude, _) = cycle(&rule, top.value);
    let run = toy.start(rule, &plus(&minimum, amplitude, &top.vector))?;
    // The middle of two neighbours is free of the cycle.
    let middle = |a: &[f64], b: &[f64]| plus(a, 0.5, &plus(b, -1.0, a));
    let here = middle(&run.advance(WARM)?, &run.advance(1)?);
    let there = middle(&run.advance(STEPS - 1)?, &run.advance(1)?);
    let moved = plus(&there, -1.0, &here);

    toy.put(&middle(&here, &there))?;
    let (top, gradient) = sharpness(&mut toy)?;
    let (_, rate) = cycle(&rule, top.value);
    let across = |v: &[f64]| plus(v, -dot(v, &top.vector), &top.vector);
    let (predicted, moved) = (across(&gradient), across(&moved));
    let length = dot(&predicted, &predicted).sqrt();
    let along = dot(&moved, &predicted) / length / STEPS as f64;
    let cosine = dot(&moved, &predicted) / length / dot(&moved, &moved).sqrt();
    Ok(TheorySection {
        title: format!("drift to wide minima: a tanh network (ηλ₁ 0.3, ρ {RHO})"),
        checks: vec![
            Check::new("Δw⊥ a step along ∇λ₁: −[2ηρ²/(2 − ηλ₁)²] ‖∇λ₁‖", rate * length, along, TOLERANCE),
            Check::new("its direction: cosine with ∇λ₁", -1.0, cosine, TOLERANCE),
        ],
    })
}
