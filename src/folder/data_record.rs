//! Which examples a run was made on, and the refusal of any others.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::ConfigError;

/// The identity of a run's examples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataRecord {
    /// The data set.
    pub name: String,
    /// Training examples in use.
    pub train: usize,
    /// Test examples in use.
    pub test: usize,
    /// SHA-256 of their features and labels as they are on the device, little-endian, the training set first.
    pub sha256: String,
}

impl DataRecord {
    /// The name of examples that a program brought, with a network and a loss: `[data]`, `[model]` and `[loss]` of
    /// config.toml do not describe them.
    pub const OWN: &str = "own";

    /// Whether a program brought them.
    pub fn is_own(&self) -> bool {
        self.name == Self::OWN
    }

    /// Refuses other examples than these, which a run was made on.
    ///
    /// # Errors
    /// [`ConfigError::Conflict`].
    pub fn check(&self, now: &Self) -> Result<(), ConfigError> {
        match self == now {
            true => Ok(()),
            false => Err(ConfigError::Conflict {
                problem: format!("the data are {now}, and this run was made on {self}"),
                remedy: "put back the files that it was made on, see config.toml and manifest.json",
            }),
        }
    }
}

impl fmt::Display for DataRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, train, test, sha256 } = self;
        write!(f, "{train} and {test} examples of {name} (SHA-256 {}…)", sha256.get(..12).unwrap_or(sha256))
    }
}
