//! The pictures of a sweep: heat maps over its axes, and the curves of all its jobs together.

use std::path::PathBuf;

use super::seeds::{self, OverSeeds};
use super::{Axis, JobState, SummaryRow, SweepDir, SweepError};
use crate::folder::RunDir;
use crate::folder::tables::{read_curvature, read_metrics};
use crate::results::Format;
use crate::results::figure::heat_map::{Cell, Colors, HeatMap};
use crate::results::figure::{Curve, Figure, Horizontal, Scale, Style};
use crate::results::plot::{BLACK, BLUE, GREY, VERMILLION};
use crate::text::digits;

/// Colours from low values of an axis to high ones: viridis without its lightest end, which is invisible on white.
const STEPS: [&str; 9] =
    ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#9bc53d", "#c2b511"];
/// Dashes for the values of a second axis; from the fourth on they are equal.
const DASHES: [&str; 4] = ["", "8 4", "2 3", "12 3 2 3"];

/// A quantity shown for each job.
#[derive(Clone, Copy)]
struct PlottedQuantity {
    /// The beginning of its pictures' names.
    stem: &'static str,
    title: &'static str,
    label: &'static str,
    colors: Colors,
    value: fn(&SummaryRow) -> Option<f64>,
    range: fn(&SummaryRow) -> Option<(f64, f64)>,
}

const QUANTITIES: [PlottedQuantity; 3] = [
    PlottedQuantity {
        stem: "gauge",
        title: "Gauge of the update: median over the second half",
        label: "gauge",
        colors: Colors::Ratio,
        value: |row| row.gauge,
        range: |_| None,
    },
    PlottedQuantity {
        stem: "edge_ratio",
        title: "Edge ratio: median of λ_max ÷ edge over the second half",
        label: "λ_max ÷ edge",
        colors: Colors::Ratio,
        value: |row| row.edge_ratio,
        range: |row| row.edge_ratio_low.zip(row.edge_ratio_high),
    },
    PlottedQuantity {
        stem: "loss",
        title: "Loss at the last logged step",
        label: "loss",
        colors: Colors::Log,
        value: |row| row.loss,
        range: |_| None,
    },
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
    pub fn render(&self, format: Format) -> Result<Vec<u8>, String> {
        match &self.drawn {
            Drawn::Curves(figure) => figure.render(format),
            Drawn::Map(map) => map.render(format),
        }
    }
}

/// Over the axes: one picture a quantity, or one for every combination of the axes beyond the second. Seeds beside other
/// axes are averaged.
pub(crate) fn over_axes(sweep: &SweepDir, rows: &[SummaryRow]) -> Vec<Picture> {
    match OverSeeds::of(&sweep.axes, rows) {
        None => maps(&sweep.axes, rows),
        Some(over) => {
            let mut pictures = maps(&over.axes, &over.rows());
            for picture in &mut pictures {
                let words = "a range is one standard deviation to either side";
                picture.caption += &format!(" Means over {} seeds; {words}.", over.seeds);
            }
            pictures
        }
    }
}

