//! Every update rule against the same rule written again in float64, on the network of `reference_mlp`.

use std::fs;
use std::sync::Arc;

use edgewalk::curvature::edge::felt_curvature;
use edgewalk::data::Examples;
use edgewalk::folder::tables::read_curvature;
use edgewalk::model::{Activation, Layout, Loss, Mlp, Reduction, params_from_safetensors};
use edgewalk::objective::Objective;
use edgewalk::optim::{Ascent, Base, Decay, Moment, Optimizer, Rule, Schedule};
use nalgebra::DVector;
use safetensors::SafeTensors;

use super::device::{relative_error, the_device};
use super::objective_cases::{OnDevice, close, mnist, reference, some_params, widen};
use super::reference_mlp;
use super::training::{train, write_init};

const EXAMPLES: usize = 100;
const STEPS: u64 = 30;
/// Examples of a group of m-SAM: two groups and a smaller one.
const GROUP: usize = 40;

/// A smooth network, so that float32 and float64 stay together.
fn mlp() -> Mlp {
    Mlp { inputs: 784, width: 16, depth: 3, outputs: 10, activation: Activation::Tanh }
}

const LOSS: Loss = Loss::Mse(Reduction::Mean);

/// The gradient at the top of the climb from `w`.
fn perturbed_gradient(mlp: &reference_mlp::Mlp, w: &DVector<f64>, rule: &Rule) -> DVector<f64> {
    let mut at = w.clone();
    let rho = rule.rho / rule.ascent_steps as f64;
    for _ in 0..rule.ascent_steps {
        let g = mlp.at(at.as_slice()).gradient;
        at += match rule.ascent {
            Ascent::Sam => &g * (rho / (g.norm() + rule.epsilon)),
            Ascent::Usam => &g * rho,
            Ascent::Asam { eta, .. } => {
                let t = at.map(|x| x.abs() + eta);
                let tg = t.component_mul(&g);
                t.component_mul(&tg) * (rho / (tg.norm() + rule.epsilon))
            }
        };
    }
    mlp.at(at.as_slice()).gradient
}

/// The learning rate of an update, written again.
fn learning_rate(rule: &Rule, step: u64) -> f64 {
    let Schedule { warmup, decay, until, last } = rule.schedule;
    let (t, s) = (step as f64, warmup as f64);
    let part = ((t - s) / (until as f64 - s)).min(1.0);
    rule.lr
        * match decay {
            Decay::Edge { factor, .. } => factor * if step < warmup { (t + 1.0) / s } else { 1.0 },
            _ if step < warmup => (t + 1.0) / s,
            Decay::Constant => 1.0,
            Decay::Cosine => last + (1.0 - last) * 0.5 * (1.0 + (std::f64::consts::PI * part).cos()),
            Decay::Linear => 1.0 + (last - 1.0) * part,
            Decay::Step { every, factor } => factor.powi(((step - warmup) / every) as i32),
            Decay::InverseSqrt => s.max(1.0).sqrt() / (t + 1.0).sqrt(),
        }
}

/// A run of a rule in float64.
pub struct Follower {
    whole: reference_mlp::Mlp,
    /// Each group of examples climbs by itself and counts by its size.
    groups: Vec<(reference_mlp::Mlp, f64)>,
    rule: Rule,
    step: u64,
    pub w: DVector<f64>,
    velocity: DVector<f64>,
    mean: DVector<f64>,
    squares: DVector<f64>,
}

impl Follower {
    pub fn new(mlp: &Mlp, data: &Examples, w: DVector<f64>, rule: &Rule) -> Self {
        let on = |examples: &[usize]| reference(mlp, LOSS, &data.select(examples).unwrap());
        let all: Vec<usize> = (0..data.len()).collect();
        let size = if rule.micro_batch == 0 { data.len() } else { rule.micro_batch };
        let groups = all.chunks(size).map(|group| (on(group), group.len() as f64 / data.len() as f64)).collect();
        let [velocity, mean, squares] = [0; 3].map(|_| DVector::zeros(w.len()));
        Self { whole: on(&all), groups, rule: *rule, step: 0, w, velocity, mean, squares }
    }

    /// Sets the factor of a schedule by measurements.
    pub fn hold(&mut self, held: f64) {
        let Decay::Edge { factor, .. } = &mut self.rule.schedule.decay else { panic!("another schedule") };
        *factor = held;
    }

    pub fn learning_rate(&self) -> f64 {
        learning_rate(&self.rule, self.step)
    }

