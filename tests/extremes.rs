//! Every key of the configuration and every number on the command line at its ends and beyond them: each value is accepted or refused
//! in words that name key, value and range, and what is accepted is planned, trained or measured, or refused, without a panic.

use std::fmt::Display;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use edgewalk::analysis::{AnalysisRequest, analyse};
use edgewalk::cli::Error;
use edgewalk::config::preset::PRESETS;
use edgewalk::config::{Config, ConfigError, WeightLayout, resolve};
use edgewalk::curvature::{DensityOptions, EigenOptions, TraceOptions};
use edgewalk::results::Format;
use edgewalk::run::{self, ResumeRequest, TrainRequest};
use edgewalk::sweep::Grid;
use toml::{Table, Value};

use crate::cli::{edgewalk, text};

/// What a key is set to: numbers at the ends of ranges and of types, fractions, words, and nothing.
const VALUES: [&str; 20] = [
    "0",
    "1",
    "-1",
    "2",
    "65535",
    "65536",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "0.5",
    "-0.5",
    "1e-300",
    "1e300",
    "nan",
    "inf",
    "true",
    "word",
    "",
];

/// Of these, those that are ordinary: a network of that size is one more to compile, and other tests do.
const ORDINARY: [&str; 3] = ["1", "2", "0.5"];

fn owned(sets: &[&str]) -> Vec<String> {
    sets.iter().map(|&set| set.to_owned()).collect()
}

/// The settings of a run, and the keys of its kind of network.
type Base = (Vec<String>, &'static [&'static str]);

/// Runs that take a moment, one of each kind of network.
fn bases(text: &Path) -> [Base; 3] {
    let shared = ["train=4", "test=2", "steps=2", "top=1", "measure.every=1", "run.tune=0", "until=loss < 1e30"];
    let of = |sets: &[&str]| owned(&[&shared[..], sets].concat());
    let path = format!("data.path={}", text.display());
    let words = ["data.name=text", &path, "model.kind=transformer", "loss.kind=cross-entropy"];
    let sizes = ["layers=1", "heads=2", "key_size=2", "model_size=4", "seq_len=5"];
    [
        (of(&["width=4", "depth=2"]), &["depth", "width"]),
        (
            of(&["model.kind=cnn", "channels=2", "blocks=2"]),
            &["blocks", "layers_per_block", "channels", "growth", "stride"],
        ),
        (of(&[&words[..], &sizes].concat()), &["layers", "heads", "key_size", "model_size", "seq_len"]),
    ]
}

fn with_text() -> (tempfile::TempDir, [Base; 3]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("input.txt");
    fs::write(&path, "To be, or not to be, that is the question.\n".repeat(20)).unwrap();
    let bases = bases(&path);
    (folder, bases)
}

/// Every key with its section.
fn keys() -> Vec<String> {
    let sections: Table = PRESETS[0].config.to_toml().parse().unwrap();
    let keys = |(section, keys): (String, Value)| {
        keys.as_table().unwrap().keys().map(|key| format!("{section}.{key}")).collect::<Vec<_>>()
    };
    sections.into_iter().flat_map(keys).collect()
}

/// The configuration, or nothing if it is refused as it should be.
fn judge(base: &[String], key: &str, value: &str) -> Option<Config> {
    let sets: Vec<String> = base.iter().cloned().chain([format!("{key}={value}")]).collect();
    match resolve(None, &sets) {
        Ok(resolved) => Some(resolved.config),
        Err(ConfigError::BadValue { key: named, value: shown, allowed }) => {
            assert_eq!(named, key);
            assert!(shown.contains(value), "{key}={value}: {shown}");
            // A range has both ends, or says which words there are.
            let range = ["from ", "above 0", "0 or above", "one of \"", "true or false", "\" or \"", "\"auto\""];
            assert!(range.iter().any(|part| allowed.contains(part)), "{key}={value}: {allowed}");
            None
        }
        // Right alone, and wrong beside the other settings.
        Err(ConfigError::Conflict { problem, .. }) => {
            let leaf = key.split('.').next_back().unwrap();
            assert!(problem.contains(leaf), "{key}={value}: {problem}");
            None
        }
        Err(error) => panic!("{key}={value}: {error}"),
    }
}

/// What is done must come to an end, well or with an error that is one.
fn no_panic<T, E: Display>(what: &str, work: impl FnOnce() -> Result<T, E>) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Some(done),
        Ok(Err(error)) => {
            let error = error.to_string();
            assert!(error.len() > 20 && !error.contains("u32::MAX"), "{what}: {error}");
            None
        }
        Err(_) => panic!("{what} panics"),
    }
}

fn adapter() -> Option<String> {
    super::device::adapter()
}

