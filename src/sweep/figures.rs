//! The pictures of a sweep over its axes: heat maps, and curves where there is one axis of numbers.

use std::path::PathBuf;

use super::seeds::OverSeeds;
use super::summary::{COLUMNS, NUMBERS};
use super::{Axis, JobState, SummaryRow, SweepDir, SweepError};
use crate::results::Format;
use crate::results::figure::heat_map::{Cell, Colors, HeatMap};
use crate::results::figure::palette::{BLUE, GREY};
use crate::results::figure::{Curve, Figure, Horizontal, Scale, Style};
use crate::results::look::Look;
use crate::results::plot::AT_EDGE;
use crate::text::digits;

/// A quantity shown for each job.
#[derive(Clone, Copy)]
struct PlottedQuantity {
    /// The column of the summary, and the beginning of its pictures' names.
    column: &'static str,
    title: &'static str,
    label: &'static str,
    colors: Colors,
}

impl PlottedQuantity {
    fn of(self, row: &SummaryRow) -> Option<f64> {
        NUMBERS.iter().find(|column| column.name == self.column).and_then(|column| (column.of)(row))
    }
}

const fn quantity(column: &'static str, title: &'static str, label: &'static str, colors: Colors) -> PlottedQuantity {
    PlottedQuantity { column, title, label, colors }
}

/// The quantities that every report shows, then the other columns.
const SHOWN: usize = 3;
const QUANTITIES: [PlottedQuantity; COLUMNS] = [
    quantity("gauge", "Gauge of the update: median over the second half", "gauge", Colors::Ratio),
    quantity("edge_ratio", "Edge ratio: median of λ_max ÷ edge over the second half", "λ_max ÷ edge", Colors::Ratio),
    quantity("loss", "Loss at the last logged step", "loss", Colors::Log),
    quantity("error", "Fraction misclassified at the last logged step", "misclassified", Colors::Log),
    quantity("grad_norm", "Length of the gradient at the last logged step", "‖∇L(w)‖", Colors::Log),
    quantity("test_loss", "Last loss on the test set", "test loss", Colors::Log),
    quantity("test_error", "Fraction of the test set misclassified", "misclassified", Colors::Log),
    quantity("hessian_norm", "‖H‖: median over the second half", "‖H‖", Colors::Log),
    quantity("edge_ratio_low", "Least λ_max ÷ edge in the second half", "λ_max ÷ edge", Colors::Ratio),
    quantity("edge_ratio_high", "Largest λ_max ÷ edge in the second half", "λ_max ÷ edge", Colors::Ratio),
    quantity("edge_step", "First step at the edge", "step", Colors::Log),
    quantity("worst_residual", "Largest relative residual of λ₁ in the second half", "residual", Colors::Log),
    quantity("wall_secs", "Wall time in seconds", "seconds", Colors::Log),
];

/// A picture with its file name, without extension, and its description.
pub(crate) struct Picture {
    pub stem: String,
    pub title: String,
    pub caption: String,
    pub drawn: Drawn,
}

/// The drawing.
pub(crate) enum Drawn {
    Curves(Figure),
    Map(HeatMap),
}

impl Picture {
    /// Draws it into the bytes of a file.
    ///
    /// # Errors
    /// The plotting library's message.
    pub fn render(&self, look: &Look) -> Result<Vec<u8>, String> {
        match &self.drawn {
            Drawn::Curves(figure) => figure.render(look),
            Drawn::Map(map) => map.render(look.format),
        }
    }
}

