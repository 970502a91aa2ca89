//! The pictures of a run: sharpness and the edges, alignments, loss. ‖H‖ against the edges shows training at the edge
//! of stability; the second picture omits 2/η, which for SAM may be many times higher. For gradient descent the
//! SAM-edge is 2/η and is drawn once.

use std::path::{Path, PathBuf};

use super::PlotError;
use super::branches::{Branch, branches};
use super::figure::palette::{BLACK, BLUE, GREEN, GREY, Ink, ORANGE, PURPLE, SKY, VERMILLION};
use super::figure::{Curve, Figure, Horizontal, Scale, Style};
use super::readout::Readout;
use crate::files::write_file;
use crate::folder::RunDir;
use crate::folder::rows::{CurvatureRow, MetricsRow, OscillationRow, PreconditionedRow};
use crate::folder::tables::read_oscillation;
use crate::optim::Rule;
use crate::results::look::Look;

/// λ₁, λ₂ …; those beyond are grey.
const LAMBDA_COLORS: [Ink; 4] = [BLUE, GREEN, PURPLE, SKY];

pub(crate) const fn solid(color: Ink, width: f64) -> Style {
    Style { color, width, dashes: "" }
}

/// ‖H‖, a pale line behind that of the eigenvalue that it is the magnitude of.
const NORM: Style = solid(Ink(0x9e, 0xc9, 0xe8), 7.0);
const HESSIAN: Style = solid(BLUE, 3.0);
pub(crate) const SAM_EDGE: Style = Style { color: VERMILLION, width: 2.0, dashes: "10 5" };
const OFFICIAL: Style = Style { color: GREY, width: 2.0, dashes: "4 6" };
const BATCH: Style = Style { color: GREY, width: 1.5, dashes: "" };
/// The line at 1 in pictures in units of the edge.
pub(crate) const AT_EDGE: Style = Style { color: BLACK, width: 1.25, dashes: "3 4" };
pub(crate) const GD_EDGE: Style = Style { color: BLACK, width: 1.5, dashes: "3 4" };

/// Draws the pictures of a run into its `plots` folder, in a format or with a [`Look`], and returns their paths. A run without curvature measurements
/// has only a picture of its loss.
///
/// # Errors
/// A [`PlotError`], if the tables cannot be read or hold no rows, or a picture cannot be made or written.
pub fn plot_run(run: &RunDir, look: impl Into<Look>) -> Result<Vec<PathBuf>, PlotError> {
    plot_readout(run, &Readout::of(run)?, &look.into())
}

/// The same from the data read from the folder.
///
/// # Errors
/// As [`plot_run`].
pub(crate) fn plot_readout(run: &RunDir, readout: &Readout, look: &Look) -> Result<Vec<PathBuf>, PlotError> {
    figures(run, readout)?.into_iter().map(|(stem, figure)| save(&figure, &run.plots().join(stem), look)).collect()
}

/// Draws a picture into a file of this name, which gets the extension of its format, and returns its path.
///
/// # Errors
/// [`PlotError::Draw`] or [`PlotError::File`].
pub(crate) fn save(figure: &Figure, stem: &Path, look: &Look) -> Result<PathBuf, PlotError> {
    let mut path = stem.as_os_str().to_owned();
    path.push(format!(".{}", look.format.extension()));
    let path = PathBuf::from(path);
    let drawn = figure.render(look).map_err(|message| PlotError::Draw { path: path.clone(), message })?;
    write_file(&path, &drawn)?;
    Ok(path)
}

/// The pictures of a run, with the names of their files.
///
/// # Errors
/// As [`plot_run`], but for drawing.
pub(crate) fn figures(run: &RunDir, readout: &Readout) -> Result<Vec<(&'static str, Figure)>, PlotError> {
    let Readout { rule, metrics, curvature, .. } = readout;
    if metrics.is_empty() {
        return Err(PlotError::NoRows { path: run.metrics() });
    }
    let name = run.path().file_name().unwrap_or(run.path().as_os_str());
    let name = name.to_string_lossy();
    let mut figures = Vec::new();
    if !curvature.is_empty() {
        figures.push(("edges", edges(curvature, rule, &name)));
        if curvature.iter().any(|row| row.sam_edge.is_finite()) {
            figures.push(("edges_sam_only", sam_only(curvature, rule, &name)));
        }
        figures.push(("alignment", alignment(curvature, &name)));
        if curvature.iter().any(|row| row.gauge.is_finite()) {
            figures.push(("gauge", gauge(curvature, &name)));
        }
        if curvature.iter().any(|row| row.preconditioned.is_some()) {
            figures.push(("preconditioned", preconditioned(curvature, rule, &name)));
        }
    }
    if run.oscillation().is_file() {
        let swings = read_oscillation(&run.oscillation())?;
        if !swings.is_empty() {
            figures.push(("oscillation", amplitude(&swings, &name)));
            figures.push(("drift", drift(&swings, &name)));
        }
    }
    figures.push(("loss", loss(metrics, &name)));
    if let Some(parent) = readout.parent.as_deref()
        && let Ok((run, rows)) = &parent.part
        && let Ok(own) = self::figures(run, rows)
    {
        parent.draw_below(&mut figures, own);
    }
    Ok(figures)
}

