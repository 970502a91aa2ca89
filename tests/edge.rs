//! The edges of stability against arithmetic done by hand, their limits, and the identity that defines them: the gauge
//! is 1 where the eigenvalue is the edge, however large or small the arguments.

use approx::assert_abs_diff_eq;
use edgewalk::curvature::edge::{AscentSteps, alignment, felt_curvature, felt_edge, gd_edge, sam_edge};
use edgewalk::curvature::subspace_alignment;
use edgewalk::optim::{Ascent, Base, NoEdge, Rule};

#[test]
fn sam_edge_is_where_the_gauge_is_one_at_any_scale() {
    for lr in [1e-6, 0.1, 3.0] {
        for rho in [1e-12, 1e-3, 0.5, 1e6] {
            for grad_norm in [1e-300, 1e-20, 1e-3, 1.0, 1e8, 1e300] {
                let edge = sam_edge(lr, rho, grad_norm);
                // S = (η/2)(λ + ρλ²/‖g‖), in an order that does not overflow.
                let s = lr / 2.0 * edge + lr / 2.0 * edge * (rho * (edge / grad_norm));
                assert_abs_diff_eq!(s, 1.0, epsilon = 1e-14);
                assert!(edge > 0.0 && edge <= gd_edge(lr));
            }
        }
    }
}

#[test]
fn sam_edge_by_hand_and_in_its_limits() {
    // η = 1, ρ = 1, ‖g‖ = 1: (√9 − 1)/2 = 1; η = 0.1, ρ = 0.1, ‖g‖ = 1/3: 1 + 8·3 = 25, (5/3)(5 − 1) = 20/3.
    assert_eq!(sam_edge(1.0, 1.0, 1.0), 1.0);
    assert_abs_diff_eq!(sam_edge(0.1, 0.1, 1.0 / 3.0), 20.0 / 3.0, epsilon = 1e-14);
    assert_eq!(gd_edge(0.25), 8.0);
    assert_eq!(sam_edge(0.25, 0.0, 3.0), 8.0);
    assert_eq!(sam_edge(0.25, 0.0, 0.0), 8.0);
    assert_eq!(sam_edge(0.25, 0.1, 0.0), 0.0);
    // ρ → 0: 2/η − 4ρ/(η²‖g‖); ‖g‖ → 0: √(2‖g‖/(ηρ)); the textbook form loses all digits in the first.
    assert_abs_diff_eq!(sam_edge(0.25, 1e-300, 1.0), 8.0, epsilon = 1e-14);
    assert_abs_diff_eq!(sam_edge(0.25, 1e-9, 1.0), 8.0 - 64e-9, epsilon = 1e-14);
    assert_abs_diff_eq!(sam_edge(0.5, 0.25, 1e-300) / 4e-150, 1.0, epsilon = 1e-14);
    // η = 0.5, ρ = 1e300, ‖g‖ = 1e-300: the quotient 8ρ/(η‖g‖) overflows, the edge 2e-300 does not.
    assert_abs_diff_eq!(sam_edge(0.5, 1e300, 1e-300) / 2e-300, 1.0, epsilon = 1e-14);
}

#[test]
fn felt_curvature_and_alignment_by_hand() {
    let steps = |factors: &[f64]| -> Vec<AscentSteps> {
        factors.iter().map(|&factor| AscentSteps { factor, count: 1.0 }).collect()
    };
    assert_eq!(felt_curvature(&[], 4.0), 4.0);
    assert_eq!(felt_curvature(&steps(&[0.125]), 4.0), 6.0);
    // Negative curvature can be felt as positive, and two steps turn it twice.
    assert_eq!(felt_curvature(&steps(&[0.125]), -16.0), 16.0);
    assert_eq!(felt_curvature(&steps(&[0.125, 0.25]), -16.0), -48.0);
    assert_eq!(felt_curvature(&[AscentSteps { factor: 0.5, count: 3.0 }], 2.0), 16.0);
    assert_eq!(felt_curvature(&steps(&[f64::INFINITY]), 0.0), 0.0);
    assert_eq!(felt_curvature(&steps(&[f64::INFINITY]), 1.0), f64::INFINITY);
    // λ(1 + λ/8)(1 + λ/4) = 12 at λ = 4.
    assert_abs_diff_eq!(felt_edge(&steps(&[0.125, 0.25]), 12.0), 4.0, epsilon = 1e-14);
    assert_eq!((felt_edge(&[], 12.0), felt_edge(&steps(&[f64::INFINITY]), 12.0)), (12.0, 0.0));
    assert_abs_diff_eq!(alignment(&[3.0, 4.0], &[-4.0, 0.0]), 0.6, epsilon = 1e-15);
    assert_abs_diff_eq!(alignment(&[3e300, 4e300], &[1e-300, 0.0]), 0.6, epsilon = 1e-15);
    assert!(alignment(&[0.0, 0.0], &[1.0, 0.0]).is_nan());
    // What is not finite aligns with nothing, however many other entries there are.
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for v in [[bad, bad], [bad, 1.0], [1.0, bad]] {
            assert!(alignment(&v, &[1.0, 0.0]).is_nan() && alignment(&[0.0, 0.0], &v).is_nan(), "{v:?}");
            assert!(subspace_alignment(&v, &[&[1.0, 0.0]]).is_nan(), "{v:?}");
        }
    }
    assert!(alignment(&[0.1; 7], &[-0.1; 7]) <= 1.0);
}

