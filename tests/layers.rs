//! ARCHITECTURE.md's rules about who may know whom, held against the tokens of the source: comments and text do not count.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The modules of the crate in the order of the pipeline, each with those that it uses.
const STAGES: [(&str, &[&str]); 24] = [
    ("choice", &[]),
    ("text", &[]),
    ("observer", &[]),
    ("files", &[]),
    ("graph", &[]),
    ("autodiff", &["graph"]),
    ("passes", &["graph"]),
    ("kernel", &["graph", "passes"]),
    ("gpu", &["choice", "graph", "kernel", "passes"]),
    ("model", &["choice", "graph"]),
    ("data", &["choice", "files", "observer"]),
    ("curvature", &[]),
    ("objective", &["autodiff", "curvature", "data", "gpu", "graph", "kernel", "model", "passes"]),
    ("optim", &["curvature", "gpu", "graph", "kernel", "objective"]),
    ("config", &["choice", "data", "files", "graph", "model", "optim", "text"]),
    ("folder", &["config", "curvature", "files", "kernel", "model", "observer", "optim"]),
    ("results", &["config", "files", "folder", "observer", "optim", "text"]),
    (
        "run",
        &[
            "config",
            "curvature",
            "data",
            "files",
            "folder",
            "gpu",
            "graph",
            "kernel",
            "model",
            "objective",
            "observer",
            "optim",
            "results",
            "text",
        ],
    ),
    ("sweep", &["choice", "config", "data", "files", "folder", "gpu", "model", "observer", "results", "run", "text"]),
    (
        "analysis",
        &[
            "config",
            "curvature",
            "data",
            "files",
            "folder",
            "gpu",
            "model",
            "objective",
            "observer",
            "optim",
            "results",
            "run",
            "text",
        ],
    ),
    ("bench", &["config", "folder", "gpu", "kernel", "model", "objective", "optim", "results", "run", "text"]),
    ("theory", &["curvature", "data", "gpu", "graph", "model", "objective", "optim"]),
    ("doctor", &["autodiff", "curvature", "data", "gpu", "graph", "model", "objective", "optim"]),
    (
        "cli",
        &[
            "analysis",
            "bench",
            "config",
            "curvature",
            "data",
            "doctor",
            "files",
            "folder",
            "gpu",
            "observer",
            "results",
            "run",
            "sweep",
            "text",
            "theory",
        ],
    ),
];

/// What the source does in some places only: a crate, a path or a word, and the files and folders of `src` that have it.
const OWNERS: [(&str, &[&str]); 17] = [
    ("wgpu", &["gpu"]),
    ("unsafe", &["gpu/program.rs"]),
    ("naga", &["kernel/check.rs"]),
    ("nalgebra", &["curvature"]),
    ("ureq", &["data/download.rs"]),
    ("kuva", &["results/figure"]),
    ("maud", &["results/report", "results/live/watch.rs", "sweep/report.rs"]),
    ("shlex", &["text/shell.rs"]),
    ("sysinfo", &["run/memory_check.rs", "files/lock.rs"]),
    ("TryLockError", &["files/lock.rs"]),
    ("indicatif", &["cli"]),
    ("io::stderr", &["cli/terminal.rs"]),
    ("ctrlc", &["cli/interrupt.rs"]),
    ("nix", &["sweep/child.rs", "files/lock.rs"]),
    ("clap", &["cli", "results/format.rs"]),
    ("Command::new", &["cli/workers.rs", "sweep/child.rs"]),
    ("env::var", &["cli/workers.rs", "data/roots.rs", "gpu/adapter.rs", "run/kernel_cache.rs", "sweep/child.rs"]),
];

/// The words and signs of Rust code, groups opened and literals left out. Comments are no tokens, and documentation is literals.
fn words(code: TokenStream, into: &mut Vec<String>) {
    for tree in code {
        match tree {
            TokenTree::Ident(ident) => into.push(ident.to_string()),
            TokenTree::Punct(sign) => into.push(sign.to_string()),
            TokenTree::Literal(_) => {}
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Brace => ("{", "}"),
                    _ => ("(", ")"),
                };
                into.push(open.into());
                words(group.stream(), into);
                into.push(close.into());
            }
        }
    }
}

fn words_of(source: &str) -> Vec<String> {
    let mut all = vec![];
    words(TokenStream::from_str(source).unwrap(), &mut all);
    all
}

