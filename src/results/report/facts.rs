//! What a report of a run is made of.

use std::fs;

use super::later::Later;
use crate::config::effective_toml;
use crate::folder::RunDir;
use crate::folder::manifest::Manifest;
use crate::folder::rows::CurvatureRow;
use crate::results::readout::Readout;
use crate::results::summary::Summary;
use crate::text::with_causes;

/// The content of a report.
pub(super) struct Facts {
    pub name: String,
    pub readout: Readout,
    pub config_text: String,
    pub manifest: Result<Manifest, String>,
    pub summary: Summary,
    /// What `edgewalk curvature` has measured at the last row of curvature.csv.
    pub later: Option<Later>,
}

impl Facts {
    pub fn of(run: &RunDir, readout: Readout) -> Self {
        let path = run.path().canonicalize().unwrap_or_else(|_| run.path().into());
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Self {
            summary: readout.summary(),
            config_text: match &readout.config {
                Some(config) => effective_toml(config),
                None => fs::read_to_string(run.config()).unwrap_or_default(),
            },
            later: readout.curvature.last().and_then(|row| Later::at(run, row)),
            manifest: run.read_manifest().map_err(|error| with_causes(&error)),
            name,
            readout,
        }
    }

    pub fn edge_name(&self) -> String {
        let is_gd = self.readout.curvature.iter().all(CurvatureRow::edges_coincide);
        if is_gd { self.readout.rule.unperturbed().edge_name() } else { self.readout.rule.edge_name() }
    }

    pub fn steps_done(&self) -> u64 {
        let logged = self.readout.metrics.last().map_or(0, |row| row.step);
        self.manifest.as_ref().map_or(0, |manifest| manifest.steps_done).max(logged)
    }
}
