//! The ends and the scale of an axis: limits that a few spikes cannot spoil, and a logarithmic scale for values that
//! need one.

use super::{Figure, Horizontal, Scale};
use crate::results::look::{AxisLook, Look};

/// The share of rows whose extremes may lie outside the frame.
const OUTLIERS: f64 = 0.02;
/// Below this number of rows, none is an outlier.
const FEW_ROWS: usize = 10;
/// The distance of an outlier from the other rows, in units of their span; nearer points are inside.
const REACH: f64 = 2.0;
/// The range above which the axis is logarithmic.
const LOG_RANGE: f64 = 100.0;
/// The range below which it is linear even on request, since it would hardly have a number.
const NARROW: f64 = 4.0;
/// The smallest number on a logarithmic axis of the plotting library is 1e-10.
const LIBRARY_FLOOR: f64 = 1e-9;

/// An axis as it is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axis {
    /// Its ends, in the units of the data.
    pub low: f64,
    pub high: f64,
    pub log: bool,
}

impl Axis {
    /// Whether a value lies in the frame.
    pub fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// The library's number for a value.
    pub fn place(&self, value: f64) -> f64 {
        value * self.factor()
    }

    /// The power of ten that lifts a logarithmic axis above the smallest number of the library.
    pub fn factor(&self) -> f64 {
        if !self.log || self.low >= LIBRARY_FLOOR {
            return 1.0;
        }
        let lift = (LIBRARY_FLOOR / self.low).log10().ceil();
        10.0_f64.powf(lift.min(300.0 - self.high.log10().ceil()).max(0.0))
    }
}

/// Whether a point can be drawn. A run that diverges may have values that no axis can span.
pub(super) fn is_drawable(point: &(f64, f64)) -> bool {
    point.0.is_finite() && point.1.abs() < 1e100
}

impl Figure {
    fn values(&self) -> impl Iterator<Item = (f64, f64)> {
        let points = self.curves.iter().flat_map(|curve| &curve.points);
        points.copied().filter(is_drawable)
    }

    /// Both axes.
    ///
    /// # Errors
    /// A message if a logarithmic axis is asked for that cannot be.
    pub(super) fn axes(&self, look: &Look) -> Result<[Axis; 2], String> {
        let x = self.across(look.x)?;
        Ok([x, self.upward(look.y, &x)?])
    }

    fn across(&self, look: AxisLook) -> Result<Axis, String> {
        let is_log = look.log || matches!(self.x, Horizontal::Log(_));
        if let Some(range) = look.range {
            return in_range(range.ends(), look.log, is_log, "--x-range");
        }
        let xs = || self.values().map(|(x, _)| x).filter(|x| !is_log || *x > 0.0);
        let (low, high) = xs().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        Ok(match &self.x {
            _ if low > high => Axis { low: if is_log { 0.1 } else { 0.0 }, high: 1.0, log: is_log },
            _ if is_log && low == high => Axis { low: 0.5 * low, high: 2.0 * high, log: true },
            _ if is_log => {
                let margin = (high / low).powf(0.02);
                Axis { low: low / margin, high: high * margin, log: true }
            }
            Horizontal::Steps => Axis { low: 0.0, high: high.max(1.0), log: false },
            _ => {
                let margin = if low == high { 0.5 * low.abs().max(1.0) } else { 0.02 * (high - low) };
                Axis { low: low - margin, high: high + margin, log: false }
            }
        })
    }

    /// Chooses limits that hold all rows except the few that would shrink the others to a line.
    fn upward(&self, look: AxisLook, x: &Axis) -> Result<Axis, String> {
        let ends = self.curves.iter().flat_map(|curve| &curve.band).flat_map(|&(x, low, high)| [(x, low), (x, high)]);
        let inside = |point: &(f64, f64)| is_drawable(point) && x.holds(point.0);
        let values: Vec<(f64, f64)> = self.values().filter(inside).collect();
        let all: Vec<(f64, f64)> = values.iter().copied().chain(ends.filter(inside)).collect();
        let is_positive = !values.is_empty() && values.iter().all(|point| point.1 > 0.0);
        let chosen = self.chosen(&all, look.log, is_positive);
        match look.range {
            Some(range) => in_range(range.ends(), look.log, look.log || chosen.log, "--y-range"),
            None => Ok(chosen),
        }
    }

    fn chosen(&self, all: &[(f64, f64)], must_be_log: bool, is_positive: bool) -> Axis {
        let positive = || all.iter().copied().filter(|point| point.1 > 0.0);
        if must_be_log || (is_positive && !matches!(self.scale, Scale::Fixed(..))) {
            let mut log = limits(positive(), f64::ln);
            let is_wide = log.1 - log.0 > LOG_RANGE.ln();
            if let Scale::LogBelow(limit) = self.scale
                && limit.ln() > log.0
            {
                log.1 = log.1.min(limit.ln());
            }
            if must_be_log || is_wide || (self.scale != Scale::Auto && log.1 - log.0 > NARROW.ln()) {
                let margin = 0.04 * (log.1 - log.0).max(0.5);
                return Axis { low: (log.0 - margin).exp(), high: (log.1 + margin).exp(), log: true };
            }
        }
        if let Scale::Fixed(low, high) = self.scale {
            return Axis { low, high, log: false };
        }
        let (low, high) = limits(all.iter().copied(), |y| y);
        let flat = if low == high { low.abs().max(1.0) } else { 0.0 };
        let margin = 0.05 * (high - low) + 0.1 * flat;
        // Show 0 unless that would waste half of the picture.
        let from_zero = low >= 0.0 && low <= 0.5 * high;
        Axis { low: if from_zero { 0.0 } else { low - margin }, high: high + margin, log: false }
    }
}

