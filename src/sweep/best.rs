//! The best setting of a sweep by each column of its summary, named on its page.

use maud::{Markup, html};

use super::seeds::OverSeeds;
use super::summary::NUMBERS;
use super::{Axis, JobState, SummaryRow, SweepDir};
use crate::text::digits;

/// What is best in a column.
#[derive(Clone, Copy, PartialEq)]
enum Best {
    Lowest,
    NearestToEdge,
}

/// The columns that have a best, with their names.
const JUDGED: [(&str, &str, Best); 8] = [
    ("loss", "loss", Best::Lowest),
    ("error", "misclassified", Best::Lowest),
    ("test_loss", "test loss", Best::Lowest),
    ("test_error", "test misclassified", Best::Lowest),
    ("hessian_norm", "‖H‖", Best::Lowest),
    ("edge_ratio", "edge ratio", Best::NearestToEdge),
    ("gauge", "gauge", Best::NearestToEdge),
    ("wall_secs", "seconds", Best::Lowest),
];

/// One line for every column that some job has: the best of the jobs that are done, or of the means over their seeds.
pub(super) fn best(sweep: &SweepDir, rows: &[SummaryRow]) -> Markup {
    let over = OverSeeds::of(&sweep.axes, rows);
    let (axes, rows) = match &over {
        Some(over) => (&over.axes, over.rows()),
        None => (&sweep.axes, rows.to_vec()),
    };
    let lines: Vec<(&str, Best, String, String)> = JUDGED
        .iter()
        .filter_map(|&(column, name, best)| {
            let (row, value) = best_of(&rows, column, best)?;
            let of_seeds = over.as_ref().and_then(|over| over.means.iter().find(|mean| mean.row.values == row.values));
            let moments = of_seeds.and_then(|mean| mean.column(column));
            let value = moments.map_or_else(|| digits(value, 4), |moments| moments.to_string());
            Some((name, best, setting(axes, row), value))
        })
        .collect();
    html! {
        @if !lines.is_empty() {
            h2 { "The best settings" }
            table {
                thead { tr { th { "by" } th { "best is" } th { "setting" } th.number { "value" } } }
                tbody {
                    @for (name, best, setting, value) in &lines {
                        tr {
                            th scope="row" { (name) }
                            td { @if *best == Best::Lowest { "the lowest" } @else { "nearest to 1" } }
                            td { (setting) }
                            td.number { (value) }
                        }
                    }
                }
            }
            p {
                "Of the jobs that are done"
                @if let Some(over) = &over { ", by means over " (over.seeds) " seeds ± one standard deviation" }
                ". A difference smaller than that between seeds is none."
            }
        }
    }
}

/// The row that is best in a column, with its value.
fn best_of<'a>(rows: &'a [SummaryRow], column: &str, best: Best) -> Option<(&'a SummaryRow, f64)> {
    let of = NUMBERS.iter().find(|number| number.name == column)?.of;
    let done = rows.iter().filter(|row| row.state == JobState::Done);
    let known = done.filter_map(|row| Some((row, of(row).filter(|value| value.is_finite())?)));
    let badness = |value: f64| if best == Best::Lowest { value } else { (value - 1.0).abs() };
    known.min_by(|a, b| badness(a.1).total_cmp(&badness(b.1)))
}

fn setting(axes: &[Axis], row: &SummaryRow) -> String {
    let parts = axes.iter().zip(&row.values).map(|(axis, value)| format!("{} = {value}", axis.key));
    parts.collect::<Vec<_>>().join(", ")
}
