//! A run as others see it while it goes on: JSON lines, TensorBoard's event files, pictures that follow.
//!
//! One idea: the tables are the truth, and everything here is made of their lines, a table's name with columns and cells
//! ([`Logged`]). What is made as rows arrive is therefore the same as what is made of the tables afterwards, and a new
//! column shows up everywhere by itself.

use crate::observer::Logged;

mod event_file;
pub mod json;
pub mod tensorboard;
#[cfg(feature = "plots")]
pub mod watch;

/// What a cell holds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value<'a> {
    /// Nothing: it was not measured.
    Missing,
    /// A whole number, such as a step.
    Whole(u64),
    /// A real number, perhaps not finite.
    Real(f64),
    /// A word, such as the set that was measured on.
    Word(&'a str),
}

impl<'a> Logged<'a> {
    /// The columns with what their cells hold.
    fn values(self) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        self.columns.iter().map(String::as_str).zip(self.cells.iter().map(|cell| Value::of(cell)))
    }
}

impl<'a> Value<'a> {
    fn of(cell: &'a str) -> Self {
        match (cell.parse(), cell.parse()) {
            _ if cell.is_empty() => Self::Missing,
            (Ok(whole), _) => Self::Whole(whole),
            (_, Ok(real)) => Self::Real(real),
            _ => Self::Word(cell),
        }
    }

    /// The number, if it is one.
    fn number(self) -> Option<f64> {
        match self {
            Self::Whole(whole) => Some(whole as f64),
            Self::Real(real) => Some(real),
            Self::Missing | Self::Word(_) => None,
        }
    }
}
