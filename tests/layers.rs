//! ARCHITECTURE.md's rules about who may know whom, held against the tokens of the source: comments and text do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The modules of the crate in the order of the pipeline, each with those that it uses.
const STAGES: [(&str, &[&str]); 32] = [
    ("choice", &[]),
    ("text", &[]),
    ("environment", &[]),
    ("observer", &[]),
    ("files", &[]),
    ("graph", &[]),
    ("index", &["graph"]),
    ("autodiff", &["graph"]),
    ("passes", &["graph", "index"]),
    ("plan", &["graph", "index", "passes"]),
    ("kernel", &["graph", "index", "passes", "plan"]),
    ("adapter", &["choice", "kernel"]),
    ("gpu", &["adapter", "choice", "environment", "kernel", "passes", "plan"]),
    ("cpu", &["adapter", "graph", "index", "passes", "plan"]),
    ("device", &["adapter", "cpu", "gpu", "kernel", "plan"]),
    ("onnx", &["files", "graph", "text"]),
    ("model", &["choice", "graph", "onnx", "text"]),
    ("data", &["choice", "environment", "files", "observer", "text"]),
    ("curvature", &["choice"]),
    ("objective", &["autodiff", "curvature", "data", "device", "graph", "kernel", "model", "passes", "plan"]),
    ("optim", &["choice", "curvature", "device", "graph", "model", "objective", "plan"]),
    ("config", &["adapter", "choice", "curvature", "data", "files", "graph", "model", "onnx", "optim", "text"]),
    ("folder", &["config", "curvature", "files", "kernel", "model", "observer", "optim", "text"]),
    ("results", &["adapter", "config", "files", "folder", "observer", "optim", "text"]),
    (
        "run",
        &[
            "config",
            "curvature",
            "data",
            "environment",
            "files",
            "folder",
            "device",
            "graph",
            "kernel",
            "model",
            "objective",
            "observer",
            "onnx",
            "optim",
            "results",
            "text",
        ],
    ),
    (
        "sweep",
        &[
            "choice",
            "config",
            "data",
            "environment",
            "files",
            "folder",
            "device",
            "model",
            "observer",
            "onnx",
            "results",
            "run",
            "text",
        ],
    ),
    ("list", &["choice", "config", "files", "folder", "results", "sweep", "text"]),
    (
        "analysis",
        &[
            "config",
            "curvature",
            "data",
            "files",
            "folder",
            "device",
            "model",
            "objective",
            "observer",
            "onnx",
            "optim",
            "results",
            "run",
            "text",
        ],
    ),
    (
        "bench",
        &[
            "config",
            "data",
            "folder",
            "device",
            "kernel",
            "model",
            "objective",
            "onnx",
            "optim",
            "results",
            "run",
            "text",
        ],
    ),
    ("theory", &["curvature", "data", "device", "graph", "model", "objective", "optim"]),
    ("doctor", &["autodiff", "curvature", "data", "device", "graph", "model", "objective", "optim"]),
    (
        "cli",
        &[
            "analysis",
            "bench",
            "config",
            "curvature",
            "data",
            "doctor",
            "environment",
            "files",
            "folder",
            "device",
            "list",
            "observer",
            "onnx",
            "results",
            "run",
            "sweep",
            "text",
            "theory",
        ],
    ),
];

