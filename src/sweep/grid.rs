//! A checked sweep before it has a folder: every combination is valid.

use std::collections::HashMap;

use super::{Axis, SweepError, axis, capacity};
use crate::config::{self, Config, effective};
use crate::text::with_causes;

/// A valid sweep without a folder yet: every job's configuration is complete and valid.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// The preset's name, or the file's without `.toml`.
    pub name: String,
    /// The adapter of the jobs, as for `--adapter`.
    pub adapter: Option<String>,
    /// The axes.
    pub axes: Vec<Axis>,
    /// Every job's name and configuration, the last axis changing fastest; at least two.
    pub jobs: Vec<(String, Config)>,
}

impl Grid {
    /// Every combination of the values in `sets`, arguments `key=value` or `key=value,value,…`, over the preset or file
    /// `target`, as [`config::resolve`] takes it.
    ///
    /// # Errors
    /// [`config::ConfigError`] for an unknown target or key and for a value that is invalid by itself; [`SweepError`]
    /// for faults of the combinations, all of which are checked.
    pub fn new(target: Option<&str>, sets: &[String], adapter: Option<String>) -> Result<Self, SweepError> {
        let name = config::resolve(target, &[])?.name;
        let (fixed, axes) = axis::divide(sets)?;
        let combinations = axis::combinations(&axes)?;
        let mut jobs = vec![];
        let mut problems = vec![];
        let mut bad = 0;
        let count = combinations.len();
        for combination in combinations {
            let own = axes.iter().zip(&combination.values).map(|(axis, value)| format!("{}={value}", axis.key));
            let sets: Vec<String> = fixed.iter().cloned().chain(own).collect();
            match config::resolve(target, &sets) {
                Ok(mut resolved) => {
                    resolved.config.settle_paths();
                    jobs.push((combination.name, resolved.config));
                }
                Err(error) => {
                    bad += 1;
                    let text = with_causes(&error);
                    if !problems.iter().any(|(_, known)| *known == text) {
                        problems.push((combination.name, text));
                    }
                }
            }
        }
        if bad > 0 {
            let problems = problems.iter().map(|(job, text)| format!("\n  {job}: {text}")).collect();
            return Err(SweepError::Senseless { bad, count, problems });
        }
        let mut known = HashMap::new();
        for (job, config) in &jobs {
            if let Some(first) = known.insert(effective(config).to_toml(), job.clone()) {
                return Err(SweepError::SameRun { first, second: job.clone() });
            }
        }
        Ok(Self { name, adapter, axes, jobs })
    }

    /// The configuration that the jobs change: the first job's, since the common part alone may be invalid.
    pub fn base(&self) -> &Config {
        &self.jobs[0].1
    }

    /// A description of the work.
    ///
    /// # Errors
    /// Those of [`capacity`].
    pub fn plan(&self, jobs: Option<usize>) -> Result<String, SweepError> {
        let capacity = capacity(&self.jobs, self.adapter.as_deref(), jobs, true)?;
        let names = self.jobs.iter().map(|(job, _)| job.as_str()).enumerate();
        Ok(format!("{} jobs of {}, {capacity}\n{}", self.jobs.len(), self.name, numbered(names)))
    }
}

/// Jobs with their numbers, a line each.
pub(super) fn numbered<'a>(jobs: impl Iterator<Item = (usize, &'a str)>) -> String {
    jobs.map(|(number, job)| format!("  {number:4}  {job}\n")).collect()
}
