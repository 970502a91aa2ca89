//! Reports: what they say of runs in every state, that they are whole, and that nothing in them is loaded or run.

use std::fs;
use std::path::{Path, PathBuf};

use edgewalk::folder::RunDir;
use edgewalk::folder::manifest::Ended;
use edgewalk::results::Format;
use edgewalk::results::report::run_report;
use edgewalk::sweep::{SweepDir, plot_sweep, sweep_report};

use crate::cli::{edgewalk, refuses, succeeds, text};

/// A run of a second.
const SHORT: [&str; 14] = [
    "--set",
    "train=50",
    "--set",
    "width=8",
    "--set",
    "test=20",
    "--set",
    "steps=12",
    "--set",
    "measure.every=3",
    "--set",
    "measure.top=2",
    "--set",
    "seed=3",
];

pub fn trained(folder: &Path, name: &str, sets: &[&str]) -> RunDir {
    let mut args = [&["train", "quickstart", "--out", name], &SHORT[..]].concat();
    for set in sets {
        args.extend(["--set", set]);
    }
    // A run that diverges ends with an error, and has a report all the same.
    let output = edgewalk(folder, &args).output().unwrap();
    RunDir::open(&folder.join(name)).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)))
}

pub fn report(run: &RunDir) -> String {
    let path = run_report(run).unwrap();
    assert_eq!(path, run.path().join("report.html"));
    let html = fs::read_to_string(path).unwrap();
    is_whole(&html);
    html
}

/// Every element is closed in order, no attribute is without quotes, and nothing is loaded or run.
fn is_whole(html: &str) {
    const VOID: [&str; 4] = ["meta", "img", "br", "link"];
    assert!(html.starts_with("<!DOCTYPE html>") && html.ends_with("</html>\n"));
    let (head, body) = html.split_once("</style>").unwrap();
    let (head, style) = head.split_once("<style>").unwrap();
    assert!(!style.contains("url(") && !style.contains("@import"));
    let mut open = vec![];
    for tag in format!("{head}{body}").split('<').skip(2) {
        let (tag, text) = tag.split_once('>').unwrap_or_else(|| panic!("<{tag} is not closed"));
        assert!(!text.contains('>'), "a bare > after <{tag}>");
        for entity in text.split('&').skip(1) {
            let name = entity.split(';').next().unwrap();
            assert!(["lt", "gt", "amp", "quot"].contains(&name), "&{name}");
        }
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop().as_deref(), Some(name)),
            None => {
                let name = tag.split(' ').next().unwrap();
                // The page of a sweep has one script, which is in it.
                assert!(tag != "script" || html.contains("table.sortable"));
                assert!(!["iframe", "link", "object", "embed"].contains(&name), "<{tag}>");
                // Of the pieces between quotes every other is a name with its =, or what comes after the last value.
                let names: Vec<&str> = tag.split('"').step_by(2).collect();
                let (last, names) = names.split_last().unwrap();
                assert!(names.iter().all(|name| name.ends_with('=')) && !last.contains('='), "<{tag}>");
                for address in tag.split("src=\"").skip(1).chain(tag.split("href=\"").skip(1)) {
                    let is_job = address.starts_with("runs/") && !address.contains("..");
                    assert!(address.starts_with("data:image/") || address.starts_with('#') || is_job, "<{tag}>");
                }
                if !VOID.contains(&name) {
                    open.push(name.to_owned());
                }
            }
        }
    }
    // The last closing tag of all is that of the document.
    assert!(open.is_empty(), "{open:?}");
    // Nor do the pictures name anything outside of themselves: an address is the name of a format, or a place within.
    for svg in pictures(html) {
        for address in svg.split("href=\"").skip(1).chain(svg.split("url(").skip(1)) {
            assert!(address.starts_with('#'), "{}", &address[..40.min(address.len())]);
        }
        assert!(!svg.contains("<script") && !svg.contains("<image"));
    }
}

/// The pictures in a page.
pub fn pictures(html: &str) -> Vec<String> {
    use base64::Engine;
    let encoded = html.split("data:image/svg+xml;base64,").skip(1).map(|rest| rest.split('"').next().unwrap());
    let decode = |text| base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    encoded.map(|text| String::from_utf8(decode(text)).unwrap()).collect()
}

/// The page's text with tags taken out.
pub fn words(html: &str) -> String {
    let body = html.split_once("</style>").unwrap().1;
    body.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text)).collect::<Vec<_>>().join(" ")
}

