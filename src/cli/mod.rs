//! The command line: arguments in, a request out, and an error turned into a message and an exit code. The work is in
//! [`crate::run`].

pub mod bench;
pub mod compare;
pub mod curvature;
pub mod data;
pub mod doctor;
mod error;
pub mod fork;
pub mod info;
mod interrupt;
pub mod list;
mod look;
pub mod plot;
mod progress;
pub mod report;
pub mod resume;
pub mod sweep;
mod terminal;
mod usage;
pub mod verify_theory;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::config::reference::{keys, presets};
use crate::config::{self, ConfigError, WeightLayout};
use crate::files::FileError;
use crate::folder::settled::settled;
use crate::observer::OutputError;
use crate::run::{self, TrainRequest};
use crate::text::with_causes;
use bench::BenchArgs;
use compare::CompareArgs;
use curvature::CurvatureArgs;
use data::DataCommand;
use fork::ForkArgs;
use info::InfoArgs;
use list::ListArgs;
use plot::PlotArgs;
use report::ReportArgs;
use resume::ResumeArgs;
use sweep::SweepArgs;
use terminal::{Terminal, aside, print, written};
use verify_theory::VerifyArgs;

pub use error::Error;

/// Train networks with GD and SAM on any GPU, and measure the Hessian against the edge of stability.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train, measuring the curvature on the way, and write a run folder
    Train(TrainArgs),
    /// Continue a run or a sweep that was stopped or killed
    Resume(ResumeArgs),
    /// Begin a new run with the parameters, optimizer state and step of a checkpoint, and other settings
    Fork(ForkArgs),
    /// Train every combination of several values of some settings, in one folder that can be resumed
    Sweep(SweepArgs),
    /// List the runs and the jobs of sweeps below a folder, with how far each is
    List(ListArgs),
    /// Draw the pictures of runs and sweeps into their plots folders, once or as rows arrive
    Plot(PlotArgs),
    /// Write a run or a sweep as one HTML file
    Report(ReportArgs),
    /// Draw runs over each other and print how they differ
    Compare(CompareArgs),
    /// Measure the curvature at a run's parameters: eigenvalues, trace, density, layer by layer
    Curvature(CurvatureArgs),
    /// Measure how fast this adapter trains a network, kernel by kernel, and how that grows with its size
    Bench(BenchArgs),
    /// List the data sets on this machine, and download others
    #[command(subcommand)]
    Data(DataCommand),
    /// List the adapters and what they offer, or the parameters of an ONNX file
    Info(InfoArgs),
    /// Test the adapter against predictions of theory for SAM and its relatives
    VerifyTheory(VerifyArgs),
    /// Test in a minute whether an adapter computes correctly
    Doctor {
        /// The adapter: native, gpu, cpu, part of its name, or its number in `edgewalk info`
        #[arg(long, value_name = "NAME|INDEX")]
        adapter: Option<String>,
    },
}

#[derive(Debug, Args)]
#[command(after_help = presets(), after_long_help = keys())]
struct TrainArgs {
    /// A preset or a TOML file [default: quickstart]; a file's missing keys keep the quickstart's values
    #[arg(value_name = "PRESET|FILE.toml")]
    target: Option<String>,
    /// Change a setting, by its full name (optim.lr=0.1) or a short name that is clear (lr=0.1); may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Read the initial weights instead of drawing them: from a safetensors file, a checkpoint or a run
    #[arg(long, value_name = "FILE|CHECKPOINT|RUN")]
    init: Option<PathBuf>,
    /// Names and axes of the tensors of --init: edgewalk, or pytorch for a state of torch.nn.Sequential
    #[arg(long, value_name = "LAYOUT", requires = "init")]
    layout: Option<WeightLayout>,
    /// The run folder, new or empty [default: the next runs/<PRESET>-<NUMBER>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The adapter: native, gpu, cpu, part of its name, or its number in `edgewalk info`
    #[arg(long, value_name = "NAME|INDEX")]
    adapter: Option<String>,
    /// First compare an ONNX network's outputs for the inputs X.npy with those in Y.npy
    #[arg(long, value_names = ["X.npy", "Y.npy"], num_args = 2)]
    check: Vec<PathBuf>,
    /// Plan the run and print the plan; train nothing and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Write every logged row to standard output as a line of JSON, and all else to standard error
    #[arg(long, conflicts_with_all = ["dry_run", "print_config"])]
    json: bool,
    /// Print the complete configuration and stop
    #[arg(long)]
    print_config: bool,
}

