//! Random configurations, each followed by a random command on what it left: whatever was asked, the program ends by itself with a
//! result or a message, no table holds a number that is none, and no manifest says that an ended run is running.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use edgewalk::folder::RunDir;
use edgewalk::folder::manifest::Ended;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tempfile::tempdir;

use super::cli::{edgewalk, text};
use super::program::wgpu_adapter;
use super::random;
use super::resume::pause;

/// A command that takes longer than this is stuck.
const PATIENCE: Duration = Duration::from_secs(300);

/// Keys with values to draw from: usual ones, the ends of their ranges, and some that are refused. Sizes are few and small, so that
/// drivers meet the same kernels again.
const VALUES: [(&str, &[&str]); 67] = [
    ("data.train", &["1", "5", "1001"]),
    ("data.test", &["0", "1", "501"]),
    ("model.activation", &["relu", "tanh", "gelu", "elu", "softplus"]),
    ("model.depth", &["1", "3"]),
    ("model.width", &["1", "4"]),
    ("model.blocks", &["1", "6"]),
    ("model.layers_per_block", &["1"]),
    ("model.channels", &["1", "2"]),
    ("model.growth", &["1", "2"]),
    ("model.stride", &["1", "2", "16"]),
    ("model.norm", &["layer", "none"]),
    ("model.pool", &["max", "average", "none"]),
    ("model.layers", &["1"]),
    ("model.heads", &["1", "2"]),
    ("model.key_size", &["1", "3"]),
    ("model.model_size", &["1", "4"]),
    ("model.seq_len", &["1", "8"]),
    ("loss.kind", &["mse", "cross-entropy"]),
    ("loss.reduction", &["mean", "half-sum"]),
    ("optim.kind", &["gd", "sam", "usam", "asam"]),
    ("optim.base", &["sgd", "rmsprop", "adam", "adamw"]),
    ("optim.schedule", &["constant", "cosine", "linear", "step", "inverse-sqrt"]),
    ("optim.warmup", &["0", "1", "3", "9223372036854775807"]),
    ("optim.decay_steps", &["0", "1", "4", "9223372036854775807"]),
    ("optim.final_lr", &["0", "1e-38", "0.05", "1e38"]),
    ("optim.drop_every", &["1", "2", "9223372036854775807"]),
    ("optim.drop_factor", &["1e-38", "0.1", "0.99"]),
    ("optim.beta1", &["0", "0.9", "0.99999"]),
    ("optim.beta2", &["0", "0.999", "0.99999"]),
    ("optim.eps", &["1e-38", "1e-8", "1", "1e38"]),
    ("measure.batches", &["0", "1", "5", "1000"]),
    ("run.memory", &["0", "0.25", "0.99"]),
    ("optim.lr", &["1e-38", "1e-3", "0.1", "1", "1e3", "1e38"]),
    ("optim.rho", &["0", "1e-38", "0.03", "1", "1e38"]),
    ("optim.epsilon", &["0", "1e-5", "1e30"]),
    ("optim.asam_eta", &["0", "0.01", "1e30"]),
    ("optim.ascent_steps", &["1", "3"]),
    ("optim.sam_from", &["0", "1", "3"]),
    ("optim.sam_until", &["0", "2", "5"]),
    ("optim.momentum", &["0", "0.5", "0.99999"]),
    ("optim.nesterov", &["true", "false"]),
    ("optim.weight_decay", &["0", "0.01", "3", "1e38"]),
    ("optim.batch", &["0", "1", "5", "64"]),
    ("optim.micro_batch", &["0", "1", "3"]),
    ("run.steps", &["1", "2", "5", "9"]),
    ("run.until", &["", "loss < 0.05", "error < 0.5", "loss < 0"]),
    ("run.time_limit", &["0", "1e-9", "1000"]),
    ("run.checkpoint_every", &["auto", "0", "1", "3"]),
    ("run.keep", &["0", "1", "2"]),
    ("run.tensorboard", &["true", "false"]),
    ("run.seed", &["0", "1", "9223372036854775807"]),
    ("run.log_every", &["1", "2", "100"]),
    ("run.chunk", &["0", "3", "4294967295"]),
    ("run.tune", &["auto", "0"]),
    ("measure.every", &["0", "1", "3", "9223372036854775807"]),
    ("measure.per_decade", &["0", "1", "3"]),
    ("measure.on", &["train", "fixed", "batch"]),
    ("measure.examples", &["0", "5", "99"]),
    ("measure.at", &["iterate", "midpoint"]),
    ("measure.top", &["1", "2", "6", "100"]),
    ("measure.bottom", &["0", "1", "3"]),
    ("measure.track", &["0", "0.5", "1e30"]),
    ("measure.method", &["lanczos", "power", "official"]),
    ("measure.tol", &["1e-30", "1e-4", "0.9"]),
    ("measure.max_iterations", &["1", "5", "100"]),
    ("measure.window", &["0", "8"]),
    ("data.path", &["", "nowhere"]),
];

