//! Environment variables. An empty one counts as unset, so that `VARIABLE= edgewalk …` takes one away.

use std::ffi::OsString;

/// The value of an environment variable; `None` if it is unset or empty.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    foreign_variable(name).filter(|value| !value.is_empty())
}

/// The value of a variable of another program, for which an empty one is not unset.
pub(crate) fn foreign_variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
