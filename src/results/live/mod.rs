//! Live output of a run: JSON lines, TensorBoard's event files, pictures that follow. All is made from the lines of the
//! tables ([`Logged`]), so it is the same when made afterwards, and new columns appear by themselves.

use crate::observer::Logged;

mod event_file;
pub mod json;
pub mod tensorboard;
#[cfg(feature = "plots")]
pub mod watch;

/// The content of a cell.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value<'a> {
    /// Empty: not measured.
    Missing,
    /// A whole number, such as a step.
    Whole(u64),
    /// A real number, perhaps not finite.
    Real(f64),
    /// A word, such as the measuring set.
    Word(&'a str),
}

impl<'a> Logged<'a> {
    /// The columns with their cells.
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