fn curve(rows: &[CurvatureRow], label: impl Into<String>, style: Style, value: impl Fn(&CurvatureRow) -> f64) -> Curve {
    let points = rows.iter().map(|row| (row.step as f64, value(row)));
    Curve::new(label, points.collect(), style)
}

/// The edge that decides stability in this run.
fn own_edge(rows: &[CurvatureRow], rule: &Rule) -> Curve {
    if rows.iter().all(CurvatureRow::edges_coincide) {
        curve(rows, rule.unperturbed().edge_name(), GD_EDGE, |row| row.gd_edge)
    } else {
        curve(rows, rule.edge_name(), SAM_EDGE, |row| row.sam_edge)
    }
}

fn edges(rows: &[CurvatureRow], rule: &Rule, name: &str) -> Figure {
    let mut curves = vec![curve(rows, "‖H‖", NORM, |row| row.hessian_norm)];
    let (lambdas, note) = eigenvalues(rows);
    curves.extend(lambdas);
    if rows.iter().any(|row| row.official.is_some()) {
        let norm = |row: &CurvatureRow| row.official.as_ref().map_or(f64::NAN, |official| official.hessian_norm);
        curves.push(curve(rows, "‖H‖, official method", OFFICIAL, norm));
    }
    if rows.iter().any(|row| row.batch.is_some()) {
        let sharpness = |row: &CurvatureRow| row.batch.map_or(f64::NAN, |batch| batch.sharpness);
        curves.push(curve(rows, "batch sharpness", BATCH, sharpness));
    }
    let own = own_edge(rows, rule);
    if own.style.color != GD_EDGE.color {
        curves.push(curve(rows, rule.unperturbed().edge_name(), GD_EDGE, |row| row.gd_edge));
    }
    curves.push(own);
    // A rule may have no edge for an eigenvalue.
    curves.retain(Curve::has_points);
    Figure {
        title: format!("Sharpness and the edges of stability: {name}"),
        note,
        x: Horizontal::Steps,
        y_label: "Hessian eigenvalue (loss per squared weight)",
        scale: Scale::Auto,
        curves,
    }
}

/// The eigenvalues as curves of their eigenvectors, and what a reader must know of them.
fn eigenvalues(rows: &[CurvatureRow]) -> (Vec<Curve>, String) {
    let branches = branches(rows);
    let lanes = branches.iter().map(|branch| branch.lane + 1).max().unwrap_or(0);
    let mut curves = vec![];
    let crosses = branches.iter().any(|branch| branch.crosses);
    for lane in 0..lanes {
        let color = LAMBDA_COLORS.get(lane).copied().unwrap_or(GREY);
        let mut label = match (lane.checked_sub(LAMBDA_COLORS.len()), rank(lane + 1), rank(lanes)) {
            (None, ..) => String::new(),
            (Some(0), first, last) if first == last => last,
            (Some(0), first, last) => format!("{first} … {last}"),
            (Some(_), ..) => String::new(),
        };
        let own: Vec<&Branch> = branches.iter().filter(|branch| branch.lane == lane).collect();
        if let ([first, ..], [.., last], true) = (&own[..], &own[..], lane < LAMBDA_COLORS.len()) {
            let (from, to) = (first.ranks.0, last.ranks.1);
            label = if from == to { rank(from) } else { format!("{} → {}", rank(from), rank(to)) };
        }
        for branch in own {
            curves.push(Curve::new(std::mem::take(&mut label), branch.points.clone(), solid(color, 1.5)));
        }
    }
    let by = match rows.iter().any(|row| !row.follows.is_empty()) {
        true => "their eigenvectors",
        false => "their ranks within a sign",
    };
    let note = || format!("Eigenvalues followed by {by}, named by their first rank → their last");
    (curves, if crosses { note() } else { String::new() })
}

fn rank(number: usize) -> String {
    format!("λ{}", subscript(number))
}

fn preconditioned(rows: &[CurvatureRow], rule: &Rule, name: &str) -> Figure {
    let value = |of: fn(PreconditionedRow) -> f64| move |row: &CurvatureRow| row.preconditioned.map_or(f64::NAN, of);
    Figure {
        title: format!("Preconditioned sharpness and its edge: {name}"),
        x: Horizontal::Steps,
        y_label: "eigenvalue of the preconditioned update operator",
        scale: Scale::Auto,
        curves: vec![
            curve(rows, "preconditioned sharpness", HESSIAN, value(|it| it.sharpness)),
            curve(rows, rule.edge_name(), GD_EDGE, value(|it| it.edge)),
        ],
        ..Default::default()
    }
}

fn sam_only(rows: &[CurvatureRow], rule: &Rule, name: &str) -> Figure {
    Figure {
        title: format!("Sharpness and its edge: {name}"),
        x: Horizontal::Steps,
        y_label: "Hessian eigenvalue (loss per squared weight)",
        scale: Scale::Auto,
        curves: vec![curve(rows, "λ_max", HESSIAN, lambda_max), own_edge(rows, rule)],
        ..Default::default()
    }
}

