//! The differences of runs from the first, in words: settings, program, device, and tables cell by cell.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use csv::StringRecord;
use toml::{Table, Value};

use super::{ComparedRun, ComparedSource, Rows};
use crate::config::Config;
use crate::folder::table::{RecordError, read_lines};
use crate::text::{counted, digits};

/// Columns of durations, which always differ.
const TIMINGS: [&str; 2] = ["secs", "solve_secs"];

/// The differences of every run from the first one. Raw files have only curves and are left out.
///
/// # Errors
/// A table that cannot be read.
pub(crate) fn between(sources: &[ComparedSource]) -> Result<String, RecordError> {
    let mut runs = sources.iter().filter_map(|source| match &source.rows {
        Rows::ComparedRun(run) => Some((&source.name, run)),
        Rows::Raw(_) => None,
    });
    let mut text = String::new();
    if let Some((first, reference)) = runs.next() {
        for (name, run) in runs {
            text += &format!("{name} beside {first}\n");
            text += &section("configuration", &settings(reference, run));
            text += &section("made by", &makers(reference, run));
            for table in ["metrics.csv", "curvature.csv"] {
                let paths = [reference, run].map(|run| run.folder.path().join(table));
                text += &cells(table, &paths[0], &paths[1])?;
            }
            text.push('\n');
        }
    }
    if sources.iter().any(|source| matches!(source.rows, Rows::Raw(_))) {
        text += "A raw file of the official code has seconds and no steps: the pictures are over seconds since \
                 training began,\nmeasurements included, which compare machines as much as runs.\n";
    }
    Ok(text)
}

/// A heading with the lines below it.
fn section(heading: &str, lines: &[String]) -> String {
    match lines {
        [] => format!("  {heading}: the same\n"),
        lines => format!("  {heading}:\n{}", lines.iter().map(|line| format!("    {line}\n")).collect::<String>()),
    }
}

/// Keys with different values. Keys in only one of the files belong to another version.
fn settings(a: &ComparedRun, b: &ComparedRun) -> Vec<String> {
    let [a, b] = [a, b].map(settings_of);
    let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
    keys.sort();
    keys.dedup();
    let value = |values: &BTreeMap<String, String>, key: &String| {
        values.get(key).cloned().unwrap_or_else(|| "(not there)".into())
    };
    let differing = keys.into_iter().filter(|key| a.get(*key) != b.get(*key));
    differing.map(|key| format!("{key}: {} → {}", value(&a, key), value(&b, key))).collect()
}

/// The settings of a run by their full keys, as text.
pub(super) fn settings_of(run: &ComparedRun) -> BTreeMap<String, String> {
    // A configuration that this version can read is complete; otherwise use the keys present.
    let text = run.readout.config.as_ref().map(Config::to_toml);
    let text = text.or_else(|| fs::read_to_string(run.folder.config()).ok()).unwrap_or_default();
    flat(&text.parse().unwrap_or_default())
}

/// The values by their full keys.
fn flat(table: &Table) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for (section, content) in table {
        match content {
            Value::Table(content) => {
                values.extend(content.iter().map(|(key, value)| (format!("{section}.{key}"), value.to_string())));
            }
            value => {
                values.insert(section.clone(), value.to_string());
            }
        }
    }
    values
}

/// Programs, adapters, drivers and kernels that differ.
fn makers(a: &ComparedRun, b: &ComparedRun) -> Vec<String> {
    let (Some(a), Some(b)) = (&a.manifest, &b.manifest) else {
        return vec!["a manifest is missing: not known".into()];
    };
    let commit = |commit: &Option<String>| commit.clone().unwrap_or_else(|| "unknown".into());
    let facts = [
        ("version", a.version.clone(), b.version.clone()),
        ("commit", commit(&a.commit), commit(&b.commit)),
        ("adapter", a.adapter.clone(), b.adapter.clone()),
        ("driver", a.driver.clone(), b.driver.clone()),
        ("driver version", a.driver_info.clone(), b.driver_info.clone()),
        ("interface", a.backend.clone(), b.backend.clone()),
        ("kernel tier", a.tier.clone(), b.tier.clone()),
        ("examples at once", a.chunk.to_string(), b.chunk.to_string()),
    ];
    let facts = facts.into_iter().map(|(name, a, b)| (name.to_owned(), a, b));
    // A kernel that only one of them uses follows from the settings.
    let kernels = a.choices.iter().filter_map(|(class, variant)| {
        Some((format!("kernel of {class}"), variant.clone(), b.choices.get(class)?.clone()))
    });
    facts.chain(kernels).filter(|(_, a, b)| a != b).map(|(name, a, b)| format!("{name}: {a} → {b}")).collect()
}

/// A table as text, by the step of each line.
struct Sheet {
    columns: Vec<String>,
    rows: BTreeMap<u64, Vec<String>>,
}