/// Whether a mode of eigenvalue `lambda` dies out under the update, simulated at frozen norms of the gradient.
fn is_stable(rule: &Rule, norms: &[f64], lambda: f64) -> bool {
    let (mut x, mut v) = (1.0_f64, 0.0);
    for _ in 0..100_000 {
        let rho = rule.rho / rule.ascent_steps as f64;
        let mut above = x;
        for norm in norms.iter().take(rule.ascent_steps) {
            above += match rule.ascent {
                Ascent::Sam => rho * lambda * above / (norm + rule.epsilon),
                Ascent::Usam | Ascent::Asam { .. } => rho * lambda * above,
            };
        }
        let d = lambda * above + rule.weight_decay * x;
        v = rule.momentum * v + d;
        x -= rule.lr * if rule.nesterov { d + rule.momentum * v } else { v };
        if x.abs() > 1e6 {
            return false;
        }
    }
    x.abs() < 1e-6
}

#[test]
fn every_edge_parts_the_stable_from_the_unstable_and_its_gauge_is_one() {
    let sam = Rule::sam(0.1, 0.05);
    let usam = Rule { ascent: Ascent::Usam, ..sam };
    let perturbations = [
        Rule::gd(0.1),
        sam,
        usam,
        Rule { epsilon: 0.5, ..sam },
        Rule { ascent_steps: 4, ..sam },
        Rule { ascent_steps: 2, ..usam },
        Rule { ascent_steps: 7, rho: 0.9, ..usam },
    ];
    for perturbed in perturbations {
        for (momentum, nesterov) in [(0.0, false), (0.5, false), (0.9, false), (0.5, true), (0.9, true)] {
            for weight_decay in [0.0, 1.5] {
                let rule = Rule { momentum, nesterov, weight_decay, ..perturbed };
                for grad_norm in [0.02, 3.0] {
                    // The gradient may grow by any amounts on the way.
                    let norms: Vec<f64> = (0..7).map(|k| grad_norm * (1.0 + 0.3 * f64::from(k * k))).collect();
                    let climb = rule.climb(&norms);
                    let edge = rule.edge(&climb).unwrap();
                    let gauge = |lambda: f64| rule.gauge(felt_curvature(&climb, lambda));
                    assert_abs_diff_eq!(gauge(edge), 1.0, epsilon = 1e-13);
                    assert!(is_stable(&rule, &norms, edge * 0.999), "{rule:?} below its edge {edge}");
                    assert!(!is_stable(&rule, &norms, edge * 1.001), "{rule:?} above its edge {edge}");
                    assert!(gauge(edge * 0.999) < 1.0);
                }
            }
        }
    }
}

#[test]
fn the_learning_rate_of_a_gauge_has_it() {
    let sgd = Rule { momentum: 0.9, weight_decay: 0.3, ..Rule::sam(7.0, 0.1) };
    let with = |base: Base| Rule { base, weight_decay: 0.4, ..Rule::gd(7.0) };
    let adam = |decoupled: bool| with(Base::Adam { beta1: 0.9, beta2: 0.99, eps: 1e-8, decoupled });
    for rule in [Rule::gd(7.0), sgd, with(Base::RmsProp { beta2: 0.99, eps: 1e-8 }), adam(false), adam(true)] {
        for gauge in [0.3, 1.0, 1.7] {
            for felt in [0.02, 5.0, 900.0] {
                let lr = rule.lr_of_gauge(felt, gauge).unwrap();
                assert_abs_diff_eq!(Rule { lr, ..rule }.gauge(felt), gauge, epsilon = 1e-12);
            }
            assert_eq!(rule.lr_of_gauge(-1e3, gauge), None, "{rule:?}");
            assert_eq!(rule.lr_of_gauge(f64::NAN, gauge), None);
        }
    }
}

