//! Marks for the points that lie outside a frame: an arrow at the edge where each would be, with the number of points
//! where it stands for several.

use kuva::render::color::Color;
use kuva::render::render::{PathData, Primitive, Scene, TextAnchor};

use super::Curve;
use super::axis::Axis;
use super::palette::{BLACK, Ink};

/// The frame of a picture in pixels, and its axes.
pub(super) struct Frame {
    pub axes: [Axis; 2],
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
    /// The height of letters in pixels.
    pub letters: f64,
}

/// The edge that an arrow points across.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    Left,
    Right,
    Top,
    Bottom,
}

/// An arrow.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mark {
    edge: Edge,
    /// The distance along the edge in pixels, from the left or the top of the picture.
    along: f64,
    /// The points that it stands for.
    count: usize,
    /// The colour of their curve; black for several.
    color: Ink,
}

impl Frame {
    /// The horizontal place of a value, inside the frame or not.
    pub fn across(&self, x: f64) -> f64 {
        self.left + share(&self.axes[0], x) * (self.right - self.left)
    }

    /// The vertical place of a value.
    pub fn down(&self, y: f64) -> f64 {
        self.bottom - share(&self.axes[1], y) * (self.bottom - self.top)
    }

    /// The edge beyond which a point lies; `None` in the frame, and for values that are no numbers.
    fn beyond(&self, (x, y): (f64, f64)) -> Option<Edge> {
        let [across, upward] = &self.axes;
        match (x.partial_cmp(&across.low)?, y.partial_cmp(&upward.low)?) {
            (std::cmp::Ordering::Less, _) => Some(Edge::Left),
            _ if x > across.high => Some(Edge::Right),
            (_, std::cmp::Ordering::Less) => Some(Edge::Bottom),
            _ => (y > upward.high).then_some(Edge::Top),
        }
    }

    /// The arrows for all points of these curves that lie outside. Those beyond the sides share one a side: only axes
    /// that a reader asked for have any.
    pub fn marks(&self, curves: &[Curve]) -> Vec<Mark> {
        let points = curves.iter().flat_map(|curve| curve.points.iter().map(|point| (*point, curve.style.color)));
        let mut outside: Vec<Mark> = points
            .filter_map(|(point, color)| {
                let edge = self.beyond(point)?;
                let along = match edge {
                    Edge::Left | Edge::Right => self.bottom - self.letters,
                    Edge::Top | Edge::Bottom => self.across(point.0),
                };
                Some(Mark { edge, along, count: 1, color })
            })
            .collect();
        outside.sort_by(|a, b| (a.edge as u8).cmp(&(b.edge as u8)).then(a.along.total_cmp(&b.along)));
        let room = self.room();
        let mut marks: Vec<Mark> = vec![];
        // The place of the first point of the last mark.
        let mut first = f64::NEG_INFINITY;
        for point in outside {
            match marks.last_mut() {
                Some(mark) if mark.edge == point.edge && point.along - first <= room => {
                    mark.count += 1;
                    mark.along = 0.5 * (first + point.along);
                    mark.color = if mark.color == point.color { mark.color } else { BLACK };
                }
                _ => {
                    first = point.along;
                    marks.push(point);
                }
            }
        }
        marks
    }

    /// The number of points outside.
    pub fn outside(&self, curves: &[Curve]) -> usize {
        curves.iter().flat_map(|curve| &curve.points).filter(|point| self.beyond(**point).is_some()).count()
    }

    /// The distance within which points share an arrow.
    fn room(&self) -> f64 {
        2.5 * self.letters
    }

    /// Draws the arrows, their tips at the edge.
    pub fn draw(&self, marks: &[Mark], scene: &mut Scene) {
        let size = 0.55 * self.letters;
        for Mark { edge, along, count, color } in marks {
            // The tip, and the direction in which it points.
            let (tip, (dx, dy)) = match edge {
                Edge::Left => ((self.left, *along), (-1.0, 0.0)),
                Edge::Right => ((self.right, *along), (1.0, 0.0)),
                Edge::Top => ((*along, self.top), (0.0, -1.0)),
                Edge::Bottom => ((*along, self.bottom), (0.0, 1.0)),
            };
            let back = (tip.0 - 1.3 * size * dx, tip.1 - 1.3 * size * dy);
            let corners = [
                tip,
                (back.0 + 0.6 * size * dy, back.1 + 0.6 * size * dx),
                (back.0 - 0.6 * size * dy, back.1 - 0.6 * size * dx),
            ];
            let corner = |(x, y): (f64, f64)| format!("{x:.2} {y:.2}");
            let color = Color::from(color.to_string().as_str());
            scene.add(Primitive::Path(Box::new(PathData {
                d: format!("M {} L {} L {} Z", corner(corners[0]), corner(corners[1]), corner(corners[2])),
                fill: Some(color.clone()),
                stroke: color,
                stroke_width: 0.0,
                opacity: None,
                stroke_dasharray: None,
            })));
            if *count == 1 {
                continue;
            }
            let letters = 0.8 * self.letters;
            // Text beside an arrow at a side, under or over one at the other edges, and within the frame.
            let (x, y, anchor) = match edge {
                Edge::Left => (back.0 + 3.0, back.1 + 0.35 * letters, TextAnchor::Start),
                Edge::Right => (back.0 - 3.0, back.1 + 0.35 * letters, TextAnchor::End),
                Edge::Top | Edge::Bottom => {
                    let half = 0.35 * letters * (1 + count.to_string().len()) as f64;
                    let x = back.0.clamp(self.left + half, (self.right - half).max(self.left + half));
                    (x, if *edge == Edge::Top { back.1 + letters } else { back.1 - 3.0 }, TextAnchor::Middle)
                }
            };
            let (content, size) = (format!("×{count}"), letters.round() as u32);
            scene.add(Primitive::Text { x, y, content, size, anchor, rotate: None, bold: false, color: None });
        }
    }
}

