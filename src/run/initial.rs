//! The initial parameters of a run: drawn from the seed, or read from a file.

use std::path::Path;

use super::RunError;
use crate::config::Config;
use crate::data::page;
use crate::files::read_regular;
use crate::folder::manifest::InitFile;
use crate::model::{Layout, StoreError, initial_params, params_from_safetensors};

/// The initial parameters, and their file if any.
pub(crate) fn initial(config: &Config, layout: &Layout) -> Result<(Vec<f64>, Option<InitFile>), RunError> {
    match &config.run.init {
        Some(path) => read_params(layout, path).map(|(params, init)| (params, Some(init))),
        None => Ok((initial_params(layout, config.run.seed).into_iter().map(f64::from).collect(), None)),
    }
}

/// Reads the parameters of a model, with the identity of their file.
pub(crate) fn read_params(layout: &Layout, path: &Path) -> Result<(Vec<f64>, InitFile), RunError> {
    let bytes = read_regular(path).map_err(|cause| RunError::ReadInit { path: path.into(), cause })?;
    let params = params_from_safetensors(layout, &bytes).map_err(|cause| match (cause, page::foreign(&bytes)) {
        (StoreError::Format(_), Some((what, advice))) => StoreError::Foreign { what, advice },
        (cause, _) => cause,
    });
    let params = params.map_err(|cause| RunError::Init { path: path.into(), cause })?;
    Ok((params, InitFile::of(path, &bytes)))
}
