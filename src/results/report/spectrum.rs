//! The spectrum in a run's report: the eigenvalues of the last measurement, and the results of `edgewalk curvature`.

use std::fs;
use std::path::PathBuf;

use maud::{Markup, html};
use serde_json::Value;

use super::later::{Later, LaterPair};
use super::page;
use crate::folder::RunDir;
use crate::folder::rows::{CurvatureRow, Extreme};
use crate::optim::Rule;
use crate::results::PlotError;
use crate::results::figure::palette::{BLUE, GREY};
use crate::results::figure::{Curve, Figure, Horizontal, Scale, Style};
use crate::results::plot::{GD_EDGE, SAM_EDGE, subscript};
use crate::text::digits;

/// A row of the table of eigenvalues.
struct Eigenvalue {
    name: String,
    value: f64,
    error: Option<f64>,
    residual: String,
    /// Whether it was measured after training.
    is_later: bool,
}

/// The eigenvalues of the last measurement, each replaced by the one that was measured later if that has the smaller
/// error bar.
fn eigenvalues(row: &CurvatureRow, later: Option<&Later>) -> Vec<Eigenvalue> {
    let shortfall = |residual: &str, converged: bool| match converged {
        true => residual.to_owned(),
        false => format!("{residual}, not converged"),
    };
    let best = |name: String, own: Option<(f64, Option<f64>, String)>, later: Option<&LaterPair>| {
        let bar = own.as_ref().and_then(|own| own.1).unwrap_or(f64::INFINITY);
        if let Some(later) = later.filter(|later| later.error < bar) {
            let residual = shortfall(&digits(later.residual, 2), later.converged);
            return Some(Eigenvalue { name, value: later.value, error: Some(later.error), residual, is_later: true });
        }
        own.map(|(value, error, residual)| Eigenvalue { name, value, error, residual, is_later: false })
    };
    let mut rows = vec![];
    let more = later.map_or(0, |later| later.top.len());
    for i in 0..row.lambdas.len().max(more) {
        let own = row.lambdas.get(i).map(|&value| {
            let residual = row.residuals.get(i).map_or_else(String::new, |&r| digits(r, 2));
            (value, row.errors.get(i).copied(), shortfall(&residual, row.converged.get(i) != Some(&false)))
        });
        rows.extend(best(format!("λ{}", subscript(i + 1)), own, later.and_then(|later| later.top.get(i))));
    }
    let lowest = later.map_or(0, |later| later.bottom.len());
    for i in 0..row.bottoms.len().max(lowest) {
        let own = row.bottoms.get(i).map(|&value| (value, row.bottom_errors.get(i).copied(), String::new()));
        rows.extend(best(format!("lowest {}", i + 1), own, later.and_then(|later| later.bottom.get(i))));
    }
    let mut end = |name: &str, own: Option<Extreme>, later: Option<Extreme>| {
        let bar = own.map_or(f64::INFINITY, |own| own.error);
        let later = later.filter(|later| later.error < bar);
        rows.extend(later.or(own).map(|end| Eigenvalue {
            name: name.to_owned(),
            value: end.value,
            error: Some(end.error),
            residual: String::new(),
            is_later: later.is_some(),
        }));
    };
    end("largest Ritz value", row.lambda_max, later.and_then(|later| later.lambda_max));
    if lowest == 0 {
        end("smallest Ritz value", row.lambda_min, later.and_then(|later| later.lambda_min));
    }
    rows
}

/// Eigenvalues and their error bars at the last measurement, with those that were measured later there.
///
/// # Errors
/// [`PlotError::Draw`].
pub(super) fn last(row: &CurvatureRow, rule: &Rule, later: Option<&Later>) -> Result<Markup, PlotError> {
    let rows = eigenvalues(row, later);
    let is_mixed = rows.iter().any(|row| row.is_later);
    let plus_minus = |error: Option<f64>| {
        error.filter(|e| e.is_finite()).map_or_else(String::new, |e| format!("± {}", digits(e, 2)))
    };
    Ok(html! {
        div.wide {
            table {
                thead {
                    tr {
                        th { "eigenvalue" } th.number { "value" } th.number { "error bar" } th.number { "relative residual" }
                        th.number { "÷ edge" }
                        @if is_mixed { th { "measured" } }
                    }
                }
                tbody {
                    @for it in &rows {
                        tr {
                            th scope="row" { (it.name) }
                            td.number { (digits(it.value, 7)) }
                            td.number { (plus_minus(it.error)) }
                            td.number { (it.residual) }
                            td.number { @if row.sam_edge > 0.0 && row.sam_edge.is_finite() { (digits(it.value / row.sam_edge, 4)) } }
                            @if is_mixed { td { @if it.is_later { "later" } @else { "in training" } } }
                        }
                    }
                }
            }
        }
        @if is_mixed {
            p {
                "Values measured later come from " code { "edgewalk curvature" } ", at the same parameters and on the same examples; \
                 they have smaller error bars than those of the training."
            }
        }
        p {
            "An eigenvalue of the matrix lies within the error bar of each value. A Ritz value is a bound from inside: the \
             spectrum reaches at least that far."
        }
        @if row.lambdas.len() > 1 {
            (page::drawn(&figure(row, rule), "spectrum", &html! {
                "The eigenvalues of step " (row.step) " with their error bars (mostly smaller than the dots), and the edges at \
                 that step."
            })?)
        }
    })
}

