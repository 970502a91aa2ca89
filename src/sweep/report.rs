//! The report of a sweep.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use maud::{Markup, html};

use super::board::Board;
use super::figures::{Drawn, Picture, over_axes, path, trajectories};
use super::seeds::OverSeeds;
use super::{JobState, SummaryRow, SweepDir, SweepError, check_begun, read_summary};
use crate::config;
use crate::files::write_file;
use crate::folder::table::RecordError;
use crate::results::report::config_words;
use crate::results::report::page::{page, picture};
use crate::results::{Format, PlotError};
use crate::text::{counted, digits, duration};

/// Writes `report.html` and the pictures under `plots` into the folder of a sweep, whatever the state of its jobs, and
/// returns the path of the report.
///
/// # Errors
/// [`SweepError::OtherSettings`]; a table that cannot be read, a picture that cannot be drawn, a file that cannot be
/// written.
pub fn sweep_report(sweep: &SweepDir) -> Result<PathBuf, SweepError> {
    check_begun(sweep)?;
    let rows = rows(sweep)?;
    let text = fs::read_to_string(sweep.config()).unwrap_or_default();
    let maps = shown(sweep, &over_axes(sweep, &rows))?;
    let curves = shown(sweep, &trajectories(sweep)?)?;
    let varies = |section: &str| sweep.axes.iter().any(|axis| axis.key.split('.').next() == Some(section));
    let body = html! {
        h1 { (sweep.name) ": a sweep" }
        p.made {
            (counted(sweep.jobs().len(), "run")) ", one for every combination of the values below, by edgewalk "
            (env!("CARGO_PKG_VERSION")) "."
        }
        (state(sweep, &rows))
        h2 { "What was varied" }
        table {
            thead { tr { th { "key" } th { "values" } } }
            tbody { @for axis in &sweep.axes { tr { th scope="row" { code { (axis.key) } } td { (axis.values.join(", ")) } } } }
        }
        h2 { "Over the values" }
        @if maps.is_empty() { p { "No job has a result yet." } }
        @for map in &maps { (map) }
        p {
            "The edge ratio is ‖H‖ divided by the eigenvalue at which the update rule turns unstable (2/η for gradient descent, the \
             SAM-edge for SAM): the median over the second half of the measured steps. 1 is at the edge of stability."
        }
        @if let Some(over) = OverSeeds::of(&sweep.axes, &rows) { h2 { "Means over the seeds" } (means(&over)) }
        h2 { "All jobs" }
        (table(sweep, &rows))
        @if !curves.is_empty() { h2 { "Over the steps" } }
        @for picture in &curves { (picture) }
        h2 { "What all jobs share" }
        @if let Ok(resolved) = config::resolve(Some(&sweep.config().to_string_lossy()), &[]) {
            table {
                tbody {
                    // In words only the settings that all jobs share.
                    @for words in config_words::describe(&resolved.config, None).iter().filter(|words| !varies(words.section)) {
                        tr {
                            th scope="row" { (words.subject) }
                            td { (words.sentence) @if !words.formula.is_empty() { span.formula { (words.formula) } } }
                        }
                    }
                }
            }
        }
        p { "This is the base configuration; each job replaces the keys that are varied." }
        pre.columns { (text) }
    };
    let report = sweep.path.join("report.html");
    write_file(&report, page(&format!("{} – sweep – Edgewalk", sweep.name), &body).as_bytes())?;
    Ok(report)
}

/// Draws the pictures of a sweep into its `plots` folder and returns their paths.
///
/// # Errors
/// As [`sweep_report`].
pub fn plot_sweep(sweep: &SweepDir, format: Format) -> Result<Vec<PathBuf>, SweepError> {
    check_begun(sweep)?;
    let mut pictures = over_axes(sweep, &rows(sweep)?);
    pictures.extend(trajectories(sweep)?);
    pictures.iter().map(|picture| Ok(save(sweep, picture, format)?.0)).collect()
}

/// The table of results, if it exists; made anew from the run folders if it has jobs that the sweep has not.
fn rows(sweep: &SweepDir) -> Result<Vec<SummaryRow>, RecordError> {
    if !sweep.summary().is_file() {
        return Ok(vec![]);
    }
    let rows = read_summary(&sweep.summary())?;
    let jobs: HashSet<&[String]> = sweep.jobs().iter().map(|job| job.values.as_slice()).collect();
    let is_known = rows.iter().all(|row| jobs.contains(row.values.as_slice()));
    Ok(if is_known { rows } else { Board::look(sweep).rows })
}

