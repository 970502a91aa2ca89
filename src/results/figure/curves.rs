//! Draws a [`Figure`] with the plotting library, and adds arrows for points outside the frame, small ticks on
//! logarithmic axes, bands behind curves, curves thinned to screen resolution without losing extremes, and marks on
//! curves of few points.

use std::sync::Arc;

use kuva::TickFormat;
use kuva::plot::legend::LegendPosition;
use kuva::plot::{BandPlot, LinePlot, ScatterPlot};
use kuva::prelude::{Layout, LegendEntry, LegendShape, Plot};
use kuva::render::color::Color;
use kuva::render::layout::ComputedLayout;
use kuva::render::render::{Primitive, Scene, render_multiple};

use super::axis::{Axis, is_drawable};
use super::encode::encode;
use super::outside::Frame;
use super::palette::BLACK;
use super::{Curve, Figure, Horizontal};

use crate::results::look::Look;

/// Buckets that a long curve is thinned to; each keeps its smallest and largest value.
const BUCKETS: usize = 1000;
/// In pictures of curves with at most this many points, the points are marked,
const FEW_POINTS: usize = 25;
/// if there are no more curves than this.
const FEW_CURVES: usize = 6;
/// The longest name, in characters, for a legend beside the picture.
const SHORT_LABEL: usize = 18;
/// The most names beside the picture.
const FEW_LABELS: usize = 16;
/// The letters at the axes of the library's own size, in pixels: widths of lines and margins are for these.
const LETTERS: f64 = 13.0;
/// The sizes of title, note and axis titles.
const TITLE: u32 = 18;
const NOTE: u32 = 13;
const LABEL: u32 = 15;
/// The width of an average letter, in units of its height.
const LETTER: f64 = 0.56;
/// The width of a picture, in letters' heights, below which a legend would leave little of it.
const NARROW: f64 = 50.0;
/// The smallest frame, in letters' heights.
const LEAST: f64 = 6.0;
/// Rounds of fitting the frame into the height that the legend leaves.
const FITS: usize = 3;

impl Figure {
    /// Draws the picture into the bytes of a file.
    ///
    /// # Errors
    /// A message if the axes asked for cannot be, or the letters leave no room, and the plotting library's message if it
    /// cannot encode the picture.
    pub fn render(&self, look: &Look) -> Result<Vec<u8>, String> {
        encode(self.scene(look)?, look.format, look.density())
    }

    fn scene(&self, look: &Look) -> Result<Scene, String> {
        let axes = self.axes(look)?;
        let (width, height) = look.pixels();
        let letters = look.letters();
        let mut frame = Frame { axes, left: 0.0, right: 1.0, top: 0.0, bottom: 1.0, letters };
        let note = self.note_with(&frame);
        let mut given = height;
        let mut layout = self.layout(look, &axes, &note, (width, given), given);
        let mut computed = ComputedLayout::from_layout(&layout);
        for _ in 0..FITS {
            // A legend below adds to the height.
            given -= if look.grows() { 0.0 } else { computed.height - height };
            layout = self.layout(look, &axes, &note, (width, given.max(1.0)), computed.plot_height());
            computed = ComputedLayout::from_layout(&layout);
        }
        (frame.left, frame.right) = (computed.margin_left, computed.width - computed.margin_right);
        (frame.top, frame.bottom) = (computed.margin_top, computed.height - computed.margin_bottom);
        let least = LEAST * letters;
        if frame.right - frame.left < least || frame.bottom - frame.top < least {
            return Err(
                "the letters leave no room for the curves; ask for a larger --size or a smaller --font-size".into()
            );
        }
        let mut scene = render_multiple(self.plots(&axes, letters / LETTERS), layout);
        small_ticks(&frame, &mut scene);
        frame.draw(&frame.marks(&self.curves), &mut scene);
        Ok(scene)
    }

    /// The note, with the number of points outside.
    fn note_with(&self, frame: &Frame) -> String {
        let outside = match frame.outside(&self.curves) {
            0 => String::new(),
            1 => "1 point lies outside the frame: the arrow at its edge".into(),
            n => format!("{n} points lie outside the frame: arrows at its edge"),
        };
        let parts: Vec<&str> = [self.note.as_str(), &outside].into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(". ")
    }

