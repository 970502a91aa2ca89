//! A picture as data, either curves or the cells of a heat map, drawn as SVG, PNG or PDF. Only this folder uses the
//! plotting library.

mod cells;
mod curves;
mod encode;
pub(crate) mod heat_map;

use std::borrow::Cow;

/// The horizontal axis: its scale, and its title with unit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Horizontal {
    /// The updates of a run, from 0.
    Steps,
    /// Linear between the ends of the curves.
    Linear(Cow<'static, str>),
    /// Logarithmic between them; values are positive.
    Log(Cow<'static, str>),
}

/// The kind of vertical axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scale {
    /// Logarithmic if the values are positive and span more than two decades, else linear.
    Auto,
    /// Logarithmic if all values are positive, unless they hardly differ.
    Log,
    /// As `Log`; values above a limit leave the frame.
    LogBelow(f64),
    /// Linear over a fixed range.
    Fixed(f64, f64),
}

/// The look of a curve.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    /// An SVG colour.
    pub color: &'static str,
    /// Line width in nominal pixels.
    pub width: f64,
    /// SVG dash pattern; empty is a solid line.
    pub dashes: &'static str,
}

/// One named curve: (step, value) in step order. Values that are not finite, or beyond 1e100, are left out.
#[derive(Debug, Clone)]
pub(crate) struct Curve {
    /// The name in the legend; an empty name gets no entry.
    pub label: String,
    /// The points.
    pub points: Vec<(f64, f64)>,
    /// The look.
    pub style: Style,
}

impl Curve {
    /// Whether something of it can be drawn.
    pub fn has_points(&self) -> bool {
        self.points.iter().any(|(x, y)| x.is_finite() && y.is_finite())
    }
}

/// The description of a picture.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    /// The line above the picture.
    pub title: String,
    /// The horizontal axis.
    pub x: Horizontal,
    /// The title of the vertical axis, with its unit.
    pub y_label: &'static str,
    /// The vertical axis.
    pub scale: Scale,
    /// The curves, later ones on top.
    pub curves: Vec<Curve>,
}