/// Draws a picture into its file, and returns path and content.
fn save(sweep: &SweepDir, picture: &Picture, format: Format) -> Result<(PathBuf, Vec<u8>), SweepError> {
    let path = path(sweep, picture, format);
    let drawn = picture.render(format).map_err(|message| PlotError::Draw { path: path.clone(), message })?;
    write_file(&path, &drawn)?;
    Ok((path, drawn))
}

/// Writes the pictures and puts them into the page.
fn shown(sweep: &SweepDir, pictures: &[Picture]) -> Result<Vec<Markup>, SweepError> {
    let page = |it: &Picture| {
        let (_, svg) = save(sweep, it, Format::Svg)?;
        let class = if matches!(it.drawn, Drawn::Map(_)) { "natural" } else { "" };
        Ok(picture(&svg, "image/svg+xml", class, &it.title, &html! { (it.caption) }))
    };
    pictures.iter().map(page).collect()
}

/// The number of jobs of each state.
fn state(sweep: &SweepDir, rows: &[SummaryRow]) -> Markup {
    let count = |state: JobState| rows.iter().filter(|row| row.state == state).count();
    let done = count(JobState::Done);
    let others = [JobState::Diverged, JobState::Failed, JobState::Interrupted, JobState::Running, JobState::Waiting];
    let others: Vec<String> =
        others.into_iter().filter(|&state| count(state) > 0).map(|state| format!("{} {state}", count(state))).collect();
    let class = match done == sweep.jobs().len() {
        true => "state",
        false if count(JobState::Failed) > 0 => "state bad",
        false => "state open",
    };
    let others = if others.is_empty() { String::new() } else { format!("; {}", others.join(", ")) };
    html! { div class=(class) { strong { (done) " of " (sweep.jobs().len()) " done" } (others) "." } }
}

/// The means over the seeds with their standard deviations.
fn means(over: &OverSeeds) -> Markup {
    html! {
        div.wide {
            table {
                thead {
                    tr {
                        @for axis in &over.axes { th { (axis.key) } }
                        @for name in OverSeeds::NAMES { th.number { (name) } }
                        th { "" }
                    }
                }
                tbody {
                    @for mean in &over.means {
                        tr {
                            @for value in &mean.row.values { td { (value) } }
                            @for words in mean.words() { td.number { (words) } }
                            td { (mean.row.message) }
                        }
                    }
                }
            }
        }
        p {
            "Over " (over.seeds) " seeds, ± one standard deviation of the runs (not of their mean). The step at the edge is the first \
             measured one whose gauge is within the band about 1 by which the run is judged, or above it; the mean is over the \
             seeds that reach the edge."
        }
    }
}

fn table(sweep: &SweepDir, rows: &[SummaryRow]) -> Markup {
    let number = |value: Option<f64>, significant: usize| value.map_or_else(String::new, |x| digits(x, significant));
    let short = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
    html! {
        div.wide {
            table {
                thead {
                    tr {
                        @for axis in &sweep.axes { th { (short(&axis.key)) } }
                        th { "state" } th.number { "steps" } th.number { "loss" } th.number { "test error" } th.number { "‖H‖" }
                        th.number { "edge ratio" } th.number { "range" } th.number { "gauge" } th.number { "at the edge from" } th.number { "time" }
                    }
                }
                tbody {
                    @for row in rows {
                        @let bad = matches!(row.state, JobState::Diverged | JobState::Failed);
                        tr class=[bad.then_some("bad-text")] {
                            @for value in &row.values { td { (value) } }
                            td { (row.state) @if !row.message.is_empty() {
                                    @if row.state != JobState::Diverged { ":" }
                                    " " (row.message)
                                } }
                            td.number { (row.steps.map_or_else(String::new, |steps| steps.to_string())) }
                            td.number { (number(row.loss, 4)) }
                            td.number { @if let Some(error) = row.test_error { (digits(100.0 * error, 4)) " %" } }
                            td.number { (number(row.hessian_norm, 4)) }
                            td.number { (number(row.edge_ratio, 4)) }
                            td.number {
                                @if let Some((low, high)) = row.edge_ratio_low.zip(row.edge_ratio_high) {
                                    (digits(low, 3)) " to " (digits(high, 3))
                                }
                            }
                            td.number { (number(row.gauge, 4)) }
                            td.number { @if let Some(step) = row.edge_step { "step " (step) } }
                            td.number { (row.wall_secs.map_or_else(String::new, duration)) }
                        }
                    }
                }
            }
        }
        p {
            "Loss: at the last logged step. ‖H‖, edge ratio and gauge: medians over the second half; the gauge is 1 at the edge and \
             changes faster than the ratio. A job that diverged was stopped when its numbers were no longer finite."
        }
    }
}
