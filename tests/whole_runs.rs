//! What a run may load on a device, assembled on a dry one.

use std::sync::Arc;

use edgewalk::config::{Config, MeasuringSet, build, resolve};
use edgewalk::data::Dataset;
use edgewalk::device::Device;
use edgewalk::model::Model;
use edgewalk::run::setup::RunSetup;

pub fn config(sets: &[&str]) -> Config {
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    resolve(Some("quickstart"), &sets).unwrap().config
}

/// Everything that a run with these settings would load on a dry device.
pub fn assemble(device: &Device, config: &Config, model: Arc<dyn Model>, data: &Dataset) {
    let first = if config.optim.batch > 0 { data.test.as_ref().unwrap() } else { &data.train };
    let measured = Some(MeasuringSet::of(config, data.train.len()));
    let loss = build::loss(config);
    RunSetup { config, model, loss, data, first, measured, most_kept: u64::MAX }.assemble(device).unwrap();
}
