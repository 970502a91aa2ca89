//! Reports: one HTML file that shows a run, or a sweep, to somebody who has neither the program nor its folder.
//!
//! One idea: the file is all there is. Pictures are inside it, as `data:` addresses, so that the names within one picture
//! cannot meet those of another; there is no script, and nothing is loaded. All text goes through a template that
//! escapes it.

mod glossary;
pub(crate) mod page;
mod run;
mod spectrum;
pub(crate) mod words;

pub(crate) use super::report::run::report_readout;
pub use super::report::run::run_report;
