//! The report of a run.

use std::path::PathBuf;

use maud::{Markup, html};

use super::facts::Facts;
use super::glossary::{caption, glossary};
use super::head::{headline, state};
use super::numbers::key_numbers;
use super::page::{drawn, key_values, page};
use super::{config_words, spectrum};
use crate::files::write_file;
use crate::folder::RunDir;
use crate::folder::rows::MetricsRow;
use crate::results::ResultsError;
use crate::results::figure::palette::BLUE;
use crate::results::figure::{Curve, Figure, Horizontal, Scale};
use crate::results::plot::{figures, solid};
use crate::results::readout::Readout;
use crate::text::shell_word;

/// Writes `report.html` into the folder of a run, in any state, also while it runs, and returns its path.
///
/// # Errors
/// A table that cannot be read, a picture that cannot be drawn, a file that cannot be written.
pub fn run_report(run: &RunDir) -> Result<PathBuf, ResultsError> {
    report_readout(run, Readout::so_far(run)?)
}

/// The same from the data read from the folder.
///
/// # Errors
/// As [`run_report`].
pub(crate) fn report_readout(run: &RunDir, readout: Readout) -> Result<PathBuf, ResultsError> {
    let facts = Facts::of(run, readout);
    let body = html! {
        h1 { (facts.name) }
        (headline(&facts))
        (state(&facts))
        h2 { "Key numbers" }
        (key_numbers(&facts))
        h2 { "What was trained" }
        (trained(&facts))
        @if facts.readout.metrics.is_empty() {
            h2 { "Pictures" }
            p { "metrics.csv has no rows, so there is nothing to show." }
        } @else {
            h2 { "Pictures" }
            (pictures(&facts, run)?)
        }
        @if let Some(row) = facts.readout.curvature.last() {
            h2 { "Spectrum" }
            h3 { "The last measurement, at step " (row.step) }
            (spectrum::last(row, &facts.readout.rule, facts.later.as_ref())?)
            @if let Some(analysis) = spectrum::analysis(run) { (analysis) }
        }
        h2 { "What the words mean" }
        (glossary())
        h2 { "Where it ran" }
        (machine(&facts))
        h2 { "How to repeat it" }
        (repeat(&facts))
    };
    let path = run.path().join("report.html");
    write_file(&path, page(&format!("{} – Edgewalk", facts.name), &body).as_bytes())?;
    Ok(path)
}

fn trained(facts: &Facts) -> Markup {
    let Some(config) = &facts.readout.config else {
        return html! { p { "This version of the program cannot read the configuration; it is shown below as it is." } };
    };
    html! {
        div.wide {
            table {
                tbody {
                    @for words in config_words::describe(config, facts.manifest.as_ref().ok()) {
                        tr {
                            th scope="row" { (words.subject) }
                            td { (words.sentence) @if !words.formula.is_empty() { span.formula { (words.formula) } } }
                        }
                    }
                }
            }
        }
    }
}

fn pictures(facts: &Facts, run: &RunDir) -> Result<Markup, ResultsError> {
    let mut all = figures(run, &facts.readout)?;
    let mut length = [gradient(&facts.readout.metrics, &facts.name)];
    let parent = facts.readout.parent.as_deref();
    if let Some((parent, Ok((_, rows)))) = parent.map(|parent| (parent, &parent.part)) {
        parent.draw_below(&mut length, vec![gradient(&rows.metrics, "")]);
    }
    all.extend(length);
    let pages = all.iter().map(|(stem, figure)| drawn(figure, stem, &html! { (caption(stem)) }));
    let pages: Vec<Markup> = pages.collect::<Result<_, _>>()?;
    Ok(html! {
        @if let Some(parent) = parent {
            @match &parent.part {
                Ok(_) => p {
                    "This run is a fork: pale curves show the steps of " (parent.name()) " before it, up to step " (parent.step) "."
                }
                Err(problem) => p {
                    "This run is a fork of " (parent.path.display()) " at step " (parent.step) ", whose part is not shown: " (problem) "."
                }
            }
        }
        @for page in &pages { (page) }
        p { "Values that would flatten the rest of a picture leave its frame. Arrows at its edge then show where, and the line below its title says how many." }
    })
}

/// The length of the gradient over the steps.
fn gradient(rows: &[MetricsRow], name: &str) -> (&'static str, Figure) {
    let points = rows.iter().map(|row| (row.step as f64, row.grad_norm)).collect();
    let figure = Figure {
        title: format!("Length of the gradient: {name}"),
        x: Horizontal::Steps,
        y_label: "‖∇L(w)‖",
        scale: Scale::Log,
        curves: vec![Curve::new("", points, solid(BLUE, 2.0))],
        ..Default::default()
    };
    ("gradient", figure)
}

fn machine(facts: &Facts) -> Markup {
    let Ok(m) = &facts.manifest else {
        return html! { p { "There is no manifest that says where the run was made." } };
    };
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / 1_048_576.0);
    let mut rows = vec![
        (
            "adapter",
            format!("{} ({})", m.adapter, m.backend),
            "the graphics adapter that computed, and the interface to it",
        ),
        ("driver", format!("{} {}", m.driver, m.driver_info), ""),
        ("program", format!("edgewalk {}", m.version), ""),
        (
            "examples at once",
            format!(
                "{} ({} an update)",
                m.chunk,
                if m.chunks == 1 { "one chunk".into() } else { format!("{} chunks", m.chunks) }
            ),
            "does not change results beyond rounding",
        ),
        ("kernels", format!("{} tier", m.tier), "the manifest of the run lists each kernel's variant"),
    ];
    if let Some(commit) = &m.commit {
        rows.insert(3, ("source commit", commit.clone(), ""));
    }
    if m.memory_peak_bytes > 0 {
        rows.push(("device memory", mib(m.memory_peak_bytes), "at most at once"));
    }
    key_values(&rows)
}

fn repeat(facts: &Facts) -> Markup {
    let command = facts.manifest.as_ref().ok().map(|manifest| {
        let words = manifest.command.iter().enumerate();
        let words = words.map(|(i, word)| if i == 0 { program(word) } else { shell_word(word) });
        words.collect::<Vec<String>>().join(" ")
    });
    html! {
        @if let Some(command) = command {
            p { "The command that made this run:" }
            pre { (command) }
            p { "Or save the configuration below as " code { "config.toml" } " and run" }
        } @else {
            p { "Save the configuration below as " code { "config.toml" } " and run" }
        }
        pre { "edgewalk train config.toml" }
        p {
            "On the same adapter, driver and version of the program the result has the same bits, if the kernels are the same too (\
             the key " code { "run.kernels" } " takes them from the " code { "manifest.json" } " of this run); elsewhere it differs by rounding."
        }
        h3 { "The configuration" }
        p {
            "Keys that this network and this update rule do not look at are left out; " code { "config.toml" } " has them all."
        }
        pre.columns { (facts.config_text) }
    }
}

/// The program's name without its folder.
fn program(path: &str) -> String {
    let name = std::path::Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned());
    shell_word(&name.unwrap_or_else(|| path.to_owned()))
}
