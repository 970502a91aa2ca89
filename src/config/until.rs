//! `run.until`: a condition that ends a run before its last step, such as `loss < 0.01`.

use std::fmt;
use std::str::FromStr;

use super::ConfigError;
use crate::model::Loss;

/// A column of `metrics.csv` and its bound from above.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Until {
    column: BoundedColumn,
    below: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BoundedColumn {
    /// From 0 on, or any number: see [`Loss::is_never_negative`].
    Loss,
    /// From 0 to 1.
    Error,
}

impl Until {
    /// The accepted values, in words.
    pub const ALLOWED: &str = "\"loss < NUMBER\" with a number above 0, or \"error < NUMBER\" with one above 0 and at \
                               most 1 (the error is a share), such as \"loss < 0.01\", or \"\" for all steps";

    /// Refuses a bound that no value of this loss is below.
    ///
    /// # Errors
    /// [`ConfigError::BadValue`]
    pub fn check(until: Option<Self>, loss: Loss) -> Result<(), ConfigError> {
        match until {
            Some(until) if until.column == BoundedColumn::Loss && until.below <= 0.0 && loss.is_never_negative() => {
                let (key, value) = ("run.until".to_owned(), format!("\"{until}\""));
                Err(ConfigError::BadValue { key, value, allowed: Self::ALLOWED.into() })
            }
            _ => Ok(()),
        }
    }

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
        let below: f64 = below.trim().parse().map_err(|_| Self::ALLOWED)?;
        let is_allowed = match column {
            BoundedColumn::Loss => below.is_finite(),
            BoundedColumn::Error => below > 0.0 && below <= 1.0,
        };
        if is_allowed { Ok(Self { column, below }) } else { Err(Self::ALLOWED) }
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
