//! `edgewalk curvature`: the curvature at the parameters of a run, of a checkpoint or of a file.

use std::path::PathBuf;

use clap::Args;

use super::Error;
use super::terminal::Terminal;
use crate::analysis::{AnalysisRequest, analyse};
use crate::config::{LossKind, WeightLayout};
use crate::curvature::{DensityOptions, EigenOptions, TraceOptions};
use crate::observer::Observer;
use crate::results::Format;

/// The arguments of `edgewalk curvature`.
#[derive(Debug, Args)]
pub struct CurvatureArgs {
    /// A run folder (its last checkpoint), a checkpoint folder, a safetensors file or the network of an ONNX file
    #[arg(value_name = "RUN|CHECKPOINT|FILE")]
    path: PathBuf,
    /// Arrays to measure an ONNX network on: .npz, .safetensors, .csv or a folder of .npy files
    #[arg(long, value_name = "FILE|DIR")]
    data: Option<PathBuf>,
    /// The loss: cross-entropy, mse, binary-cross-entropy, or output (the network computes it)
    #[arg(long, value_name = "LOSS")]
    loss: Option<LossKind>,
    /// Parameters for an ONNX network in the place of its own: a safetensors file, a checkpoint or a run
    #[arg(long, value_name = "FILE|CHECKPOINT|RUN")]
    params: Option<PathBuf>,
    /// Arrays of an ONNX network that are no parameters, by name; * stands for any characters; may be repeated
    #[arg(long, value_name = "GLOB")]
    freeze: Vec<String>,
    /// First compare an ONNX network's outputs for the inputs X.npy with those in Y.npy
    #[arg(long, value_names = ["X.npy", "Y.npy"], num_args = 2)]
    check: Vec<PathBuf>,
    /// Change a setting of --config, or of an ONNX network's defaults; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Names and axes of the tensors in a safetensors file: edgewalk, or pytorch for a state of torch.nn.Sequential
    #[arg(long, value_name = "LAYOUT", default_value_t = WeightLayout::Edgewalk)]
    layout: WeightLayout,
    /// Eigenvalues to find, largest in magnitude first; at most 100
    #[arg(long, value_name = "K", default_value_t = 5)]
    top: usize,
    /// Lowest eigenvalues to find as well
    #[arg(long, value_name = "K", default_value_t = 0)]
    bottom: usize,
    /// The trace by Hutch++, with its confidence interval
    #[arg(long)]
    trace: bool,
    /// The density of all eigenvalues by stochastic Lanczos quadrature, with its picture
    #[arg(long)]
    density: bool,
    /// The Gauss–Newton part G of the Hessian H and the rest R = H − G too
    #[arg(long)]
    split: bool,
    /// The parameters of one layer alone (conv0, block1.attn, …), or of `each`; may be repeated
    #[arg(long = "block", value_name = "NAME")]
    blocks: Vec<String>,
    /// Relative residual at which an eigenpair counts as converged
    #[arg(long, default_value_t = 1e-4)]
    tol: f64,
    /// Limit on the products for the eigenvalues of a matrix
    #[arg(long, value_name = "N", default_value_t = 300)]
    max_products: usize,
    /// Products to spend on a trace
    #[arg(long, value_name = "N", default_value_t = 120, requires = "trace")]
    trace_products: usize,
    /// Random vectors to average a density over
    #[arg(long, value_name = "N", default_value_t = 8, requires = "density")]
    probes: usize,
    /// Lanczos steps, and so products, of each of them
    #[arg(long, value_name = "N", default_value_t = 60, requires = "density")]
    density_steps: usize,
    /// Vectors that the eigensolver multiplies at once; more find copies of repeated eigenvalues
    #[arg(long, value_name = "N", default_value_t = 1)]
    eigen_block: usize,
    /// Use only the first N training examples [default: all of the run]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    examples: usize,
    /// Seed of the random vectors
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A preset or TOML file for parameters that do not lie in a run folder
    #[arg(long, value_name = "PRESET|FILE.toml")]
    config: Option<String>,
    /// The folder for the results [default: `analysis/step_…` in the run folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The format of the density's picture
    #[arg(long, value_enum, default_value_t = Format::Svg)]
    format: Format,
    /// The adapter: native, gpu, cpu, part of its name, or its number in `edgewalk info`
    #[arg(long, value_name = "NAME|INDEX")]
    adapter: Option<String>,
}

/// Analyses, and prints the results and the paths of the files.
///
/// # Errors
/// [`Error`].
pub fn run(args: CurvatureArgs) -> Result<(), Error> {
    super::check_sample(&args.path, &args.check)?;
    let CurvatureArgs { seed, .. } = args;
    let own =
        args.data.iter().flat_map(|data| ["data.name=arrays".to_owned(), format!("data.path={}", data.display())]);
    let loss = args.loss.iter().map(|loss| format!("loss.kind={loss}"));
    let freeze = (!args.freeze.is_empty()).then(|| format!("model.freeze={}", args.freeze.join(",")));
    let sets = own.chain(loss).chain(freeze).chain(args.sets).collect();
    let request = AnalysisRequest {
        path: args.path,
        config: args.config,
        sets,
        weights: args.params,
        layout: args.layout,
        eigen: EigenOptions {
            top: args.top,
            bottom: args.bottom,
            block: args.eigen_block,
            tol: args.tol,
            max_iterations: args.max_products,
            seed,
            ..Default::default()
        },
        trace: args.trace.then(|| TraceOptions { products: args.trace_products, seed, ..Default::default() }),
        density: args.density.then(|| DensityOptions {
            probes: args.probes,
            steps: args.density_steps,
            seed,
            ..Default::default()
        }),
        split: args.split,
        blocks: args.blocks,
        examples: args.examples,
        out: args.out,
        format: args.format,
        adapter: args.adapter,
    };
    let terminal = Terminal::default();
    terminal.part("reading and compiling");
    let analysis = analyse(&request, &terminal);
    terminal.finished();
    let analysis = analysis?;
    super::terminal::show(&format!("{analysis}\nfiles in {}\n", analysis.out.display()))
}
