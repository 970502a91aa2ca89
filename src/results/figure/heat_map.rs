//! A table of numbers as coloured cells, as data.

/// What a cell shows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// A number above 0.
    Value(f64),
    /// Why there is none, in a word or two.
    Missing(String),
}

/// How numbers become colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colors {
    /// On a logarithmic scale about 1, which is neutral; what is beyond the ends of the scale has the colour of its end.
    Ratio,
    /// On a logarithmic scale from the smallest number to the largest.
    Log,
}

/// A picture of a table yet to be drawn.
#[derive(Debug, Clone)]
pub(crate) struct HeatMap {
    /// The line above the picture.
    pub title: String,
    /// What the columns are.
    pub x_label: String,
    /// What the rows are.
    pub y_label: String,
    /// What the numbers are.
    pub label: &'static str,
    /// The columns' values.
    pub columns: Vec<String>,
    /// The rows' values, the lowest first.
    pub rows: Vec<String>,
    /// The cells of each row.
    pub cells: Vec<Vec<Cell>>,
    /// The colours.
    pub colors: Colors,
}
