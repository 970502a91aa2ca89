//! Draws a [`Figure`] with the plotting library, and adds limits that one spike cannot spoil (the curve leaves the
//! frame, and the subtitle counts the points outside), a logarithmic axis for values that need one, curves thinned to
//! screen resolution without losing extremes, and marks on curves of few points.

use std::sync::Arc;

use kuva::TickFormat;
use kuva::plot::legend::LegendPosition;
use kuva::plot::{LinePlot, ScatterPlot};
use kuva::prelude::{Layout, LegendEntry, LegendShape, Plot};
use kuva::render::render::render_multiple;

use super::encode::encode;
use super::{Curve, Figure, Horizontal, Scale};
use crate::results::Format;
use crate::text::digits;

/// The nominal width of a picture in pixels.
const WIDTH: f64 = 900.0;
/// The nominal height of a picture in pixels.
const HEIGHT: f64 = 540.0;
/// The share of rows whose extremes may lie outside the frame.
const OUTLIERS: f64 = 0.02;
/// Below this number of rows, none is an outlier.
const FEW_ROWS: usize = 10;
/// The distance of an outlier from the other rows, in units of their span.
const REACH: f64 = 0.5;
/// Buckets that a long curve is thinned to; each keeps its smallest and largest value.
const BUCKETS: usize = 1000;
/// In pictures of curves with at most this many points, the points are marked,
const FEW_POINTS: usize = 25;
/// if there are no more curves than this.
const FEW_CURVES: usize = 6;
/// Decades of a logarithmic axis above which not all have a number.
const MANY_DECADES: f64 = 12.0;
/// The longest name, in characters, for a legend beside the picture.
const SHORT_LABEL: usize = 18;
/// The most names beside the picture.
const FEW_LABELS: usize = 16;
/// The range above which the axis is logarithmic.
const LOG_RANGE: f64 = 100.0;
/// The range below which it is linear even on request, since it would hardly have a number.
const NARROW: f64 = 4.0;

/// The vertical axis that was chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
struct AxisLayout {
    low: f64,
    high: f64,
    log: bool,
}

impl Figure {
    /// Draws the picture into the bytes of a file.
    ///
    /// # Errors
    /// The plotting library's message, if it cannot encode the picture.
    pub fn render(&self, format: Format) -> Result<Vec<u8>, String> {
        encode(&render_multiple(self.plots(), self.layout(self.axis())), format)
    }

    fn values(&self) -> impl Iterator<Item = (f64, f64)> {
        let points = self.curves.iter().flat_map(|curve| &curve.points);
        points.copied().filter(is_drawable)
    }

    /// Chooses limits that hold all rows except the few that would shrink the others to a line.
    fn axis(&self) -> AxisLayout {
        if let Scale::Fixed(low, high) = self.scale {
            return AxisLayout { low, high, log: false };
        }
        let positive = self.values().all(|(_, y)| y > 0.0);
        if positive {
            let mut log = self.limits(f64::ln);
            let wide = log.1 - log.0 > LOG_RANGE.ln();
            if let Scale::LogBelow(limit) = self.scale
                && limit.ln() > log.0
            {
                log.1 = log.1.min(limit.ln());
            }
            if wide || (self.scale != Scale::Auto && log.1 - log.0 > NARROW.ln()) {
                let margin = 0.04 * (log.1 - log.0).max(0.5);
                return AxisLayout { low: (log.0 - margin).exp(), high: (log.1 + margin).exp(), log: true };
            }
        }
        let (low, high) = self.limits(|y| y);
        let flat = if low == high { low.abs().max(1.0) } else { 0.0 };
        let margin = 0.05 * (high - low) + 0.1 * flat;
        // Show 0 unless that would waste half of the picture.
        let from_zero = low >= 0.0 && low <= 0.5 * high;
        AxisLayout { low: if from_zero { 0.0 } else { low - margin }, high: high + margin, log: false }
    }

    /// The smallest and largest value on a scale, extremes of outlying rows cut to half a span beyond the rest.
    fn limits(&self, scale: impl Fn(f64) -> f64) -> (f64, f64) {
        let mut rows: Vec<(f64, f64, f64)> = Vec::new();
        let mut points: Vec<(f64, f64)> = self.values().collect();
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
        (lows[0].max(low - reach), highs[0].min(high + reach))
    }

