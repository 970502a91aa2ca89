//! The table: one row for each check, and the last line that adds them up.

use std::fmt;

use super::ROUNDOFF;
use crate::device::{AdapterSummary, DeviceError};

/// The verdict of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A fact, without a limit.
    Note,
    /// Within its limit.
    Pass,
    /// A finding that spoils no result by itself.
    Warn,
    /// Beyond its limit.
    Fail,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Note => "note",
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        })
    }
}

/// One row of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The check.
    pub check: String,
    /// The finding.
    pub found: String,
    /// The limit and its origin; empty if none.
    pub limit: String,
    /// The comparison.
    pub verdict: Verdict,
    /// The advice; present whenever the verdict is [`Verdict::Warn`] or [`Verdict::Fail`].
    pub advice: Option<String>,
    /// Lines of figures behind the finding.
    pub details: Vec<String>,
}

impl Row {
    /// A fact.
    pub(super) fn note(check: &str, found: String) -> Self {
        let (check, limit) = (check.to_owned(), String::new());
        Self { check, found, limit, verdict: Verdict::Note, advice: None, details: vec![] }
    }

    /// A row that passes, or fails and then gives this advice.
    pub(super) fn judged(check: &str, found: String, limit: String, good: bool, advice: &str) -> Self {
        let verdict = if good { Verdict::Pass } else { Verdict::Fail };
        let advice = (!good).then(|| advice.to_owned());
        Self { limit, verdict, advice, ..Self::note(check, found) }
    }

    /// An error that must not exceed that of `roundoffs` = n operations in a row: n·u to first order, and n·u/(1 − n·u)
    /// in full. NaN exceeds everything.
    pub(super) fn error(check: &str, error: f64, roundoffs: f64, advice: &str) -> Self {
        let limit = roundoffs * ROUNDOFF / (1.0 - roundoffs * ROUNDOFF);
        let text = format!("{limit:.1e} = {roundoffs:.0} u");
        Self::judged(check, format!("error {error:.1e}"), text, error <= limit, advice)
    }

    /// A section that the device refused.
    pub(super) fn refused(section: &str, error: &DeviceError) -> Self {
        let details = error.to_string().lines().map(str::to_owned).collect();
        let advice = "update the driver, or choose another --adapter (see `edgewalk info`)";
        Self { details, ..Self::judged(section, "the device refused it".to_owned(), String::new(), false, advice) }
    }
}

impl fmt::Display for Row {
    /// Widths are fixed, because rows are printed as they are found.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { check, found, limit, verdict, advice, details } = self;
        let line = format!("{verdict:4}  {check:28}  {found:59}  {limit}");
        write!(f, "{}", line.trim_end())?;
        for line in advice.iter().map(|advice| format!("→ {advice}")).chain(details.iter().cloned()) {
            write!(f, "\n      {line}")?;
        }
        Ok(())
    }
}

/// The findings on one adapter.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Version of Edgewalk, system, adapter.
    pub title: String,
    /// The rows, in the order in which they were found.
    pub rows: Vec<Row>,
}

impl Report {
    /// An empty report on an adapter.
    pub fn new(adapter: &AdapterSummary) -> Self {
        let (version, os, arch) = (env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH);
        let title = format!("edgewalk {version} on {os} {arch}: {} through {}", adapter.name, adapter.backend);
        Self { title, rows: vec![] }
    }

    /// The rows with this verdict.
    pub fn with(&self, verdict: Verdict) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.verdict == verdict)
    }

    /// The last line: whether the adapter can be trusted.
    pub fn verdict(&self) -> String {
        let names = |verdict: Verdict| self.with(verdict).map(|row| row.check.as_str()).collect::<Vec<_>>();
        let count = |names: &[&str], what: &str| {
            format!("{} {what}{}: {}", names.len(), if names.len() == 1 { "" } else { "s" }, names.join(", "))
        };
        let (failed, warned) = (names(Verdict::Fail), names(Verdict::Warn));
        match (failed.as_slice(), warned.as_slice()) {
            ([], []) => "this adapter can be trusted".to_owned(),
            ([], warned) => format!("this adapter can be trusted, with {}", count(warned, "warning")),
            ([one], _) => format!("1 check failed: {one}"),
            (failed, _) => format!("{} checks failed: {}", failed.len(), failed.join(", ")),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.title)?;
        self.rows.iter().try_for_each(|row| writeln!(f, "{row}"))?;
        writeln!(f, "\n{}", self.verdict())
    }
}
