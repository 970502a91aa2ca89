//! Reports: one HTML file that shows a run or a sweep without the program or its folder. It loads nothing, and has no
//! script but the one that sorts the tables of a sweep. Pictures are `data:` addresses, so the names within one cannot
//! clash with another's, and all text goes through a template that escapes it.

pub(crate) mod config_words;
mod facts;
mod glossary;
mod head;
mod later;
mod numbers;
mod optimizer_words;
pub(crate) mod page;
mod run;
mod spectrum;

pub(crate) use super::report::run::report_readout;
pub use super::report::run::run_report;
