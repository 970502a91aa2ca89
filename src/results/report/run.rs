//! The report of a run.

use std::fs;
use std::path::PathBuf;

use maud::{Markup, html};

use super::glossary::{caption, glossary};
use super::page::{drawn, key_values, page};
use super::{config_words, spectrum};
use crate::config::MeasureOn;
use crate::files::write_file;
use crate::folder::RunDir;
use crate::folder::manifest::{Ended, Manifest};
use crate::folder::rows::CurvatureRow;
use crate::results::ResultsError;
use crate::results::figure::{Curve, Figure, Horizontal, Scale};
use crate::results::plot::{BLUE, figures, solid};
use crate::results::readout::Readout;
use crate::results::summary::{EdgeSummary, Spread, Summary};
use crate::text::{counted, digits, duration, shell_word, with_causes};

/// The content of a report.
struct Facts {
    name: String,
    readout: Readout,
    config_text: String,
    manifest: Result<Manifest, String>,
    summary: Summary,
}

/// A name, a value and a meaning.
type KeyNumber = (&'static str, String, &'static str);

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
        p.made { (facts.headline()) }
        (facts.state())
        h2 { "Key numbers" }
        (facts.key_numbers())
        h2 { "What was trained" }
        (facts.trained())
        @if facts.readout.metrics.is_empty() {
            h2 { "Pictures" }
            p { "metrics.csv has no rows, so there is nothing to show." }
        } @else {
            h2 { "Pictures" }
            (facts.pictures(run)?)
        }
        @if let Some(row) = facts.readout.curvature.last() {
            h2 { "Spectrum" }
            h3 { "The last measurement, at step " (row.step) }
            (spectrum::last(row, &facts.readout.rule)?)
            @if let Some(analysis) = spectrum::analysis(run) { (analysis) }
        }
        h2 { "What the words mean" }
        (glossary())
        h2 { "Where it ran" }
        (facts.machine())
        h2 { "How to repeat it" }
        (facts.repeat())
    };
    let path = run.path().join("report.html");
    write_file(&path, page(&format!("{} – Edgewalk", facts.name), &body).as_bytes())?;
    Ok(path)
}

impl Facts {
    fn of(run: &RunDir, readout: Readout) -> Self {
        let path = run.path().canonicalize().unwrap_or_else(|_| run.path().into());
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Self {
            summary: readout.summary(),
            config_text: fs::read_to_string(run.config()).unwrap_or_default(),
            manifest: run.read_manifest().map_err(|error| with_causes(&error)),
            name,
            readout,
        }
    }

    fn edge_name(&self) -> String {
        let is_gd = self.readout.curvature.iter().all(CurvatureRow::edges_coincide);
        if is_gd { self.readout.rule.unperturbed().edge_name() } else { self.readout.rule.edge_name() }
    }

    fn steps_done(&self) -> u64 {
        let logged = self.readout.metrics.last().map_or(0, |row| row.step);
        self.manifest.as_ref().map_or(0, |manifest| manifest.steps_done).max(logged)
    }

    fn headline(&self) -> String {
        let program = match &self.manifest {
            Ok(Manifest { version, commit: Some(commit), .. }) => {
                format!("Edgewalk {version}, commit {}", commit.get(..12).unwrap_or(commit))
            }
            Ok(Manifest { version, .. }) => format!("Edgewalk {version}"),
            Err(_) => "Edgewalk".into(),
        };
        let on = self.manifest.as_ref().map_or_else(|_| String::new(), |manifest| format!(", on {}", manifest.adapter));
        format!("A training run with measurements of the Hessian. {program}{on}.")
    }