    fn plots(&self) -> Vec<Plot> {
        let mut plots = Vec::new();
        // Lines through a few points hide the measured points; many curves of marks hide each other.
        let lines = || self.curves.iter().map(|curve| curve.points.len()).filter(|&points| points > 2);
        let marked = lines().count() <= FEW_CURVES && lines().all(|points| points <= FEW_POINTS);
        for curve in &self.curves {
            let points = thin(&curve.points);
            let style = curve.style;
            // A line through one point shows nothing.
            if points.len() == 1 || (marked && points.len() > 2 && style.dashes.is_empty()) {
                let dots = ScatterPlot::new().with_data(points.clone());
                plots.push(dots.with_color(style.color).with_size(2.0 + 0.6 * style.width).into());
            }
            if points.len() == 1 {
                continue;
            }
            let line = LinePlot::new().with_data(points).with_color(style.color).with_stroke_width(style.width);
            plots.push(match style.dashes {
                "" => line.into(),
                dashes => line.with_line_style(kuva::plot::LineStyle::Custom(dashes.into())).into(),
            });
        }
        plots
    }

    /// The label and the limits of the horizontal axis.
    fn across(&self) -> (&str, f64, f64) {
        let xs = || self.values().map(|(x, _)| x);
        let (low, high) = (xs().fold(f64::INFINITY, f64::min), xs().fold(f64::NEG_INFINITY, f64::max));
        match &self.x {
            Horizontal::Steps => ("step (updates made)", 0.0, high.max(1.0)),
            Horizontal::Linear(label) => (label, low - 0.02 * (high - low), high + 0.02 * (high - low)),
            Horizontal::Log(label) => (label, low * (low / high).powf(0.02), high * (high / low).powf(0.02)),
        }
    }

    fn layout(&self, axis: AxisLayout) -> Layout {
        let (x_label, first, last) = self.across();
        let outside = self.values().filter(|(_, y)| !(axis.low..=axis.high).contains(y)).count();
        let named = || self.curves.iter().filter(|curve| !curve.label.is_empty());
        // Long names beside the picture would leave little of it.
        let below = named().count() > FEW_LABELS || named().any(|curve| curve.label.chars().count() > SHORT_LABEL);
        let decades = if axis.log { (axis.high / axis.low).log10() } else { 0.0 };
        let every = (decades / MANY_DECADES).ceil() as i64;
        let y_ticks = move |y: f64| {
            let skipped = every > 1 && (y.log10().round() as i64) % every != 0;
            if skipped { String::new() } else { digits(y, 6) }
        };
        let mut layout = Layout::new((first, last), (axis.low, axis.high))
            .with_width(WIDTH)
            .with_height(HEIGHT)
            .with_title(&self.title)
            .with_x_label(x_label)
            .with_y_label(self.y_label)
            .with_x_axis_min(first)
            .with_x_axis_max(last)
            .with_y_axis_min(axis.low)
            .with_y_axis_max(axis.high)
            .with_title_size(18)
            .with_label_size(15)
            .with_tick_size(13)
            .with_body_size(13)
            .with_legend_box(false)
            .with_x_tick_format(TickFormat::Custom(Arc::new(|x| digits(x, 6))))
            .with_y_tick_format(TickFormat::Custom(Arc::new(y_ticks)))
            .with_legend_position(if below {
                LegendPosition::OutsideBottomColumns
            } else {
                LegendPosition::OutsideRightTop
            })
            .with_legend_entries(named().map(legend).collect());
        if axis.log {
            layout = layout.with_log_y();
        }
        if matches!(self.x, Horizontal::Log(_)) {
            layout = layout.with_log_x();
        }
        match outside {
            0 => layout,
            1 => layout.with_subtitle("1 point lies outside the frame"),
            n => layout.with_subtitle(format!("{n} points lie outside the frame")),
        }
    }
}

fn legend(Curve { label, style, .. }: &Curve) -> LegendEntry {
    let dasharray = (!style.dashes.is_empty()).then(|| style.dashes.into());
    LegendEntry { label: label.clone(), color: style.color.into(), shape: LegendShape::Line, dasharray }
}

/// Whether a point can be drawn. A run that diverges may have values that no axis can span.
fn is_drawable(point: &(f64, f64)) -> bool {
    point.1.abs() < 1e100
}

