//! Cells of `curvature.csv` that are read together.

use super::rows::{BatchRow, CurvatureRow, Extreme, FreshBatches, OfficialRow, PreconditionedRow};
use super::table::{Line, RecordError};
use crate::config::MeasuringSet;

/// An end of the spectrum; tables of early versions have no error beside it.
pub(super) fn extreme(line: &Line<'_>, name: &str) -> Result<Option<Extreme>, RecordError> {
    let Some(value) = line.optional(name)? else { return Ok(None) };
    let error = line.optional(&format!("{name}_error"))?.unwrap_or(f64::INFINITY);
    Ok(Some(Extreme { value, error }))
}

pub(super) fn measured(row: &mut CurvatureRow, line: &Line<'_>, name: &str) -> Result<(), RecordError> {
    if let Some(on) = line.optional(name)? {
        row.measured = Some(MeasuringSet { on, examples: line.required("examples")? });
    }
    Ok(())
}

pub(super) fn batch(row: &mut CurvatureRow, line: &Line<'_>, name: &str) -> Result<(), RecordError> {
    if let Some(grad_norm) = line.optional(name)? {
        let fresh = match line.optional("batch_sharpness_mean")? {
            Some(mean) => Some(FreshBatches {
                mean,
                error: line.or_nan("batch_sharpness_error")?,
                batches: line.optional("batch_sharpness_batches")?.unwrap_or_default(),
            }),
            None => None,
        };
        row.batch = Some(BatchRow { sharpness: line.or_nan("batch_sharpness")?, grad_norm, fresh });
    }
    Ok(())
}

pub(super) fn official(row: &mut CurvatureRow, line: &Line<'_>, name: &str) -> Result<(), RecordError> {
    if let Some(hessian_norm) = line.optional(name)? {
        row.official = Some(OfficialRow {
            hessian_norm,
            edge_ratio: line.or_nan("official_edge_ratio")?,
            grad_alignment: line.or_nan("official_grad_alignment")?,
            sam_grad_alignment: line.or_nan("official_sam_grad_alignment")?,
            hvps: line.required("official_hvps")?,
        });
    }
    Ok(())
}

pub(super) fn preconditioned(row: &mut CurvatureRow, line: &Line<'_>, name: &str) -> Result<(), RecordError> {
    if let Some(sharpness) = line.optional(name)? {
        row.preconditioned = Some(PreconditionedRow {
            sharpness,
            error: line.or_nan("preconditioned_error")?,
            edge: line.or_nan("preconditioned_edge")?,
            gauge: line.or_nan("preconditioned_gauge")?,
            participation: line.or_nan("participation")?,
        });
    }
    Ok(())
}

/// One for each eigenvalue, or none at all.
pub(super) fn follows(row: &mut CurvatureRow, line: &Line<'_>, name: &str) -> Result<(), RecordError> {
    let cells = (1..=row.lambdas.len()).map(|i| line.optional(&format!("{name}_{i}")));
    let cells = cells.collect::<Result<Vec<_>, _>>()?;
    row.follows = if cells.iter().any(Option::is_some) { cells } else { vec![] };
    Ok(())
}

/// 1 or 0, which plots and TensorBoard can show.
pub(super) fn converged(row: &mut CurvatureRow, line: &Line<'_>, name: &str) -> Result<(), RecordError> {
    row.converged = line.numbered(name)?.into_iter().map(|flag| flag != 0.0).collect();
    Ok(())
}