    /// The end of the run.
    fn state(&self) -> Markup {
        let done = self.steps_done();
        let steps = self.readout.config.as_ref().map(|config| config.run.steps);
        let made = |done: u64| match steps {
            Some(steps) => format!("{done} of {}", counted(steps, "update")),
            None => counted(done, "update"),
        };
        let (count, were) = (made(done), if done == 1 { "was" } else { "were" });
        let (class, first, rest) = match self.manifest.as_ref().map(|manifest| &manifest.ended) {
            Ok(Ended::Done) => ("state", "Finished.", format!("{count} {were} made.")),
            Ok(Ended::Reached { until }) => {
                ("state", "Finished.", format!("{count} {were} made, until {until} as the configuration asks."))
            }
            Ok(Ended::TimeLimit) => (
                "state open",
                "Time limit.",
                format!("Its time was over after {count}; everything below is about these."),
            ),
            Ok(Ended::Running) => (
                "state open",
                "Not ended.",
                format!(
                    "When this report was made the run was still going on, or its process had been killed: its folder \
                     holds no word of an end. The last logged step is {done}{}; everything below is about the steps so \
                     far.",
                    steps.map_or_else(String::new, |steps| format!(" of {steps}"))
                ),
            ),
            Ok(Ended::Interrupted) => (
                "state open",
                "Interrupted.",
                format!("It was stopped after {count}; everything below is about these."),
            ),
            Ok(Ended::Diverged { step }) => (
                "state bad",
                "Diverged.",
                format!(
                    "After {} the numbers were no longer finite, so the run was stopped. Everything below is about the \
                     steps before; a smaller learning rate is the usual remedy.",
                    made(*step)
                ),
            ),
            Ok(Ended::Failed { error }) => ("state bad", "Failed.", format!("After {count}: {error}.")),
            Err(problem) => ("state open", "No manifest.", format!("How the run ended is not known: {problem}.")),
        };
        html! { div class=(class) { strong { (first) } " " (rest) } }
    }

    fn key_numbers(&self) -> Markup {
        let mut rows = self.losses();
        rows.extend(self.eigenvalues());
        if let Some(edge) = &self.summary.edge {
            rows.extend(edge_rows(edge));
        } else if self.summary.left_out > 0 {
            rows.push(("gauge", "not judged".into(), "λ₁ converged in no row of the second half"));
        } else if self.readout.curvature.is_empty() {
            let why = match &self.readout.config {
                Some(config) if config.measure.is_on() => "no measurement was logged, or curvature.csv is missing",
                Some(_) => "measure.every = 0 turns the measurements off",
                None => "",
            };
            rows.push(("curvature", "not measured".into(), why));
        } else {
            rows.push(("gauge", "none".into(), self.summary.no_edge().words()));
        }
        if self.summary.left_out > 0 {
            let why = "rows of the second half whose λ₁ had not converged: raise measure.max_iterations";
            rows.push(("not judged", counted(self.summary.left_out, "row"), why));
        }
        if self.summary.unresolved > 0 {
            let why = "rows of the second half whose error bar is above a hundredth of λ₁: float32 cannot resolve it";
            rows.push(("not resolved", counted(self.summary.unresolved, "row"), why));
        }
        if let Ok(manifest) = &self.manifest
            && manifest.steps_done > 0
        {
            let each = duration(manifest.wall_secs / manifest.steps_done as f64);
            rows.push(("time", format!("{}, {each} an update", duration(manifest.wall_secs)), "measurements included"));
        }
        key_values(&rows)
    }

    fn losses(&self) -> Vec<KeyNumber> {
        let mut rows: Vec<KeyNumber> = vec![];
        let percent = |share: f64| format!("{} %", digits(100.0 * share, 4));
        if let Some(last) = &self.summary.last {
            let of = if self.summary.batch == 0 {
                "over the training set, at the last logged step"
            } else {
                "over the minibatch of the last logged step"
            };
            rows.push(("loss", format!("{} at step {}", digits(last.loss, 5), last.step), of));
            if !last.error.is_nan() {
                rows.push(("misclassified", percent(last.error), "of the same examples"));
            }
            rows.push(("‖g‖", digits(last.grad_norm, 5), "length of the loss gradient there"));
        }
        if let Some((loss, error)) = self.summary.test {
            let right = if error.is_nan() { String::new() } else { format!(", {} misclassified", percent(error)) };
            let value = format!("loss {}{right}", digits(loss, 5));
            rows.push(("test", value, "the last measurement on held-out examples"));
        }
        rows
    }

