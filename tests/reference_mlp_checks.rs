//! The reference MLP checked against finite differences, a dense Hessian and identities, before anything is compared
//! with it.

use nalgebra::{DMatrix, DVector, SymmetricEigen};

use super::reference_mlp::{Activation, Linearised, Loss, example, pseudo_normal, top_eigenpair, train};

const SMOOTH: [Activation; 4] = [Activation::Tanh, Activation::Gelu, Activation::Elu, Activation::Softplus];
const LOSSES: [Loss; 3] = [Loss::MseMean, Loss::MseHalfSum, Loss::CrossEntropy];

fn close(got: &DVector<f64>, want: &DVector<f64>, tol: f64, what: &str) {
    let error = (got - want).norm() / want.norm();
    assert!(error < tol, "{what}: relative error {error:e}");
}

#[test]
fn gradient_and_hvp_agree_with_finite_differences() {
    for activation in [&SMOOTH[..], &[Activation::Relu]].concat() {
        for loss in LOSSES {
            let (mlp, w) = example(&[5, 7, 6, 4], 9, activation, loss);
            let here = mlp.at(w.as_slice());
            let h = 1e-6;
            let numeric = DVector::from_fn(mlp.len(), |i, _| {
                let mut moved = w.clone();
                moved[i] += h;
                let up = mlp.at(moved.as_slice()).loss;
                moved[i] -= 2.0 * h;
                (up - mlp.at(moved.as_slice()).loss) / (2.0 * h)
            });
            close(&here.gradient, &numeric, 1e-7, &format!("gradient {activation:?} {loss:?}"));

            // A step this short crosses no ReLU or ELU kink at these weights.
            let v = pseudo_normal(mlp.len(), 3);
            let shifted = |h: f64| mlp.at((&w + &v * h).as_slice()).gradient;
            let numeric = (shifted(1e-6) - shifted(-1e-6)) / 2e-6;
            close(&here.hvp(v.as_slice()), &numeric, 1e-7, &format!("hvp {activation:?} {loss:?}"));
        }
    }
}

#[test]
fn products_are_symmetric_and_gauss_newton_is_positive() {
    for loss in LOSSES {
        let (mlp, w) = example(&[5, 7, 6, 4], 9, Activation::Gelu, loss);
        let here = mlp.at(w.as_slice());
        let (u, v) = (pseudo_normal(mlp.len(), 4), pseudo_normal(mlp.len(), 5));
        for product in [Linearised::hvp, Linearised::gnvp] {
            let (left, right) = (u.dot(&product(&here, v.as_slice())), v.dot(&product(&here, u.as_slice())));
            assert!((left - right).abs() < 1e-12 * left.abs().max(1.0), "{left} {right}");
        }
        assert!(v.dot(&here.gnvp(v.as_slice())) > 0.0);
        // Of a network without hidden layers the Hessian is the Gauss–Newton matrix.
        let (linear, w) = example(&[5, 4], 9, Activation::Gelu, loss);
        let here = linear.at(w.as_slice());
        let v = pseudo_normal(linear.len(), 5);
        close(&here.gnvp(v.as_slice()), &here.hvp(v.as_slice()), 1e-13, "gauss-newton");
    }
}

#[test]
fn half_sum_is_five_times_the_mean_over_ten_outputs() {
    let (mut mlp, w) = example(&[5, 7, 10], 9, Activation::Tanh, Loss::MseMean);
    let v = pseudo_normal(mlp.len(), 6);
    let (loss, hv) = {
        let h = mlp.at(w.as_slice());
        (h.loss, h.hvp(v.as_slice()))
    };
    mlp.loss = Loss::MseHalfSum;
    let half = mlp.at(w.as_slice());
    assert!((half.loss - 5.0 * loss).abs() < 1e-12 * loss);
    close(&half.hvp(v.as_slice()), &(hv * 5.0), 1e-12, "half-sum");
}

#[test]
fn eigenpair_matches_the_dense_hessian_and_descent_descends() {
    let (mlp, mut w) = example(&[4, 6, 3], 8, Activation::Tanh, Loss::MseMean);
    let here = mlp.at(w.as_slice());
    let mut dense = DMatrix::zeros(mlp.len(), mlp.len());
    for j in 0..mlp.len() {
        let mut e = DVector::zeros(mlp.len());
        e[j] = 1.0;
        dense.set_column(j, &here.hvp(e.as_slice()));
    }
    let eigen = SymmetricEigen::new(dense);
    let want = eigen.eigenvalues[eigen.eigenvalues.iamax()];
    let (value, v) = top_eigenpair(mlp.len(), 100, |v| here.hvp(v));
    assert!((value - want).abs() < 1e-9 * want.abs());
    assert!((here.hvp(v.as_slice()) - &v * value).norm() < 1e-8 * want.abs());

    let rows = train(&mlp, &mut w, 0.1, 0.05, 50);
    assert!(rows[49].loss < 0.8 * rows[0].loss && rows[49].grad_norm > 0.0);
    assert!(rows.iter().all(|r| r.sam_edge < 20.0 && r.hessian_norm == r.lambda.abs()));
    assert!(rows.iter().all(|r| r.grad_alignment <= 1.0 && r.sam_grad_alignment <= 1.0));
}
