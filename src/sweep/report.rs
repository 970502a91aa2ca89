//! The report of a sweep.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::PathBuf;

use maud::{Markup, PreEscaped, html};

use super::best::best;
use super::board::Board;
use super::figures::{Drawn, Picture, over_axes, path};
use super::seeds::OverSeeds;
use super::trajectories::trajectories;
use super::{Job, JobState, SummaryRow, SweepDir, SweepError, check_begun, read_summary};
use crate::config;
use crate::files::write_file;
use crate::folder::table::RecordError;
use crate::results::look::Look;
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
    let maps = shown(sweep, &over_axes(sweep, &rows, &[])?)?;
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
        (best(sweep, &rows))
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
        script { (PreEscaped(SORT)) }
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

/// Draws the pictures of a sweep into its `plots` folder, also those of some columns of its summary, and returns their
/// paths.
///
/// # Errors
/// As [`sweep_report`], and [`SweepError::NoColumn`].
pub fn plot_sweep(sweep: &SweepDir, columns: &[String], look: impl Into<Look>) -> Result<Vec<PathBuf>, SweepError> {
    check_begun(sweep)?;
    let look = look.into();
    let mut pictures = over_axes(sweep, &rows(sweep)?, columns)?;
    pictures.extend(trajectories(sweep)?);
    pictures.iter().map(|picture| Ok(save(sweep, picture, &look)?.0)).collect()
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
fn save(sweep: &SweepDir, picture: &Picture, look: &Look) -> Result<(PathBuf, Vec<u8>), SweepError> {
    let path = path(sweep, picture, look.format);
    let drawn = picture.render(look).map_err(|message| PlotError::Draw { path: path.clone(), message })?;
    write_file(&path, &drawn)?;
    Ok((path, drawn))
}

/// Writes the pictures and puts them into the page.
fn shown(sweep: &SweepDir, pictures: &[Picture]) -> Result<Vec<Markup>, SweepError> {
    let page = |it: &Picture| {
        let (_, svg) = save(sweep, it, &Format::Svg.into())?;
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
            table.sortable {
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
                            @for (column, words) in OverSeeds::COLUMNS.iter().zip(mean.words()) {
                                td.number data-value=[mean.column(column).map(|it| it.mean)] { (words) }
                            }
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

/// A cell with a number in words, and the number itself for sorting.
fn number(value: Option<f64>, words: &dyn Fn(f64) -> String) -> Markup {
    html! { td.number data-value=[value] { @if let Some(value) = value { (words(value)) } } }
}

/// Sorts a table by the column whose heading is clicked, cells without a number last. Without scripts the tables stay in
/// the order of the jobs.
const SORT: &str = include_str!("sort.js");

fn table(sweep: &SweepDir, rows: &[SummaryRow]) -> Markup {
    let digits = |significant: usize| move |value: f64| digits(value, significant);
    let reports: HashMap<&[String], &Job> = sweep.jobs().iter().map(|job| (job.values.as_slice(), job)).collect();
    let report = |row: &SummaryRow| {
        let job = reports.get(row.values.as_slice())?;
        let file = job.run.join("report.html").is_file().then_some(&job.run)?;
        // A relative address, so that the folder can be moved.
        Some(format!("{}/report.html", file.strip_prefix(&sweep.path).ok()?.to_str()?.replace('\\', "/")))
    };
    let short = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
    html! {
        div.wide {
            table.sortable {
                thead {
                    tr {
                        @for axis in &sweep.axes { th { (short(&axis.key)) } }
                        th { "state" } th.number { "steps" } th.number { "loss" } th.number { "test error" } th.number { "‖H‖" }
                        th.number { "edge ratio" } th.number { "range" } th.number { "gauge" } th.number { "at the edge from" } th.number { "time" } th { "" }
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
                            (number(row.steps.map(|steps| steps as f64), &|steps| steps.to_string()))
                            (number(row.loss, &digits(4)))
                            (number(row.test_error.map(|error| 100.0 * error), &|error| format!("{} %", digits(4)(error))))
                            (number(row.hessian_norm, &digits(4)))
                            (number(row.edge_ratio, &digits(4)))
                            td.number {
                                @if let Some((low, high)) = row.edge_ratio_low.zip(row.edge_ratio_high) {
                                    (digits(3)(low)) " to " (digits(3)(high))
                                }
                            }
                            (number(row.gauge, &digits(4)))
                            (number(row.edge_step, &|step| format!("step {step}")))
                            (number(row.wall_secs, &duration))
                            td { @if let Some(address) = report(row) { a href=(address) { "report" } } }
                        }
                    }
                }
            }
        }
        p {
            "Loss: at the last logged step. ‖H‖, edge ratio and gauge: medians over the second half; the gauge is 1 at the edge and \
             changes faster than the ratio. A click on a heading sorts the table. A job that diverged was stopped when its numbers were no longer finite."
        }
    }
}