fn request(config: Config, out: Option<&Path>) -> TrainRequest {
    let (name, command_line, out) = ("extreme".to_owned(), vec![], out.map(Path::to_path_buf));
    TrainRequest { config, name, command_line, out, adapter: adapter() }
}

#[test]
fn every_key_takes_or_refuses_every_value() {
    let (folder, bases) = with_text();
    let mut accepted = 0;
    for (base, _) in &bases {
        for key in keys() {
            accepted += VALUES.iter().filter(|value| judge(base, &key, value).is_some()).count();
        }
    }
    assert!(accepted > 3 * keys().len(), "{accepted}");
    // In a file they mean the same.
    let file = folder.path().join("extreme.toml");
    for key in keys() {
        let (section, name) = key.split_once('.').unwrap();
        for value in VALUES.iter().filter(|value| !["word", "", "nan"].contains(value)) {
            fs::write(&file, format!("[{section}]\n{name} = {value}\n")).unwrap();
            let error = resolve(file.to_str(), &[]).err().map(|error| error.to_string());
            if let Some(error) = error.filter(|error| !error.contains("is not valid TOML")) {
                assert!(error.contains(name), "{key} = {value}: {error}");
            }
        }
    }
}

/// Whether a key is worth the time that planning takes with this network: those of other networks are not looked at.
fn is_telling(key: &str, own: &[&str], first: bool) -> bool {
    match key.split_once('.').unwrap() {
        ("model", name) => own.contains(&name),
        _ => first,
    }
}

/// The configurations with the least and the greatest of the values that a key takes, and these values.
fn ends(base: &[String], key: &str) -> Vec<(&'static str, Config)> {
    let of = |value| Some((value, judge(base, key, value)?));
    // Another size of the network or of the data is one more to compile.
    let is_size = ["model.", "data."].iter().any(|section| key.starts_with(section));
    let telling = || VALUES.into_iter().filter(|value| !is_size || !ORDINARY.contains(value));
    let (least, greatest) = (telling().find_map(of), telling().rev().find_map(of));
    let is_one = least.as_ref().map(|(value, _)| value) == greatest.as_ref().map(|(value, _)| value);
    least.into_iter().chain(greatest.filter(|_| !is_one)).collect()
}

#[test]
fn what_is_accepted_is_planned_or_refused() {
    let (_folder, bases) = with_text();
    let mut planned = 0;
    for (number, (base, own)) in bases.iter().enumerate() {
        for key in keys().iter().filter(|key| is_telling(key, own, number == 0)) {
            for (value, config) in ends(base, key) {
                let plan = no_panic(&format!("the plan of {key}={value}"), || run::plan(&request(config, None), &()));
                planned += usize::from(plan.is_some());
            }
        }
    }
    assert!(planned > 40, "{planned}");
}

#[test]
fn what_is_accepted_is_trained_and_goes_on() {
    let (folder, bases) = with_text();
    let out = folder.path().join("run");
    let base = &bases[0].0;
    for key in keys().iter().filter(|key| ["optim.", "run.", "measure."].iter().any(|section| key.starts_with(section)))
    {
        // Seconds of timing kernels are seconds.
        if key != "run.tune"
            && let Some((value, config)) = ends(base, key).pop()
        {
            no_panic(&format!("{key}={value}"), || run::train(&request(config, Some(&out)), &()));
            let _none = fs::remove_dir_all(&out);
        }
    }
    run::train(&request(resolve(None, base).unwrap().config, Some(&out)), &()).unwrap();
    let resume = |key: &str, value: &str| {
        // A run of 2⁶³ − 1 steps ends at its first row all the same.
        let sets = vec![format!("{key}={value}"), "until=loss < 1e30".to_owned()];
        let request = ResumeRequest { path: out.clone(), sets, command_line: vec![], adapter: adapter() };
        no_panic(&format!("to resume with {key}={value}"), || run::resume(&request, &()));
    };
    for key in ["run.steps", "run.time_limit", "run.checkpoint_every", "run.keep", "optim.lr"] {
        ends(base, key).iter().for_each(|(value, _)| resume(key, value));
        VALUES.iter().filter(|value| judge(base, key, value).is_none()).for_each(|value| resume(key, value));
    }
    resume("nothing", "1");
}

#[test]
fn sweeps_over_extremes_are_planned_or_refused() {
    let (_folder, bases) = with_text();
    let (base, own) = &bases[0];
    for key in keys().iter().filter(|key| is_telling(key, own, true)) {
        let values: Vec<&str> = VALUES.into_iter().filter(|value| judge(base, key, value).is_some()).collect();
        let mut sets = base.clone();
        sets.push(format!("{key}={}", values.join(",")));
        if let Ok(grid) = Grid::new(None, &sets, adapter()) {
            no_panic(&format!("a sweep over {}", sets.last().unwrap()), || grid.plan(None));
        }
    }
}