    fn eigenvalues(&self) -> Vec<KeyNumber> {
        let mut rows: Vec<KeyNumber> = vec![];
        let last = self.readout.curvature.last();
        if let Some((row, &lambda)) = last.and_then(|row| Some((row, row.lambdas.first()?))) {
            let bar = row.errors.first().filter(|e| e.is_finite());
            let bar = bar.map_or_else(String::new, |error| format!(" ± {}", digits(*error, 2)));
            rows.push((
                "λ₁",
                format!("{}{bar} at step {}", digits(lambda, 7), row.step),
                "largest Hessian eigenvalue by magnitude, last measurement; an eigenvalue lies within the error bar",
            ));
        }
        if let Some(row) = last.filter(|row| row.sam_edge.is_finite()) {
            let value = format!("{} = {}", self.edge_name(), digits(row.sam_edge, 5));
            rows.push(("edge", value, "the eigenvalue at which this rule turns unstable, at that step"));
        }
        if let Some(norm) = &self.summary.norm {
            rows.push(("‖H‖", spread(norm), "median and range over the second half of the run"));
        }
        rows
    }

    fn trained(&self) -> Markup {
        let Some(config) = &self.readout.config else {
            return html! { p { "This version of the program cannot read the configuration; it is shown below as it is." } };
        };
        html! {
            table {
                tbody {
                    @for words in config_words::describe(config, self.manifest.as_ref().ok()) {
                        tr {
                            th scope="row" { (words.subject) }
                            td { (words.sentence) @if !words.formula.is_empty() { span.formula { (words.formula) } } }
                        }
                    }
                }
            }
        }
    }

    fn pictures(&self, run: &RunDir) -> Result<Markup, ResultsError> {
        let mut all = figures(run, &self.readout)?;
        let points = self.readout.metrics.iter().map(|row| (row.step as f64, row.grad_norm)).collect();
        all.push((
            "gradient",
            Figure {
                title: format!("Length of the gradient: {}", self.name),
                x: Horizontal::Steps,
                y_label: "‖∇L(w)‖",
                scale: Scale::Log,
                curves: vec![Curve { label: String::new(), points, style: solid(BLUE, 2.0) }],
            },
        ));
        let pages = all.iter().map(|(stem, figure)| drawn(figure, stem, &html! { (caption(stem)) }));
        let pages: Vec<Markup> = pages.collect::<Result<_, _>>()?;
        Ok(html! {
            @for page in &pages { (page) }
            p { "Values that would flatten the rest of a picture leave its frame; the line below its title then says how many." }
        })
    }

    fn machine(&self) -> Markup {
        let Ok(m) = &self.manifest else {
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

    fn repeat(&self) -> Markup {
        let command = self.manifest.as_ref().ok().map(|manifest| {
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
            h3 { "The complete configuration" }
            pre.columns { (self.config_text) }
        }
    }
}

fn spread(Spread { median, min, max }: &Spread) -> String {
    format!("{} ({} to {})", digits(*median, 4), digits(*min, 4), digits(*max, 4))
}

fn edge_rows(edge: &EdgeSummary) -> Vec<KeyNumber> {
    let mut rows = vec![(
        "gauge",
        format!("{}, {}", spread(&edge.gauge), edge.conclusion()),
        "of the update, median and range over the second half of the run: stable from 0 to 1, unstable above",
    )];
    if let Some(ratio) = &edge.ratio {
        let why = "λ_max ÷ edge, the same for the largest eigenvalue: 1 is at the edge";
        rows.push(("edge ratio", spread(ratio), why));
    }
    rows.push((
        "worst residual",
        digits(edge.worst_residual, 2),
        "‖Hv₁ − λ₁v₁‖ ÷ |λ₁| at most in the rows that are judged: how far the eigensolver was from exact",
    ));
    if let Some(ratio) = &edge.official {
        let why = "the estimate of the paper's code beside the exact value";
        rows.push(("official ‖H‖ ÷ exact ‖H‖", spread(ratio), why));
    }
    if let Some(set) = edge.measured.filter(|set| set.on != MeasureOn::Train) {
        let why = "the examples that loss, gradient and Hessian of these rows are about";
        rows.push(("measured on", set.to_string(), why));
    }
    rows
}

/// The program's name without its folder.
fn program(path: &str) -> String {
    let name = std::path::Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned());
    shell_word(&name.unwrap_or_else(|| path.to_owned()))
}
