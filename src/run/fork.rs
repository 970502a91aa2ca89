//! A run that branches off another one at a checkpoint, with other settings of the update rule, the measurements or the
//! run. It is a run folder of its own that begins with a copy of the checkpoint, and goes on from there as any other.

use super::initial::network_file;
use super::request::{ForkRequest, ResumeRequest};
use super::tables::Tables;
use super::{RunError, batches, train};
use crate::config::{Config, ConfigError, MeasureAt, MeasuringSet, build, resolve};
use crate::files::lock;
use crate::folder::checkpoint::{self, Checkpoint};
use crate::folder::manifest::{Ended, Manifest, Parent};
use crate::folder::state::RunState;
use crate::folder::{RunDir, RunDirError, settled};
use crate::observer::Observer;
use crate::optim::Batches;
use crate::text::{now, utc};
use std::path::{Path, PathBuf};

/// Begins a run with the parameters, the optimizer's state and the step of a checkpoint, and trains it. Returns its
/// folder.
///
/// The running means of an adaptive base go on if the base of the checkpoint had the same; otherwise they begin at 0, with
/// a note, and their bias is corrected from there.
///
/// # Errors
/// [`ConfigError::Conflict`] for other examples, another network or loss, and for `run.steps` that are done already; as
/// [`train::resume`] otherwise.
pub fn fork(request: &ForkRequest, observer: &dyn Observer) -> Result<RunDir, RunError> {
    let ForkRequest { path, sets, command_line, out, adapter } = request;
    let (parent, checkpoint) = source(path)?;
    let mut manifest = parent.read_manifest()?;
    if manifest.data.is_own() {
        return Err(RunDirError::Own { path: parent.path().into() }.into());
    }
    let old = settled::settings(&parent, &manifest)?;
    let mut config = resolve(Some(&parent.config().to_string_lossy()), sets)?.config;
    config.settle_paths();
    settled::check_task(&old, &config)?;
    manifest.check_network(network_file(&config, build::network(&config)?.as_deref()).as_ref())?;
    batches::check(&config, manifest.data.train)?;
    batches::settle_groups(&mut config, manifest.data.train)?;
    let mut state = RunState::of(&checkpoint, manifest.parameters)?;
    check_steps(&config, state.step)?;
    let note = carry_over(&config, &mut state);
    state.cursor = match config.optim.batch {
        0 => None,
        batch => Some(Batches::new(manifest.data.train, batch, config.run.seed)?.cursor(state.step)),
    };
    let name = parent.path().file_name().map_or_else(|| "fork".to_owned(), |name| name.to_string_lossy().into_owned());
    let dir = RunDir::create(out.as_deref(), &name)?;
    manifest = Manifest {
        parent: Some(Parent { path: settled::settled(parent.path()), step: state.step }),
        command: command_line.clone(),
        seed: config.run.seed,
        host: lock::host(),
        began: utc(now()),
        settings: Some(config.to_json()),
        measured: config.measure.is_on().then(|| MeasuringSet::of(&config, manifest.data.train)),
        memory_peak_bytes: 0,
        wall_secs: 0.0,
        steps_done: state.step,
        ended: Ended::Interrupted,
        not_finite: None,
        resumed: vec![],
        ..manifest
    };
    (state.secs, state.tables) = (0.0, Tables::empty(&dir, &config)?);
    Checkpoint::write(&dir, state.step, &checkpoint.params, &state.to_bytes()?)?;
    dir.write_manifest(&manifest)?;
    // Last: a folder with config.toml is a run folder.
    dir.write_config(&config)?;
    if let Some(note) = note {
        observer.note(note);
    }
    let go_on = ResumeRequest {
        path: dir.path().into(),
        sets: vec![],
        command_line: command_line.clone(),
        adapter: adapter.clone(),
    };
    train::resume(&go_on, observer)?;
    Ok(dir)
}

/// The run of a path, and its last undamaged checkpoint or the one that the path names.
fn source(path: &Path) -> Result<(RunDir, Checkpoint), RunError> {
    if path.join(checkpoint::DONE).is_file() {
        let checkpoint = Checkpoint::read(path)?;
        let real = settled::settled(path);
        let run = real.parent().and_then(|folder| folder.parent()).map_or_else(PathBuf::new, Into::into);
        return Ok((RunDir::open(&run)?, checkpoint));
    }
    let params = checkpoint::params_of(path)?;
    let folder = params.parent().unwrap_or(path);
    Ok((RunDir::open(path)?, Checkpoint::read(folder)?))
}

fn check_steps(config: &Config, step: u64) -> Result<(), ConfigError> {
    match config.run.steps > step {
        true => Ok(()),
        false => Err(ConfigError::Conflict {
            problem: format!("`run.steps = {}` are done at step {step} of the checkpoint", config.run.steps),
            remedy: "set run.steps to the step at which the fork is to end, such as --set run.steps=N",
        }),
    }
}

/// Keeps of a state what serves the new settings: the optimizer's vectors if all are there, and nothing of measurements
/// but the last parameters. Returns a note if vectors begin anew.
fn carry_over(new: &Config, state: &mut RunState) -> Option<&'static str> {
    let needed = build::rule(new).state();
    let has_all = needed.iter().all(|wanted| state.moments.iter().any(|(moment, _)| moment == wanted));
    if has_all {
        state.moments.retain(|(moment, _)| needed.contains(moment));
    } else {
        (state.moments, state.moments_since) = (vec![], state.step);
    }
    (state.track, state.update_track, state.window) = (None, None, None);
    if new.measure.at != MeasureAt::Midpoint {
        state.before = None;
    }
    (!has_all)
        .then_some("note: the checkpoint has not the running means or the velocity of the new rule: they begin at 0")
}
