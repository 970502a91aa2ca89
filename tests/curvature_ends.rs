//! Lanczos for both ends of the spectrum, in blocks, and for a set that grows, on random matrices and hard ones.

use edgewalk::curvature::{EigenOptions, FnOperator, Operator, Track, lanczos};
use nalgebra::{DMatrix, SymmetricEigen};

use super::curvature::{Known, noise, options, outliers};

fn values(pairs: &[edgewalk::curvature::Eigenpair]) -> Vec<f64> {
    pairs.iter().map(|pair| pair.value).collect()
}

fn assert_values(got: &[f64], want: &[f64], tolerance: f64, case: &str) {
    assert_eq!(got.len(), want.len(), "{case}: {got:?} for {want:?}");
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() <= tolerance, "{case}: {got} for {want}");
    }
}

/// The `count` of largest magnitude, as |λ| (λ and −λ may come in either order), and the `count` lowest.
fn ends(values: &[f64], top: usize, bottom: usize) -> (Vec<f64>, Vec<f64>) {
    let mut large: Vec<f64> = values.iter().map(|x| x.abs()).collect();
    let mut low = values.to_vec();
    large.sort_by(|a, b| b.total_cmp(a));
    low.sort_by(f64::total_cmp);
    large.truncate(top);
    low.truncate(bottom);
    (large, low)
}

#[test]
fn top_and_bottom_together_in_every_block_size() {
    let negative = (0..200).map(|i| if i < 4 { 8.0 - i as f64 } else { 4.0 - i as f64 * 0.05 }).collect::<Vec<f64>>();
    let cases = [
        ("outliers", outliers(300), 3, 2),
        ("both signs", negative, 4, 3),
        ("all negative", vec![-5.0, -4.0, -3.0, -2.0, -1.0, -0.5], 2, 3),
        ("rank deficient", [vec![3.0, -2.0, 1.0], vec![0.0; 60]].concat(), 2, 1),
        ("overlapping", vec![-9.0, 5.0, -3.0, 0.1, 0.2], 3, 2),
        ("all of them", vec![2.0, -1.0, 0.5], 3, 3),
        ("one dimension", vec![-2.5], 1, 1),
        ("zero", vec![0.0; 30], 2, 2),
        ("huge", vec![1e120, -1e119, 3e118, -1e118], 2, 1),
    ];
    for (name, list, top, bottom) in cases {
        let scale = list.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        let (large, low) = ends(&list, top, bottom);
        let matrix = Known::new(list, 3);
        for block in [1, 2, 4] {
            let case = format!("{name}, block {block}");
            let found = matrix.solve(lanczos, None, &EigenOptions { bottom, block, ..options(top, 1e-8) });
            matrix.check_claims(&found, 1e-8, &case);
            assert!(found.pairs.iter().chain(&found.bottom).all(|pair| pair.converged), "{case}");
            let magnitudes: Vec<f64> = found.pairs.iter().map(|pair| pair.value.abs()).collect();
            assert_values(&magnitudes, &large, 1e-8 * scale, &case);
            assert_values(&values(&found.bottom), &low, 1e-8 * scale, &case);
            assert!((found.lambda_min.value - low[0]).abs() <= 1e-8 * scale, "{case}: {:?}", found.lambda_min);
            let highest = matrix.values.iter().fold(f64::NEG_INFINITY, |m, &x| m.max(x));
            assert!(found.lambda_max.value <= highest + 1e-12 * scale, "{case}: {:?}", found.lambda_max);
            assert!(matrix.distance(found.lambda_max.value) <= found.lambda_max.residual + 1e-12 * scale, "{case}");
        }
    }
}

#[test]
fn random_matrices_of_every_small_size() {
    for n in 1..=24 {
        let a = DMatrix::from_vec(n, n, noise(n * n, 100 + n as u64));
        let a = &a + a.transpose();
        let truth: Vec<f64> = SymmetricEigen::new(a.clone()).eigenvalues.iter().copied().collect();
        for (top, bottom, block) in [(1, 0, 1), (3, 2, 1), (2, 1, 2), (4, 4, 4)] {
            let case = format!("{n} rows, top {top}, bottom {bottom}, block {block}");
            let mut operator = FnOperator::new(n, |v: &[f64], out: &mut [f64]| {
                out.copy_from_slice((&a * DMatrix::from_column_slice(n, 1, v)).as_slice());
                Ok(())
            });
            let found = lanczos(&mut operator, None, &EigenOptions { bottom, block, ..options(top, 1e-9) }).unwrap();
            let (large, low) = ends(&truth, top.min(n), bottom.min(n));
            assert_values(&found.pairs.iter().map(|p| p.value.abs()).collect::<Vec<_>>(), &large, 1e-8, &case);
            assert_values(&values(&found.bottom), &low, 1e-8, &case);
            for pair in found.pairs.iter().chain(&found.bottom) {
                let off = truth.iter().fold(f64::INFINITY, |near, x| near.min((x - pair.value).abs()));
                assert!(off <= pair.error + 1e-13 && pair.error <= pair.residual, "{case}: {off} {}", pair.error);
            }
        }
    }
}

