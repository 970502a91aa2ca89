//! The key numbers of the compared runs, a column each.

use super::{ComparedRun, ComparedSource, Rows};
use crate::results::official_raw::RawRow;
use crate::results::summary::Spread;
use crate::text::{digits, duration};

/// The rows of the table.
const NAMES: [&str; 11] =
    ["ended", "steps", "time", "loss", "misclassified", "test loss", "‖g‖", "‖H‖", "edge ratio", "  range", "gauge S"];

/// The table as text: ‖H‖, edge ratio and gauge are medians over the second half of a run.
pub(crate) fn key_numbers(sources: &[ComparedSource]) -> String {
    let columns: Vec<[String; NAMES.len()]> = sources
        .iter()
        .map(|source| match &source.rows {
            Rows::ComparedRun(run) => of_run(run),
            Rows::Raw(rows) => of_raw(rows),
        })
        .collect();
    let width = |texts: &mut dyn Iterator<Item = &str>| texts.map(|text| text.chars().count()).max().unwrap_or(0);
    let first = width(&mut NAMES.iter().copied());
    let widths: Vec<usize> = sources
        .iter()
        .zip(&columns)
        .map(|(source, cells)| width(&mut cells.iter().map(String::as_str).chain([source.name.as_str()])))
        .collect();
    let pad = |text: &str, width: usize| format!("{text}{}", " ".repeat(width - text.chars().count()));
    let line = |name: &str, cells: Vec<&str>| {
        let cells = cells.iter().zip(&widths).map(|(cell, &width)| format!("  {}", pad(cell, width)));
        let line = pad(name, first) + &cells.collect::<String>();
        line.trim_end().to_owned() + "\n"
    };
    let mut text = line("", sources.iter().map(|source| source.name.as_str()).collect());
    for (i, name) in NAMES.iter().enumerate() {
        if columns.iter().any(|cells| !cells[i].is_empty()) {
            text += &line(name, columns.iter().map(|cells| cells[i].as_str()).collect());
        }
    }
    text + "(‖H‖, edge ratio and gauge: medians over the second half of each run)\n"
}

fn range(spread: &Spread) -> String {
    format!("{} to {}", digits(spread.min, 4), digits(spread.max, 4))
}

fn of_run(run: &ComparedRun) -> [String; NAMES.len()] {
    let summary = run.readout.summary();
    let last = summary.last.as_ref();
    let number = |value: Option<f64>| value.map_or_else(String::new, |x| digits(x, 6));
    let edge = summary.edge.as_ref();
    [
        run.manifest.as_ref().map_or_else(String::new, |manifest| manifest.ended.to_string()),
        last.map_or_else(String::new, |row| row.step.to_string()),
        last.map_or_else(String::new, |row| duration(row.secs)),
        number(last.map(|row| row.loss)),
        last.filter(|row| !row.error.is_nan())
            .map_or_else(String::new, |row| format!("{} %", digits(100.0 * row.error, 4))),
        number(summary.test.map(|test| test.0)),
        number(last.map(|row| row.grad_norm)),
        number(summary.norm.map(|norm| norm.median)),
        number(edge.and_then(|edge| edge.ratio).map(|ratio| ratio.median)),
        edge.and_then(|edge| edge.ratio).map_or_else(String::new, |ratio| range(&ratio)),
        number(edge.map(|edge| edge.gauge.median)),
    ]
}

fn of_raw(rows: &[RawRow]) -> [String; NAMES.len()] {
    let last = &rows[rows.len() - 1];
    // The file has no steps: use half of the checks.
    let half = &rows[rows.len() / 2..];
    let norm = Spread::of(half.iter().map(|row| row.hessian_norm));
    let ratio = Spread::of(half.iter().map(|row| row.hessian_norm / row.sam_edge));
    let median = |spread: &Option<Spread>| spread.as_ref().map_or_else(String::new, |s| digits(s.median, 6));
    [
        "raw file".into(),
        String::new(),
        duration(last.secs),
        digits(last.loss, 6),
        String::new(),
        String::new(),
        digits(last.grad_norm, 6),
        median(&norm),
        median(&ratio),
        ratio.as_ref().map_or_else(String::new, range),
        String::new(),
    ]
}
