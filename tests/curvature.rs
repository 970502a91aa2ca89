//! The eigensolvers against matrices whose spectrum is known by construction.
//!
//! A matrix is Q Λ Qᵀ with Q a product of random reflections, applied without ever forming it; what a solver reports is
//! checked with products of that matrix, never with the solver's own numbers.

use edgewalk::curvature::edge::alignment;
use edgewalk::curvature::{
    CurvatureError, EigenOptions, FnOperator, Operator, Spectrum, Track, lanczos, power_iteration,
};

type Solver = fn(&mut dyn Operator, Option<&Track>, &EigenOptions) -> Result<Spectrum, CurvatureError>;
const SOLVERS: [(&str, Solver); 2] = [("lanczos", lanczos), ("power", power_iteration)];

/// Q Λ Qᵀ.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) values: Vec<f64>,
    reflections: Vec<Vec<f64>>,
}

impl Known {
    pub(crate) fn new(values: Vec<f64>, seed: u64) -> Self {
        let reflections = (0..6).map(|i| noise(values.len(), seed * 10 + i)).collect();
        Self { values, reflections }
    }

    /// The same matrix with its eigenvectors turned a little, by one reflection along v and one near v.
    pub(crate) fn turned(&self, by: f64, seed: u64) -> Self {
        let mut moved = self.clone();
        let v = noise(self.values.len(), seed);
        let near = v.iter().zip(noise(v.len(), seed + 1)).map(|(a, b)| a + by * b).collect();
        moved.reflections.extend([v, near]);
        moved
    }

    pub(crate) fn product(&self, v: &[f64]) -> Vec<f64> {
        let mut x = v.to_vec();
        self.reflections.iter().rev().for_each(|r| reflect(r, &mut x));
        x.iter_mut().zip(&self.values).for_each(|(x, value)| *x *= value);
        self.reflections.iter().for_each(|r| reflect(r, &mut x));
        x
    }

    /// The eigenvector of `values[i]`.
    pub(crate) fn vector(&self, i: usize) -> Vec<f64> {
        let mut e = vec![0.0; self.values.len()];
        e[i] = 1.0;
        self.reflections.iter().for_each(|r| reflect(r, &mut e));
        e
    }

    pub(crate) fn operator(&self) -> impl Operator {
        FnOperator::new(self.values.len(), |v: &[f64], out: &mut [f64]| {
            out.copy_from_slice(&self.product(v));
            Ok(())
        })
    }

    pub(crate) fn solve(&self, solver: Solver, start: Option<&Track>, options: &EigenOptions) -> Spectrum {
        solver(&mut self.operator(), start, options).unwrap()
    }

    /// How far the nearest eigenvalue is.
    pub(crate) fn distance(&self, value: f64) -> f64 {
        self.values.iter().fold(f64::INFINITY, |near, x| near.min((x - value).abs()))
    }

    /// Reported residuals, unit length, orthogonality and convergence flags are what they claim to be.
    pub(crate) fn check_claims(&self, found: &Spectrum, tol: f64, case: &str) {
        let largest = self.values.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        for (i, pair) in found.pairs.iter().chain(&found.bottom).enumerate() {
            let image = self.product(&pair.vector);
            let gap: f64 = image.iter().zip(&pair.vector).map(|(a, v)| (a - pair.value * v).powi(2)).sum();
            assert!(
                (gap.sqrt() - pair.residual).abs() <= 1e-12 * largest,
                "{case}: residual {i}: {} {}",
                gap.sqrt(),
                pair.residual
            );
            // Allowed: tol |θ|, for small θ a thousandth of tol |θ₁|, for the lowest a tenth, and rounding.
            let floor = if i < found.pairs.len() { 1e-3 } else { 0.1 };
            let allowed = tol * pair.value.abs().max(floor * largest) + 1e-13 * largest;
            assert!(!pair.converged || gap.sqrt() <= allowed, "{case}: pair {i} is not converged");
            // Some eigenvalue is within the error, up to rounding; and so within the residual.
            let off = self.distance(pair.value);
            assert!(pair.error <= pair.residual, "{case}: {pair:?}");
            assert!(off <= pair.error + 1e-13 * largest, "{case}: {off} {} {}", pair.error, pair.residual);
            assert!((dot(&pair.vector, &pair.vector) - 1.0).abs() < 1e-12, "{case}: length of {i}");
        }
        for side in [&found.pairs, &found.bottom] {
            for (i, pair) in side.iter().enumerate() {
                for other in &side[..i] {
                    let overlap = dot(&pair.vector, &other.vector);
                    assert!(overlap.abs() < 1e-12, "{case}: {overlap}");
                }
            }
        }
    }
}