/// Over the axes: one picture a quantity, or one for every combination of the axes beyond the second; those that every
/// report shows, and these columns of the summary. Seeds beside other axes are averaged.
///
/// # Errors
/// [`SweepError::NoColumn`].
pub(crate) fn over_axes(sweep: &SweepDir, rows: &[SummaryRow], columns: &[String]) -> Result<Vec<Picture>, SweepError> {
    let mut quantities = QUANTITIES[..SHOWN].to_vec();
    for column in columns {
        let found = QUANTITIES.iter().find(|quantity| quantity.column == column);
        let known = || NUMBERS.map(|column| column.name).join(", ");
        let found = found.ok_or_else(|| SweepError::NoColumn { column: column.clone(), known: known() })?;
        if !quantities.iter().any(|quantity| quantity.column == column) {
            quantities.push(*found);
        }
    }
    let range = |row: &SummaryRow, quantity: PlottedQuantity| match quantity.column {
        "edge_ratio" => row.edge_ratio_low.zip(row.edge_ratio_high),
        _ => None,
    };
    Ok(match OverSeeds::of(&sweep.axes, rows) {
        None => maps(&sweep.axes, rows, &quantities, &range),
        Some(over) => {
            let deviation = |row: &SummaryRow, quantity: PlottedQuantity| {
                let mean = over.means.iter().find(|mean| mean.row.values == row.values)?;
                mean.column(quantity.column).map(|it| (it.mean - it.deviation, it.mean + it.deviation))
            };
            let mut pictures = maps(&over.axes, &over.rows(), &quantities, &deviation);
            for picture in &mut pictures {
                let words = "a range is one standard deviation to either side";
                picture.caption += &format!(" Means over {} seeds; {words}.", over.seeds);
            }
            pictures
        }
    })
}

/// The ends of the range of a quantity in a row.
type Range<'a> = dyn Fn(&SummaryRow, PlottedQuantity) -> Option<(f64, f64)> + 'a;

fn maps(axes: &[Axis], rows: &[SummaryRow], quantities: &[PlottedQuantity], range: &Range<'_>) -> Vec<Picture> {
    let mut pictures = vec![];
    // What no job has, such as an edge ratio with an adaptive base, is not shown.
    let is_known = |quantity: &&PlottedQuantity| rows.iter().any(|row| quantity.of(row).is_some());
    for &quantity in quantities.iter().filter(|quantity| quantity.column == "loss" || is_known(quantity)) {
        match axes {
            [] => {}
            [axis] if numbers(axis).is_some() => pictures.extend(over_one(axis, rows, quantity, range)),
            [axis] => {
                let cells = vec![axis.values.iter().map(|value| cell(find(rows, &[value]), quantity)).collect()];
                pictures.push(map(quantity, "", "", axis, (String::new(), vec![String::new()]), cells));
            }
            [y, x, rest @ ..] => pictures.extend(combinations(rest).into_iter().map(|fixed| {
                let row = |b: &String| {
                    x.values
                        .iter()
                        .map(|a| {
                            let values: Vec<&String> = [b, a].into_iter().chain(fixed.iter().copied()).collect();
                            cell(find(rows, &values), quantity)
                        })
                        .collect()
                };
                let cells = y.values.iter().map(row).collect();
                let named = rest.iter().zip(&fixed).map(|(axis, value)| format!("{} = {value}", short(&axis.key)));
                let where_ = named.collect::<Vec<_>>().join(", ");
                let safe: String = fixed.iter().map(|value| format!("-{value}")).collect();
                let safe = safe.replace(|c: char| !(c.is_alphanumeric() || "-.".contains(c)), "_");
                map(quantity, &safe, &where_, x, (y.key.clone(), y.values.clone()), cells)
            })),
        }
    }
    pictures
}

/// Every combination of the values of some axes; one empty combination of none.
fn combinations(axes: &[Axis]) -> Vec<Vec<&String>> {
    axes.iter().fold(vec![vec![]], |before, axis| {
        let longer = before
            .iter()
            .flat_map(|values| axis.values.iter().map(|value| values.iter().copied().chain([value]).collect()));
        longer.collect()
    })
}

fn find<'a>(rows: &'a [SummaryRow], values: &[&String]) -> Option<&'a SummaryRow> {
    rows.iter().find(|row| row.values.iter().eq(values.iter().copied()))
}

/// The value of a job, or the reason that it has none.
fn cell(row: Option<&SummaryRow>, quantity: PlottedQuantity) -> Cell {
    let Some(row) = row else { return Cell::Missing("no job".into()) };
    match (row.state, quantity.of(row)) {
        // The last numbers before a divergence are not results, nor are those of an unfinished job.
        (JobState::Done, Some(value)) if value > 0.0 && value.is_finite() => Cell::Value(value),
        (JobState::Done, Some(value)) => Cell::Missing(digits(value, 3)),
        (JobState::Done, None) => Cell::Missing("unknown".into()),
        (state, _) => Cell::Missing(state.to_string()),
    }
}

