//! The update operator M of rules that mix the modes of a quadratic: an update is −ηMw, and on a two-cycle the gauge is 1.
//!
//! On L = ½wᵀHw every rule here makes an odd step w⁺(−w) = −w⁺(w). So a cycle of two points ±w has −w = w − ηMw: w is an
//! eigenvector of M at 2/η, which is the gauge 1. An adaptive base divides by a diagonal P, which such a cycle leaves as
//! it is; with its running mean of gradients, which alternate, w is an eigenvector of P⁻¹M at its own edge. Predictions come from matrices in float64 that are written out here;
//! they share no code with the operator.

use std::sync::Arc;

use super::toys::{Around, MODES, Regression, Toy};
use super::{Check, ROUNDING, TheoryError, TheorySection};
use crate::curvature::{EigenOptions, FnOperator, Operator, Order, lanczos};
use crate::data::{Examples, Features};
use crate::device::Device;
use crate::model::Loss;
use crate::optim::{Ascent, Base, Rule, UpdateProducts};

/// The examples, with short float32 forms. Two groups of two have Hessians of their own.
const ROWS: [[f64; MODES]; 4] =
    [[2.5, 0.5, -1.0, 0.25], [1.5, 2.0, 0.5, -0.5], [0.5, -1.5, 1.75, 1.0], [-0.75, 0.25, 1.0, 1.5]];
const START: [f64; MODES] = [0.75, -0.5, 0.25, 1.0];
/// The largest eigenvalue of the Hessian is 3.28, so 2/η is above it.
const LR: f64 = 0.5;
/// β₂ and ε of adaptive bases.
const BETA2: f64 = 0.9;
const EPS: f64 = 0.25;
/// Updates until the run is on its cycle.
const SETTLE: usize = 600;
/// Each of some ten operations on four modes rounds, and a cycle adds up its own: five times that of one mode.
const TOLERANCE: f64 = 5.0 * ROUNDING;

type Matrix = [[f64; MODES]; MODES];

pub(super) fn sections(device: &Device) -> Result<Vec<TheorySection>, TheoryError> {
    let sam = Rule { epsilon: 0.0, ..Rule::sam(LR, 0.125) };
    let rmsprop = Base::RmsProp { beta2: BETA2, eps: EPS };
    let adam = |beta1: f64, decoupled: bool| Base::Adam { beta1, beta2: BETA2, eps: EPS, decoupled };
    let cases = [
        ("SAM, 3 steps of ascent", Rule { ascent_steps: 3, ..sam }),
        ("ASAM, eta 0.25", Rule { ascent: Ascent::Asam { eta: 0.25, biases: true }, ..sam }),
        ("m-SAM, groups of 2", Rule { micro_batch: 2, ..sam }),
        ("RMSProp, 2/η", Rule { base: rmsprop, rho: 0.0, ..sam }),
        ("SAM over RMSProp, 2/η", Rule { base: rmsprop, ..sam }),
        ("Adam, (2 + 2β₁)/((1 − β₁)η)", Rule { base: adam(0.125, false), rho: 0.0, ..sam }),
        ("SAM over Adam, (2 + 2β₁)/((1 − β₁)η)", Rule { base: adam(0.5, false), lr: 0.125, ..sam }),
        (
            "SAM over AdamW, c = 0.5, (1 + β₁)(2 − ηc)/((1 − β₁)η)",
            Rule { base: adam(0.5, true), weight_decay: 0.5, ..sam },
        ),
    ];
    cases.into_iter().map(|(what, rule)| section(device, what, rule)).collect()
}

fn section(device: &Device, what: &str, rule: Rule) -> Result<TheorySection, TheoryError> {
    let numbers = ROWS.iter().flatten().map(|&x| x as f32).collect();
    let data = Examples::new(Features::Real(numbers), [MODES], vec![0; ROWS.len()], 1).expect("four rows of numbers");
    let mut toy = Toy::new(device, Arc::new(Regression), Loss::Output, &data, rule.micro_batch)?;
    let run = toy.start(rule, &START)?;
    let around = run.around()?;
    let after = run.advance(1)?;
    let operator = update_operator(&rule, &START);
    let (p, m) = first_preconditioner(&rule, &times(&operator, &START));
    let shrink = if p.is_some() { rule.lr * rule.weight_decay } else { 0.0 };
    let mut checks: Vec<Check> = (0..MODES)
        .map(|i| {
            let image = m * times(&operator, &START)[i] / p.map_or(1.0, |p| p[i]);
            let label = if p.is_some() {
                format!("w{0}⁺ = (1 − ηc)w{0} − η(P⁻¹m){0}", i + 1)
            } else {
                format!("w{0}⁺ − w{0} = −η(Mw){0}", i + 1)
            };
            Check::new(label, -rule.lr * image - shrink * START[i], after[i] - START[i], TOLERANCE)
        })
        .collect();
    let predicted = match p {
        Some(p) => std::array::from_fn(|i| std::array::from_fn(|j| operator[i][j] / (p[i] * p[j]).sqrt())),
        None => operator,
    };
    let measured = sharpness(&mut toy, rule, &START, &around)?;
    let label = if p.is_some() { "λ_max(P^-½MP^-½) from products" } else { "λ_max(M) from products" };
    checks.push(Check::new(label, top(&predicted)?, measured, TOLERANCE));
    let run = toy.start(rule, &START)?;
    let here = run.advance(SETTLE)?;
    let around = run.around()?;
    let next = run.advance(1)?;
    let largest = (0..MODES).fold(0, |most, i| if here[i].abs() > here[most].abs() { i } else { most });
    checks.push(Check::new("two-cycle: w⁺/w", -1.0, next[largest] / here[largest], TOLERANCE));
    let measured = sharpness(&mut toy, rule, &here, &around)?;
    checks.push(Check::new("gauge there", 1.0, rule.gauge(measured), TOLERANCE));
    Ok(TheorySection { title: format!("the update operator: {what} (η {}, ρ {})", rule.lr, rule.rho), checks })
}

