//! Which kernels a run multiplies with: those of an earlier run (`run.kernels`), those remembered for this adapter, those
//! timed now (`run.tune`), or the rules of thumb.
//!
//! The choice fixes the bits of a run, so it is made once: what was chosen for a class of shapes, by timing or because time
//! ran out, is remembered and never timed again. A run asks for the classes of its gradient alone, so that what other runs
//! remember cannot change it. What could not be remembered is not timed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::ExperimentError;
use super::config::ConfigError;
use super::equipment::Parts;
use super::kernel_cache::KernelCache;
use crate::aside::aside;
use crate::gpu::Gpu;
use crate::kernel::{Choices, ShapeClass, Target, Variant};
use crate::objective::tune::Tuner;
use crate::paths::shown;

/// Longest file of choices that is read: a choice takes about 50 bytes, and a run has tens of them.
pub(super) const MOST_BYTES: u64 = 1 << 20;

/// Variants by class of shape.
pub type Known = BTreeMap<ShapeClass, Variant>;

/// The device with the kernels for this run. With `dry_run` nothing is timed.
///
/// # Errors
/// Unusable `run.kernels`; compilation or device errors. Trouble with the cache is no error: it is said on standard error,
/// and the rules of thumb serve.
pub fn choose(gpu: &Gpu, parts: &Parts, dry_run: bool) -> Result<Gpu, ExperimentError> {
    let run = &parts.config.run;
    if let Some(path) = &run.kernels {
        let known = recorded(path, gpu.target())?;
        return Ok(fixed(gpu, known));
    }
    let budget = run.tune.secs(gpu.target().cpu);
    if budget == 0.0 {
        return Ok(gpu.clone());
    }
    let objective = parts.objective(&gpu.dry())?;
    let mut tuner = Tuner::new(gpu, &objective)?;
    let chosen = remembered_or_timed(gpu, &mut tuner, budget, dry_run)?;
    Ok(fixed(gpu, chosen))
}

/// The device with these kernels and the rules of thumb for all others, as a checkpoint names them.
pub fn fixed(gpu: &Gpu, known: Known) -> Gpu {
    gpu.with_choices(Choices { tried: None, known })
}

fn remembered_or_timed(gpu: &Gpu, tuner: &mut Tuner, budget: f64, dry_run: bool) -> Result<Known, ExperimentError> {
    let warn = |problem: String| {
        aside(&format!("warning: {problem}; going on with kernels chosen by rules of thumb\n"));
        Ok(Known::new())
    };
    let Some(cache) = KernelCache::of(gpu.adapter()) else {
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
        // Another run may be timing them: whoever comes second takes what it finds then.
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
            aside(&format!("kernels timed in {secs:.1} s, remembered in {path}\n"));
        }
        drop(lock);
    }
    known.retain(|class, _| tuner.contractions().iter().any(|contraction| contraction.class == *class));
    Ok(known)
}

/// The `choices` of a JSON file, such as the manifest of a run.
pub(super) fn recorded(path: &Path, target: &Target) -> Result<Known, ConfigError> {
    let known = read_text(path).map_err(|error| error.to_string()).and_then(|text| {
        let known = parse(&text)?;
        match known.iter().find(|(_, variant)| !variant.suits(target)) {
            Some((class, variant)) => Err(format!("`{variant}` for `{class}` is not for this kind of adapter")),
            None => Ok(known),
        }
    });
    known.map_err(|problem| ConfigError::Kernels { path: path.into(), problem })
}

/// The text of a file of choices.
pub(super) fn read_text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(std::io::Error::other(format!("it is longer than {} KiB", MOST_BYTES >> 10)));
    }
    Ok(text)
}

/// The `choices` in the text of a JSON object.
///
/// # Errors
/// What is wrong, in words.
pub fn parse(text: &str) -> Result<Known, String> {
    #[derive(Deserialize)]
    struct Recorded {
        choices: BTreeMap<String, String>,
    }
    let Recorded { choices } = serde_json::from_str(text).map_err(|error| error.to_string())?;
    from_words(choices)
}

/// Choices from how they stand in files.
///
/// # Errors
/// What is wrong, in words.
pub fn from_words(choices: BTreeMap<String, String>) -> Result<Known, String> {
    let entry = |(class, variant): (String, String)| {
        // In its one spelling: with others two choices could be for the same class.
        let parsed = class.parse().ok().filter(|parsed: &ShapeClass| parsed.to_string() == class);
        let known_class = parsed.ok_or_else(|| format!("`{class}` is no class of shapes"))?;
        let known_variant = variant.parse().map_err(|()| {
            let all = Variant::ALL.iter().map(Variant::to_string).collect::<Vec<_>>().join(", ");
            format!("`{variant}` for `{class}` is none of the variants {all}")
        })?;
        Ok((known_class, known_variant))
    };
    choices.into_iter().map(entry).collect()
}

/// Choices as they stand in files.
pub fn words(known: &Known) -> BTreeMap<String, String> {
    known.iter().map(|(class, variant)| (class.to_string(), variant.to_string())).collect()
}