/// What comes after a run, in the folder that has `run` and the text `t.txt`. Words are split at spaces.
const COMMANDS: [&str; 24] = [
    "resume run",
    "resume run --set steps=11",
    "resume run --set lr=0.2",
    "resume run --json --set run.keep=1 --set steps=12 --set time_limit=1e-9",
    "train run/config.toml --out again",
    "train run/config.toml --out again --json --set optim.kind=gd",
    "train run/config.toml --dry-run",
    "train run/config.toml --init run/checkpoints/step_00000001/params.safetensors --out again",
    "curvature run",
    "curvature run --top 2 --bottom 1 --trace --trace-products 5",
    "curvature run --density --probes 2 --density-steps 5 --top 1",
    "curvature run --split --block each --top 1 --examples 2",
    "curvature run --top 3 --eigen-block 2 --max-products 3 --tol 1e-30",
    "curvature run --examples 3 --trace --density --top 1 --density-steps 100000 --probes 1",
    "curvature run --top 100000",
    "plot run --format pdf",
    "plot run --tensorboard",
    "report run",
    "compare run run",
    "sweep run/config.toml --set lr=0.1,1e3 --set run.steps=2 --out again",
    "sweep run/config.toml --set lr=0.1,1e3 --set rho=0,0.1 --dry-run",
    "sweep run/config.toml --set batch=0,3 --slurm --out again",
    "bench run/config.toml",
    "bench run/config.toml --hvp --set measure.every=1",
];

/// A run and what comes after it.
#[derive(Clone, Debug)]
struct Case {
    base: &'static [&'static str],
    sets: Vec<String>,
    /// Whether the run is killed on the way.
    kill: bool,
    /// Most run natively: a driver compiles the kernels of each.
    native: bool,
    command: &'static str,
}

/// The embedded digits for an MLP and a CNN, and a text.
const BASES: [&[&str]; 3] = [
    &["data.train=20", "data.test=5", "width=4", "depth=2", "steps=6", "measure.every=2", "measure.top=2"],
    &["model.kind=cnn", "data.train=9", "data.test=5", "channels=2", "steps=4", "measure.every=2", "measure.top=1"],
    &[
        "model.kind=transformer",
        "data.name=text",
        "data.path=t.txt",
        "loss.kind=cross-entropy",
        "data.train=7",
        "data.test=3",
        "layers=1",
        "heads=2",
        "key_size=3",
        "model_size=4",
        "seq_len=8",
        "steps=5",
        "measure.every=2",
        "measure.top=1",
    ],
];

fn cases() -> impl Strategy<Value = Case> {
    let set =
        (select(VALUES.to_vec()), any::<Index>()).prop_map(|((key, values), at)| format!("{key}={}", at.get(values)));
    let sets = prop::collection::vec(set, 0..8);
    let chances = (prop::bool::weighted(0.05), prop::bool::weighted(0.9));
    (select(BASES.to_vec()), sets, chances, select(COMMANDS.to_vec()))
        .prop_map(|(base, sets, (kill, native), command)| Case { base, sets, kill, native, command })
}