/// The eigenvalues by rank.
fn figure(row: &CurvatureRow, rule: &Rule) -> Figure {
    let mut curves = vec![];
    let last = row.lambdas.len() as f64;
    let mut level = |label: String, style: Style, value: f64| {
        if value.is_finite() {
            curves.push(Curve::new(label, vec![(0.5, value), (last + 0.5, value)], style));
        }
    };
    level(rule.unperturbed().edge_name(), GD_EDGE, row.gd_edge);
    if !row.edges_coincide() {
        level(rule.edge_name(), SAM_EDGE, row.sam_edge);
    }
    for (i, &value) in row.lambdas.iter().enumerate() {
        let place = (i + 1) as f64;
        if let Some(error) = row.errors.get(i).filter(|error| error.is_finite()) {
            let points = vec![(place, value - error), (place, value + error)];
            curves.push(Curve::new("", points, Style { color: GREY, width: 2.0, dashes: "" }));
        }
        let label = if i == 0 { "eigenvalue".into() } else { String::new() };
        curves.push(Curve::new(label, vec![(place, value)], Style { color: BLUE, width: 3.0, dashes: "" }));
    }
    Figure {
        title: format!("The largest Hessian eigenvalues at step {}", row.step),
        x: Horizontal::Whole("rank by magnitude".into()),
        y_label: "Hessian eigenvalue (loss per squared weight)",
        scale: Scale::Auto,
        curves,
        ..Default::default()
    }
}

/// The results of `edgewalk curvature` in the run's folder: trace and density at its last step.
pub(crate) fn analysis(run: &RunDir) -> Option<Markup> {
    let folder = last_folder(run)?;
    let text = fs::read_to_string(folder.join("curvature.json")).ok()?;
    let json: Value = serde_json::from_str(&text).ok()?;
    let traces: Vec<(String, String)> = json["findings"].as_array()?.iter().filter_map(trace).collect();
    let pictures = densities(&folder);
    if traces.is_empty() && pictures.is_empty() {
        return None;
    }
    Some(html! {
        h3 { "Trace and density of the whole spectrum at step " (json["step"]) }
        @if !traces.is_empty() {
            div.wide { table {
                tbody { @for (name, value) in &traces { tr { th scope="row" { "trace of " (name) } td.value { (value) } } } }
            } }
            p { "Estimated from random vectors (Hutch++), with confidence intervals." }
        }
        @for (media_type, bytes) in &pictures {
            (page::picture(bytes, media_type, "", "spectral density", &html! {
                "The density of all eigenvalues by stochastic Lanczos quadrature: how many eigenvalues lie around each place, \
                 smoothed, on a logarithmic scale; a single one is a peak of height 1. H is the Hessian; where drawn, G is its Gauss–Newton part and R = H − G the rest."
            }))
        }
    })
}

fn last_folder(run: &RunDir) -> Option<PathBuf> {
    let entries = fs::read_dir(run.path().join("analysis")).ok()?;
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.join("curvature.json").is_file()).max()
}

fn trace(finding: &Value) -> Option<(String, String)> {
    let (trace, block) = (&finding["trace"], finding["block"].as_str()?);
    let matrix = match finding["matrix"].as_str()? {
        "hessian" => "H",
        "gauss_newton" => "G",
        _ => "R = H − G",
    };
    let name = if block == "all" { matrix.to_owned() } else { format!("{matrix}, layer {block}") };
    let [low, high] = [0, 1].map(|i| trace["interval"][i].as_f64());
    let level = 100.0 * trace["level"].as_f64()?;
    let value = digits(trace["value"].as_f64()?, 5);
    Some((name, format!("{value} ({} to {} at {level} %)", digits(low?, 5), digits(high?, 5))))
}

/// The pictures of densities, by name.
fn densities(folder: &std::path::Path) -> Vec<(&'static str, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(folder) else { return vec![] };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let is_density =
        |path: &PathBuf| path.file_stem().is_some_and(|stem| stem.to_string_lossy().starts_with("density-"));
    let shown = paths.iter().filter(|path| is_density(path)).filter_map(|path| {
        let media_type = match path.extension()?.to_str()? {
            "svg" => "image/svg+xml",
            // The same picture need not be shown twice.
            "png" if !path.with_extension("svg").is_file() => "image/png",
            _ => return None,
        };
        Some((media_type, fs::read(path).ok()?))
    });
    shown.collect()
}