impl Sheet {
    fn read(path: &Path) -> Result<Self, RecordError> {
        let (header, lines) = read_lines(path)?;
        let owned = |cells: &StringRecord| cells.iter().map(str::to_owned).collect::<Vec<_>>();
        // The typed readers have checked this table: its first column is the step.
        let by_step = |cells: &StringRecord| Some((cells.get(0)?.parse().ok()?, owned(cells)));
        Ok(Self { columns: owned(&header), rows: lines.iter().filter_map(by_step).collect() })
    }

    fn cell(&self, step: u64, column: &str) -> Option<&str> {
        let place = self.columns.iter().position(|name| name == column)?;
        self.rows.get(&step)?.get(place).map(String::as_str)
    }
}

/// The difference of a column.
struct Gap {
    first_step: u64,
    absolute: (f64, u64),
    relative: (f64, u64),
    /// Steps where one of the two is missing, not finite or not a number.
    incomparable: usize,
}

/// Two tables over the steps that both have.
fn cells(table: &str, a: &Path, b: &Path) -> Result<String, RecordError> {
    if !a.is_file() || !b.is_file() {
        return Ok(format!("  {table}: one of the runs has none\n"));
    }
    let (a, b) = (Sheet::read(a)?, Sheet::read(b)?);
    let steps: Vec<u64> = a.rows.keys().filter(|step| b.rows.contains_key(step)).copied().collect();
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
        let none = a.rows.is_empty() && b.rows.is_empty();
        return Ok(format!("  {table}: {}\n", if none { "no rows in either" } else { "no common steps" }));
    };
    let common: Vec<&String> = a.columns.iter().filter(|name| b.columns.contains(name)).collect();
    let compared = common.into_iter().filter(|name| *name != "step" && !TIMINGS.contains(&name.as_str()));
    let gaps: Vec<(&String, Gap)> = compared.filter_map(|name| Some((name, gap(&a, &b, name, &steps)?))).collect();
    let other = a
        .columns
        .iter()
        .filter(|name| !b.columns.contains(name))
        .chain(b.columns.iter().filter(|name| !a.columns.contains(name)));
    let other: Vec<&str> = other.map(String::as_str).collect();
    let extra = if a.rows.len() == steps.len() && b.rows.len() == steps.len() {
        String::new()
    } else {
        format!(" (of {} and {})", a.rows.len(), b.rows.len())
    };
    let over = format!("{}{extra}, {first} to {last}", counted(steps.len(), "common step"));
    let mut text = match gaps.iter().map(|(_, gap)| gap.first_step).min() {
        None => format!("  {table}: bit-identical, timings aside, over {over}\n"),
        Some(step) => format!("  {table}: differs from step {step} on, over {over}\n"),
    };
    let width = gaps.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, gap) in &gaps {
        text += &format!("    {name:width$}  from step {}", gap.first_step);
        if gap.absolute.0 > 0.0 {
            let ((absolute, at), (relative, relative_at)) = (gap.absolute, gap.relative);
            text += &format!(
                ", at most {} (step {at}), relatively {} (step {relative_at})",
                digits(absolute, 3),
                digits(relative, 3)
            );
        }
        if gap.incomparable > 0 {
            text += &format!(", in {} not both finite numbers", counted(gap.incomparable, "row"));
        }
        text.push('\n');
    }
    if !other.is_empty() {
        text += &format!("    only in one of the tables: {}\n", other.join(", "));
    }
    Ok(text)
}

/// The difference of a column over these steps, if any. Texts are compared as the bits of numbers.
fn gap(a: &Sheet, b: &Sheet, column: &str, steps: &[u64]) -> Option<Gap> {
    let mut found: Option<Gap> = None;
    for &step in steps {
        let cells = [a.cell(step, column).unwrap_or_default(), b.cell(step, column).unwrap_or_default()];
        let [x, y] = cells.map(|cell| cell.parse::<f64>().ok());
        let same = match (x, y) {
            (Some(x), Some(y)) => x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan()),
            _ => cells[0] == cells[1],
        };
        if same {
            continue;
        }
        let gap = found.get_or_insert(Gap {
            first_step: step,
            absolute: (0.0, step),
            relative: (0.0, step),
            incomparable: 0,
        });
        match (x, y) {
            (Some(x), Some(y)) if x.is_finite() && y.is_finite() => {
                let absolute = (x - y).abs();
                let relative = absolute / x.abs().max(y.abs()).max(f64::MIN_POSITIVE);
                if absolute > gap.absolute.0 {
                    gap.absolute = (absolute, step);
                }
                if relative > gap.relative.0 {
                    gap.relative = (relative, step);
                }
            }
            _ => gap.incomparable += 1,
        }
    }
    found
}