fn reflect(r: &[f64], x: &mut [f64]) {
    let c = 2.0 * dot(r, x) / dot(r, r);
    x.iter_mut().zip(r).for_each(|(x, r)| *x -= c * r);
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Reproducible numbers in −1..1 (SplitMix64).
pub(crate) fn noise(len: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    (0..len)
        .map(|_| {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        })
        .collect()
}

pub(crate) fn options(top: usize, tol: f64) -> EigenOptions {
    EigenOptions { top, tol, max_iterations: 20_000, seed: 3, ..Default::default() }
}

/// A few outliers over a decaying bulk, as a network's Hessian has.
pub(crate) fn outliers(n: usize) -> Vec<f64> {
    (0..n).map(|i| if i < 5 { 10.0 - i as f64 } else { 3.0 / (i as f64 - 4.0) * (-1.0_f64).powi(i as i32) }).collect()
}

#[test]
fn both_solvers_find_known_spectra() {
    let opposite = [&[4.0, -4.0][..], &[0.5; 60]].concat();
    let clustered = [&[12.0, 11.999, 11.998][..], &outliers(80)].concat();
    let cases = [
        ("outliers", outliers(300), 3),
        ("mixed signs", vec![-7.0, 5.0, 3.0, 1.0, -0.2, 0.1], 3),
        ("opposite signs", opposite, 2),
        ("clustered", clustered, 3),
        ("degenerate", [[5.0; 3].to_vec(), vec![1.0; 40]].concat(), 4),
        ("rank deficient", [vec![3.0, -2.0], vec![0.0; 90]].concat(), 4),
        ("identity", vec![1.0; 70], 3),
        ("zero", vec![0.0; 50], 2),
        ("one dimension", vec![-2.5], 1),
        ("more than there are", vec![3.0, -1.0], 5),
        ("huge", vec![1e120, 1e119, 3e118, -1e118], 2),
    ];
    for (name, values, top) in cases {
        // The eigenvalues are listed by falling magnitude.
        let mut want = values[..top.min(values.len())].to_vec();
        want.sort_by(f64::total_cmp);
        let matrix = Known::new(values, 1);
        for (method, solver) in SOLVERS {
            let case = format!("{method}, {name}");
            let found = matrix.solve(solver, None, &options(top, 1e-9));
            assert_eq!(found.pairs.len(), want.len(), "{case}");
            matrix.check_claims(&found, 1e-9, &case);
            // λ and −λ may come in either order, so both lists are sorted by value.
            let mut got: Vec<f64> = found.pairs.iter().map(|pair| pair.value).collect();
            got.sort_by(f64::total_cmp);
            for (got, want) in got.iter().zip(&want) {
                let error = (got - want).abs();
                assert!(error <= 1e-8 * matrix.values[0].abs(), "{case}: {got} for {want}");
            }
            assert!(found.pairs.iter().all(|pair| pair.converged), "{case}: {}", found.products);
        }
    }
}

#[test]
fn restarts_keep_what_was_found() {
    // No gap worth the name: the basis (24 vectors for two pairs) fills and restarts many times over.
    let n = 400;
    let matrix = Known::new((0..n).map(|i| (i as f64 * 0.5 * std::f64::consts::PI / n as f64).cos()).collect(), 2);
    let found = matrix.solve(lanczos, None, &options(2, 1e-8));
    assert!(found.products > 60, "{}", found.products);
    matrix.check_claims(&found, 1e-8, "no gap");
    for (i, pair) in found.pairs.iter().enumerate() {
        assert!(pair.converged && (pair.value - matrix.values[i]).abs() < 1e-10, "{} {}", pair.value, matrix.values[i]);
    }
}

#[test]
fn lambda_min_is_an_upper_bound_that_is_tight_when_negative_curvature_is_large() {
    let mut values = outliers(300);
    values[299] = -6.0;
    let matrix = Known::new(values, 4);
    let found = matrix.solve(lanczos, None, &options(5, 1e-6));
    let low = found.lambda_min;
    assert!(low.value >= -6.0 - 1e-12 && low.value < -5.99, "{low:?}");
    // Some eigenvalue lies within the residual of any Ritz value.
    assert!((low.value + 6.0).abs() <= low.residual + 1e-12, "{low:?}");
}

#[test]
fn stopping_short_is_reported_and_not_an_error() {
    let matrix = Known::new(outliers(300), 5);
    for (method, solver) in SOLVERS {
        let short = EigenOptions { max_iterations: 4, ..options(2, 1e-9) };
        let found = matrix.solve(solver, None, &short);
        assert_eq!((found.products, found.pairs.len()), (4, 2), "{method}");
        assert!(found.pairs.iter().any(|pair| !pair.converged), "{method}");
        matrix.check_claims(&found, 1e-9, method);
    }
    // One vector cannot tell λ from −λ, and must not pretend to.
    let opposite = Known::new(vec![2.0, -2.0, 0.1], 6);
    let found = opposite.solve(power_iteration, None, &EigenOptions { max_iterations: 200, ..options(1, 1e-6) });
    assert!(!found.pairs[0].converged);
}

#[test]
fn warm_start_saves_products() {
    for top in [1, 3, 5] {
        let matrix = Known::new(outliers(2000), 7);
        let before = matrix.solve(lanczos, None, &options(top, 1e-3));
        let moved = matrix.turned(0.01, 70);
        let cold = moved.solve(lanczos, None, &options(top, 1e-3));
        let warm = moved.solve(lanczos, Some(&before.track), &options(top, 1e-3));
        moved.check_claims(&warm, 1e-3, "warm");
        for (pair, want) in warm.pairs.iter().zip(&moved.values) {
            assert!(pair.converged && (pair.value - want).abs() < 1e-3 * want, "{} {want}", pair.value);
        }
        println!("top {top}: {} products cold, {} warm", cold.products, warm.products);
        assert!(warm.products < cold.products, "top {top}: {} {}", warm.products, cold.products);
        let power = |start: Option<&Track>| moved.solve(power_iteration, start, &options(top, 1e-3)).products;
        assert!(power(Some(&before.track)) < power(None));
    }
}

#[test]
fn warm_start_sees_a_runner_up_overtake() {
    let mut matrix = Known::new(outliers(50_000), 8);
    let before = matrix.solve(lanczos, None, &options(1, 1e-3));
    // In so many dimensions the random part of a start has next to nothing along this vector.
    matrix.values[1] = 10.5;
    let after = matrix.solve(lanczos, Some(&before.track), &options(1, 1e-3));
    assert!((after.pairs[0].value - 10.5).abs() < 1e-3, "{}", after.pairs[0].value);
    assert!(alignment(&after.pairs[0].vector, &matrix.vector(1)) > 0.999);
}

#[test]
fn float32_products_converge_to_what_they_can_resolve() {
    let matrix = Known::new(outliers(1000), 9);
    let mut operator = FnOperator::new(1000, |v: &[f64], out: &mut [f64]| {
        out.iter_mut().zip(matrix.product(v)).for_each(|(o, x)| *o = f64::from(x as f32));
        Ok(())
    });
    let found = lanczos(&mut operator, None, &options(5, 1e-5)).unwrap();
    for (pair, want) in found.pairs.iter().zip(&matrix.values) {
        assert!(pair.converged && (pair.value - want).abs() < 1e-5, "{} {want}", pair.value);
    }
}

#[test]
fn same_seed_same_bits() {
    let matrix = Known::new(outliers(500), 10);
    let solve = || matrix.solve(lanczos, None, &options(3, 1e-6));
    assert_eq!(solve(), solve());
}

#[test]
fn bad_input_is_refused_with_advice() {
    for (_, solver) in SOLVERS {
        let run = |start: Option<&Track>, options: EigenOptions, fill: f64| {
            let mut operator = FnOperator::new(3, move |_: &[f64], out: &mut [f64]| {
                out.fill(fill);
                Ok(())
            });
            solver(&mut operator, start, &options).unwrap_err()
        };
        let nan = run(None, options(1, 1e-3), f64::NAN);
        assert!(matches!(nan, CurvatureError::NonFinite { product: 1 }));
        assert!(nan.to_string().contains("let it diverge"));
        let overflow = run(None, options(1, 1e-3), f64::INFINITY);
        assert!(matches!(overflow, CurvatureError::NonFinite { .. }));
        for (bad, field) in [
            (options(0, 1e-3), "top"),
            (options(1, f64::NAN), "tol"),
            (EigenOptions { max_iterations: 1, ..options(2, 1e-3) }, "max_iterations"),
            (EigenOptions { block: 0, ..options(1, 1e-3) }, "block"),
            (EigenOptions { above: Some(f64::NAN), ..options(1, 1e-3) }, "above"),
        ] {
            let error = run(None, bad, 1.0);
            assert!(matches!(error, CurvatureError::Option { name, .. } if name == field));
        }
        let other = Known::new(vec![2.0, 1.0], 1).solve(solver, None, &options(1, 1e-3));
        let short = run(Some(&other.track), options(1, 1e-3), 1.0);
        assert!(matches!(short, CurvatureError::Start { len: 2, dim: 3 }));
        let mut failing =
            FnOperator::new(3, |_: &[f64], _: &mut [f64]| Err(CurvatureError::Operator("device lost".into())));
        let error = solver(&mut failing, None, &options(1, 1e-3)).unwrap_err();
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "device lost");
        let mut empty = FnOperator::new(0, |_: &[f64], _: &mut [f64]| Ok(()));
        assert!(matches!(solver(&mut empty, None, &options(1, 1e-3)), Err(CurvatureError::Option { name: "dim", .. })));
    }
}