pub fn has(html: &str, parts: &[&str]) {
    let words = words(html);
    for part in parts {
        assert!(words.contains(part), "{part:?} is not in {words}");
    }
}

#[test]
fn a_report_tells_a_reader_what_was_done_and_found() {
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path(), "walk", &["measure.every=8", "measure.window=8"]);
    let html = report(&run);
    has(
        &html,
        &[
            "Finished.",
            "12 of 12 updates were made",
            "A multi-layer perceptron of 4 dense layers",
            "η = 0.5, radius ρ = 0.03",
        ],
    );
    has(
        &html,
        &[
            "w ← w − η ∇L(w + e)",
            "(‖g‖/2ρ)·(√(1 + 8ρ/(η‖g‖)) − 1)",
            "[measure]",
            "edgewalk train --set 'run.tune=0' quickstart",
        ],
    );
    let manifest = run.read_manifest().unwrap();
    has(&html, &[&manifest.adapter, &manifest.driver_info, &manifest.parameters.to_string()]);
    // λ₁ with the error bar that the table has, to two digits.
    let table = fs::read_to_string(run.curvature()).unwrap();
    let cell = |column: &str| -> f64 {
        let place = table.lines().next().unwrap().split(',').position(|name| name == column).unwrap();
        table.lines().last().unwrap().split(',').nth(place).unwrap().parse().unwrap()
    };
    let shown = words(&html);
    let shown = shown.split("λ₁").map(str::trim).find(|text| text.contains(" ± ")).unwrap();
    let (value, rest) = shown.split_once(" ± ").unwrap();
    let (value, error): (f64, f64) = (value.parse().unwrap(), rest.split(' ').next().unwrap().parse().unwrap());
    assert!((value / cell("lambda_1") - 1.0).abs() < 1e-6, "{shown}");
    assert!((error / cell("error_1") - 1.0).abs() < 0.06, "{shown}");
    // The paper's four pictures, two of the oscillation, the gradient, and the spectrum.
    assert_eq!(pictures(&html).len(), 9);
}

#[test]
fn a_run_that_has_not_ended_well_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path(), "walk", &[]);
    let mut manifest = run.read_manifest().unwrap();
    for (ended, parts) in [
        (Ended::Running, ["Not ended.", "had been killed", "12 of 12"]),
        (Ended::Interrupted, ["Interrupted.", "stopped after 12 of 12", "Key numbers"]),
        (Ended::Diverged { step: 12 }, ["Diverged.", "After 12 of 12", "no longer finite"]),
        (Ended::Failed { error: "a <b> & c".into() }, ["Failed.", "a &lt;b&gt; &amp; c", "Key numbers"]),
    ] {
        manifest.ended = ended;
        run.write_manifest(&manifest).unwrap();
        has(&report(&run), &parts);
    }
    fs::remove_file(run.manifest()).unwrap();
    has(&report(&run), &["No manifest."]);
    // Nor one that was killed before it could measure, or do anything at all.
    fs::remove_file(run.curvature()).unwrap();
    fs::remove_file(run.metrics()).unwrap();
    has(&report(&run), &["metrics.csv has no rows"]);
}

#[test]
fn runs_without_curvature_and_runs_that_diverge_have_reports() {
    let folder = tempfile::tempdir().unwrap();
    let html = report(&trained(folder.path(), "blind", &["measure.every=0"]));
    has(&html, &["not measured", "measure.every = 0"]);
    assert_eq!(pictures(&html).len(), 2);
    let html = report(&trained(folder.path(), "wild", &["lr=500", "steps=200"]));
    has(&html, &["Diverged.", "of 200 updates the numbers were no longer finite"]);
    let html = report(&trained(folder.path(), "noisy", &["optim.kind=asam", "optim.batch=10"]));
    has(&html, &["Adaptive SAM", "an update sees 10 of them", "the rule mixes the eigenvectors of the Hessian"]);
}

/// Windows has no folders of such a name.
#[cfg(unix)]
#[test]
fn names_are_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let name = "a<b onclick=x>&\"c'";
    let html = report(&trained(folder.path(), name, &[]));
    assert!(html.contains("<h1>a&lt;b onclick=x&gt;&amp;&quot;c'</h1>"), "{}", &html[..9000.min(html.len())]);
    assert!(!html.contains("<b onclick"));
    for svg in pictures(&html) {
        assert!(!svg.contains("<b onclick"));
    }
}