    pub fn here(&self) -> reference_mlp::Linearised<'_> {
        self.whole.at(self.w.as_slice())
    }

    fn perturbs(&self) -> bool {
        let Rule { sam_from, sam_until, rho, .. } = self.rule;
        self.step >= sam_from && (sam_until == 0 || self.step < sam_until) && rho > 0.0
    }

    fn decay(&self) -> f64 {
        let is_apart = matches!(self.rule.base, Base::Adam { decoupled: true, .. });
        if is_apart { 0.0 } else { self.rule.weight_decay }
    }

    /// The gradient that the update follows, decay included.
    fn followed(&self) -> DVector<f64> {
        let gradient: DVector<f64> = if self.perturbs() {
            let of = |(group, share)| perturbed_gradient(group, &self.w, &self.rule) * share;
            self.groups.iter().map(|(group, share)| of((group, *share))).sum()
        } else {
            self.here().gradient
        };
        gradient + &self.w * self.decay()
    }

    /// ν and the diagonal P of the next update.
    fn adaptive(&self, d: &DVector<f64>) -> (DVector<f64>, DVector<f64>) {
        let t = self.step as i32 + 1;
        let after = |beta2: f64| &self.squares * beta2 + d.map(|d| d * d) * (1.0 - beta2);
        match self.rule.base {
            Base::Sgd | Base::Flow => unreachable!("no ν"),
            Base::RmsProp { beta2, eps } => (after(beta2), after(beta2).map(|nu| nu.sqrt() + eps)),
            Base::Adam { beta1, beta2, eps, .. } => {
                let p = after(beta2).map(|nu| ((nu / (1.0 - beta2.powi(t))).sqrt() + eps) * (1.0 - beta1.powi(t)));
                (after(beta2), p)
            }
        }
    }

    pub fn advance(&mut self) {
        let (d, lr) = (self.followed(), self.learning_rate());
        match self.rule.base {
            Base::Flow => {
                let slope = |w: &DVector<f64>| self.whole.at(w.as_slice()).gradient;
                let k1 = d;
                let k2 = slope(&(&self.w - &k1 * (lr / 2.0)));
                let k3 = slope(&(&self.w - &k2 * (lr / 2.0)));
                let k4 = slope(&(&self.w - &k3 * lr));
                self.w -= (k1 + k2 * 2.0 + k3 * 2.0 + k4) * (lr / 6.0);
            }
            Base::Sgd => {
                let beta = self.rule.momentum;
                self.velocity = &self.velocity * beta + &d;
                let ahead = if self.rule.nesterov { d + &self.velocity * beta } else { self.velocity.clone() };
                self.w -= ahead * lr;
            }
            Base::RmsProp { .. } => {
                let (squares, p) = self.adaptive(&d);
                self.squares = squares;
                self.w -= d.component_div(&p) * lr;
            }
            Base::Adam { beta1, decoupled, .. } => {
                let (squares, p) = self.adaptive(&d);
                self.squares = squares;
                self.mean = &self.mean * beta1 + d * (1.0 - beta1);
                let shrunk = &self.w * (if decoupled { lr * self.rule.weight_decay } else { 0.0 });
                self.w -= shrunk + self.mean.component_div(&p) * lr;
            }
        }
        self.step += 1;
    }

    /// The vectors of the state.
    fn state(&self) -> Vec<(Moment, &DVector<f64>)> {
        match self.rule.base {
            Base::Sgd if self.rule.momentum > 0.0 => vec![(Moment::Momentum, &self.velocity)],
            Base::Sgd | Base::Flow => vec![],
            Base::RmsProp { .. } => vec![(Moment::Second, &self.squares)],
            Base::Adam { .. } => vec![(Moment::First, &self.mean), (Moment::Second, &self.squares)],
        }
    }

    /// The largest eigenvalue of P^-½(M + c)P^-½ at the next update of an adaptive base with SAM of one step, or without.
    pub fn preconditioned_sharpness(&self) -> f64 {
        let here = self.here();
        let root = self.adaptive(&self.followed()).1.map(|p| 1.0 / p.sqrt());
        let climb = if self.perturbs() { self.rule.rho / (here.gradient.norm() + self.rule.epsilon) } else { 0.0 };
        let pairs = reference_mlp::top_eigenpairs(self.w.len(), 4, 400, |v| {
            let u = root.component_mul(&DVector::from_column_slice(v));
            let mut felt = here.hvp(u.as_slice());
            if climb > 0.0 {
                felt += here.hvp(felt.as_slice()) * climb;
            }
            root.component_mul(&(felt + u * self.decay()))
        });
        pairs.into_iter().map(|(value, _)| value).fold(f64::NEG_INFINITY, f64::max)
    }
}

