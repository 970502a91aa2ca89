//! Operators made of others, and the share of a vector in a subspace, against the same by matrices.

use edgewalk::curvature::edge::alignment;
use edgewalk::curvature::{CurvatureError, FnOperator, Minus, Operator, SubOperator, subspace_alignment};
use nalgebra::DMatrix;

use super::curvature::noise;

fn symmetric(n: usize, seed: u64) -> DMatrix<f64> {
    let a = DMatrix::from_vec(n, n, noise(n * n, seed));
    &a + a.transpose()
}

fn operator(a: &DMatrix<f64>) -> impl Operator {
    let n = a.nrows();
    FnOperator::new(n, move |v: &[f64], out: &mut [f64]| {
        out.copy_from_slice((a * DMatrix::from_column_slice(n, 1, v)).as_slice());
        Ok(())
    })
}

/// The matrix of an operator, by `apply` and by `apply_block`, which must agree.
fn matrix(operator: &mut dyn Operator) -> DMatrix<f64> {
    let n = operator.dim();
    let units: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    let mut columns = vec![vec![f64::NAN; n]; n];
    operator.apply_block(&units.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut columns).unwrap();
    for (unit, column) in units.iter().zip(&columns) {
        let mut alone = vec![f64::NAN; n];
        operator.apply(unit, &mut alone).unwrap();
        assert_eq!(&alone, column);
    }
    DMatrix::from_columns(&columns.into_iter().map(nalgebra::DVector::from_vec).collect::<Vec<_>>())
}

#[test]
fn a_sub_operator_is_rows_and_columns_of_the_whole() {
    let a = symmetric(9, 1);
    let mut whole = operator(&a);
    let mut part = SubOperator::new(&mut whole, &[6..8, 1..4]).unwrap();
    let rows = [6, 7, 1, 2, 3];
    assert_eq!(part.dim(), 5);
    assert_eq!(matrix(&mut part), DMatrix::from_fn(5, 5, |i, j| a[(rows[i], rows[j])]));
    for (ranges, bad) in [(vec![0..1, 2..2], 2), (vec![0..3, 7..10], 7), (vec![0..3, 5..7, 2..5], 2)] {
        let error = SubOperator::new(&mut whole, &ranges).map(|_| ()).unwrap_err();
        assert!(matches!(error, CurvatureError::Range { start, dim: 9, .. } if start == bad), "{error}");
        assert!(error.to_string().contains("layout"), "{error}");
    }
}

#[test]
fn a_difference_is_that_of_the_matrices() {
    let (a, b) = (symmetric(6, 2), symmetric(6, 3));
    let mut difference = Minus::new(operator(&a), operator(&b)).unwrap();
    assert_eq!(matrix(&mut difference), &a - &b);
    let error = Minus::new(operator(&a), operator(&symmetric(5, 4))).map(|_| ()).unwrap_err();
    assert!(matches!(error, CurvatureError::Option { name: "dim", .. }));
}

#[test]
fn the_share_of_a_vector_in_a_subspace() {
    let basis = [[0.6, 0.8, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
    let share = |g: &[f64], count: usize| {
        subspace_alignment(g, &basis[..count].iter().map(<[f64; 4]>::as_slice).collect::<Vec<_>>())
    };
    let near = |got: f64, want: f64| assert!((got - want).abs() < 1e-15, "{got} {want}");
    // 3·first + 4·second, and 12 outside: 5 of 13.
    let g = [1.8, 2.4, 4.0, 12.0];
    near(share(&g, 2), 5.0 / 13.0);
    near(share(&g, 1), alignment(&g, &basis[0]));
    near(share(&[1.8, 2.4, -4.0, 0.0], 2), 1.0);
    assert_eq!((share(&[-0.8, 0.6, 0.0, 0.0], 2), share(&g, 0)), (0.0, 0.0));
    assert!(share(&[0.0; 4], 2).is_nan());
    // Any scale.
    for factor in [1e300, 1e-300] {
        near(share(&g.map(|x| x * factor), 2), 5.0 / 13.0);
    }
}