/// The share of an axis below a value.
fn share(axis: &Axis, value: f64) -> f64 {
    match axis.log {
        true => (value / axis.low).ln() / (axis.high / axis.low).ln(),
        false => (value - axis.low) / (axis.high - axis.low),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Figure, Scale, Style};
    use super::*;
    use crate::results::Format;
    use crate::results::look::{AxisLook, Look};

    const SIDE: f64 = 500.0;

    fn frame(axes: [Axis; 2]) -> Frame {
        Frame { axes, left: 40.0, right: 40.0 + SIDE, top: 30.0, bottom: 30.0 + SIDE, letters: 13.0 }
    }

    proptest! {
        /// Whatever the values, the scale and the axes asked for: a point is in the frame, or an arrow stands for it at
        /// its place.
        #[test]
        fn no_point_is_outside_without_a_mark(
            values in prop::collection::vec(prop_oneof![Just(0.0), Just(1e200), Just(f64::INFINITY), -2.0..3.0_f64, (-20.0..20.0_f64).prop_map(f64::exp)], 1..80),
            scale in prop_oneof![Just(Scale::Auto), Just(Scale::Log), Just(Scale::LogBelow(1.0)), Just(Scale::Fixed(0.0, 1.0))],
            log in any::<(bool, bool)>(),
            range in prop_oneof![Just(""), Just("3:9"), Just("0.5:30")],
        ) {
            let points: Vec<(f64, f64)> = values.iter().enumerate().map(|(t, &y)| (t as f64, y)).collect();
            let curves = vec![Curve::new("", points.clone(), Style::default())];
            let figure = Figure { scale, curves, ..Default::default() };
            let [x, y] = [(log.0, range), (log.1, "")].map(|(log, range)| AxisLook { log, range: range.parse().ok() });
            let frame = frame(figure.axes(&Look { x, y, ..Look::from(Format::Svg) }).unwrap());
            let marks = frame.marks(&figure.curves);
            let [across, upward] = frame.axes;
            let outside: Vec<&(f64, f64)> =
                points.iter().filter(|(x, y)| !across.holds(*x) || !upward.holds(*y)).collect();
            prop_assert_eq!(marks.iter().map(|mark| mark.count).sum::<usize>(), outside.len());
            for &&(x, y) in &outside {
                let near = |mark: &&Mark| match mark.edge {
                    Edge::Left => x < across.low,
                    Edge::Right => x > across.high,
                    Edge::Top => y > upward.high && (mark.along - frame.across(x)).abs() <= frame.room(),
                    Edge::Bottom => y < upward.low && (mark.along - frame.across(x)).abs() <= frame.room(),
                };
                prop_assert!(marks.iter().any(|mark| near(&mark)), "({x}, {y}): {marks:?}");
            }
            for mark in &marks {
                let ends = match mark.edge {
                    Edge::Left | Edge::Right => (frame.top, frame.bottom),
                    Edge::Top | Edge::Bottom => (frame.left, frame.right),
                };
                prop_assert!((ends.0..=ends.1).contains(&mark.along), "{mark:?}");
            }
        }
    }

    #[test]
    fn an_arrow_stands_for_its_neighbours_and_says_how_many() {
        let axes = [Axis { low: 0.0, high: 500.0, log: false }, Axis { low: 0.0, high: 1.0, log: false }];
        let frame = frame(axes);
        let curve =
            |points: &[(f64, f64)], color| Curve::new("", points.to_vec(), Style { color, ..Default::default() });
        let red = Ink(255, 0, 0);
        let curves =
            [curve(&[(100.0, 5.0), (110.0, 7.0), (300.0, 2.0), (400.0, -1.0)], red), curve(&[(105.0, 9.0)], BLACK)];
        let marks = frame.marks(&curves);
        let mark = |edge, along, count, color| Mark { edge, along: 40.0 + along, count, color };
        let expected =
            [mark(Edge::Top, 105.0, 3, BLACK), mark(Edge::Top, 300.0, 1, red), mark(Edge::Bottom, 400.0, 1, red)];
        assert_eq!(marks, expected);
    }
}
