//! `edgewalk info`: the devices of this machine with their limits, or the network of an ONNX file.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Error;
use crate::config::ConfigError;
use crate::device;
use crate::onnx::{NamedArray, Network};

/// The arguments of `edgewalk info`.
#[derive(Debug, Args)]
pub struct InfoArgs {
    /// An ONNX file, to list its parameters instead
    #[arg(value_name = "FILE.onnx")]
    network: Option<PathBuf>,
    /// Arrays that are no parameters, by name; * stands for any characters; may be repeated
    #[arg(long, value_name = "GLOB", requires = "network")]
    freeze: Vec<String>,
    /// Compare the network's outputs for the inputs X.npy with those in Y.npy
    #[arg(long, value_names = ["X.npy", "Y.npy"], num_args = 2, requires = "network")]
    check: Vec<PathBuf>,
}

/// Lists the devices, GPUs first and the processor last, or the parts of a network.
///
/// # Errors
/// [`crate::run::RunError::Device`] for environment variables that cannot be followed; [`ConfigError::Network`] and
/// [`ConfigError::Sample`].
pub fn run(args: &InfoArgs) -> Result<(), Error> {
    match &args.network {
        Some(path) => {
            let text = network(path, &args.freeze)?;
            super::check_sample(path, &args.check)?;
            super::terminal::show(&text)
        }
        None => super::terminal::show(&devices()?),
    }
}

fn devices() -> Result<String, Error> {
    let adapters = device::adapters()?;
    let mut text = format!("edgewalk {}\n", env!("CARGO_PKG_VERSION"));
    for (index, adapter) in adapters.iter().enumerate() {
        text += &format!(
            "\n{index}: {}\n   {} at {} through {}, driver {} {}\n   kernels: {} tier\n",
            adapter.name,
            adapter.kind,
            adapter.place,
            adapter.backend,
            adapter.driver,
            adapter.driver_info,
            adapter.tier
        );
        for (name, value) in &adapter.limits {
            text += &format!("   {name} = {value}\n");
        }
    }
    Ok(text)
}

fn network(path: &Path, freeze: &[String]) -> Result<String, ConfigError> {
    let network = Network::read(path, freeze).map_err(|cause| ConfigError::Network { path: path.into(), cause })?;
    let input = network.input();
    let size = |size: &Option<usize>| size.map_or_else(|| "?".to_owned(), |size| size.to_string());
    let shape: Vec<String> = std::iter::once("examples".to_owned()).chain(input.shape.iter().map(size)).collect();
    let ops: Vec<String> = network.ops().iter().map(|(op, count)| format!("{count} {op}")).collect();
    let total: usize = network.params().iter().map(|param| param.values.len()).sum();
    let list = |arrays: &[NamedArray]| -> String {
        arrays.iter().map(|array| format!("  {} {:?}\n", array.name.escape_debug(), array.shape)).collect()
    };
    let mut text = format!(
        "written by {}, operators of version {}\nreads `{}`: {} of shape [{}]\nnodes: {}\n\n\
         parameters ({total} numbers):\n{}",
        network.producer(),
        network.opset(),
        input.name.escape_debug(),
        if input.tokens { "whole numbers" } else { "numbers" },
        shape.join(", "),
        ops.join(", "),
        list(network.params()),
    );
    if !network.constants().is_empty() {
        text += &format!("\nconstants, which training leaves alone:\n{}", list(network.constants()));
    }
    Ok(text)
}