/// `STEPS` updates in float64.
fn follow(data: &Examples, w: DVector<f64>, rule: &Rule) -> Follower {
    let mut run = Follower::new(&mlp(), data, w, rule);
    (0..STEPS).for_each(|_| run.advance());
    run
}

fn rules() -> Vec<(&'static str, Rule)> {
    let (gd, sam) = (Rule::gd(0.5), Rule::sam(0.5, 0.1));
    let usam = Rule { ascent: Ascent::Usam, rho: 0.5, ..sam };
    let asam = Rule { ascent: Ascent::Asam { eta: 0.01, biases: true }, rho: 0.5, ..sam };
    // Where a gradient is all rounding, its sign decides the first update of Adam, unless ε is larger.
    let rmsprop = Rule { base: Base::RmsProp { beta2: 0.9, eps: 1e-3 }, ..Rule::gd(0.003) };
    let adam = Rule { base: Base::Adam { beta1: 0.8, beta2: 0.99, eps: 1e-3, decoupled: false }, ..Rule::gd(0.005) };
    let adamw = Rule { base: Base::Adam { beta1: 0.8, beta2: 0.99, eps: 1e-3, decoupled: true }, ..adam };
    let warmup = Schedule { warmup: 10, ..Schedule::CONSTANT };
    let linear = Schedule { decay: Decay::Linear, until: 20, last: 0.2, ..Schedule::CONSTANT };
    let drops = Schedule { warmup: 3, decay: Decay::Step { every: 7, factor: 0.5 }, ..warmup };
    vec![
        ("GD", gd),
        ("SAM", sam),
        ("USAM", usam),
        ("ASAM", asam),
        ("ASAM, eta 0.1", Rule { ascent: Ascent::Asam { eta: 0.1, biases: true }, ..asam }),
        ("SAM, ε 0.05", Rule { epsilon: 0.05, ..sam }),
        ("SAM, 3 steps of ascent", Rule { ascent_steps: 3, rho: 0.3, ..sam }),
        ("USAM, 3 steps of ascent", Rule { ascent_steps: 3, rho: 2.0, ..usam }),
        ("ASAM, 2 steps of ascent", Rule { ascent_steps: 2, ..asam }),
        ("m-SAM, m 40", Rule { micro_batch: GROUP, ..sam }),
        ("m-SAM, m 40, ε 0.05", Rule { micro_batch: GROUP, epsilon: 0.05, ..sam }),
        ("m-SAM, m 40, 2 steps of ascent", Rule { micro_batch: GROUP, ascent_steps: 2, rho: 0.4, ..sam }),
        ("m-USAM, m 40", Rule { micro_batch: GROUP, ..usam }),
        ("m-ASAM, m 40, from 5", Rule { micro_batch: GROUP, sam_from: 5, ..asam }),
        // Where gradient descent has been for ten steps, a larger ρ is far above the edge and amplifies rounding.
        ("SAM from 10", Rule { sam_from: 10, rho: 0.03, ..sam }),
        ("SAM until 20", Rule { sam_until: 20, ..sam }),
        ("SAM from 5 until 20", Rule { sam_from: 5, sam_until: 20, ..sam }),
        ("gradient flow", Rule { base: Base::Flow, ..gd }),
        ("gradient flow with a warm-up", Rule { base: Base::Flow, schedule: warmup, ..gd }),
        ("Polyak", Rule { momentum: 0.8, lr: 0.2, ..gd }),
        ("Nesterov", Rule { momentum: 0.8, nesterov: true, lr: 0.2, ..gd }),
        ("weight decay", Rule { weight_decay: 0.1, ..gd }),
        ("SAM, Nesterov and decay", Rule { momentum: 0.8, nesterov: true, lr: 0.2, weight_decay: 0.1, ..sam }),
        ("SAM until 20, Polyak and decay", Rule { momentum: 0.5, weight_decay: 0.1, sam_until: 20, ..sam }),
        ("RMSProp", rmsprop),
        ("RMSProp, decay", Rule { weight_decay: 0.1, ..rmsprop }),
        ("Adam", adam),
        ("Adam, decay", Rule { weight_decay: 0.1, ..adam }),
        ("AdamW", Rule { weight_decay: 0.5, ..adamw }),
        ("SAM over Adam", Rule { rho: 0.2, lr: 0.002, ..adam }),
        ("ASAM over AdamW, from 5", Rule { weight_decay: 1.0, sam_from: 5, base: adamw.base, lr: 0.003, ..asam }),
        ("m-SAM over RMSProp", Rule { base: rmsprop.base, lr: 0.002, micro_batch: GROUP, ..sam }),
        ("warm-up", Rule { schedule: warmup, ..gd }),
        (
            "warm-up and cosine",
            Rule { schedule: Schedule { decay: Decay::Cosine, until: 25, last: 0.1, ..warmup }, ..gd },
        ),
        ("linear, SAM over Adam", Rule { schedule: linear, rho: 0.1, ..adam }),
        ("drops, momentum", Rule { schedule: drops, momentum: 0.8, lr: 0.2, ..gd }),
        ("inverse square root", Rule { schedule: Schedule { decay: Decay::InverseSqrt, warmup: 4, ..warmup }, ..gd }),
    ]
}

