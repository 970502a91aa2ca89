//! The curves of the compared runs in common pictures: a colour for each group, other dashes for its edge. A group of
//! several runs is its mean, with a band of one standard deviation.

use super::groups::Group;
use super::{ComparedRun, ComparedSource, Rows};
use crate::folder::rows::CurvatureRow;
use crate::results::figure::palette::{DISTINCT, series};
use crate::results::figure::{Curve, Figure, Horizontal, Scale, Style};
use crate::results::means::{Points, mean};
use crate::results::official_raw::RawRow;
use crate::results::plot::AT_EDGE;

/// A picture with the name of its file, without extension.
pub(super) type Named = (&'static str, Figure);

/// A kind of curve: its name, the kind of its look, and its values.
type CurveKind = (&'static str, usize, fn(&Curves) -> &Points);

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

/// The pictures that have data.
pub(super) fn figures(groups: &[Group<'_>]) -> Vec<Named> {
    let is_raw = |source: &&ComparedSource| matches!(source.rows, Rows::Raw(_));
    let by_time = groups.iter().any(|group| group.members.iter().any(is_raw));
    let x = || match by_time {
        true => Horizontal::Linear("seconds since training began, measurements included".into()),
        false => Horizontal::Steps,
    };
    let all: Vec<Vec<Curves>> =
        groups.iter().map(|group| group.members.iter().map(|source| of(source, by_time)).collect()).collect();
    let curves = |parts: &[CurveKind]| -> Vec<Curve> {
        let mut curves = vec![];
        for (i, (group, own)) in groups.iter().zip(&all).enumerate() {
            for &(what, kind, points) in parts {
                let label = if what.is_empty() { group.name.clone() } else { format!("{}, {what}", group.name) };
                let runs: Vec<&Points> = own.iter().map(points).filter(|points| has_values(points)).collect();
                curves.extend(drawn(&label, &runs, series(i, kind)));
            }
        }
        curves
    };
    let norm = curves(&[("‖H‖", 0, |own| &own.norm), ("edge", 1, |own| &own.edge)]);
    let ratio = with_edge(curves(&[("", 0, |own| &own.ratio)]));
    let gauge = with_edge(curves(&[("", 0, |own| &own.gauge)]));
    let loss = curves(&[("", 0, |own| &own.loss), ("test", 1, |own| &own.test)]);
    let alignment = curves(&[("g", 0, |own| &own.alignment), ("followed gradient", 1, |own| &own.sam_alignment)]);
    let eigenvalue = "Hessian eigenvalue (loss per squared weight)";
    let figures = [
        ("sharpness", "Sharpness and its edge", eigenvalue, Scale::Auto, norm),
        ("edge_ratio", "Sharpness in units of the edge", "λ_max ÷ edge", Scale::Auto, ratio),
        ("gauge", "Gauge of the updates", "gauge (1 at the edge)", Scale::Auto, gauge),
        ("loss", "Loss", "loss (per example)", Scale::Log, loss),
        ("alignment", "Alignment with the top eigenvector", "|cos(·, v₁)|", Scale::Fixed(0.0, 1.0), alignment),
    ];
    let note = note(groups);
    let figure = |(stem, title, y_label, scale, curves): (_, &str, _, _, _)| {
        (stem, Figure { title: title.into(), note: note.clone(), x: x(), y_label, scale, curves })
    };
    figures.into_iter().filter(|figure| !figure.4.is_empty()).map(figure).collect()
}

fn has_values(points: &Points) -> bool {
    points.iter().any(|point| point.1.is_finite())
}

/// The curve of a group: of its run, or of the mean of its runs; or all of them, where they have too few common steps.
fn drawn(label: &str, runs: &[&Points], style: Style) -> Vec<Curve> {
    match runs {
        [] => vec![],
        [run] => vec![Curve::new(label, (*run).clone(), style)],
        runs => match mean(runs) {
            Some((points, band)) => vec![Curve { band, ..Curve::new(label, points, style) }],
            None => {
                let name = |i| if i == 0 { format!("{label}, each run") } else { String::new() };
                runs.iter().enumerate().map(|(i, run)| Curve::new(name(i), (*run).clone(), style)).collect()
            }
        },
    }
}

/// What a reader must know of the curves.
fn note(groups: &[Group<'_>]) -> String {
    let mut parts = vec![];
    if groups.iter().any(|group| group.members.len() > 1) {
        let mut keys: Vec<&str> = groups.iter().flat_map(|group| &group.differ).map(String::as_str).collect();
        keys.sort_unstable();
        keys.dedup();
        let over = if keys.is_empty() { String::new() } else { format!(", which differ in {}", keys.join(", ")) };
        parts.push(format!("Means over the runs of a group{over}; bands: ± one standard deviation"));
    }
    if groups.len() > DISTINCT {
        parts.push(format!("From number {} on, the looks of the first curves are used again", DISTINCT + 1));
    }
    parts.join(". ")
}

/// The curves, and a line at 1 if there are any.
fn with_edge(mut curves: Vec<Curve>) -> Vec<Curve> {
    let ends = curves.iter().flat_map(|curve| &curve.points).map(|point| point.0);
    let (low, high) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    if low < high {
        curves.push(Curve::new("the edge", vec![(low, 1.0), (high, 1.0)], AT_EDGE));
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