/// The names of the key that `--init` sets.
const INIT: [&str; 2] = ["init", "run.init"];

/// The exit code of a command line that makes no sense.
const USAGE: u8 = 2;

/// Runs a command line, whose first argument is the program's name. Writes errors to standard error, and returns the
/// exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    match obey(arguments) {
        Ok(code) => code,
        Err(error) => {
            aside(&format!("error: {}\n", with_causes(&error)));
            error.exit_code()
        }
    }
}

fn obey(arguments: impl IntoIterator<Item = OsString>) -> Result<u8, Error> {
    // A manifest holds them all, and a configuration some.
    let text = |argument: OsString| argument.into_string().map_err(|other| FileError::NotText { path: other.into() });
    let command_line: Vec<String> = arguments.into_iter().map(text).collect::<Result<_, _>>()?;
    match Cli::try_parse_from(&command_line) {
        Ok(cli) => dispatch(cli, command_line).map(|()| 0),
        Err(wrong) if wrong.use_stderr() => {
            // As `aside`, in the colours of the terminal.
            let _lost = usage::with_tip(wrong, &command_line).print();
            Ok(USAGE)
        }
        Err(asked_for) => Ok(written(asked_for.print()).map(|()| 0).map_err(OutputError)?),
    }
}

fn dispatch(cli: Cli, command_line: Vec<String>) -> Result<(), Error> {
    match cli.command {
        Command::Train(args) => train(args, command_line),
        Command::Resume(args) => resume::run(args, command_line),
        Command::Fork(args) => fork::run(args, command_line),
        Command::Sweep(args) => sweep::run(&args),
        Command::List(args) => list::run(&args),
        Command::Plot(args) => plot::run(args),
        Command::Report(args) => report::run(&args),
        Command::Compare(args) => compare::run(args),
        Command::Curvature(args) => curvature::run(args),
        Command::Bench(args) => bench::run(&args),
        Command::Data(command) => data::run(command),
        Command::Info(args) => info::run(&args),
        Command::VerifyTheory(args) => verify_theory::run(&args),
        Command::Doctor { adapter } => doctor::run(adapter.as_deref()),
    }
}

/// Compares the outputs of an ONNX network with a sample, if there is one, and says so on standard error.
fn check_sample(network: &Path, files: &[PathBuf]) -> Result<(), Error> {
    let [x, y] = files else { return Ok(()) };
    aside(&format!("{}\n", config::sample::check(network, x, y)?));
    Ok(())
}

fn train(args: TrainArgs, command_line: Vec<String>) -> Result<(), Error> {
    let layout = args.layout.map(|layout| format!("run.init_layout={layout}"));
    let sets: Vec<String> = args.sets.iter().cloned().chain(layout).collect();
    let mut resolved = config::resolve(args.target.as_deref(), &sets)?;
    if let Some(init) = args.init.as_deref().map(settled) {
        let is_set = args.sets.iter().any(|set| set.split_once('=').is_some_and(|(key, _)| INIT.contains(&key.trim())));
        let other = resolved.config.run.init.replace(init.clone()).map(|path| settled(&path));
        if is_set && other.as_ref() != Some(&init) {
            let other = other.map_or_else(|| "\"\"".to_owned(), |other| other.display().to_string());
            return Err(ConfigError::Conflict {
                problem: format!("`--init {}` and `--set run.init={other}` are two sources of weights", init.display()),
                remedy: "leave one of them out",
            }
            .into());
        }
    }
    if args.print_config {
        return print(&resolved.config.to_toml());
    }
    if let (Some(network), false) = (&resolved.config.model.path, args.check.is_empty()) {
        check_sample(network, &args.check)?;
    } else if !args.check.is_empty() {
        return Err(ConfigError::Conflict {
            problem: "`--check` compares the network of an ONNX file, and this model comes from none".to_owned(),
            remedy: "leave it out, or set model.kind = \"onnx\" and model.path",
        }
        .into());
    }
    let request = TrainRequest {
        config: resolved.config,
        name: resolved.name,
        command_line,
        out: args.out,
        adapter: args.adapter,
    };
    let terminal = Terminal::new(args.json);
    if args.dry_run {
        terminal::show(&run::plan(&request, &terminal)?)
    } else {
        Ok(run::train(&request, &terminal).map(|_| ())?)
    }
}
