//! The edges of stability against arithmetic done by hand, their limits, and the identity that defines them: the gauge
//! is 1 where the eigenvalue is the edge, however large or small the arguments.

use approx::assert_abs_diff_eq;
use edgewalk::curvature::edge::{alignment, gauge, gd_edge, sam_edge};

#[test]
fn sam_edge_is_where_the_gauge_is_one_at_any_scale() {
    for lr in [1e-6, 0.1, 3.0] {
        for rho in [1e-12, 1e-3, 0.5, 1e6] {
            for grad_norm in [1e-300, 1e-20, 1e-3, 1.0, 1e8, 1e300] {
                let edge = sam_edge(lr, rho, grad_norm);
                let s = gauge(lr, rho, grad_norm, edge);
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
    assert_abs_diff_eq!(gauge(0.5, 1e300, 1e-300, sam_edge(0.5, 1e300, 1e-300)), 1.0, epsilon = 1e-14);
}

#[test]
fn gauge_and_alignment_by_hand() {
    assert_eq!(gauge(0.5, 0.0, 1.0, 4.0), 1.0);
    assert_eq!(gauge(0.5, 0.25, 2.0, 4.0), 1.5);
    assert_eq!(gauge(0.5, 0.25, 2.0, -16.0), 4.0);
    assert_eq!(gauge(0.5, 0.25, 0.0, 0.0), 0.0);
    assert_eq!(gauge(0.5, 0.25, 0.0, 1.0), f64::INFINITY);
    assert_abs_diff_eq!(alignment(&[3.0, 4.0], &[-4.0, 0.0]), 0.6, epsilon = 1e-15);
    assert_abs_diff_eq!(alignment(&[3e300, 4e300], &[1e-300, 0.0]), 0.6, epsilon = 1e-15);
    assert_eq!(alignment(&[0.0, 0.0], &[1.0, 0.0]), 0.0);
    assert!(alignment(&[0.1; 7], &[-0.1; 7]) <= 1.0);
}
