//! The tables of a run, new or continued from a checkpoint, and the receivers of their rows: observer and TensorBoard.

use super::RunError;
use crate::config::{Config, MeasureMethod};
use crate::folder::rows::{CurvatureColumns, CurvatureRow, MetricsRow, OscillationRow};
use crate::folder::table::RecordError;
use crate::folder::tables::{CurvatureWriter, MetricsWriter, OscillationWriter};
use crate::folder::{RunDir, RunDirError};
use crate::observer::{Logged, Observer, OutputError};
use crate::results::live::tensorboard::TensorBoard;

/// See the module text.
pub(super) struct Tables<'a> {
    metrics: MetricsWriter,
    curvature: CurvatureWriter,
    oscillation: Option<OscillationWriter>,
    followers: Followers<'a>,
}

struct Followers<'a> {
    observer: &'a dyn Observer,
    tensorboard: Option<TensorBoard>,
}

impl Followers<'_> {
    fn show(&mut self, logged: Logged<'_>) -> Result<(), RunError> {
        self.observer.row(logged).map_err(OutputError)?;
        if let Some(tensorboard) = &mut self.tensorboard {
            tensorboard.write(logged)?;
        }
        Ok(())
    }
}

/// The columns of curvature.csv.
fn columns(config: &Config) -> CurvatureColumns {
    CurvatureColumns {
        top: config.measure.top,
        bottom: config.measure.bottom,
        batch: config.optim.batch > 0,
        official: config.measure.method == MeasureMethod::Official,
        adaptive: config.optim.is_adaptive(),
    }
}

impl<'a> Tables<'a> {
    /// Refuses tables that do not have the bytes of a checkpoint. Changes nothing.
    pub fn check(
        dir: &RunDir,
        config: &Config,
        [metrics, curvature, oscillation]: [u64; 3],
    ) -> Result<(), RecordError> {
        let columns = columns(config);
        MetricsWriter::check(&dir.metrics(), columns, metrics)?;
        CurvatureWriter::check(&dir.curvature(), columns, curvature)?;
        match config.measure.window {
            0 => Ok(()),
            _ => OscillationWriter::check(&dir.oscillation(), columns, oscillation),
        }
    }

    /// Makes the tables without rows, and returns their bytes.
    pub fn empty(dir: &RunDir, config: &Config) -> Result<[u64; 3], RecordError> {
        Self::open(dir, config, None, &())?.sync()
    }

    /// Makes new tables, or cuts those of the run to the bytes that they had at a checkpoint.
    pub fn open(
        dir: &RunDir,
        config: &Config,
        bytes: Option<[u64; 3]>,
        observer: &'a dyn Observer,
    ) -> Result<Self, RecordError> {
        let [metrics, curvature, oscillation] = [0, 1, 2].map(|table| bytes.map(|bytes| bytes[table]));
        let columns = columns(config);
        let metrics = MetricsWriter::open(&dir.metrics(), columns, metrics)?;
        let curvature = CurvatureWriter::open(&dir.curvature(), columns, curvature)?;
        let oscillation = match config.measure.window {
            0 => None,
            _ => Some(OscillationWriter::open(&dir.oscillation(), columns, oscillation)?),
        };
        let tensorboard = if config.run.tensorboard { Some(TensorBoard::of_tables(dir)?) } else { None };
        Ok(Self { metrics, curvature, oscillation, followers: Followers { observer, tensorboard } })
    }

    /// Refuses a run folder that was removed, renamed or exchanged: rows written to the open files would be lost.
    ///
    /// # Errors
    /// [`RunDirError::Gone`].
    pub fn check_there(&self, dir: &RunDir) -> Result<(), RunDirError> {
        match self.metrics.is_in_place() {
            true => Ok(()),
            false => Err(RunDirError::Gone { path: dir.path().into() }),
        }
    }

    pub fn metrics(&mut self, row: &MetricsRow) -> Result<(), RunError> {
        self.followers.show(self.metrics.write(row)?)
    }

    pub fn curvature(&mut self, row: &CurvatureRow) -> Result<(), RunError> {
        self.followers.show(self.curvature.write(row)?)
    }

    pub fn oscillation(&mut self, row: &OscillationRow) -> Result<(), RunError> {
        match &mut self.oscillation {
            Some(table) => self.followers.show(table.write(row)?),
            None => Ok(()),
        }
    }

    /// Flushes all rows to the disk, and returns the bytes of each table.
    pub fn sync(&mut self) -> Result<[u64; 3], RecordError> {
        let oscillation = self.oscillation.as_mut().map_or(Ok(0), OscillationWriter::sync)?;
        Ok([self.metrics.sync()?, self.curvature.sync()?, oscillation])
    }
}