/// What the source does in some places only: a crate, a path or a word, and the files and folders of `src` that have it.
const OWNERS: [(&str, &[&str]); 21] = [
    ("wgpu", &["gpu"]),
    ("unsafe", &["gpu/program.rs", "cpu/gemm.rs", "cpu/memory.rs"]),
    ("naga", &["kernel/check.rs"]),
    ("nalgebra", &["curvature"]),
    ("prost", &["onnx"]),
    ("ureq", &["data/download.rs"]),
    ("kuva", &["results/figure"]),
    (
        "maud",
        &["results/report", "results/compare/page.rs", "results/live/watch.rs", "sweep/report.rs", "sweep/best.rs"],
    ),
    ("shlex", &["text/shell.rs"]),
    ("sysinfo", &["cpu/model.rs", "run/memory_check.rs", "files/lock.rs"]),
    ("gemm_", &["cpu/gemm.rs", "cpu/memory.rs"]),
    ("pulp", &["cpu"]),
    ("rayon", &["cpu"]),
    ("TryLockError", &["files/lock.rs"]),
    ("indicatif", &["cli"]),
    ("io::stderr", &["cli/terminal.rs"]),
    ("ctrlc", &["cli/interrupt.rs"]),
    ("nix", &["sweep/child.rs", "files/lock.rs"]),
    ("clap", &["cli", "results/format.rs"]),
    ("Command::new", &["sweep/child.rs"]),
    ("env::var", &["environment.rs"]),
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

/// The paths that a tree of `use` begins with at a word, groups taken apart: `a::{b, c::d}` is `a::b` and `a::c::d`. Where the
/// tree ends.
fn tree(code: &[String], mut at: usize, before: &[&str], into: &mut Vec<Vec<String>>) -> usize {
    let mut path = before.to_vec();
    loop {
        match code.get(at).map(String::as_str) {
            Some("{") => {
                while code[at] != "}" {
                    at = tree(code, at + 1, &path, into);
                }
                return at + 1;
            }
            Some(word) => path.push(word),
            None => return at,
        }
        at += 1;
        if code.get(at..at + 2).is_none_or(|next| next != [":", ":"]) {
            into.push(path.into_iter().map(str::to_owned).collect());
            // Past `as name`.
            return (at..code.len()).find(|&at| [",", "}", ";"].contains(&&*code[at])).unwrap_or(at);
        }
        at += 2;
    }
}

/// The paths that begin with one of these words.
fn paths(code: &[String], first: &[&str]) -> Vec<Vec<String>> {
    let mut found = vec![];
    for at in 0..code.len() {
        let is_path = code.get(at + 1..at + 3).is_some_and(|next| next == [":", ":"]);
        if is_path && first.contains(&&*code[at]) && (at == 0 || code[at - 1] != ":") {
            tree(code, at, &[], &mut found);
        }
    }
    found
}

/// A file's module: `gpu::program`, and `gpu` for gpu/mod.rs.
fn module(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(str::to_owned).collect()
}

/// The files by module, and the files of the same stage that each uses by itself: what a folder's `mod.rs` has from one of its files
/// is that file's. A `mod.rs` speaks for its folder and does not count.
fn imports(files: &[(String, Vec<String>)]) -> BTreeMap<&str, BTreeSet<&str>> {
    let modules: BTreeMap<Vec<String>, &(String, Vec<String>)> =
        files.iter().map(|file| (module(&file.0), file)).collect();
    let is_folder = |file: &str| file.ends_with("/mod.rs");
    let origin = |folder: &[String], name: &str| -> Option<Vec<String>> {
        let (_, code) = modules.get(folder).filter(|(file, _)| is_folder(file))?;
        let firsts: Vec<&str> =
            modules.keys().filter_map(|m| m.strip_prefix(folder)?.first().map(String::as_str)).collect();
        let found = paths(code, &firsts).into_iter().find(|path| path.last().is_some_and(|last| last == name));
        Some([folder, &found?[..1]].concat())
    };
    let resolve = |from: &[String], path: &[String]| -> Option<&str> {
        let mut at: Vec<String> = if path[0] == "crate" { vec![] } else { from[..from.len() - 1].to_vec() };
        for word in &path[1..] {
            let below = [&at[..], std::slice::from_ref(word)].concat();
            at = match word.as_str() {
                "super" => at[..at.len() - 1].to_vec(),
                _ if modules.contains_key(&below) => below,
                _ => match origin(&at, word) {
                    Some(child) => child,
                    None => break,
                },
            };
        }
        modules.get(&at).map(|(file, _)| file.as_str())
    };
    let mut all = BTreeMap::new();
    for (module, (file, code)) in modules.iter().filter(|(_, (file, _))| !is_folder(file)) {
        let used = paths(code, &["crate", "super"]).into_iter().filter_map(|path| resolve(module, &path));
        let used = used.filter(|used| stage(used) == stage(file) && used != file && !is_folder(used));
        all.insert(file.as_str(), used.collect());
    }
    all
}

/// The files that are left when those that use no other are taken away, again and again.
fn circles(mut imports: BTreeMap<&str, BTreeSet<&str>>) -> Vec<String> {
    loop {
        let done: Vec<&str> = imports.iter().filter(|(_, used)| used.is_empty()).map(|(file, _)| *file).collect();
        if done.is_empty() {
            return imports.into_iter().map(|(file, used)| format!("{file}: {used:?}")).collect();
        }
        imports.retain(|file, _| !done.contains(file));
        imports.values_mut().for_each(|used| used.retain(|file| !done.contains(file)));
    }
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
fn no_two_files_of_a_stage_use_each_other() {
    assert_eq!(circles(imports(&all_sources())), Vec::<String>::new());
}

#[test]
fn circles_are_found() {
    let file = |name: &str, code: &str| (name.to_owned(), words_of(code));
    let folder = "mod a; mod b; mod c; pub use a::{A, Other as O}; pub use c::C; struct Own; fn f() { b::g() }";
    let files = |a: &str, b: &str| [file("s/mod.rs", folder), file("s/a.rs", a), file("s/b.rs", b), file("s/c.rs", "")];
    for (a, b, circular) in [
        ("use super::b::g;", "use super::{Own, c::C};", false),
        ("use super::{b::g, C};", "use super::a::A;", true),
        ("fn f() { super::b::g() }", "use crate::s::{C, A};", true),
        ("use crate::{s::{b}, other};", "mod tests { use super::*; } use super::A as Renamed;", true),
        ("use super::b::g;", "use crate::other::a;", false),
    ] {
        assert_eq!(!circles(imports(&files(a, b))).is_empty(), circular, "{a} {b}");
    }
}

/// A plan can be computed by anything: only `kernel` spells it in WGSL.
#[test]
fn a_plan_is_in_no_language() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let planned = all_sources().into_iter().filter(|(file, _)| ["index", "plan"].contains(&stage(file)));
    for (file, _) in planned {
        let text = fs::read_to_string(root.join(&file)).unwrap().to_lowercase();
        assert!(["wgsl", "vec4"].iter().all(|word| !text.contains(word)), "{file} speaks WGSL");
    }
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