/// A step of the Runge–Kutta method multiplies a mode by the start of the series of e^(−z).
#[test]
fn gradient_flow_is_stable_up_to_its_edge() {
    let flow = Rule { base: Base::Flow, ..Rule::gd(0.2) };
    let edge = flow.edge(&[]).unwrap();
    let multiplier = |lambda: f64| {
        let z = 0.2 * lambda;
        1.0 - z + z.powi(2) / 2.0 - z.powi(3) / 6.0 + z.powi(4) / 24.0
    };
    assert_abs_diff_eq!(multiplier(edge), 1.0, epsilon = 1e-12);
    assert!((1..1000).all(|i| multiplier(edge * f64::from(i) / 1000.0).abs() < 1.0));
    assert!(multiplier(edge * 1.001) > 1.0);
    assert_abs_diff_eq!(flow.gauge(edge), 1.0, epsilon = 1e-15);
    for wrong in [Rule { rho: 0.1, ..flow }, Rule { momentum: 0.5, ..flow }, Rule { weight_decay: 0.1, ..flow }] {
        assert!(wrong.check().unwrap_err().contains("Base::Flow"));
    }
}

#[test]
fn edges_of_the_literature() {
    // (√(1 + 8ρ/η) − 1)/(2ρ) at η = 0.5, ρ = 0.25: (√5 − 1)/0.5.
    let usam = Rule { ascent: Ascent::Usam, ..Rule::sam(0.5, 0.25) };
    assert_abs_diff_eq!(usam.edge(&usam.climb(&[])).unwrap(), 2.0 * (5f64.sqrt() - 1.0), epsilon = 1e-14);
    let polyak = Rule { momentum: 0.5, ..Rule::gd(0.5) };
    assert_eq!((polyak.edge(&[]), polyak.gauge(6.0)), (Some(6.0), 1.0));
    assert_eq!(Rule { nesterov: true, ..polyak }.edge(&[]), Some(3.0));
    // SAM at its 2-cycle of amplitude ηρλ/(2 + 2β − η(λ + c)), where ‖g‖ = λa: the edge is λ.
    for (beta, c) in [(0.0, 0.0), (0.3, 0.0), (0.0, 2.0), (0.3, 2.0)] {
        let (lr, rho, lambda) = (0.1, 0.05, 12.0);
        let amplitude = lr * rho * lambda / (2.0 + 2.0 * beta - lr * (lambda + c));
        let rule = Rule { momentum: beta, weight_decay: c, epsilon: 0.0, ..Rule::sam(lr, rho) };
        assert_abs_diff_eq!(rule.edge(&rule.climb(&[lambda * amplitude])).unwrap(), lambda, epsilon = 1e-12);
    }
    // SAM's ε adds to the norm, which it matters beside: 5 % at ‖g‖ = 1e-4.
    let sam = Rule::sam(0.3, 0.07);
    assert_abs_diff_eq!(sam.edge(&sam.climb(&[1e-4])).unwrap(), sam_edge(0.3, 0.07, 1.1e-4), epsilon = 1e-12);
    assert_abs_diff_eq!(
        sam.gauge(felt_curvature(&sam.climb(&[0.2]), 5.0)),
        0.15 * (5.0 + 1.75 / 0.20001),
        epsilon = 1e-12
    );
    assert_abs_diff_eq!(Rule::gd(0.3).edge(&[]).unwrap(), gd_edge(0.3), epsilon = 1e-15);
}