#[test]
fn random_problems_are_solved_or_said_not_to_be() {
    let mut solved = 0;
    for case in 0..60_u64 {
        let draw = noise(8, 1000 + case);
        let pick = |i: usize, most: usize| ((draw[i] + 1.0) / 2.0 * most as f64) as usize;
        let n = 20 + pick(0, 120);
        let kernel = [0, n / 3][pick(1, 2)];
        // Semidefinite either way, or indefinite; dense at 0, where the lowest may be next to impossible, or evenly spread.
        let sign = [1.0, -1.0, 0.0][pick(2, 3)];
        let power = [1, 4][pick(3, 2)];
        let one = |x: f64| x.abs().powi(power) * if sign == 0.0 { x.signum() } else { sign };
        let list: Vec<f64> =
            (noise(n, case).into_iter().enumerate()).map(|(i, x)| if i < kernel { 0.0 } else { one(x) }).collect();
        let options = EigenOptions {
            bottom: pick(4, 4),
            block: 1 + pick(5, 4),
            max_iterations: 600,
            ..options(1 + pick(6, 6), 1e-6)
        };
        let matrix = Known::new(list, case);
        let found = matrix.solve(lanczos, None, &options);
        let name = format!("{case}: {n} rows, kernel {kernel}, sign {sign}, power {power}, {options:?}");
        matrix.check_claims(&found, 1e-6, &name);
        if found.pairs.iter().chain(&found.bottom).any(|pair| !pair.converged) {
            println!("not solved: {name}");
            assert_eq!(found.products, 600, "{name}");
            continue;
        }
        solved += 1;
        assert!(found.products < 600, "{name}: converged and went on");
        let (large, low) = ends(&matrix.values, options.top, options.bottom);
        let magnitudes: Vec<f64> = found.pairs.iter().map(|pair| pair.value.abs()).collect();
        assert_values(&magnitudes, &large, 1e-6, &name);
        assert_values(&values(&found.bottom), &low, 1e-6, &name);
        let warm = matrix.solve(lanczos, Some(&found.track), &options);
        matrix.check_claims(&warm, 1e-6, &name);
        println!("{name}: {} products, {} warm", found.products, warm.products);
        assert!(warm.products < found.products, "{name}: {} {}", found.products, warm.products);
    }
    assert!(solved >= 50, "{solved}");
}

#[test]
fn a_block_sees_every_copy_of_a_repeated_eigenvalue() {
    // At a loose tolerance: rounding brings up further copies in the end.
    let matrix = Known::new([vec![5.0; 4], outliers(200).split_off(6)].concat(), 4);
    let copies = |block: usize| {
        let found = matrix.solve(lanczos, None, &EigenOptions { block, ..options(4, 1e-3) });
        matrix.check_claims(&found, 1e-3, "repeated");
        found.pairs.iter().filter(|pair| (pair.value - 5.0).abs() < 1e-3).count()
    };
    assert_eq!([copies(1), copies(2), copies(4)], [1, 2, 4]);
}

#[test]
fn the_error_is_far_below_the_residual_where_there_is_a_gap() {
    let matrix = Known::new(outliers(500), 5);
    let found = matrix.solve(lanczos, None, &options(3, 1e-2));
    matrix.check_claims(&found, 1e-2, "loose");
    for pair in &found.pairs {
        let off = matrix.distance(pair.value);
        println!("off {off:.2e} error {:.2e} residual {:.2e}", pair.error, pair.residual);
    }
    assert!(found.pairs[0].error < 0.1 * found.pairs[0].residual, "{:?}", found.pairs[0].error);
}

