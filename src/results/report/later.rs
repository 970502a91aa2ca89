//! What `edgewalk curvature` has measured at the last row of a run's curvature.csv: usually to smaller errors than the
//! measurements during training, which stop early.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::config::{MeasureAt, MeasureOn};
use crate::folder::RunDir;
use crate::folder::rows::{CurvatureRow, Extreme};

/// The largest relative difference of two losses of the same parameters on the same examples.
const SAME: f64 = 1e-4;

/// Eigenvalues of the Hessian of all parameters.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Later {
    /// Those of largest magnitude.
    pub top: Vec<LaterPair>,
    /// The lowest ones, rising.
    pub bottom: Vec<LaterPair>,
    /// The ends of the spectrum.
    pub lambda_max: Option<Extreme>,
    /// See `lambda_max`.
    pub lambda_min: Option<Extreme>,
}

/// An eigenvalue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LaterPair {
    pub value: f64,
    pub error: f64,
    pub residual: f64,
    pub converged: bool,
}

impl Later {
    /// The analysis of the parameters and the examples of this row, if there is one.
    pub fn at(run: &RunDir, row: &CurvatureRow) -> Option<Self> {
        let set = row.measured.filter(|set| set.on != MeasureOn::Batch)?;
        if row.at == Some(MeasureAt::Midpoint) {
            return None;
        }
        let mut files: Vec<PathBuf> = fs::read_dir(run.path().join("analysis"))
            .ok()?
            .filter_map(|entry| Some(entry.ok()?.path().join("curvature.json")))
            .collect();
        files.sort();
        files.into_iter().rev().find_map(|file| {
            let json: Value = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
            let loss = json["loss"].as_f64()?;
            let is_same = json["step"].as_u64() == Some(row.step)
                && json["examples"].as_u64() == Some(set.examples as u64)
                && (loss - row.loss).abs() <= SAME * row.loss.abs();
            let of_all = |finding: &&Value| finding["block"] == "all" && finding["matrix"] == "hessian";
            is_same.then(|| json["findings"].as_array()?.iter().find(of_all).map(Self::of))?
        })
    }

    fn of(finding: &Value) -> Self {
        let pairs = |name: &str| -> Vec<LaterPair> {
            finding[name].as_array().into_iter().flatten().map_while(LaterPair::of).collect()
        };
        let end = |name: &str| {
            let (value, error) = (finding[name]["value"].as_f64()?, finding[name]["residual"].as_f64()?);
            Some(Extreme { value, error })
        };
        let (lambda_max, lambda_min) = (end("lambda_max"), end("lambda_min"));
        Self { top: pairs("eigenvalues"), bottom: pairs("lowest"), lambda_max, lambda_min }
    }
}

impl LaterPair {
    fn of(json: &Value) -> Option<Self> {
        let number = |name: &str| json[name].as_f64();
        let (value, error, residual) = (number("value")?, number("error")?, number("residual")?);
        Some(Self { value, error, residual, converged: json["converged"].as_bool()? })
    }
}