#[test]
fn where_there_is_no_edge_none_is_given() {
    let asam = Rule { ascent: Ascent::Asam { eta: 0.01, biases: true }, ..Rule::sam(0.1, 0.5) };
    assert_eq!(asam.edge(&asam.climb(&[1.0])), None);
    assert_eq!(asam.unperturbed().edge(&[]), Some(20.0));
    let groups = Rule { micro_batch: 8, ..Rule::sam(0.1, 0.5) };
    assert_eq!(groups.edge(&groups.climb(&[1.0])), None);
    // Decay alone is unstable at ηc = 2.
    assert_eq!(Rule { weight_decay: 20.0, ..Rule::sam(0.1, 0.5) }.edge(&[]), Some(0.0));
    // The length of a gradient that was not given is not taken for any number.
    assert!(Rule::sam(0.1, 0.5).edge(&Rule::sam(0.1, 0.5).climb(&[])).unwrap().is_nan());
    // More steps of ascent than a float can tell apart approach λ·exp(ρλ).
    let usam = Rule { ascent: Ascent::Usam, ascent_steps: 1_000_000, ..Rule::sam(0.5, 1.0) };
    let edge = usam.edge(&usam.climb(&[])).unwrap();
    assert_abs_diff_eq!(edge * edge.exp(), 4.0, epsilon = 1e-5);
}

#[test]
fn the_schedule_says_what_is_active() {
    let rule = Rule { sam_from: 3, sam_until: 5, ..Rule::sam(0.5, 0.1) };
    let active: Vec<u64> = (0..8).filter(|&step| rule.at(step).perturbs()).collect();
    assert_eq!(active, [3, 4]);
    assert_eq!(rule.at(2).edge(&rule.at(2).climb(&[0.1])), Some(4.0));
    assert_eq!(rule.at(3), rule);
    assert!((0..8).all(|step| Rule::sam(0.5, 0.1).at(step).perturbs() && !Rule::gd(0.5).at(step).perturbs()));
    assert!(Rule { sam_from: 3, ..Rule::sam(0.5, 0.1) }.at(u64::MAX).perturbs());
}

#[test]
fn the_edge_of_many_steps_is_found_at_once_where_the_first_guess_overflows() {
    // A guess of ρλ = 4·10¹⁰, from which each step of Newton's method would take off a hundred-millionth.
    let (lr, rho, steps) = (1e-12, 1e9, f64::from(1 << 26));
    let began = std::time::Instant::now();
    let climb = [AscentSteps { factor: rho / steps, count: steps }];
    let edge = felt_edge(&climb, gd_edge(lr));
    assert!((felt_curvature(&climb, edge) / gd_edge(lr) - 1.0).abs() < 1e-6, "{edge}");
    assert!(began.elapsed().as_secs() < 2, "{:?}", began.elapsed());
}

#[test]
fn why_there_is_no_edge_is_told_apart() {
    let sam = Rule { epsilon: 0.0, ..Rule::sam(0.5, 0.1) };
    let why = |rule: Rule, grad_norm: f64| rule.no_edge(&rule.climb(&[grad_norm]));
    assert_eq!(why(sam, 1.0), None);
    assert_eq!(why(sam, 0.0), Some(NoEdge::ZeroGradient));
    assert_eq!(why(Rule { epsilon: 1e-5, ..sam }, 0.0), None);
    // Neither gradient descent nor a perturbation that is not normalised has a use for the gradient's length.
    assert_eq!(why(Rule::gd(0.5), 0.0), None);
    assert_eq!(why(Rule { ascent: Ascent::Usam, ..sam }, 0.0), None);
    assert_eq!(why(Rule { ascent: Ascent::Asam { eta: 0.01, biases: true }, ..sam }, 1.0), Some(NoEdge::Mixes));
    // lr · weight_decay = 2 + 2β, or (2 + 2β)/(1 + 2β) with Nesterov's momentum, and a little less.
    for (momentum, nesterov, limit) in [(0.0, false, 2.0), (0.5, false, 3.0), (0.5, true, 1.5)] {
        for base in [sam, Rule::gd(0.5)] {
            let rule = Rule { momentum, nesterov, ..base };
            assert_eq!(why(Rule { weight_decay: 2.0 * limit, ..rule }, 1.0), Some(NoEdge::Decay));
            assert_eq!(why(Rule { weight_decay: 1.99 * limit, ..rule }, 1.0), None);
        }
    }
    let words = [NoEdge::Mixes, NoEdge::Decay, NoEdge::ZeroGradient].map(|reason| reason.to_string());
    assert!(words[0].contains("mixes the eigenvectors") && words[1].contains("weight_decay"), "{words:?}");
    assert!(words[2].contains("the gradient is 0"), "{words:?}");
}