#[test]
fn a_tracked_set_grows_with_the_spectrum() {
    // 10, 9, 8, 7, 6, then 3, −1.5, 1 …
    let matrix = Known::new(outliers(400), 6);
    let found = |above: f64, top: usize, start: Option<&Track>, matrix: &Known| {
        let found = matrix.solve(lanczos, start, &EigenOptions { above: Some(above), ..options(top, 1e-6) });
        matrix.check_claims(&found, 1e-6, &format!("above {above}"));
        assert!(found.pairs.iter().all(|pair| pair.converged));
        found
    };
    for (above, top, want) in
        [(11.0, 8, 1), (9.5, 8, 2), (7.5, 8, 4), (6.5, 3, 3), (2.9, 8, 7), (1e9, 1, 1), (0.0, 2, 2)]
    {
        let found = found(above, top, None, &matrix);
        assert_values(&values(&found.pairs), &matrix.values[..want], 1e-6, &format!("above {above}, top {top}"));
    }
    // Growing takes one solve, and is no dearer than asking for as many at once.
    let exactly = matrix.solve(lanczos, None, &options(4, 1e-6)).products;
    assert!(found(7.5, 8, None, &matrix).products <= exactly + 2, "{exactly}");

    // A warm start follows eigenvalues that rise above the edge, and that sink below it.
    let small = found(8.5, 8, None, &matrix);
    assert_eq!(small.pairs.len(), 3);
    let mut risen = matrix.clone();
    risen.values[2] = 8.7;
    risen.values[3] = 8.6;
    let grown = found(8.5, 8, Some(&small.track), &risen);
    assert_values(&values(&grown.pairs), &[10.0, 9.0, 8.7, 8.6, 6.0], 1e-6, "grown");
    let shrunk = found(8.5, 8, Some(&grown.track), &matrix);
    assert_values(&values(&shrunk.pairs), &[10.0, 9.0, 8.0], 1e-6, "shrunk");
}

#[test]
fn blocks_count_vectors_and_reach_the_operator_whole() {
    let matrix = Known::new(outliers(100), 7);
    struct Counting<'a>(&'a Known, usize, Vec<usize>);
    impl Operator for Counting<'_> {
        fn dim(&self) -> usize {
            self.0.values.len()
        }
        fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), edgewalk::curvature::CurvatureError> {
            self.1 += 1;
            out.copy_from_slice(&self.0.product(v));
            Ok(())
        }
        fn apply_block(
            &mut self,
            vectors: &[&[f64]],
            products: &mut [Vec<f64>],
        ) -> Result<(), edgewalk::curvature::CurvatureError> {
            self.2.push(vectors.len());
            vectors.iter().zip(products).try_for_each(|(v, out)| self.apply(v, out))
        }
    }
    let mut counting = Counting(&matrix, 0, vec![]);
    let found = lanczos(&mut counting, None, &EigenOptions { block: 4, ..options(2, 1e-6) }).unwrap();
    assert_eq!(found.products, counting.1);
    assert!(counting.2.iter().all(|&size| size == 4), "{:?}", counting.2);
    // A budget is kept to the product.
    let cut = EigenOptions { block: 4, max_iterations: 10, ..options(2, 1e-9) };
    assert_eq!(matrix.solve(lanczos, None, &cut).products, 10);
}

#[test]
fn same_seed_same_bits_in_blocks_and_from_both_ends() {
    let matrix = Known::new(outliers(300), 8);
    let options = EigenOptions { bottom: 2, block: 3, ..options(3, 1e-6) };
    let first = matrix.solve(lanczos, None, &options);
    assert_eq!(first, matrix.solve(lanczos, None, &options));
    assert_eq!(
        matrix.solve(lanczos, Some(&first.track), &options),
        matrix.solve(lanczos, Some(&first.track), &options)
    );
}

#[test]
fn relative_residuals_are_relative_to_the_matrix_where_an_eigenvalue_is_next_to_nothing() {
    // Two eigenvalues, and the third pair is of the null space: its value is rounding, and so is its residual.
    let mut values = vec![0.0; 40];
    values[..2].copy_from_slice(&[3.0, -2.0]);
    let matrix = Known::new(values, 21);
    let found = matrix.solve(lanczos, None, &EigenOptions { top: 3, ..Default::default() });
    let relative = found.relative_residuals();
    assert!(relative.iter().all(|residual| residual.is_finite() && *residual < 1e-9), "{relative:?}");
    // Where an eigenvalue has a size, it is relative to that.
    assert_eq!(relative[1], found.pairs[1].residual / found.pairs[1].value.abs());
    let nothing = Known::new(vec![0.0; 5], 22).solve(lanczos, None, &EigenOptions::default());
    assert_eq!(nothing.relative_residuals(), [0.0]);
}