#[test]
fn a_model_too_large_for_any_device_is_refused_by_its_tensor() {
    for sets in [
        &["width=65535", "depth=1000"][..],
        &["width=65535"],
        &["model.kind=cnn", "channels=65535", "growth=16"],
        &["model.kind=cnn", "channels=65535", "layers_per_block=100"],
    ] {
        let config = resolve(None, &owned(sets)).unwrap().config;
        let error = run::plan(&request(config, None), &()).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("the model has more than 4294966271 parameters; make it smaller"),
            "{sets:?}: {message}"
        );
        assert_eq!(Error::from(error).exit_code(), 2);
    }
}

#[test]
fn an_analysis_of_extremes_is_made_or_refused() {
    let (folder, bases) = with_text();
    let out = folder.path().join("run");
    let config = resolve(None, &bases[0].0).unwrap().config;
    run::train(&request(config, Some(&out)), &()).unwrap();
    let sound = || AnalysisRequest {
        path: out.clone(),
        config: None,
        sets: vec![],
        weights: None,
        layout: WeightLayout::Edgewalk,
        eigen: EigenOptions { top: 1, max_iterations: 5, ..Default::default() },
        trace: None,
        density: None,
        split: false,
        blocks: vec![],
        examples: 0,
        out: Some(folder.path().join("analysis")),
        format: Format::Svg,
        adapter: adapter(),
    };
    for n in [0, 1 << 31, usize::MAX] {
        let eigen = |eigen: EigenOptions| AnalysisRequest { eigen, ..sound() };
        let of = EigenOptions { top: 1, max_iterations: 5, ..Default::default() };
        let trace = |products| Some(TraceOptions { products, ..Default::default() });
        let density = |probes, steps| Some(DensityOptions { probes, steps, ..Default::default() });
        for (what, request) in [
            ("top", eigen(EigenOptions { top: n, ..of.clone() })),
            ("bottom", eigen(EigenOptions { bottom: n, ..of.clone() })),
            ("block", eigen(EigenOptions { block: n.min(8), ..of.clone() })),
            ("seed", eigen(EigenOptions { seed: n as u64, ..of.clone() })),
            ("examples", AnalysisRequest { examples: n, ..sound() }),
            ("trace products", AnalysisRequest { trace: trace(n.min(10)), ..sound() }),
            ("probes", AnalysisRequest { density: density(n.min(2), 2), ..sound() }),
            // As many as there are dimensions are so many products.
            ("density steps", AnalysisRequest { density: density(1, n.min(3)), ..sound() }),
        ] {
            no_panic(&format!("curvature with {n} as {what}"), || analyse(&request, &()));
        }
    }
    for tol in [0.0, 1.0, f64::NAN, 1e-300] {
        let eigen = EigenOptions { tol, top: 1, max_iterations: 5, ..Default::default() };
        no_panic(&format!("curvature to {tol}"), || analyse(&AnalysisRequest { eigen, ..sound() }, &()));
    }
}

/// A sample through the program, which must refuse as an error of usage or end as it should.
#[test]
fn options_of_commands_at_their_ends() {
    let folder = tempfile::tempdir().unwrap();
    let huge = "99999999999999999999";
    for (args, code) in [
        (&["train", "--adapter", ""][..], 1),
        (&["train", "--adapter", huge], 1),
        (&["train", "--set", "seed=9223372036854775808"], 2),
        (&["train", "--set", "width=65535", "--set", "depth=1000", "--dry-run"], 2),
        (&["bench", "--growth", "--budget", "0"], 2),
        (&["bench", "--growth", "--budget", "nan"], 2),
        (&["bench", "--growth", "--budget", "-1"], 2),
        (&["bench", "--budget", "1"], 2),
        (&["sweep", "--set", "lr=1,2", "--jobs", "0"], 2),
        (&["sweep", "--set", "lr=1,2", "--jobs", "65536"], 2),
        (&["sweep", "--set", "lr=1,2", "--job", "-1"], 2),
        (&["sweep", "--set", "lr=1,2", "--job", huge], 2),
        (&["sweep", "--job", "18446744073709551615"], 2),
        (&["curvature", ".", "--top", "-1"], 2),
        (&["curvature", ".", "--seed", huge], 2),
        (&["curvature", ".", "--tol", "word"], 2),
        (&["data", "fetch", ""], 2),
        (&[""], 2),
    ] {
        let output = edgewalk(folder.path(), args).output().unwrap();
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {message}");
        assert!(message.starts_with("error: ") && !message.contains("panicked"), "{args:?}: {message}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