/// Lets the program end, or kills it after `patience`.
fn ended(mut command: Command, patience: Duration) -> (Output, bool) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    let readers = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let read = |mut from: Box<dyn std::io::Read + Send>| {
        std::thread::spawn(move || {
            let mut bytes = vec![];
            from.read_to_end(&mut bytes).unwrap();
            bytes
        })
    };
    let (stdout, stderr) = (read(Box::new(readers.0)), read(Box::new(readers.1)));
    let (status, killed) = loop {
        match child.try_wait().unwrap() {
            Some(status) => break (status, false),
            None if began.elapsed() > patience => {
                child.kill().unwrap();
                break (child.wait().unwrap(), true);
            }
            None => pause(Duration::from_millis(5)),
        }
    };
    (Output { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }, killed)
}

/// The program has ended by itself, and a failure has a message.
fn check_end(command: &str, (output, killed): (Output, bool)) -> Result<(), TestCaseError> {
    let message = text(&output.stderr);
    prop_assert!(!killed, "`{command}` took more than {PATIENCE:?}\n{message}");
    prop_assert!(!message.contains("panicked"), "`{command}`: {message}");
    let code = output.status.code();
    prop_assert!(matches!(code, Some(0..=2)), "`{command}`: {:?}\n{message}", output.status);
    let explained = message.lines().any(|line| line.starts_with("error: ") && line.len() > 20);
    prop_assert!(code == Some(0) || explained, "`{command}` ends with {code:?} and says: {message}");
    prop_assert!(!message.contains("this is a bug"), "`{command}`: {message}");
    Ok(())
}

/// Every cell that is not empty is a word or a finite number.
fn check_table(path: &Path) -> Result<(), TestCaseError> {
    let Ok(table) = fs::read_to_string(path) else { return Ok(()) };
    let wrong =
        |cell: &&str| matches!(cell.trim_matches(['-', '+']).to_ascii_lowercase().as_str(), "nan" | "inf" | "infinity");
    let found = table.lines().find(|line| line.split(',').any(|cell| wrong(&cell)));
    prop_assert!(found.is_none(), "{}: {found:?}", path.display());
    Ok(())
}

/// The tables below a folder hold numbers; the runs in it have ended, but for one that was killed.
fn check_folder(folder: &Path, killed: bool) -> Result<(), TestCaseError> {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            check_folder(&path, killed)?;
        } else if path.extension().is_some_and(|extension| extension == "csv") {
            check_table(&path)?;
        }
    }
    if let Ok(run) = RunDir::open(folder)
        && let Ok(manifest) = run.read_manifest()
    {
        prop_assert!(killed || manifest.ended != Ended::Running, "{} is running", folder.display());
    }
    Ok(())
}

fn check(case: &Case) -> Result<(), TestCaseError> {
    let folder = tempdir().unwrap();
    let here = folder.path();
    fs::write(here.join("t.txt"), "Edges are where walks end.\n".repeat(40)).unwrap();
    let adapter = if case.native { "native".to_owned() } else { wgpu_adapter() };
    let mut train = edgewalk(here, &["train", "quickstart", "--out", "run", "--adapter", &adapter]);
    for set in case.base.iter().copied().chain(case.sets.iter().map(String::as_str)) {
        train.args(["--set", set]);
    }
    // Few of these kernels are worth optimising.
    train.env("GALLIVM_PERF", "nopt");
    let patience = if case.kill { Duration::from_millis(700) } else { PATIENCE };
    let (output, killed) = ended(train, patience);
    if !killed {
        check_end("train", (output, killed))?;
    }
    check_folder(&here.join("run"), killed)?;
    let mut words: Vec<&str> = case.command.split(' ').collect();
    if matches!(words[0], "train" | "bench") {
        words.extend(["--adapter", &adapter]);
    }
    let mut then = edgewalk(here, &words);
    then.env("GALLIVM_PERF", "nopt");
    check_end(case.command, ended(then, PATIENCE))?;
    // A sweep that only printed a script has not run; a killed run stays as it is unless it was resumed.
    check_folder(here, killed && !case.command.starts_with("resume run"))
}

#[test]
fn random_runs_and_commands_end_with_a_result_or_a_message() {
    let failures = Mutex::new(vec![]);
    random::check(23, 16, cases, |case| {
        // The others are run all the same: a run of thousands is to find more than the first.
        if let Err(error) = check(&case) {
            println!("{case:?}\n{error}\n");
            failures.lock().unwrap().push(error.to_string());
        }
        Ok(())
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of the runs above failed", failures.len());
}
