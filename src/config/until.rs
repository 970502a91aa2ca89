//! `run.until`: a condition that ends a run before its last step, such as `loss < 0.01`.

use std::fmt;
use std::str::FromStr;

/// A column of `metrics.csv` and its bound from above.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Until {
    column: Column,
    below: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Loss,
    Error,
}

impl Until {
    /// The accepted values, in words.
    pub const ALLOWED: &str = "\"loss < NUMBER\" or \"error < NUMBER\", such as \"loss < 0.01\", or \"\" for all steps";

    /// Whether a row with this loss and error meets it.
    pub fn is_met(&self, loss: f64, error: f64) -> bool {
        let value = match self.column {
            Column::Loss => loss,
            Column::Error => error,
        };
        value < self.below
    }
}

impl FromStr for Until {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (column, below) = text.split_once('<').ok_or(Self::ALLOWED)?;
        let column = match column.trim() {
            "loss" => Column::Loss,
            "error" => Column::Error,
            _ => return Err(Self::ALLOWED),
        };
        match below.trim().parse() {
            Ok(below) if f64::is_finite(below) => Ok(Self { column, below }),
            _ => Err(Self::ALLOWED),
        }
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = match self.column {
            Column::Loss => "loss",
            Column::Error => "error",
        };
        write!(f, "{column} < {:?}", self.below)
    }
}
