//! The tables of a run: begun, or gone on with where a checkpoint was taken.

use crate::experiment::config::{Config, MeasureMethod};
use crate::experiment::record::{
    CurvatureColumns, CurvatureRow, CurvatureWriter, MetricsRow, MetricsWriter, RecordError,
};
use crate::experiment::rundir::RunDir;
use crate::experiment::swings::{OscillationRow, OscillationWriter};

/// See the module text.
pub(super) struct Tables {
    metrics: MetricsWriter,
    curvature: CurvatureWriter,
    oscillation: Option<OscillationWriter>,
}

impl Tables {
    /// New tables; or those of the run cut to the bytes that they had at a checkpoint.
    pub fn open(dir: &RunDir, config: &Config, bytes: Option<[u64; 3]>) -> Result<Self, RecordError> {
        let columns = CurvatureColumns {
            top: config.measure.top,
            bottom: config.measure.bottom,
            batch: config.optim.batch > 0,
            official: config.measure.method == MeasureMethod::Official,
        };
        let [metrics, curvature, oscillation] = [0, 1, 2].map(|table| bytes.map(|bytes| bytes[table]));
        Ok(Self {
            metrics: MetricsWriter::open(&dir.metrics(), metrics)?,
            curvature: CurvatureWriter::open(&dir.curvature(), columns, curvature)?,
            oscillation: match config.measure.window {
                0 => None,
                _ => Some(OscillationWriter::open(&dir.oscillation(), oscillation)?),
            },
        })
    }

    pub fn metrics(&mut self, row: &MetricsRow) -> Result<(), RecordError> {
        self.metrics.write(row)
    }

    pub fn curvature(&mut self, row: &CurvatureRow) -> Result<(), RecordError> {
        self.curvature.write(row)
    }

    pub fn oscillation(&mut self, row: &OscillationRow) -> Result<(), RecordError> {
        self.oscillation.as_mut().map_or(Ok(()), |table| table.write(row))
    }

    /// Sees to it that all rows are on the disk, and says how many bytes each table has.
    pub fn sync(&mut self) -> Result<[u64; 3], RecordError> {
        let oscillation = self.oscillation.as_mut().map_or(Ok(0), OscillationWriter::sync)?;
        Ok([self.metrics.sync()?, self.curvature.sync()?, oscillation])
    }
}
