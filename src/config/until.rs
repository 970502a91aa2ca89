//! `run.until`: a condition that ends a run before its last step, such as `loss < 0.01`.

use std::fmt;
use std::str::FromStr;

/// A column of `metrics.csv` and its bound from above, which some values of the column meet and others do not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Until {
    column: BoundedColumn,
    below: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BoundedColumn {
    /// From 0 on.
    Loss,
    /// From 0 to 1.
    Error,
}

impl Until {
    /// The accepted values, in words.
    pub const ALLOWED: &str = "\"loss < NUMBER\" with a number above 0, or \"error < NUMBER\" with one above 0 and at \
                               most 1 (the error is a share), such as \"loss < 0.01\", or \"\" for all steps";

    /// Whether it bounds the error.
    pub(super) fn needs_error(&self) -> bool {
        self.column == BoundedColumn::Error
    }

    /// Whether a row with this loss and error meets it.
    pub fn is_met(&self, loss: f64, error: f64) -> bool {
        let value = match self.column {
            BoundedColumn::Loss => loss,
            BoundedColumn::Error => error,
        };
        value < self.below
    }
}

impl FromStr for Until {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (column, below) = text.split_once('<').ok_or(Self::ALLOWED)?;
        let column = match column.trim() {
            "loss" => BoundedColumn::Loss,
            "error" => BoundedColumn::Error,
            _ => return Err(Self::ALLOWED),
        };
        let most = match column {
            BoundedColumn::Loss => f64::MAX,
            BoundedColumn::Error => 1.0,
        };
        match below.trim().parse() {
            Ok(below) if below > 0.0 && below <= most => Ok(Self { column, below }),
            _ => Err(Self::ALLOWED),
        }
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = match self.column {
            BoundedColumn::Loss => "loss",
            BoundedColumn::Error => "error",
        };
        write!(f, "{column} < {:?}", self.below)
    }
}
