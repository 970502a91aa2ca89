//! A table of numbers as coloured cells, as data.

/// The content of a cell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// A number above 0.
    Value(f64),
    /// The reason that there is none, in a word or two.
    Missing(String),
}

/// The scale from numbers to colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colors {
    /// Logarithmic about 1, which is neutral; numbers beyond the ends have the colour of the end.
    Ratio,
    /// Logarithmic from the smallest number to the largest.
    Log,
}

/// The description of a picture of a table.
#[derive(Debug, Clone)]
pub(crate) struct HeatMap {
    /// The line above the picture.
    pub title: String,
    /// The title of the columns.
    pub x_label: String,
    /// The title of the rows.
    pub y_label: String,
    /// The title of the numbers.
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