#[test]
fn every_rule_follows_its_formula() {
    let (mlp, data) = (mlp(), mnist(EXAMPLES));
    let params = some_params(&mlp, 1);
    let start = DVector::from_vec(widen(&params));
    let objective = Objective::new(the_device(), Arc::new(mlp), LOSS, &data, GROUP).unwrap();
    let mut device = OnDevice::new(objective, &params);
    let mut ends: Vec<(&str, DVector<f64>)> = vec![];
    for (name, rule) in rules() {
        let optimizer = Optimizer::new(&mut device.objective, rule, &device.w).unwrap();
        let end = |logged: bool| {
            the_device().write(&device.w, &params).unwrap();
            for (_, vector) in optimizer.state().iter() {
                the_device().write(vector, &vec![0.0_f32; vector.len()]).unwrap();
            }
            let recording = |step| if logged { optimizer.logged_step(step) } else { optimizer.step(step) }.unwrap();
            // In one go, although numbers may differ from step to step.
            let steps: Vec<_> = (0..STEPS).map(recording).collect();
            the_device().run(steps.iter().map(AsRef::as_ref)).unwrap();
            device.objective.read(optimizer.params()).unwrap()
        };
        let found = end(false);
        let run = follow(&data, start.clone(), &rule);
        let moved = |w: &[f64]| w.iter().zip(start.iter()).map(|(w, start)| w - start).collect::<Vec<_>>();
        // Thirty steps of float32 rounding.
        close(name, &moved(&widen(&found)), &moved(run.w.as_slice()), 1e-5);
        let state = run.state();
        assert_eq!(rule.state(), state.iter().map(|(moment, _)| *moment).collect::<Vec<_>>());
        for (moment, expected) in state {
            let found = device.objective.read(optimizer.state().get(moment).unwrap()).unwrap();
            close(&format!("{name}: {moment}"), &widen(&found), expected.as_slice(), 1e-5);
        }
        assert!(found == end(true), "{name}: logging changes the update");
        // No two rules end so near to one another that one would pass for the other.
        for (other, end) in &ends {
            let apart = relative_error(&moved(run.w.as_slice()), &moved(end.as_slice()));
            assert!(apart > 1e-3, "{name} and {other} do nearly the same: {apart:e}");
        }
        ends.push((name, run.w));
    }
}

#[test]
fn a_probe_shows_what_the_update_would_follow() {
    let (mlp, data) = (mlp(), mnist(EXAMPLES));
    let params = some_params(&mlp, 1);
    let reference = reference(&mlp, LOSS, &data);
    let w = DVector::from_vec(widen(&params));
    let objective = Objective::new(the_device(), Arc::new(mlp), LOSS, &data, 64).unwrap();
    let mut device = OnDevice::new(objective, &params);
    let usam = Rule { ascent: Ascent::Usam, ascent_steps: 2, sam_from: 3, ..Rule::sam(0.5, 0.5) };
    for rule in
        [usam, Rule { momentum: 0.9, ..usam }, Rule { ascent: Ascent::Asam { eta: 0.01, biases: true }, ..usam }]
    {
        let optimizer = Optimizer::new(&mut device.objective, rule, &device.w).unwrap();
        let here = reference.at(w.as_slice()).gradient;
        for (step, expected) in [(2, here.clone()), (3, perturbed_gradient(&reference, &w, &rule))] {
            the_device().run([optimizer.probe.recording(step)]).unwrap();
            let read = |buffer| widen(&device.objective.read(buffer).unwrap());
            close("∇L", &read(optimizer.probe.gradient()), here.as_slice(), 1e-5);
            close("followed", &read(optimizer.probe.update_gradient(step)), expected.as_slice(), 1e-5);
            let metrics =
                optimizer.probe.metrics(&device.objective, &the_device().read(optimizer.probe.row()).unwrap());
            close("‖g‖", &[metrics.grad_norm], &[here.norm()], 1e-6);
        }
        assert_eq!(device.objective.read::<f32>(&device.w).unwrap(), params, "a probe moves nothing");
    }
}

