//! Runs that differ in their seed alone, in two numbers.

use std::fmt;

use crate::text::digits;

/// The mean of a sample, and its standard deviation with the divisor n − 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Moments {
    /// The mean.
    pub mean: f64,
    /// The standard deviation.
    pub deviation: f64,
}

impl Moments {
    /// Of at least one number; the deviation of one is 0.
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
        (!values.is_empty()).then(|| Self { mean, deviation: (squares / (count - 1.0).max(1.0)).sqrt() })
    }
}

impl fmt::Display for Moments {
    /// The mean ± the standard deviation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ± {}", digits(self.mean, 4), digits(self.deviation, 2))
    }
}
