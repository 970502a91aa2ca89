//! `edgewalk list`: the runs below a folder, as a table or as lines of JSON.

use std::cmp::Ordering;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::Error;
use super::terminal::{aside, print, width};
use crate::files::shown;
use crate::list::{ListedRun, list};
use crate::text::{HARD_SPACE, digits, rows_in_columns, visible, wrapped};

/// The arguments of `edgewalk list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// The folder to search, with all folders in it
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// The column to sort by; rows without a value come last
    #[arg(long, value_name = "COLUMN", value_enum, default_value_t = SortColumn::Run)]
    sort: SortColumn,
    /// Print one object a run
    #[arg(long)]
    json: bool,
}

/// The columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SortColumn {
    /// The path
    Run,
    /// The state, from waiting to damaged
    State,
    /// The updates made
    Step,
    /// The last loss, lowest first
    Loss,
    /// λ_max ÷ edge, lowest first
    Ratio,
    /// The gauge, lowest first
    Gauge,
    /// The time since the last change, latest first
    Age,
}

/// Lists.
///
/// # Errors
/// [`Error`] if there is no such folder.
pub fn run(args: &ListArgs) -> Result<(), Error> {
    let mut listing = list(&args.folder)?;
    for unread in &listing.unread {
        aside(&format!("warning: {}\n", visible(unread)));
    }
    listing.runs.sort_by(|one, other| compare(one, other, args.sort));
    if args.json {
        return print(&listing.runs.iter().map(object).collect::<String>());
    }
    if listing.runs.is_empty() {
        return print(&format!("no runs in {}\n", shown(&args.folder)));
    }
    print(&table(&listing.runs, width()))
}

/// The order by a column; a stable sort keeps the order of paths in what is equal.
fn compare(one: &ListedRun, other: &ListedRun, column: SortColumn) -> Ordering {
    let number = |of: fn(&ListedRun) -> Option<f64>| match (of(one), of(other)) {
        (Some(one), Some(other)) => one.total_cmp(&other),
        (one, other) => other.is_some().cmp(&one.is_some()),
    };
    match column {
        SortColumn::Run => Ordering::Equal,
        SortColumn::State => (one.state as u8).cmp(&(other.state as u8)),
        SortColumn::Step => number(|run| run.step.map(|step| step as f64)),
        SortColumn::Loss => number(|run| run.loss),
        SortColumn::Ratio => number(|run| run.edge_ratio),
        SortColumn::Gauge => number(|run| run.gauge),
        SortColumn::Age => number(|run| run.age_secs),
    }
}

/// One object a line. Numbers that are not finite are null.
fn object(run: &ListedRun) -> String {
    let ListedRun { path, sweep, state, step, steps, loss, edge_ratio, gauge, age_secs, note } = run;
    let (path, sweep) = (shown(path), sweep.as_ref().map(|sweep| shown(sweep)));
    let object = json!({
        "run": path, "sweep": sweep, "state": state.word(), "step": step, "steps": steps, "loss": loss,
        "edge_ratio": edge_ratio, "gauge": gauge, "age_secs": age_secs, "note": note,
    });
    format!("{object}\n")
}

/// A row a run, and below it the remark about its state.
fn table(runs: &[ListedRun], width: Option<usize>) -> String {
    let head = ["run", "state", "step", "loss", "ratio", "gauge", "age"].map(str::to_owned).to_vec();
    let row = |run: &ListedRun| {
        let number = |x: Option<f64>| x.map_or_else(String::new, |x| digits(x, 3));
        let step = run.step.map_or_else(|| "–".to_owned(), |step| step.to_string());
        let steps = run.steps.map_or_else(|| "–".to_owned(), |steps| steps.to_string());
        vec![
            visible(&shown(&run.path)),
            run.state.to_string(),
            if run.step.or(run.steps).is_some() { format!("{step}/{steps}") } else { String::new() },
            number(run.loss),
            number(run.edge_ratio),
            number(run.gauge),
            run.age_secs.map_or_else(String::new, age),
        ]
    };
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(runs.iter().map(row)).collect();
    let notes = runs.iter().map(|run| match run.note.as_str() {
        "" => String::new(),
        note => wrapped(&format!("    {}\n", visible(note)), width),
    });
    let rows = rows_in_columns(lines, width).into_iter();
    rows.zip(std::iter::once(String::new()).chain(notes)).map(|(row, note)| row + &note).collect()
}

/// A whole number of the largest unit that it reaches.
fn age(secs: f64) -> String {
    let (unit, name) = match secs {
        secs if secs < 60.0 => (1.0, "s"),
        secs if secs < 3600.0 => (60.0, "min"),
        secs if secs < 48.0 * 3600.0 => (3600.0, "h"),
        _ => (86_400.0, "d"),
    };
    format!("{}{HARD_SPACE}{name}", (secs / unit).floor())
}
