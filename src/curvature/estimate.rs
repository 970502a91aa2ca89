//! The mean of a few independent draws with its confidence interval. Every sampled number of this stage is an
//! [`Estimate`].

use super::CurvatureError;
use super::spectrum::refuse;

/// An estimate with its confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The estimate, in the units of what is estimated.
    pub value: f64,
    /// Its standard error, in the same units; 0 where nothing was drawn.
    pub standard_error: f64,
    /// The most that rounding of products and sums may have moved it.
    pub rounding: f64,
    /// Its ends: value ∓ (t·standard error + rounding), with Student's t for the number of draws. Exact for normal
    /// draws; with few draws of a skewed quantity it covers the truth a little less often than `level` says.
    pub interval: (f64, f64),
    /// The probability that such an interval covers the truth.
    pub level: f64,
}

impl Estimate {
    /// `exact` plus the mean of `draws`, of which there are at least two, or none; `rounding` widens the interval.
    pub(crate) fn of(exact: f64, draws: &[f64], rounding: f64, level: f64) -> Self {
        let (mut value, mut standard_error, mut half) = (exact, 0.0, rounding);
        if let [_, _, ..] = draws {
            let n = draws.len() as f64;
            let mean = draws.iter().sum::<f64>() / n;
            let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
            (value, standard_error) = (exact + mean, (variance / n).sqrt());
            half += student(level, draws.len() - 1) * standard_error;
        }
        Self { value, standard_error, rounding, interval: (value - half, value + half), level }
    }
}

/// Refuses a level that is not a probability.
pub(super) fn check_level(level: f64) -> Result<(), CurvatureError> {
    if level > 0.0 && level < 1.0 { Ok(()) } else { Err(refuse("level", level, "between 0 and 1, say 0.95")) }
}

/// The t that Student's distribution of `freedom` ≥ 1 degrees of freedom stays within, on both sides, with probability `level`.
fn student(level: f64, freedom: usize) -> f64 {
    // The probability grows with θ = atan(t/√ν), so half the range at a time is enough.
    let (mut low, mut high) = (0.0, std::f64::consts::FRAC_PI_2);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if within(middle, freedom) < level {
            low = middle;
        } else {
            high = middle;
        }
    }
    high.tan() * (freedom as f64).sqrt()
}

/// P(|T| ≤ √ν tan θ) for whole ν (Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.7.3 and 26.7.4).
fn within(theta: f64, freedom: usize) -> f64 {
    let (sin, cos) = theta.sin_cos();
    let odd = freedom % 2 == 1;
    let (mut term, mut sum) = if odd { (cos, 0.0) } else { (1.0, 0.0) };
    let mut k = if odd { 1 } else { 0 };
    while k + 2 <= freedom {
        sum += term;
        k += 2;
        term *= cos * cos * (k - 1) as f64 / k as f64;
    }
    if odd { (theta + sin * sum) * std::f64::consts::FRAC_2_PI } else { sin * sum }
}

#[cfg(test)]
mod tests {
    use super::student;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        let table = [
            (1, 12.706_205),
            (2, 4.302_653),
            (3, 3.182_446),
            (4, 2.776_445),
            (9, 2.262_157),
            (10, 2.228_139),
            (30, 2.042_272),
        ];
        for (freedom, want) in table {
            assert!((student(0.95, freedom) - want).abs() < 1e-6, "{freedom}: {}", student(0.95, freedom));
        }
        assert!((student(0.99, 5) - 4.032_143).abs() < 1e-6);
        assert!((student(0.95, 100_000) - 1.959_988).abs() < 1e-5);
    }
}
