//! The initial parameters of a run: drawn from the seed, or read from a file of weights or of a network.

use std::path::{Path, PathBuf};

use super::RunError;
use crate::config::{Config, build};
use crate::data::page;
use crate::files::read_regular;
use crate::folder::checkpoint;
use crate::folder::manifest::InitFile;
use crate::model::{Layout, StoreError, WeightLayout, initial_params, params_from_pytorch, params_from_safetensors};
use crate::onnx::Network;

/// The initial parameters, and their file if any. `network` is the file of the network.
pub(crate) fn initial(
    config: &Config,
    network: Option<InitFile>,
    layout: &Layout,
) -> Result<(Vec<f64>, Option<InitFile>), RunError> {
    if let Some(path) = &config.run.init {
        let (params, init) = read_params(layout, path, config.run.init_layout)?;
        return Ok((params, Some(init)));
    }
    match layout.brought() {
        Some(params) => Ok((params.to_vec(), network)),
        None => Ok((initial_params(layout, config.run.seed).into_iter().map(f64::from).collect(), None)),
    }
}

/// The file that has the initial parameters: that of the weights, or of the network.
pub(super) fn file(config: &Config) -> Option<&PathBuf> {
    config.run.init.as_ref().or(config.model.path.as_ref())
}

/// The identity of [`file`].
pub(super) fn identity(config: &Config) -> Result<Option<InitFile>, RunError> {
    match &config.run.init {
        Some(path) => Ok(Some(InitFile::of(path, &bytes(path)?))),
        None => Ok(network_file(config, build::network(config)?.as_deref())),
    }
}

/// The identity of the file of a network.
pub(crate) fn network_file(config: &Config, network: Option<&Network>) -> Option<InitFile> {
    Some(InitFile { path: config.model.path.clone()?, sha256: network?.sha256().to_owned() })
}

fn bytes(path: &Path) -> Result<Vec<u8>, RunError> {
    read_regular(path).map_err(|cause| RunError::ReadInit { path: path.into(), cause })
}

/// Reads the parameters of a model from a file, a checkpoint or the last checkpoint of a run, with the identity of
/// their file.
pub(crate) fn read_params(
    layout: &Layout,
    path: &Path,
    weights: WeightLayout,
) -> Result<(Vec<f64>, InitFile), RunError> {
    // If nothing is there, the error is that of reading a file.
    let file = if path.is_dir() { checkpoint::params_of(path)? } else { path.into() };
    let bytes = bytes(&file)?;
    let params = match weights {
        WeightLayout::Edgewalk => params_from_safetensors(layout, &bytes),
        WeightLayout::Pytorch => params_from_pytorch(layout, &bytes),
    };
    let params = params.map_err(|cause| match (cause, page::foreign(&bytes)) {
        (StoreError::Format(_), Some((what, advice))) => StoreError::Foreign { what, advice },
        (cause, _) => cause,
    });
    let params = params.map_err(|cause| RunError::Init { path: file.clone(), cause })?;
    Ok((params, InitFile::of(&file, &bytes)))
}