/// The largest eigenvalue; ‖H‖ in tables of early versions.
fn lambda_max(row: &CurvatureRow) -> f64 {
    row.lambda_max.map_or(row.hessian_norm, |max| max.value)
}

fn gauge(rows: &[CurvatureRow], name: &str) -> Figure {
    let steps = [rows.first(), rows.last()].map(|row| row.map_or(0.0, |row| row.step as f64));
    let edge = steps.map(|step| (step, 1.0)).to_vec();
    Figure {
        title: format!("Gauge of the updates: {name}"),
        x: Horizontal::Steps,
        y_label: "gauge (stable from 0 to 1)",
        scale: Scale::Auto,
        curves: vec![curve(rows, "gauge", HESSIAN, |row| row.gauge), Curve::new("the edge", edge, AT_EDGE)],
        ..Default::default()
    }
}

fn alignment(rows: &[CurvatureRow], name: &str) -> Figure {
    let gradient = curve(rows, "|cos(∇L(w), v₁)|", solid(BLUE, 2.0), |row| row.grad_alignment);
    let mut curves = vec![gradient];
    if !rows.iter().all(CurvatureRow::edges_coincide) {
        let perturbed = Style { dashes: "10 5", ..solid(VERMILLION, 2.0) };
        let label = "|cos(∇L(w + ρg/‖g‖), v₁)|";
        curves.push(curve(rows, label, perturbed, |row| row.sam_grad_alignment));
    }
    Figure {
        title: format!("Alignment of the gradients with the top eigenvector: {name}"),
        x: Horizontal::Steps,
        y_label: "alignment (0 orthogonal, 1 parallel)",
        scale: Scale::Fixed(0.0, 1.0),
        curves,
        ..Default::default()
    }
}

fn amplitude(rows: &[OscillationRow], name: &str) -> Figure {
    let measured = swings(rows, "½|Δ⟨w, v₁⟩|", solid(BLUE, 2.0), |row| Some(row.amplitude));
    let predicted = swings(rows, "two-cycle along v₁", SAM_EDGE, |row| row.amplitude_predicted);
    let aligned = swings(rows, "its part |cos(g, v₁)|", solid(GREY, 1.5), |row| row.amplitude_aligned);
    Figure {
        title: format!("Oscillation along the top eigenvector: {name}"),
        x: Horizontal::Steps,
        y_label: "amplitude (length in parameter space)",
        scale: Scale::Log,
        curves: vec![measured, predicted, aligned],
        ..Default::default()
    }
}

fn drift(rows: &[OscillationRow], name: &str) -> Figure {
    let measured = swings(rows, "measured", solid(BLUE, 2.0), |row| Some(row.drift));
    let gradient = swings(rows, "by −η∇L alone", solid(GREY, 1.5), |row| Some(row.drift_of_gradient));
    let sum = |row: &OscillationRow| Some(row.drift_of_gradient + row.drift_predicted?);
    let predicted = swings(rows, "by −η∇L and a two-cycle along v₁", SAM_EDGE, sum);
    let sum = |row: &OscillationRow| Some(row.drift_of_gradient + row.drift_aligned?);
    let aligned = swings(rows, "by −η∇L and the cycle as measured", solid(ORANGE, 1.5), sum);
    Figure {
        title: format!("Drift in the direction in which λ₁ rises: {name}"),
        x: Horizontal::Steps,
        y_label: "length an update",
        scale: Scale::Auto,
        curves: vec![measured, gradient, predicted, aligned],
        ..Default::default()
    }
}

fn swings(rows: &[OscillationRow], label: &str, style: Style, value: impl Fn(&OscillationRow) -> Option<f64>) -> Curve {
    let points = rows.iter().filter_map(|row| Some((row.step as f64, value(row)?)));
    Curve::new(label, points.collect(), style)
}

fn loss(rows: &[MetricsRow], name: &str) -> Figure {
    let points = |value: fn(&MetricsRow) -> Option<f64>| -> Vec<(f64, f64)> {
        rows.iter().filter_map(|row| Some((row.step as f64, value(row)?))).collect()
    };
    let mut curves = vec![Curve::new("training", points(|row| Some(row.loss)), solid(BLUE, 2.0))];
    let test = points(|row| row.test_loss);
    if !test.is_empty() {
        curves.push(Curve::new("test", test, solid(ORANGE, 2.0)));
    }
    Figure {
        title: format!("Loss: {name}"),
        x: Horizontal::Steps,
        y_label: "loss (per example)",
        scale: Scale::Log,
        curves,
        ..Default::default()
    }
}

/// A number in subscript digits.
pub(crate) fn subscript(number: usize) -> String {
    let digits = number.to_string();
    let lower = |digit: char| {
        let value = digit.to_digit(10).unwrap_or(0);
        char::from_u32('₀' as u32 + value).unwrap_or(digit)
    };
    digits.chars().map(lower).collect()
}
