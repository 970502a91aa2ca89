//! The kernel choice of a run: that of an earlier run (`run.kernels`), the cache of this adapter, timing now
//! (`run.tune`), or the default rules.
//!
//! The choice fixes the bits of a run, so it is made once for each class of shapes and remembered, also if time ran
//! out; a choice that cannot be remembered is not timed. A run looks up only the classes of its gradient, so the
//! choices of other runs cannot change it.

use std::path::Path;
use std::time::{Duration, Instant};

use super::RunError;
use super::kernel_cache::KernelCache;
use super::setup::RunSetup;
use crate::config::ConfigError;
use crate::device::Device;
use crate::files::shown;
use crate::folder::choices::{Known, parse, read_text};
use crate::kernel::{Choices, Target};
use crate::objective::tune::Tuner;
use crate::observer::Observer;

/// The device with the kernels for this run. With `dry_run` nothing is timed.
///
/// # Errors
/// Unusable `run.kernels`; compilation or device errors. A faulty cache is not an error: the observer gets a note, and
/// the default rules apply.
pub fn choose(device: &Device, setup: &RunSetup, dry_run: bool, observer: &dyn Observer) -> Result<Device, RunError> {
    let run = &setup.config.run;
    if let Some(path) = &run.kernels {
        let known = recorded(path, device.target())?;
        return Ok(fixed(device, known));
    }
    let budget = device.target().map_or(0.0, |target| run.tune.secs(target.cpu));
    if budget == 0.0 {
        return Ok(device.clone());
    }
    let objective = setup.objective(&device.dry())?;
    let mut tuner = Tuner::new(device, &objective)?;
    let chosen = remembered_or_timed(device, &mut tuner, budget, dry_run, observer)?;
    Ok(fixed(device, chosen))
}

/// The device with the kernels of a checkpoint, and default rules for all others.
pub fn fixed(device: &Device, known: Known) -> Device {
    device.with_choices(Choices { tried: None, known })
}

fn remembered_or_timed(
    device: &Device,
    tuner: &mut Tuner,
    budget: f64,
    dry_run: bool,
    observer: &dyn Observer,
) -> Result<Known, RunError> {
    let warn = |problem: String| {
        observer.note(&format!("warning: {problem}; going on with kernels chosen by default rules"));
        Ok(Known::new())
    };
    let Some(cache) = KernelCache::of(device.adapter()) else {
        return warn(
            "there is no folder to remember kernels in; name one in EDGEWALK_CACHE, or set run.tune = 0".into(),
        );
    };
    let mut known = match cache.read() {
        Ok(known) => known,
        Err(problem) => return warn(problem),
    };
    let is_known =
        |known: &Known| tuner.contractions().iter().all(|contraction| known.contains_key(&contraction.class));
    if !dry_run && !is_known(&known) {
        // Another run may be timing them: the second one uses the choices of the first.
        let lock = match cache.lock() {
            Ok(lock) => lock,
            Err(problem) => return warn(problem),
        };
        known = match cache.read() {
            Ok(known) => known,
            Err(problem) => return warn(problem),
        };
        if !is_known(&known) {
            let began = Instant::now();
            known.extend(tuner.choose(&known, began + Duration::from_secs_f64(budget))?);
            if let Err(problem) = cache.write(&known) {
                return warn(problem);
            }
            let (secs, path) = (began.elapsed().as_secs_f64(), shown(cache.path()));
            observer.note(&format!("kernels timed in {secs:.1} s, remembered in {path}"));
        }
        drop(lock);
    }
    known.retain(|class, _| tuner.contractions().iter().any(|contraction| contraction.class == *class));
    Ok(known)
}

/// The `choices` of a JSON file, such as the manifest of a run.
pub(crate) fn recorded(path: &Path, target: Option<&Target>) -> Result<Known, ConfigError> {
    let known = read_text(path).map_err(|error| error.to_string()).and_then(|text| {
        let known = parse(&text)?;
        match known.iter().find(|(_, variant)| !target.is_some_and(|target| variant.suits(target))) {
            Some((class, variant)) => Err(format!("`{variant}` for `{class}` is not for this kind of adapter")),
            None => Ok(known),
        }
    });
    known.map_err(|problem| ConfigError::Kernels { path: path.into(), problem })
}
