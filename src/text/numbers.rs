//! Numbers as people read them.

use std::fmt::Display;

/// A number with so many significant digits at most, trailing zeros left out, and an exponent where it would otherwise
/// have many zeros: `0.05`, `1.234`, `100000`, `5e-4`.
pub(crate) fn digits(x: f64, significant: usize) -> String {
    let scientific = format!("{x:.*e}", significant.saturating_sub(1));
    let Ok(rounded) = scientific.parse::<f64>() else { return scientific };
    let size = rounded.abs();
    if rounded == 0.0 || (1e-3..1e6).contains(&size) || !rounded.is_finite() {
        // No sign for a zero.
        return format!("{}", rounded + 0.0);
    }
    format!("{rounded:e}")
}

/// How many there are of something: `1 step`, `2 steps`.
pub(crate) fn counted<N: Copy + Display + PartialEq + From<u8>>(count: N, one: &str) -> String {
    let plural = if count == N::from(1) { "" } else { "s" };
    format!("{count} {one}{plural}")
}

/// A number with so many decimals, or with an exponent where it is so large or small that they would be too many or too
/// few.
pub(crate) fn decimals(x: f64, count: usize) -> String {
    if x == 0.0 || (1e-3..1e6).contains(&x.abs()) { format!("{x:.count$}") } else { format!("{x:.count$e}") }
}

const DAY: f64 = 86_400.0;
const YEAR: f64 = 365.25 * DAY;

/// A time in the unit that suits it.
pub(crate) fn duration(secs: f64) -> String {
    match secs {
        s if s < 1.0 => format!("{:.1} ms", 1e3 * s),
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{:.1} min", s / 60.0),
        s if s < 2.0 * DAY => format!("{:.1} h", s / 3600.0),
        s if s < 2.0 * YEAR => format!("{:.1} days", s / DAY),
        s if s < 1000.0 * YEAR => format!("{:.1} years", s / YEAR),
        _ => "more than 1000 years".into(),
    }
}

/// A number above 0 in few characters: three digits where it is neither tiny nor huge.
pub(crate) fn three_digits(number: f64) -> String {
    match number {
        number if number >= 1e5 || number < 0.01 && number > 0.0 => format!("{number:.1e}"),
        number if number >= 100.0 => format!("{number:.0}"),
        number if number >= 10.0 => format!("{number:.1}"),
        number => format!("{number:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{decimals, digits, duration};

    #[test]
    fn decimals_are_never_many() {
        for (x, text) in [(0.0, "0.0000"), (1.25, "1.2500"), (-3e38, "-3.0000e38"), (1e-9, "1.0000e-9")] {
            assert_eq!(decimals(x, 4), text);
        }
    }

    #[test]
    fn times_have_a_unit_that_suits_them() {
        for (secs, text) in [
            (0.0015, "1.5 ms"),
            (90.0, "90.0 s"),
            (5400.0, "90.0 min"),
            (150_000.0, "41.7 h"),
            (1e6, "11.6 days"),
            (1e9, "31.7 years"),
            (1e15, "more than 1000 years"),
            (f64::INFINITY, "more than 1000 years"),
        ] {
            assert_eq!(duration(secs), text);
        }
    }

    #[test]
    fn numbers_keep_their_digits_and_lose_their_zeros() {
        for (x, significant, text) in [
            (0.0, 3, "0"),
            (-0.0, 3, "0"),
            (0.05, 6, "0.05"),
            (0.1 + 0.2, 6, "0.3"),
            (1.23456, 4, "1.235"),
            (100_000.0, 3, "100000"),
            (1.5e6, 3, "1.5e6"),
            (0.000_499_96, 3, "5e-4"),
            (0.000_999_9, 2, "0.001"),
            (-2.5, 3, "-2.5"),
            (f64::NAN, 3, "NaN"),
            (f64::NEG_INFINITY, 3, "-inf"),
        ] {
            assert_eq!(digits(x, significant), text);
        }
    }
}
