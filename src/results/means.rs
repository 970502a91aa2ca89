//! Curves of several runs as their mean, step by step.

use super::moments::Moments;

/// One quantity over time or steps.
pub(crate) type Points = Vec<(f64, f64)>;

/// The ends of a band over time or steps.
pub(crate) type Band = Vec<(f64, f64, f64)>;

/// The share of the shortest curve's points that must have a place in all curves.
const COMMON: f64 = 0.5;

/// The mean of several curves at the steps where all have a number, and the band of one standard deviation to either
/// side; `None` if there are too few such steps for a fair picture.
pub(crate) fn mean(curves: &[&Points]) -> Option<(Points, Band)> {
    let finite = |points: &Points| -> Points { points.iter().copied().filter(|point| point.1.is_finite()).collect() };
    let curves: Vec<Points> = curves.iter().map(|points| finite(points)).collect();
    let shortest = curves.iter().map(Vec::len).min()?;
    let (mut points, mut band) = (vec![], vec![]);
    // Places in the curves, all of which are in the order of their steps.
    let mut at = vec![0; curves.len()];
    while let Some(heads) = curves.iter().zip(&at).map(|(curve, &i)| curve.get(i).copied()).collect::<Option<Points>>()
    {
        let step = heads.iter().map(|head| head.0).fold(f64::NEG_INFINITY, f64::max);
        let is_common = heads.iter().all(|head| head.0 == step);
        if is_common {
            let values: Vec<f64> = heads.iter().map(|head| head.1).collect();
            let Moments { mean, deviation } = Moments::of(&values)?;
            points.push((step, mean));
            band.push((step, mean - deviation, mean + deviation));
        }
        for (i, head) in at.iter_mut().zip(&heads) {
            *i += usize::from(is_common || head.0 < step);
        }
    }
    (!points.is_empty() && points.len() as f64 >= COMMON * shortest as f64).then_some((points, band))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_over_the_steps_that_all_have() {
        let a = vec![(0.0, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, f64::NAN)];
        let b = vec![(0.0, 3.0), (2.0, 7.0), (3.0, 1.0)];
        let (points, band) = mean(&[&a, &b]).unwrap();
        assert_eq!(points, [(0.0, 2.0), (2.0, 5.0)]);
        // The deviation of 1 and 3 is √2, that of 3 and 7 is √8.
        let expected =
            [(0.0, 2.0 - 2.0_f64.sqrt(), 2.0 + 2.0_f64.sqrt()), (2.0, 5.0 - 8.0_f64.sqrt(), 5.0 + 8.0_f64.sqrt())];
        for (found, expected) in band.iter().zip(expected) {
            assert!((found.1 - expected.1).abs() + (found.2 - expected.2).abs() < 1e-12, "{found:?}");
        }
    }

    #[test]
    fn curves_that_hardly_meet_have_no_mean() {
        let a = (0..10).map(|t| (f64::from(2 * t), 1.0)).collect();
        let b = (0..10).map(|t| (f64::from(2 * t + 1), 1.0)).collect();
        assert_eq!(mean(&[&a, &b]), None);
        assert_eq!(mean(&[]), None);
    }
}