/// The points to draw; of many, each bucket's smallest and largest, in order.
fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let finite: Vec<(f64, f64)> = points.iter().copied().filter(is_drawable).collect();
    if finite.len() <= 2 * BUCKETS {
        return finite;
    }
    let mut kept = Vec::with_capacity(2 * BUCKETS);
    for bucket in finite.chunks(finite.len().div_ceil(BUCKETS)) {
        let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let extremes = bucket.iter().min_by(by_value).zip(bucket.iter().max_by(by_value));
        if let Some((&low, &high)) = extremes {
            let (first, second) = if low.0 <= high.0 { (low, high) } else { (high, low) };
            kept.push(first);
            if first.0 != second.0 {
                kept.push(second);
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::super::Style;
    use super::*;

    fn figure(scale: Scale, points: Vec<(f64, f64)>) -> Figure {
        Figure {
            title: String::new(),
            x: Horizontal::Steps,
            y_label: "",
            scale,
            curves: vec![Curve {
                label: String::new(),
                points,
                style: Style { color: "#000000", width: 1.0, dashes: "" },
            }],
        }
    }

    /// Values 8 to 10 with one of 1000 at step 0.
    fn spiked(rows: u32) -> Vec<(f64, f64)> {
        let value = |t| if t == 0 { 1000.0 } else { f64::from(8 + t % 3) };
        (0..rows).map(|t| (f64::from(t), value(t))).collect()
    }

    #[test]
    fn a_spike_does_not_shrink_the_rest_to_a_line() {
        let axis = figure(Scale::Auto, spiked(50)).axis();
        assert!(!axis.log && axis.low < 8.0 && axis.high > 10.0 && axis.high < 15.0, "{axis:?}");
        // With few rows nothing is left out: 8 to 1000 needs a logarithmic axis.
        let axis = figure(Scale::Auto, spiked(5)).axis();
        assert!(axis.log && axis.low < 8.0 && axis.high > 1000.0, "{axis:?}");
    }

    #[test]
    fn the_axis_is_logarithmic_only_over_two_decades_of_positive_values() {
        let log = |scale, low, high| figure(scale, vec![(0.0, low), (1.0, high)]).axis().log;
        assert!(log(Scale::Auto, 0.01, 1.1));
        assert!(!log(Scale::Auto, 0.01, 0.9));
        assert!(!log(Scale::Auto, -0.01, 1000.0));
        assert!(log(Scale::Log, 0.2, 0.9));
        assert!(!log(Scale::Log, 0.5, 0.9));
        assert!(!log(Scale::Log, 0.0, 0.9));
    }

    #[test]
    fn what_is_above_a_limit_leaves_the_frame() {
        let points = vec![(0.0, 0.1), (1.0, 0.05), (2.0, 1e30)];
        let figure = figure(Scale::LogBelow(1.0), points);
        let axis = figure.axis();
        assert!(axis.log && axis.low < 0.05 && axis.high > 1.0 && axis.high < 2.0, "{axis:?}");
        let svg = String::from_utf8(figure.render(Format::Svg).unwrap()).unwrap();
        assert!(svg.contains("1 point lies outside the frame"));
    }

    #[test]
    fn odd_values_still_give_a_usable_axis() {
        for points in [
            vec![],
            vec![(0.0, f64::NAN), (1.0, f64::INFINITY)],
            vec![(0.0, 0.0), (1.0, 0.0)],
            vec![(0.0, -3.0)],
            vec![(0.0, 1e-300), (1.0, 1e300)],
        ] {
            for scale in [Scale::Auto, Scale::Log, Scale::LogBelow(1e-9), Scale::LogBelow(10.0)] {
                let figure = figure(scale, points.clone());
                let axis = figure.axis();
                assert!(axis.low < axis.high, "{points:?}: {axis:?}");
                assert!(axis.low.is_finite() && axis.high.is_finite(), "{points:?}: {axis:?}");
                assert!(figure.render(Format::Svg).is_ok());
            }
        }
    }

    #[test]
    fn thinning_keeps_order_and_extremes() {
        let mut points: Vec<(f64, f64)> = (0..100_000).map(|t| (f64::from(t), f64::from(t % 7))).collect();
        points[31_415].1 = 99.0;
        points[27_182].1 = -99.0;
        let thinned = thin(&points);
        assert!(thinned.len() <= 2 * BUCKETS);
        assert!(thinned.contains(&points[31_415]) && thinned.contains(&points[27_182]));
        assert!(thinned.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(thin(&points[..100]), points[..100]);
    }
}