    fn plots(&self, [x, y]: &[Axis; 2], scale: f64) -> Vec<Plot> {
        let mut plots = Vec::new();
        let place = |&(a, b): &(f64, f64)| (x.place(a), y.place(b));
        for Curve { band, style, .. } in self.curves.iter().filter(|curve| !curve.band.is_empty()) {
            // On a logarithmic axis a band may reach below every number.
            let within = |value: f64| y.place(value.clamp(y.low, y.high));
            let of = |end: fn(&(f64, f64, f64)) -> f64| band.iter().map(end);
            let ends = BandPlot::new(of(|p| p.0).map(|a| x.place(a)), of(|p| p.1).map(within), of(|p| p.2).map(within));
            plots.push(Plot::Band(ends.with_color(style.color.to_string()).with_opacity(0.2)));
        }
        // Lines through a few points hide the measured points; many curves of marks hide each other.
        let lines = || self.curves.iter().map(|curve| curve.points.len()).filter(|&points| points > 2);
        let marked = lines().count() <= FEW_CURVES && lines().all(|points| points <= FEW_POINTS);
        for curve in &self.curves {
            let points: Vec<(f64, f64)> = thin(&curve.points, |&(a, b)| (!x.log || a > 0.0) && (!y.log || b > 0.0));
            let points: Vec<(f64, f64)> = points.iter().map(place).collect();
            let (style, color) = (curve.style, curve.style.color.to_string());
            // A line through one point shows nothing.
            if points.len() == 1 || (marked && points.len() > 2 && style.dashes.is_empty()) {
                let dots = ScatterPlot::new().with_data(points.clone());
                plots.push(dots.with_color(color.clone()).with_size(scale * (2.0 + 0.6 * style.width)).into());
            }
            if points.len() == 1 {
                continue;
            }
            let line = LinePlot::new().with_data(points).with_color(color).with_stroke_width(scale * style.width);
            plots.push(match style.dashes {
                "" => line.into(),
                dashes => line.with_line_style(kuva::plot::LineStyle::Custom(scaled(dashes, scale))).into(),
            });
        }
        plots
    }

    fn layout(&self, look: &Look, [x, y]: &[Axis; 2], note: &str, (width, height): (f64, f64), upright: f64) -> Layout {
        let scale = look.letters() / LETTERS;
        let named = || self.curves.iter().filter(|curve| !curve.label.is_empty());
        // Long names beside the picture would leave little of it.
        let is_narrow = width < NARROW * look.letters();
        let below =
            is_narrow || named().count() > FEW_LABELS || named().any(|curve| curve.label.chars().count() > SHORT_LABEL);
        let x_label = match &self.x {
            Horizontal::Steps => "step (updates made)",
            Horizontal::Linear(label) | Horizontal::Whole(label) | Horizontal::Log(label) => label,
        };
        let titled = |label: &str, axis: &Axis| if axis.log { format!("{label}, log scale") } else { label.to_owned() };
        let letters = |length: f64, size: u32| (length / (LETTER * scale * f64::from(size))) as usize;
        let mut layout = Layout::new((x.place(x.low), x.place(x.high)), (y.place(y.low), y.place(y.high)))
            .with_width(width)
            .with_height(height)
            .with_scale(scale)
            .with_title(&self.title)
            .with_title_wrap(letters(width, TITLE))
            .with_x_label(titled(x_label, x))
            .with_x_label_wrap(letters(0.85 * width, LABEL))
            .with_y_label(titled(self.y_label, y))
            .with_y_label_wrap(letters(upright, LABEL).max(1))
            .with_x_axis_min(x.place(x.low))
            .with_x_axis_max(x.place(x.high))
            .with_y_axis_min(y.place(y.low))
            .with_y_axis_max(y.place(y.high))
            .with_title_size(TITLE)
            .with_label_size(LABEL)
            .with_tick_size(LETTERS as u32)
            .with_body_size(LETTERS as u32)
            .with_legend_box(false)
            .with_x_tick_format(TickFormat::Custom(Arc::new(x.labels())))
            .with_y_tick_format(TickFormat::Custom(Arc::new(y.labels())))
            .with_legend_position(if below {
                LegendPosition::OutsideBottomColumns
            } else {
                LegendPosition::OutsideRightTop
            })
            .with_legend_entries(named().map(|curve| legend(curve, scale)).collect());
        if is_narrow {
            layout = layout.with_ticks(4);
        }
        if !x.log && (matches!(self.x, Horizontal::Whole(_)) || (self.x == Horizontal::Steps && x.is_short())) {
            layout = layout.with_x_tick_step(x.whole_step());
        }
        if x.log {
            layout = layout.with_log_x();
        }
        if y.log {
            layout = layout.with_log_y();
        }
        if note.is_empty() { layout } else { layout.with_subtitle(note).with_subtitle_wrap(letters(width, NOTE)) }
    }
}

/// Small ticks outside the frame at its logarithmic axes.
fn small_ticks(frame: &Frame, scene: &mut Scene) {
    let length = 0.25 * frame.letters;
    let [across, upward] = frame.axes.each_ref().map(Axis::small_ticks);
    let across = across.into_iter().map(|x| frame.across(x)).map(|x| [x, frame.bottom, x, frame.bottom + length]);
    let upward = upward.into_iter().map(|y| frame.down(y)).map(|y| [frame.left - length, y, frame.left, y]);
    for [x1, y1, x2, y2] in across.chain(upward) {
        let stroke = Color::from(BLACK.to_string().as_str());
        let stroke_width = frame.letters / LETTERS;
        scene.add(Primitive::Line { x1, y1, x2, y2, stroke, stroke_width, stroke_dasharray: None });
    }
}

fn legend(Curve { label, style, .. }: &Curve, scale: f64) -> LegendEntry {
    let dasharray = (!style.dashes.is_empty()).then(|| scaled(style.dashes, scale));
    LegendEntry { label: label.clone(), color: style.color.to_string(), shape: LegendShape::Line, dasharray }
}