fn map(
    quantity: PlottedQuantity,
    suffix: &str,
    place: &str,
    x: &Axis,
    (y_label, row_names): (String, Vec<String>),
    cells: Vec<Vec<Cell>>,
) -> Picture {
    let title = if place.is_empty() { quantity.title.to_owned() } else { format!("{}, {place}", quantity.title) };
    let colors = match quantity.colors {
        Colors::Ratio => {
            "White is at the edge, red above it and blue below, on a logarithmic scale; values beyond its ends have \
             the colour of the end"
        }
        Colors::Log => "The scale is logarithmic",
    };
    Picture {
        stem: format!("{}{suffix}", quantity.column),
        caption: format!("{colors}. Grey cells have no result and say why."),
        drawn: Drawn::Map(HeatMap {
            title: title.clone(),
            x_label: x.key.clone(),
            y_label,
            label: quantity.label,
            columns: x.values.clone(),
            rows: row_names,
            cells,
            colors: quantity.colors,
        }),
        title,
    }
}

/// The values of an axis, if all are numbers.
fn numbers(axis: &Axis) -> Option<Vec<f64>> {
    axis.values.iter().map(|value| value.replace('_', "").parse().ok().filter(|x: &f64| x.is_finite())).collect()
}

/// A quantity over the only axis, with ranges.
fn over_one(axis: &Axis, rows: &[SummaryRow], quantity: PlottedQuantity, range: &Range<'_>) -> Option<Picture> {
    let xs = numbers(axis)?;
    let found = axis.values.iter().map(|value| find(rows, &[value]));
    let known: Vec<(f64, &SummaryRow, f64)> = xs
        .iter()
        .zip(found)
        .filter_map(|(&x, row)| {
            let row = row?;
            match cell(Some(row), quantity) {
                Cell::Value(value) => Some((x, row, value)),
                Cell::Missing(_) => None,
            }
        })
        .collect();
    let (low, high) =
        known.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), k| (low.min(k.0), high.max(k.0)));
    if known.is_empty() {
        return None;
    }
    let mut points: Vec<(f64, f64)> = known.iter().map(|&(x, _, value)| (x, value)).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut curves = vec![];
    for (x, row, _) in &known {
        if let Some((from, to)) = range(row, quantity) {
            let label = if curves.is_empty() { "range" } else { "" };
            let style = Style { color: GREY, width: 3.0, dashes: "" };
            curves.push(Curve::new(label, vec![(*x, from), (*x, to)], style));
        }
    }
    if quantity.colors == Colors::Ratio {
        curves.push(Curve::new("the edge", vec![(low, 1.0), (high, 1.0)], AT_EDGE));
    }
    let label = if quantity.colors == Colors::Ratio { "median" } else { quantity.label };
    curves.push(Curve::new(label, points, Style { color: BLUE, width: 2.0, dashes: "" }));
    let logarithmic = low > 0.0 && high / low >= 8.0;
    let missing = axis.values.len() - known.len();
    let missing = match missing {
        0 => String::new(),
        n => format!(" Without a result and not shown: {n} of {} values; the table says why.", axis.values.len()),
    };
    Some(Picture {
        stem: quantity.column.into(),
        title: quantity.title.into(),
        caption: format!("Over the values of {}.{missing}", axis.key),
        drawn: Drawn::Curves(Figure {
            title: quantity.title.into(),
            x: if logarithmic {
                Horizontal::Log(axis.key.clone().into())
            } else {
                Horizontal::Linear(axis.key.clone().into())
            },
            y_label: quantity.label,
            scale: if quantity.colors == Colors::Ratio { Scale::Auto } else { Scale::Log },
            curves,
            ..Default::default()
        }),
    })
}

/// The last part of a key.
pub(super) fn short(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// The path of a picture of the sweep.
pub(crate) fn path(sweep: &SweepDir, picture: &Picture, format: Format) -> PathBuf {
    sweep.path.join("plots").join(format!("{}.{}", picture.stem, format.extension()))
}