#[test]
fn the_command_takes_runs_and_sweeps_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    trained(folder.path(), "walk", &[]);
    let page = |of: &str| format!("{}\n", Path::new(of).join("report.html").display());
    assert_eq!(succeeds(edgewalk(folder.path(), &["report", "walk"])), page("walk"));
    sweep(
        folder.path(),
        &[("optim.lr", &["0.5"])],
        &[("lr=0.5", &["0.5"], "done,12,0.1,0,1,,,1,0.9,0.8,1,0.9,1e-5,1,")],
    );
    assert_eq!(succeeds(edgewalk(folder.path(), &["report", "sweep"])), page("sweep"));
    refuses(edgewalk(folder.path(), &["report", "nothing"]), 1, &["nothing does not exist"]);
    assert_eq!(edgewalk(folder.path(), &["report"]).output().unwrap().status.code(), Some(2));
}

/// The folder of a sweep with a table of results and no runs.
fn sweep(folder: &Path, axes: &[(&str, &[&str])], rows: &[(&str, &[&str], &str)]) -> PathBuf {
    let path = folder.join("sweep");
    let mut toml = "name = \"a<b\"\n".to_owned();
    for (key, values) in axes {
        toml += &format!("[[axis]]\nkey = \"{key}\"\nvalues = {values:?}\n");
    }
    let keys: String = axes.iter().map(|(key, _)| format!("{key},")).collect();
    let mut table = format!(
        "job,{keys}state,steps,loss,error,grad_norm,test_loss,test_error,hessian_norm,edge_ratio,edge_ratio_low,\
         edge_ratio_high,gauge,worst_residual,wall_secs,message\n"
    );
    for (job, values, rest) in rows {
        table += &format!("\"{job}\",{},{rest}\n", values.join(","));
    }
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("sweep.toml"), toml).unwrap();
    fs::write(path.join("summary.csv"), table).unwrap();
    let config = edgewalk::config::resolve(None, &[]).unwrap().config.to_toml();
    fs::write(path.join("config.toml"), config).unwrap();
    path
}

#[test]
fn a_sweep_shows_every_cell_and_says_why_some_are_empty() {
    let folder = tempfile::tempdir().unwrap();
    let path = sweep(
        folder.path(),
        &[("optim.lr", &["0.1", "0.5"]), ("optim.rho", &["0.0", "0.03", "0.1"])],
        &[
            ("lr=0.1,rho=0.0", &["0.1", "0.0"], "done,12,0.25,0,1,,,1,0.52,0.4,0.6,0.5,1e-5,1,"),
            ("lr=0.1,rho=0.03", &["0.1", "0.03"], "done,12,0.0625,0,1,,,1,1.13,1,1.25,1,1e-5,1,"),
            ("lr=0.1,rho=0.1", &["0.1", "0.1"], "failed,,,,,,,,,,,,,,no <adapter>"),
            ("lr=0.5,rho=0.0", &["0.5", "0.0"], "diverged,3,1e30,0,1,,,1,9,9,9,9,1e-5,1,at step 4"),
            ("lr=0.5,rho=0.03", &["0.5", "0.03"], "waiting,,,,,,,,,,,,,,"),
        ],
    );
    let sweep = SweepDir::open(&path).unwrap();
    let report = sweep_report(&sweep).unwrap();
    assert_eq!(report, path.join("report.html"));
    let html = fs::read_to_string(report).unwrap();
    is_whole(&html);
    has(
        &html,
        &["a&lt;b: a sweep", "2 of 6 done", "1 diverged, 1 failed, 1 waiting", "no &lt;adapter&gt;", "at step 4"],
    );
    let map = fs::read_to_string(path.join("plots/edge_ratio.svg")).unwrap();
    // Two numbers, of which the smaller is also at the end of the scale, and the rest in words. What a job had before it
    // diverged is no result.
    for (text, count) in
        [(">0.52<", 2), (">1.13<", 1), (">diverged<", 1), (">failed<", 1), (">waiting<", 1), (">no job<", 1)]
    {
        assert_eq!(map.matches(text).count(), count, "{text} in {map}");
    }
    assert!(!map.contains(">9<") && map.contains(">optim.lr<") && map.contains(">optim.rho<"));
    for (format, magic) in [(Format::Png, &b"\x89PNG"[..]), (Format::Pdf, b"%PDF-")] {
        let written = plot_sweep(&sweep, &[], format).unwrap();
        assert_eq!(written.len(), 3);
        assert!(written.iter().all(|path| fs::read(path).unwrap().starts_with(magic)), "{written:?}");
    }
    let map = fs::read_to_string(path.join("plots/loss.svg")).unwrap();
    assert!(map.contains(">0.25<") && map.contains(">0.0625<") && !map.contains("1e30"));
}