fn maps(axes: &[Axis], rows: &[SummaryRow]) -> Vec<Picture> {
    let mut pictures = vec![];
    // What no job has, such as an edge ratio with an adaptive base, is not shown.
    let is_known = |quantity: &PlottedQuantity| rows.iter().any(|row| (quantity.value)(row).is_some());
    for quantity in QUANTITIES.into_iter().filter(|quantity| quantity.stem == "loss" || is_known(quantity)) {
        match axes {
            [] => {}
            [axis] if numbers(axis).is_some() => pictures.extend(over_one(axis, rows, quantity)),
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
    match (row.state, (quantity.value)(row)) {
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
        stem: format!("{}{suffix}", quantity.stem),
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
fn over_one(axis: &Axis, rows: &[SummaryRow], quantity: PlottedQuantity) -> Option<Picture> {
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
        if let Some((from, to)) = (quantity.range)(row) {
            let label = if curves.is_empty() { "range" } else { "" };
            let style = Style { color: GREY, width: 3.0, dashes: "" };
            curves.push(Curve { label: label.into(), points: vec![(*x, from), (*x, to)], style });
        }
    }
    if quantity.colors == Colors::Ratio {
        let style = Style { color: BLACK, width: 1.25, dashes: "3 4" };
        curves.push(Curve { label: "the edge".into(), points: vec![(low, 1.0), (high, 1.0)], style });
    }
    let label = if quantity.colors == Colors::Ratio { "median" } else { "loss" };
    curves.push(Curve { label: label.into(), points, style: Style { color: BLUE, width: 2.0, dashes: "" } });
    let logarithmic = low > 0.0 && high / low >= 8.0;
    let missing = axis.values.len() - known.len();
    let missing = match missing {
        0 => String::new(),
        n => format!(" Without a result and not shown: {n} of {} values; the table says why.", axis.values.len()),
    };
    Some(Picture {
        stem: quantity.stem.into(),
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
        }),
    })
}

/// The curves of all jobs that have begun: λ_max ÷ edge, and loss.
///
/// # Errors
/// A table that cannot be read.
pub(crate) fn trajectories(sweep: &SweepDir) -> Result<Vec<Picture>, SweepError> {
    let (mut ratios, mut gauges, mut losses) = (vec![], vec![], vec![]);
    let mut highest = f64::MIN_POSITIVE;
    // Seeds beside other axes look alike.
    let seeds = seeds::place(&sweep.axes);
    let mut shown = (0..sweep.axes.len()).rev().filter(|axis| Some(*axis) != seeds);
    let (color_axis, dash_axis) = (shown.next().unwrap_or(0), shown.next());
    let alike = shown.next().is_some();
    for job in sweep.jobs() {
        let Ok(run) = RunDir::open(&job.run) else { continue };
        let place =
            |axis: usize| sweep.axes[axis].values.iter().position(|value| *value == job.values[axis]).unwrap_or(0);
        let color = step_color(place(color_axis), sweep.axes[color_axis].values.len());
        let dashes = dash_axis.map_or("", |axis| DASHES[place(axis).min(DASHES.len() - 1)]);
        let style = Style { color, width: 1.5, dashes };
        let add = |curves: &mut Vec<Curve>, points: Vec<(f64, f64)>| {
            if points.iter().any(|point| point.1.is_finite()) {
                curves.push(Curve { label: String::new(), points, style });
            }
        };
        if run.curvature().is_file() {
            let rows = read_curvature(&run.curvature())?;
            add(&mut ratios, rows.iter().map(|row| (row.step as f64, row.edge_ratio)).collect());
            add(&mut gauges, rows.iter().map(|row| (row.step as f64, row.gauge)).collect());
        }
        if run.metrics().is_file() {
            let rows = read_metrics(&run.metrics())?;
            highest = rows.first().map_or(highest, |row| row.loss.max(highest));
            add(&mut losses, rows.iter().map(|row| (row.step as f64, row.loss)).collect());
        }
    }
    // The last values of a diverging job would flatten the others.
    let rest = match (alike, seeds) {
        (true, _) => " Jobs that differ in other keys alone look alike.",
        (false, Some(_)) => " Jobs that differ in their seed alone look alike.",
        (false, None) => "",
    };
    let specs = [
        ("trajectories_gauge", "Gauges of all jobs", "gauge (1 at the edge)", Scale::Auto, gauges),
        ("trajectories_edge_ratio", "λ_max ÷ edge of all jobs", "λ_max ÷ edge", Scale::Auto, ratios),
        ("trajectories_loss", "Loss of all jobs", "loss (per example)", Scale::LogBelow(10.0 * highest), losses),
    ];
    let drawn = specs.into_iter().filter(|spec| !spec.4.is_empty()).map(|(stem, title, y_label, scale, mut curves)| {
        let last = curves.iter().flat_map(|curve| &curve.points).fold(0.0_f64, |last, point| last.max(point.0));
        if !stem.ends_with("loss") {
            let style = Style { color: VERMILLION, width: 2.5, dashes: "" };
            curves.insert(0, Curve { label: "the edge".into(), points: vec![(0.0, 1.0), (last.max(1.0), 1.0)], style });
        }
        curves.extend(legend(&sweep.axes, color_axis, dash_axis));
        Picture {
            stem: stem.into(),
            title: title.into(),
            caption: format!("One curve a job, diverged ones up to their end.{rest}"),
            drawn: Drawn::Curves(Figure { title: title.into(), x: Horizontal::Steps, y_label, scale, curves }),
        }
    });
    Ok(drawn.collect())
}

/// Names for the colours and the dashes: curves without points.
fn legend(axes: &[Axis], color_axis: usize, dash_axis: Option<usize>) -> Vec<Curve> {
    let entry = |axis: &Axis, value: &str, style: Style| Curve {
        label: format!("{} = {value}", short(&axis.key)),
        points: vec![],
        style,
    };
    let colored = &axes[color_axis];
    let count = colored.values.len();
    let colors = colored
        .values
        .iter()
        .enumerate()
        .map(|(i, value)| entry(colored, value, Style { color: step_color(i, count), width: 2.0, dashes: "" }));
    let mut entries: Vec<Curve> = colors.collect();
    if let Some(dashed) = dash_axis.map(|axis| &axes[axis]) {
        entries.extend(dashed.values.iter().enumerate().map(|(i, value)| {
            entry(dashed, value, Style { color: BLACK, width: 2.0, dashes: DASHES[i.min(DASHES.len() - 1)] })
        }));
    }
    entries
}

/// The colour of value `i` of `count`.
fn step_color(i: usize, count: usize) -> &'static str {
    STEPS[i * (STEPS.len() - 1) / count.saturating_sub(1).max(1)]
}

/// The last part of a key.
fn short(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// The path of a picture of the sweep.
pub(crate) fn path(sweep: &SweepDir, picture: &Picture, format: Format) -> PathBuf {
    sweep.path.join("plots").join(format!("{}.{}", picture.stem, format.extension()))
}
