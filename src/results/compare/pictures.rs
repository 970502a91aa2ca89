//! The curves of the compared runs in common pictures: a colour for each run, dashed for its edge.

use std::path::{Path, PathBuf};

use super::{ComparedRun, ComparedSource, Rows};
use crate::folder::rows::CurvatureRow;
use crate::results::figure::{Curve, Figure, Horizontal, Scale, Style};
use crate::results::official_raw::RawRow;
use crate::results::plot::{BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION, save};
use crate::results::{Format, PlotError};

/// The colours of the runs, again from the first when there are more of them.
const COLORS: [&str; 8] = [BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK, GREY];
/// The look of an edge.
const EDGE: &str = "7 5";
/// The look of the second kind of curve in a picture.
const SECOND: &str = "2 4";

/// One quantity over time or steps.
type Points = Vec<(f64, f64)>;

/// A kind of curve: its name, its dashes, and its values.
type CurveKind = (&'static str, &'static str, fn(&Curves) -> &Points);

/// The curves of one run.
#[derive(Default)]
struct Curves {
    norm: Points,
    edge: Points,
    ratio: Points,
    gauge: Points,
    loss: Points,
    test: Points,
    alignment: Points,
    sam_alignment: Points,
}

/// Draws the pictures that have data, and returns their paths.
///
/// # Errors
/// [`PlotError`].
pub(crate) fn draw(sources: &[ComparedSource], out: &Path, format: Format) -> Result<Vec<PathBuf>, PlotError> {
    let by_time = sources.iter().any(|source| matches!(source.rows, Rows::Raw(_)));
    let x = || {
        if by_time {
            Horizontal::Linear("seconds since training began, measurements included".into())
        } else {
            Horizontal::Steps
        }
    };
    let all: Vec<Curves> = sources.iter().map(|source| of(source, by_time)).collect();
    let curves = |parts: &[CurveKind]| -> Vec<Curve> {
        let mut curves = vec![];
        for (i, (source, own)) in sources.iter().zip(&all).enumerate() {
            for &(what, dashes, points) in parts {
                let points = points(own).clone();
                if points.iter().any(|point| point.1.is_finite()) {
                    let color = COLORS[i % COLORS.len()];
                    let width = if dashes.is_empty() { 2.0 } else { 1.75 };
                    let label = if what.is_empty() { source.name.clone() } else { format!("{}, {what}", source.name) };
                    curves.push(Curve { label, points, style: Style { color, width, dashes } });
                }
            }
        }
        curves
    };
    let norm = curves(&[("‖H‖", "", |own| &own.norm), ("edge", EDGE, |own| &own.edge)]);
    let ratio = with_edge(curves(&[("", "", |own| &own.ratio)]));
    let gauge = with_edge(curves(&[("", "", |own| &own.gauge)]));
    let loss = curves(&[("", "", |own| &own.loss), ("test", SECOND, |own| &own.test)]);
    let alignment = curves(&[("g", "", |own| &own.alignment), ("followed gradient", EDGE, |own| &own.sam_alignment)]);
    let eigenvalue = "Hessian eigenvalue (loss per squared weight)";
    let figures = [
        ("sharpness", "Sharpness and the edge of each run", eigenvalue, Scale::Auto, norm),
        ("edge_ratio", "Sharpness in units of the edge", "λ_max ÷ edge", Scale::Auto, ratio),
        ("gauge", "Gauge of the updates", "gauge (1 at the edge)", Scale::Auto, gauge),
        ("loss", "Loss", "loss (per example)", Scale::Log, loss),
        ("alignment", "Alignment with the top eigenvector", "|cos(·, v₁)|", Scale::Fixed(0.0, 1.0), alignment),
    ];
    let drawn = figures.into_iter().filter(|figure| !figure.4.is_empty());
    drawn
        .map(|(stem, title, y_label, scale, curves)| {
            save(&Figure { title: title.into(), x: x(), y_label, scale, curves }, &out.join(stem), format)
        })
        .collect()
}

/// The curves, and a line at 1 if there are any.
fn with_edge(mut curves: Vec<Curve>) -> Vec<Curve> {
    let ends = curves.iter().flat_map(|curve| &curve.points).map(|point| point.0);
    let (low, high) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    if low < high {
        let style = Style { color: BLACK, width: 1.25, dashes: "3 4" };
        curves.push(Curve { label: "the edge".into(), points: vec![(low, 1.0), (high, 1.0)], style });
    }
    curves
}

fn of(source: &ComparedSource, by_time: bool) -> Curves {
    match &source.rows {
        Rows::ComparedRun(run) => of_run(run, by_time),
        Rows::Raw(rows) => {
            let points = |value: fn(&RawRow) -> f64| rows.iter().map(|row| (row.secs, value(row))).collect();
            Curves {
                norm: points(|row| row.hessian_norm),
                edge: points(|row| row.sam_edge),
                ratio: points(|row| row.hessian_norm / row.sam_edge),
                gauge: vec![],
                loss: points(|row| row.loss),
                test: vec![],
                alignment: points(|row| row.grad_alignment),
                sam_alignment: points(|row| row.sam_grad_alignment),
            }
        }
    }
}

fn of_run(run: &ComparedRun, by_time: bool) -> Curves {
    let place = |step: u64, secs: f64| if by_time { secs } else { step as f64 };
    let points = |value: fn(&CurvatureRow) -> f64| -> Points {
        run.readout.curvature.iter().map(|row| (place(row.step, row.secs), value(row))).collect()
    };
    Curves {
        norm: points(|row| row.hessian_norm),
        edge: points(|row| row.sam_edge),
        ratio: points(|row| row.edge_ratio),
        gauge: points(|row| row.gauge),
        loss: run.readout.metrics.iter().map(|row| (place(row.step, row.secs), row.loss)).collect(),
        test: run.readout.metrics.iter().filter_map(|row| Some((place(row.step, row.secs), row.test_loss?))).collect(),
        alignment: points(|row| row.grad_alignment),
        // Without a perturbation it is the same curve.
        sam_alignment: if run.readout.rule.perturbs() { points(|row| row.sam_grad_alignment) } else { vec![] },
    }
}
