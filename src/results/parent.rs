//! The part of a fork's parent up to the fork, as far as the parent's folder is still there, and its curves below those
//! of the fork.

use std::path::PathBuf;

use serde_json::Value;

use super::figure::{Curve, Figure, Style};
use crate::folder::RunDir;
use crate::folder::data_record::DataRecord;
use crate::folder::manifest::{Manifest, Parent};
use crate::text::with_causes;

/// The parent of a fork.
pub(crate) struct Ancestor<R> {
    /// Its folder, as the manifest of the fork names it.
    pub path: PathBuf,
    /// The step of the fork.
    pub step: u64,
    /// The run and its rows up to the fork, or why there are none.
    pub part: Result<(RunDir, R), String>,
}

impl<R> Ancestor<R> {
    /// The parent of a run with this manifest, read by `read`.
    pub fn of(manifest: &Manifest, read: impl Fn(&RunDir) -> Result<R, String>) -> Option<Self> {
        let Parent { path, step } = manifest.parent.clone()?;
        let part = RunDir::open(&path).map_err(|error| with_causes(&error)).and_then(|run| {
            let parent = run.read_manifest().map_err(|error| with_causes(&error))?;
            if task(&parent) != task(manifest) {
                return Err(format!("{} is another run now", path.display()));
            }
            Ok((run.clone(), read(&run)?))
        });
        Some(Self { path, step, part })
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }

    /// Draws its figures below those of the fork that have the same names, in pale colours.
    pub fn draw_below(&self, figures: &mut [(&'static str, Figure)], own: Vec<(&'static str, Figure)>) {
        for (name, parent) in own {
            let Some((_, figure)) = figures.iter_mut().find(|(stem, _)| *stem == name) else { continue };
            let mut label = format!("{}, to step {}", self.name(), self.step);
            let mut below = vec![];
            for mut curve in parent.curves {
                curve.points.retain(|(step, _)| *step <= self.step as f64);
                if curve.has_points() {
                    let style = Style { color: curve.style.color.pale(), ..curve.style };
                    below.push(Curve { label: std::mem::take(&mut label), style, ..curve });
                }
            }
            figure.curves.splice(0..0, below);
        }
    }
}

/// What a fork cannot change: the examples, the network and the loss.
fn task(manifest: &Manifest) -> (usize, &DataRecord, [Option<&Value>; 2]) {
    let section = |name| manifest.settings.as_ref().and_then(|settings| settings.get(name));
    (manifest.parameters, &manifest.data, ["model", "loss"].map(section))
}
