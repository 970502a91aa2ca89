//! The steps at which the curvature is measured.

use super::MeasureConfig;

impl MeasureConfig {
    /// Whether it is measured at all.
    pub fn is_on(&self) -> bool {
        self.every > 0 || self.per_decade > 0
    }

    /// Whether it is measured before update `step`: at step 0 and then every `every` steps; or with `per_decade` = n at
    /// 10^(k/n), rounded, for k = 0, 1, 2 …
    pub fn due(&self, step: u64) -> bool {
        if self.per_decade == 0 {
            return self.every > 0 && step.is_multiple_of(self.every);
        }
        let per_decade = self.per_decade as f64;
        let nearest = (per_decade * (step.max(1) as f64).log10()).round();
        let is = |k: f64| 10f64.powf(k / per_decade).round() as u64 == step;
        // Rounded steps of small k coincide; the logarithm may be off by a rounding error.
        step == 0 || is(nearest) || is(nearest - 1.0) || is(nearest + 1.0)
    }

    /// The number of measurements in a run of this many steps, its end included.
    pub fn count(&self, steps: u64) -> u64 {
        match self.per_decade {
            0 if self.every == 0 => 0,
            0 => steps.div_ceil(self.every) + 1,
            n => {
                let at = |k: u64| 10f64.powf(k as f64 / n as f64).round();
                let mut distinct: Vec<f64> = (0..).map(at).take_while(|&step| step < steps as f64).collect();
                distinct.dedup();
                // Those at step 0 and at the end besides.
                distinct.len() as u64 + 2
            }
        }
    }
}
