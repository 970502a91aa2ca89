//! Environment variables. An empty one counts as unset, so that `VARIABLE= edgewalk …` takes one away.

use std::ffi::OsString;

/// The value of an environment variable; `None` if it is unset or empty.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