/// P of the first update by an adaptive base, with m as a multiple of the gradient d, which is 1 for RMSProp.
fn first_preconditioner(rule: &Rule, d: &[f64; MODES]) -> (Option<[f64; MODES]>, f64) {
    match rule.base {
        Base::Sgd | Base::Flow => (None, 1.0),
        Base::RmsProp { beta2, eps } => (Some(d.map(|d| (1.0 - beta2).sqrt() * d.abs() + eps)), 1.0),
        // m̂ = d and ν̂ = d².
        Base::Adam { beta1, eps, .. } => (Some(d.map(|d| (1.0 - beta1) * (d.abs() + eps))), 1.0 - beta1),
    }
}

/// λ_max of the update operator at these parameters, from products on the device.
fn sharpness(toy: &mut Toy, rule: Rule, w: &[f64], around: &Around) -> Result<f64, TheoryError> {
    toy.put(w)?;
    let mut products = UpdateProducts::new(&mut toy.objective, rule, &toy.w, rule.micro_batch, false)?;
    let climbs = products.climbs(&toy.objective, w, around.grad_norm)?;
    largest(&mut products.linearise(climbs, w, around.preconditioner.as_deref())?)
}

fn largest(operator: &mut dyn Operator) -> Result<f64, TheoryError> {
    let options = EigenOptions { order: Order::Algebraic, tol: 1e-7, ..EigenOptions::default() };
    Ok(lanczos(operator, None, &options)?.pairs[0].value)
}

/// λ_max of a matrix.
fn top(matrix: &Matrix) -> Result<f64, TheoryError> {
    largest(&mut FnOperator::new(MODES, |v: &[f64], out: &mut [f64]| {
        out.copy_from_slice(&times(matrix, v));
        Ok(())
    }))
}

fn times(matrix: &Matrix, v: &[f64]) -> [f64; MODES] {
    std::array::from_fn(|i| (0..MODES).map(|j| matrix[i][j] * v[j]).sum())
}

/// M at w, column by column.
fn update_operator(rule: &Rule, w: &[f64; MODES]) -> Matrix {
    let group = if rule.micro_batch > 0 { rule.micro_batch } else { ROWS.len() };
    let mut all = [[0.0; MODES]; MODES];
    for rows in ROWS.chunks(group) {
        let hessian: Matrix = std::array::from_fn(|i| {
            std::array::from_fn(|j| rows.iter().map(|x| x[i] * x[j]).sum::<f64>() / rows.len() as f64)
        });
        let t: [f64; MODES] = match rule.ascent {
            Ascent::Asam { eta, .. } => w.map(|w| w.abs() + eta),
            Ascent::Sam | Ascent::Usam => [1.0; MODES],
        };
        // The columns of M climb with w: each step adds cHT² times the gradient.
        let mut gradient = times(&hessian, w);
        let mut columns = hessian;
        for _ in 0..rule.ascent_steps {
            let norm = (0..MODES).map(|i| (t[i] * gradient[i]).powi(2)).sum::<f64>().sqrt();
            let factor = rule.rho / rule.ascent_steps as f64 / norm;
            let climbed = |g: &[f64; MODES]| -> [f64; MODES] {
                let step = times(&hessian, &std::array::from_fn::<f64, MODES, _>(|i| t[i] * t[i] * g[i]));
                std::array::from_fn(|i| g[i] + factor * step[i])
            };
            gradient = climbed(&gradient);
            columns = columns.map(|column| climbed(&column));
        }
        let share = rows.len() as f64 / ROWS.len() as f64;
        // M is symmetric, so its columns are its rows.
        for (sum, row) in all.iter_mut().flatten().zip(columns.iter().flatten()) {
            *sum += share * row;
        }
    }
    all
}