/// An axis with the ends that were asked for; without a request for a logarithmic one, ends that allow none are linear.
fn in_range((low, high): (f64, f64), must_be_log: bool, is_log: bool, name: &str) -> Result<Axis, String> {
    match low > 0.0 {
        false if must_be_log => Err(format!("a logarithmic axis has positive numbers: let {name} begin above 0")),
        is_positive => Ok(Axis { low, high, log: is_log && is_positive }),
    }
}

/// The smallest and the largest value on a scale, without those of outlying rows.
fn limits(values: impl Iterator<Item = (f64, f64)>, scale: impl Fn(f64) -> f64) -> (f64, f64) {
    let mut rows: Vec<(f64, f64, f64)> = Vec::new();
    let mut points: Vec<(f64, f64)> = values.collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (x, y) in points {
        let y = scale(y);
        match rows.last_mut() {
            Some(row) if row.0 == x => (row.1, row.2) = (row.1.min(y), row.2.max(y)),
            _ => rows.push((x, y, y)),
        }
    }
    let mut lows: Vec<f64> = rows.iter().map(|row| row.1).collect();
    let mut highs: Vec<f64> = rows.iter().map(|row| row.2).collect();
    lows.sort_by(f64::total_cmp);
    highs.sort_by(|a, b| b.total_cmp(a));
    let skip = match rows.len() {
        0..FEW_ROWS => 0,
        rows => (OUTLIERS * rows as f64).ceil() as usize,
    };
    let (Some(&low), Some(&high)) = (lows.get(skip), highs.get(skip)) else {
        return (scale(1.0), scale(1.0));
    };
    let reach = REACH * (high - low);
    let near = |value: &&f64| (low - reach..=high + reach).contains(*value);
    (*lows.iter().find(near).unwrap_or(&low), *highs.iter().find(near).unwrap_or(&high))
}

#[cfg(test)]
mod tests {
    use super::super::{Curve, Style};
    use super::*;
    use crate::results::Format;

    fn figure(scale: Scale, points: Vec<(f64, f64)>) -> Figure {
        let style = Style { width: 1.0, ..Default::default() };
        Figure { scale, curves: vec![Curve::new("", points, style)], ..Default::default() }
    }

    fn axis(figure: &Figure) -> Axis {
        figure.axes(&Format::Svg.into()).unwrap()[1]
    }

    /// Values 8 to 10 with one of `spike` at step 0.
    fn spiked(rows: u32, spike: f64) -> Vec<(f64, f64)> {
        let value = |t| if t == 0 { spike } else { f64::from(8 + t % 3) };
        (0..rows).map(|t| (f64::from(t), value(t))).collect()
    }

    #[test]
    fn a_spike_does_not_shrink_the_rest_to_a_line() {
        let found = axis(&figure(Scale::Auto, spiked(50, 1000.0)));
        assert!(!found.log && found.low < 8.0 && found.high > 10.0 && found.high < 15.0, "{found:?}");
        // What is not far away is inside.
        let found = axis(&figure(Scale::Auto, spiked(50, 13.5)));
        assert!(found.holds(13.5), "{found:?}");
        // With few rows nothing is left out: 8 to 1000 needs a logarithmic axis.
        let found = axis(&figure(Scale::Auto, spiked(5, 1000.0)));
        assert!(found.log && found.low < 8.0 && found.high > 1000.0, "{found:?}");
    }

    #[test]
    fn the_axis_is_logarithmic_only_over_two_decades_of_positive_values() {
        let log = |scale, low, high| axis(&figure(scale, vec![(0.0, low), (1.0, high)])).log;
        assert!(log(Scale::Auto, 0.01, 1.1));
        assert!(!log(Scale::Auto, 0.01, 0.9));
        assert!(!log(Scale::Auto, -0.01, 1000.0));
        assert!(log(Scale::Log, 0.2, 0.9));
        assert!(!log(Scale::Log, 0.5, 0.9));
        assert!(!log(Scale::Log, 0.0, 0.9));
    }

    #[test]
    fn what_is_above_a_limit_leaves_the_frame() {
        let found = axis(&figure(Scale::LogBelow(1.0), vec![(0.0, 0.1), (1.0, 0.05), (2.0, 1e30)]));
        assert!(found.log && found.low < 0.05 && found.high > 1.0 && found.high < 2.0, "{found:?}");
    }

    #[test]
    fn axes_are_those_asked_for() {
        let figure = figure(Scale::Auto, (0..50).map(|t| (f64::from(t), f64::from(t))).collect());
        let look = |x: &str, y: &str, log: bool| {
            let axis = |text: &str| AxisLook { log, range: text.parse().ok() };
            Look { x: axis(x), y: axis(y), ..Look::from(Format::Svg) }
        };
        let [x, y] = figure.axes(&look("10:20", "", false)).unwrap();
        assert_eq!((x.low, x.high), (10.0, 20.0));
        // The other axis is about what is seen.
        assert!(y.low >= 0.0 && y.high < 25.0, "{y:?}");
        // 0 has no place on a logarithmic axis; the others have.
        let [x, y] = figure.axes(&look("", "", true)).unwrap();
        assert!([x, y].iter().all(|axis| axis.log && axis.holds(1.0) && axis.holds(49.0) && axis.low > 0.5));
        let message = figure.axes(&look("", "0:2", true)).unwrap_err();
        assert!(message.contains("--y-range"), "{message}");
    }

    #[test]
    fn tiny_values_have_room_on_a_logarithmic_axis() {
        let found = axis(&figure(Scale::Log, vec![(0.0, 1e-14), (1.0, 1e-2)]));
        assert!(found.place(1e-14) > 1e-10 && found.factor().log10().fract() == 0.0, "{found:?}");
    }
}