/// A pattern of dashes in another size.
fn scaled(dashes: &str, scale: f64) -> String {
    let lengths = dashes.split(' ').filter_map(|length| length.parse::<f64>().ok());
    lengths
        .map(|length| format!("{:.4}", scale * length))
        .map(|text| text.trim_end_matches('0').trim_end_matches('.').to_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The points to draw of those that have a place; of many, each bucket's smallest and largest, in order.
fn thin(points: &[(f64, f64)], has_place: impl Fn(&(f64, f64)) -> bool) -> Vec<(f64, f64)> {
    let finite: Vec<(f64, f64)> =
        points.iter().copied().filter(|point| is_drawable(point) && has_place(point)).collect();
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
    use super::super::{Scale, Style};
    use super::*;
    use crate::results::Format;
    use crate::results::look::AxisLook;

    fn figure(scale: Scale, points: Vec<(f64, f64)>) -> Figure {
        let style = Style { width: 1.0, ..Default::default() };
        Figure { scale, curves: vec![Curve::new("", points, style)], ..Default::default() }
    }

    fn svg(figure: &Figure, look: &Look) -> String {
        String::from_utf8(figure.render(look).unwrap()).unwrap()
    }

    #[test]
    fn odd_values_still_give_a_picture() {
        for points in [
            vec![],
            vec![(0.0, f64::NAN), (1.0, f64::INFINITY)],
            vec![(0.0, 0.0), (1.0, 0.0)],
            vec![(0.0, -3.0)],
            vec![(5.0, 2.0)],
            vec![(0.0, 1e-300), (1.0, 1e300)],
        ] {
            for scale in [Scale::Auto, Scale::Log, Scale::LogBelow(1e-9), Scale::LogBelow(10.0)] {
                for log in [false, true] {
                    let figure = figure(scale, points.clone());
                    let asked = AxisLook { log, range: None };
                    let look = Look { x: asked, y: asked, ..Look::from(Format::Svg) };
                    for axis in figure.axes(&look).unwrap() {
                        assert!(axis.low < axis.high, "{points:?}: {axis:?}");
                        assert!(axis.low.is_finite() && axis.high.is_finite(), "{points:?}: {axis:?}");
                    }
                    assert!(figure.render(&look).is_ok());
                }
            }
        }
    }

    #[test]
    fn points_outside_are_counted_and_marked() {
        let figure = figure(Scale::LogBelow(1.0), vec![(0.0, 0.1), (1.0, 0.05), (2.0, 1e30)]);
        let svg = svg(&figure, &Format::Svg.into());
        assert!(svg.contains("1 point lies outside the frame"));
        // The arrow: a filled triangle.
        assert_eq!(svg.matches("Z\"").count(), 1, "{svg}");
        assert!(svg.contains("log scale"));
    }

    #[test]
    fn pictures_have_the_size_asked_for() {
        let mut figure = figure(Scale::Auto, (0..50).map(|t| (f64::from(t), f64::from(t))).collect());
        figure.title = "A title that is far too long for a single line of a narrow column".into();
        figure.y_label = "Hessian eigenvalue (loss per squared weight)";
        figure.curves = (0..5).map(|i| Curve { label: format!("curve {i}"), ..figure.curves[0].clone() }).collect();
        for size in ["column", "page", "talk", "3x3", "20x8cm"] {
            let look = Look { size: size.parse().unwrap(), ..Look::from(Format::Svg) };
            let (width, height) = look.pixels();
            let scene = figure.scene(&look).unwrap();
            assert!(
                (scene.width - width).abs() < 0.5 && (scene.height - height).abs() < 0.5,
                "{size}: {} {}",
                scene.width,
                scene.height
            );
        }
        let look = Look { size: "1x1".parse().unwrap(), font_size: "40".parse().ok(), ..Look::from(Format::Svg) };
        assert!(figure.render(&look).unwrap_err().contains("--size"));
    }

    #[test]
    fn bands_lie_behind_their_curves() {
        let mut figure = figure(Scale::Auto, vec![(0.0, 1.0), (1.0, 2.0), (2.0, 1.0)]);
        let without = svg(&figure, &Format::Svg.into());
        figure.curves[0].band = vec![(0.0, 0.5, 1.5), (1.0, 1.0, 7.0), (2.0, 0.5, 1.5)];
        let with = svg(&figure, &Format::Svg.into());
        assert!(with.contains("opacity=\"0.2\"") && !without.contains("opacity=\"0.2\""));
        assert!(figure.axes(&Format::Svg.into()).unwrap()[1].holds(7.0));
    }

    #[test]
    fn thinning_keeps_order_and_extremes() {
        let mut points: Vec<(f64, f64)> = (0..100_000).map(|t| (f64::from(t), f64::from(t % 7))).collect();
        points[31_415].1 = 99.0;
        points[27_182].1 = -99.0;
        let thinned = thin(&points, |_| true);
        assert!(thinned.len() <= 2 * BUCKETS);
        assert!(thinned.contains(&points[31_415]) && thinned.contains(&points[27_182]));
        assert!(thinned.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(thin(&points[..100], |_| true), points[..100]);
    }
}