#[test]
fn a_run_follows_its_rule_and_leaves_what_the_next_step_needs() {
    let folder = tempfile::tempdir().unwrap();
    let (mlp, data) = (mlp(), mnist(EXAMPLES));
    let params = some_params(&mlp, 1);
    let layout = Layout::of(&mlp).unwrap();
    let init = folder.path().join("init.safetensors");
    write_init(&init, &layout, &params);
    let common = ["width=16", "depth=3", "activation=tanh", "train=100", "test=0", "steps=30", "measure.every=15"];
    let run = |name: &str, sets: &[&str]| {
        let run = train(None, &folder.path().join(name), &[&common[..], sets].concat(), Some(&init)).unwrap();
        let read = |file: &str| fs::read(run.checkpoint(STEPS).join(file)).unwrap();
        let w = widen(&params_from_safetensors(&layout, &read("params.safetensors")).unwrap());
        (w, read("state.safetensors"), read_curvature(&run.curvature()).unwrap())
    };
    let start = DVector::from_vec(widen(&params));

    let sets = ["lr=0.2", "momentum=0.8", "nesterov=true", "weight_decay=0.1", "sam_until=20", "optim.kind=usam"];
    let (w, state, rows) = run("momentum", &[&sets[..], &["rho=0.5"]].concat());
    let usam = Rule { ascent: Ascent::Usam, momentum: 0.8, nesterov: true, ..Rule::sam(0.2, 0.5) };
    let rule = Rule { weight_decay: 0.1, sam_until: 20, ..usam };
    let expected = follow(&data, start.clone(), &rule);
    close("parameters", &w, expected.w.as_slice(), 1e-5);
    let state = SafeTensors::deserialize(&state).unwrap();
    let found: Vec<f32> = bytemuck::pod_collect_to_vec(state.tensor("momentum").unwrap().data());
    close("velocity", &widen(&found), expected.velocity.as_slice(), 1e-5);
    // The edges are those of the step: perturbed until step 20.
    for row in &rows {
        let active = rule.at(row.step);
        assert_eq!(active.perturbs(), row.step < 20);
        let climb = active.climb(&[row.grad_norm]);
        assert_eq!((Some(row.sam_edge), Some(row.gd_edge)), (active.edge(&climb), rule.unperturbed().edge(&[])));
        let felt = felt_curvature(&climb, row.lambda_max.unwrap().value);
        assert_eq!((row.update_sharpness, row.gauge), (Some(felt), active.gauge(felt)));
    }
    assert_eq!(rows.iter().map(|row| row.step).collect::<Vec<_>>(), [0, 15, 30]);

    let (w, state, _) = run("m-SAM", &["lr=0.5", "rho=0.1", "micro_batch=40"]);
    let rule = Rule { micro_batch: GROUP, ..Rule::sam(0.5, 0.1) };
    close("parameters of m-SAM", &w, follow(&data, start, &rule).w.as_slice(), 1e-5);
    assert!(SafeTensors::deserialize(&state).unwrap().tensor("momentum").is_err());
}

#[test]
fn parameters_and_velocity_are_all_that_the_next_step_needs() {
    let (mlp, data) = (mlp(), mnist(EXAMPLES));
    let params = some_params(&mlp, 1);
    let objective = Objective::new(the_device(), Arc::new(mlp), LOSS, &data, GROUP).unwrap();
    let mut device = OnDevice::new(objective, &params);
    let rule = Rule { momentum: 0.9, nesterov: true, sam_from: 7, micro_batch: GROUP, ..Rule::sam(0.1, 0.1) };
    let mut run = |steps: std::ops::Range<u64>, w: &[f32], v: &[f32]| {
        let optimizer = Optimizer::new(&mut device.objective, rule, &device.w).unwrap();
        let velocity = optimizer.state().get(Moment::Momentum).unwrap();
        the_device().write(&device.w, w).unwrap();
        the_device().write(velocity, v).unwrap();
        steps.for_each(|step| the_device().run([&*optimizer.step(step).unwrap()]).unwrap());
        [optimizer.params(), velocity].map(|buffer| device.objective.read(buffer).unwrap())
    };
    let rest = vec![0.0; params.len()];
    let at_once = run(0..12, &params, &rest);
    let [w, v] = run(0..5, &params, &rest);
    assert!(run(5..12, &w, &v) == at_once, "a run that is broken off and taken up again ends elsewhere");
    assert!(run(5..12, &w, &rest) != at_once, "the velocity has no effect");
}
