//! A picture as data, either curves or the cells of a heat map, drawn as SVG, PNG or PDF. Only this folder uses the
//! plotting library.

mod axis;
mod cells;
mod curves;
mod dashes;
mod encode;
pub(crate) mod heat_map;
mod outside;
pub(crate) mod palette;
mod ticks;

use std::borrow::Cow;

pub(crate) use palette::Style;

/// The horizontal axis: its scale, and its title with unit.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Horizontal {
    /// The updates of a run, from 0.
    #[default]
    Steps,
    /// Linear between the ends of the curves.
    Linear(Cow<'static, str>),
    /// The same with ticks at whole numbers alone.
    Whole(Cow<'static, str>),
    /// Logarithmic between them; values are positive.
    Log(Cow<'static, str>),
}

/// The kind of vertical axis.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) enum Scale {
    /// Logarithmic if the values are positive and span more than two decades, else linear.
    #[default]
    Auto,
    /// Logarithmic if all values are positive, unless they hardly differ.
    Log,
    /// As `Log`; values above a limit leave the frame.
    LogBelow(f64),
    /// Linear over a fixed range.
    Fixed(f64, f64),
}

/// One named curve: (step, value) in step order. Values that are not finite, or beyond 1e100, are left out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Curve {
    /// The name in the legend; an empty name gets no entry.
    pub label: String,
    /// The points.
    pub points: Vec<(f64, f64)>,
    /// The look.
    pub style: Style,
    /// A band behind the curve, if any: (step, lower end, upper end) in step order.
    pub band: Vec<(f64, f64, f64)>,
}

impl Curve {
    /// A curve without a band.
    pub fn new(label: impl Into<String>, points: Vec<(f64, f64)>, style: Style) -> Self {
        Self { label: label.into(), points, style, band: vec![] }
    }

    /// Whether something of it can be drawn.
    pub fn has_points(&self) -> bool {
        self.points.iter().any(|(x, y)| x.is_finite() && y.is_finite())
    }
}

/// The description of a picture.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figure {
    /// The line above the picture.
    pub title: String,
    /// What a reader must know about the curves, in a smaller line below the title; empty for nothing.
    pub note: String,
    /// The horizontal axis.
    pub x: Horizontal,
    /// The title of the vertical axis, with its unit.
    pub y_label: &'static str,
    /// The vertical axis.
    pub scale: Scale,
    /// The curves, later ones on top.
    pub curves: Vec<Curve>,
}