/// What the words say of settings, of a run whose configuration is written anew.
#[test]
fn words_say_what_the_settings_and_the_manifest_say() {
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path(), "run", &["steps=3", "measure.on=fixed", "measure.examples=5000"]);
    // There are 50.
    has(&report(&run), &["of the loss on the full training set, every 3 steps", "Weights are drawn from seed 3;"]);
    let original = fs::read_to_string(run.config()).unwrap();
    let reworded = |sets: &[&str], parts: &[&str]| {
        fs::write(run.config(), &original).unwrap();
        let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
        let config = edgewalk::config::resolve(run.config().to_str(), &sets).unwrap().config;
        fs::write(run.config(), config.to_toml()).unwrap();
        has(&report(&run), parts);
    };
    reworded(&["init=mine/w.safetensors"], &["Weights are read from mine/w.safetensors;"]);
    reworded(&["per_decade=3"], &["at steps 0, 1, 2, 5, 10, 22 and so on, 3 in every factor of ten,"]);
    reworded(&["per_decade=3", "measure.every=0"], &["at steps 0, 1, 2, 5, 10, 22 and so on"]);
    reworded(&["bottom=1"], &["The 2 eigenvalues of largest magnitude and the lowest eigenvalue of the Hessian"]);
    reworded(&["bottom=2", "top=1"], &["The eigenvalue of largest magnitude and the 2 lowest of the Hessian"]);
    reworded(
        &["track=0.5"],
        &["Up to 2 eigenvalues of largest magnitude, those that reach 0.5 × the edge and the first"],
    );
    reworded(&["window=8", "measure.every=9"], &["For 8 updates after each, the swing of the parameters along v₁"]);
    reworded(&["measure.every=0"], &["Not measured (measure.every = 0)."]);
    reworded(&["measure.on=batch", "measure.examples=0"], &["of the loss on the full training set"]);
    reworded(&["measure.on=batch", "measure.examples=0", "batch=10"], &["of the loss on the minibatch of the step"]);

    // Fewer than there are, and a run that ended before it was measured.
    let run = trained(folder.path(), "few", &["steps=3", "measure.on=fixed", "measure.examples=7"]);
    has(&report(&run), &["of the loss on the first 7 training examples"]);
    fs::remove_file(run.curvature()).unwrap();
    has(&report(&run), &["not measured", "no measurement was logged"]);
}

#[test]
fn sweeps_of_one_axis_and_of_three() {
    let folder = tempfile::tempdir().unwrap();
    let rest = "done,12,0.25,0,1,,,1,0.5,0.4,0.6,0.5,1e-5,1,";
    let path = sweep(
        folder.path(),
        &[("optim.lr", &["0.1", "0.5", "1"])],
        &[("lr=0.1", &["0.1"], rest), ("lr=0.5", &["0.5"], rest), ("lr=1", &["1"], "diverged,,,,,,,,,,,,,,")],
    );
    let html = fs::read_to_string(sweep_report(&SweepDir::open(&path).unwrap()).unwrap()).unwrap();
    has(&html, &["Without a result and not shown: 1 of 3 values"]);
    let line = fs::read_to_string(path.join("plots/edge_ratio.svg")).unwrap();
    assert!(line.contains("median") && line.contains("range") && line.contains("optim.lr"));

    let other = tempfile::tempdir().unwrap();
    let axes: &[(&str, &[&str])] =
        &[("optim.lr", &["0.1"]), ("optim.rho", &["0.0"]), ("model.activation", &["relu", "tanh"])];
    let path = sweep(other.path(), axes, &[("x", &["0.1", "0.0", "relu"], rest), ("y", &["0.1", "0.0", "tanh"], rest)]);
    let html = fs::read_to_string(sweep_report(&SweepDir::open(&path).unwrap()).unwrap()).unwrap();
    is_whole(&html);
    for name in ["edge_ratio-relu", "edge_ratio-tanh", "loss-relu", "loss-tanh"] {
        let svg = fs::read_to_string(path.join(format!("plots/{name}.svg"))).unwrap();
        assert!(svg.contains(&format!("activation = {}", name.split_once('-').unwrap().1)));
    }
    refuses(edgewalk(other.path(), &["report", "."]), 1, &["not a run folder"]);
}
