//! The numbers at an axis: written in one way along it, with small ticks between them where it is logarithmic.

use super::axis::Axis;

/// Decades of a logarithmic axis above which not all have a number.
const MANY_DECADES: f64 = 12.0;
/// Ticks of an axis of whole numbers, at most.
const WHOLE_TICKS: f64 = 10.0;
/// The digits of a number.
const DIGITS: usize = 6;

impl Axis {
    /// The text of each tick, all with powers of ten or none.
    pub fn labels(&self) -> impl Fn(f64) -> String + Send + Sync + 'static {
        let Self { low, high, log } = *self;
        let factor = self.factor();
        let most = low.abs().max(high.abs());
        let powers = if log { low < 0.9e-4 || high > 1.1e5 } else { !(1e-3..1e6).contains(&most) };
        let every = if log { ((high / low).log10() / MANY_DECADES).ceil() as i64 } else { 1 };
        move |place| {
            let value = place / factor;
            if every > 1 && (value.log10().round() as i64) % every != 0 {
                return String::new();
            }
            let scientific = format!("{value:.*e}", DIGITS - 1);
            let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
            let digits = if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
            match (powers, digits) {
                // Ticks between −1 and 1 may miss 0 by a rounding.
                _ if value.abs() < 1e-9 * most && !log => "0".into(),
                (false, _) => scientific.parse().map_or(scientific.clone(), |rounded: f64| rounded.to_string()),
                (true, "1") if log => format!("10{}", superscript(exponent)),
                (true, _) => format!("{digits}·10{}", superscript(exponent)),
            }
        }
    }

    /// The distance of ticks at whole numbers alone.
    pub fn whole_step(&self) -> f64 {
        let least = ((self.high - self.low) / WHOLE_TICKS).max(1.0);
        let decade = 10.0_f64.powf(least.log10().floor());
        [1.0, 2.0, 5.0].into_iter().map(|m| m * decade).find(|step| *step >= least).unwrap_or(10.0 * decade)
    }

    /// Whether there would be ticks between whole numbers.
    pub fn is_short(&self) -> bool {
        self.high - self.low < WHOLE_TICKS
    }

    /// The places of small ticks: those of 2 to 9 in each decade, if there are not too many decades.
    pub fn small_ticks(&self) -> Vec<f64> {
        if !self.log || (self.high / self.low).log10() > MANY_DECADES {
            return vec![];
        }
        let decades = self.low.log10().floor() as i32..=self.high.log10().floor() as i32;
        let ticks = decades.flat_map(|decade| (2..=9).map(move |m| f64::from(m) * 10.0_f64.powi(decade)));
        ticks.filter(|tick| self.holds(*tick)).collect()
    }
}

/// A whole number in raised digits.
fn superscript(number: &str) -> String {
    let raised = |c: char| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => digit.to_digit(10).and_then(|value| char::from_u32('⁰' as u32 + value)).unwrap_or(digit),
    };
    number.chars().map(raised).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64, log: bool, values: &[f64]) -> Vec<String> {
        let axis = Axis { low, high, log };
        values.iter().map(|&value| axis.labels()(axis.place(value))).collect()
    }

    #[test]
    fn an_axis_writes_all_its_numbers_in_one_way() {
        assert_eq!(labels(0.0, 1e5, false, &[0.0, 2e4, 1e5]), ["0", "20000", "100000"]);
        assert_eq!(labels(0.0, 2e6, false, &[0.0, 5e5, 1e6, 1.5e6]), ["0", "5·10⁵", "1·10⁶", "1.5·10⁶"]);
        assert_eq!(labels(1e-3, 10.0, true, &[1e-3, 0.1, 10.0]), ["0.001", "0.1", "10"]);
        assert_eq!(labels(1e-5, 10.0, true, &[1e-5, 0.1, 1.0, 10.0]), ["10⁻⁵", "10⁻¹", "10⁰", "10¹"]);
        assert_eq!(labels(1e-14, 1e-12, true, &[1e-14, 5e-13]), ["10⁻¹⁴", "5·10⁻¹³"]);
        assert_eq!(labels(-1.0, 1.0, false, &[-0.5, 1e-17, 0.5]), ["-0.5", "0", "0.5"]);
    }

    #[test]
    fn logarithmic_axes_have_small_ticks() {
        let axis = Axis { low: 0.35, high: 3.5, log: true };
        let expected = [0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 2.0, 3.0];
        assert!(axis.small_ticks().iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12));
        assert_eq!(axis.small_ticks().len(), expected.len());
        assert!(Axis { log: false, ..axis }.small_ticks().is_empty());
    }

    #[test]
    fn ranks_are_whole() {
        for (span, step) in [(2.0, 1.0), (10.0, 1.0), (11.0, 2.0), (31.0, 5.0), (90.0, 10.0)] {
            assert_eq!(Axis { low: 0.5, high: 0.5 + span, log: false }.whole_step(), step);
        }
    }
}