/// Whether code has this path, `env::var` say. What its last word goes on with does not matter: `env::var_os` is meant too.
fn has(code: &[String], path: &str) -> bool {
    let wanted = words_of(path);
    let (last, before) = wanted.split_last().unwrap();
    code.windows(wanted.len()).any(|found| found[..before.len()] == *before && found[before.len()].starts_with(last))
}

/// The modules that code takes from the crate's root: `crate::graph::…`, `crate::{graph, kernel::Place}`.
fn modules(code: &[String]) -> BTreeSet<&str> {
    let mut modules = BTreeSet::new();
    for (i, _) in code.windows(3).enumerate().filter(|(_, found)| *found == ["crate", ":", ":"]) {
        let mut depth = 0;
        for (before, word) in code[i + 2..].iter().zip(&code[i + 3..]) {
            match word.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                module if depth == 0 || depth == 1 && ["{", ","].contains(&before.as_str()) => {
                    modules.insert(module);
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    modules
}

/// Every file below a folder, with its path from there.
fn sources(root: &Path, below: &str, into: &mut Vec<(String, Vec<String>)>) {
    for entry in fs::read_dir(root.join(below)).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        let file: PathBuf = root.join(&path);
        if file.is_dir() {
            sources(root, &path, into);
        } else {
            into.push((path, words_of(&fs::read_to_string(&file).unwrap())));
        }
    }
}

fn all_sources() -> Vec<(String, Vec<String>)> {
    let mut all = vec![];
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut all);
    all
}

/// The module of the crate that a file belongs to.
fn stage(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

#[test]
fn a_stage_knows_only_stages_before_it() {
    for (i, (stage, uses)) in STAGES.iter().enumerate() {
        assert!(uses.iter().all(|used| STAGES[..i].iter().any(|(before, _)| before == used)), "{stage}");
    }
    let all = all_sources();
    for (stage, uses) in STAGES {
        let files = all.iter().filter(|(file, _)| self::stage(file) == stage);
        let found: BTreeSet<&str> = files.flat_map(|(_, code)| modules(code)).filter(|&used| used != stage).collect();
        assert_eq!(found, uses.iter().copied().collect(), "what {stage} uses");
    }
    let stages: BTreeSet<&str> = all.iter().map(|(file, _)| stage(file)).collect();
    let known: BTreeSet<&str> = STAGES.iter().map(|(stage, _)| *stage).chain(["lib", "main"]).collect();
    assert_eq!(stages, known);
}

#[test]
fn what_has_an_owner_is_nowhere_else() {
    let all = all_sources();
    for (path, owners) in OWNERS {
        let is_within = |file: &str, owner: &str| {
            file.strip_prefix(owner).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let users: Vec<&str> = all.iter().filter(|(_, code)| has(code, path)).map(|(file, _)| file.as_str()).collect();
        for file in &users {
            assert!(owners.iter().any(|owner| is_within(file, owner)), "{path} is in src/{file}");
        }
        for owner in owners {
            assert!(users.iter().any(|file| is_within(file, owner)), "{path} is not in src/{owner} any more");
        }
    }
}

#[test]
fn offences_are_found_in_code_and_nowhere_else() {
    let innocent = words_of(
        r##"
        //! wgpu, crate::cli
        /// [`crate::gpu`] and `unsafe`
        fn f() -> &'static str { /* wgpu /* crate::gpu */ */ let _c = '"'; "wgpu crate::gpu unsafe" }
        const RAW: &str = r#" " wgpu crate::gpu "#;
        pub(crate) fn wgp() {}
        use super::gpu::wgp as other;
        "##,
    );
    assert!(OWNERS.iter().all(|(path, _)| !has(&innocent, path)) && modules(&innocent).is_empty());
    for (code, path) in [
        ("use wgpu::Device;", "wgpu"),
        ("fn f(d: &::wgpu_types::Limits) {}", "wgpu"),
        ("fn f() { unsafe { g() } }", "unsafe"),
        ("fn f() { let _ = std::env::var_os(\"HOME\"); }", "env::var"),
        ("fn f() { process::Command::new(\"git\"); }", "Command::new"),
    ] {
        assert!(has(&words_of(code), path), "{code}");
    }
    let guilty = words_of(
        "use crate::{cli::{print, wrong::deep}, gpu, kernel::Place as P}; fn f() { crate::doctor::f(crate::model::X) }\n\
         macro_rules! m { () => { $crate::graph::f() } }",
    );
    assert_eq!(modules(&guilty), BTreeSet::from(["cli", "doctor", "gpu", "graph", "kernel", "model"]));
}
