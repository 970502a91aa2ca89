//! The data of a run folder: the configuration, if it can be read, and the rows so far.

#[cfg(feature = "plots")]
use super::parent::Ancestor;
use super::summary::Summary;
use crate::config::{self, Config, MeasureMethod, build};
use crate::folder::RunDir;
use crate::folder::rows::{CurvatureRow, MetricsRow};
use crate::folder::table::RecordError;
use crate::folder::tables::{read_curvature, read_metrics};
use crate::optim::Rule;
#[cfg(feature = "plots")]
use crate::text::with_causes;

/// See the module text.
pub(crate) struct Readout {
    /// `None` if this version cannot read it; then names are missing, but no pictures.
    pub config: Option<Config>,
    /// Its rule; that of SAM if unknown.
    pub rule: Rule,
    pub metrics: Vec<MetricsRow>,
    pub curvature: Vec<CurvatureRow>,
    /// The part before a fork.
    #[cfg(feature = "plots")]
    pub parent: Option<Box<Ancestor<Self>>>,
}

impl Readout {
    /// Reads the folder of a run that has begun.
    ///
    /// # Errors
    /// [`RecordError`] if there is no `metrics.csv`, or a table cannot be read.
    pub fn of(run: &RunDir) -> Result<Self, RecordError> {
        Self::with(run, read_metrics(&run.metrics())?)
    }

    /// The same for a run that may have stopped before it had a table.
    ///
    /// # Errors
    /// [`RecordError`] if an existing table cannot be read.
    pub fn so_far(run: &RunDir) -> Result<Self, RecordError> {
        if run.metrics().is_file() { Self::of(run) } else { Self::with(run, vec![]) }
    }

    /// The rows of a parent up to the step of its fork, if it has come so far.
    #[cfg(feature = "plots")]
    fn before(run: &RunDir, step: u64) -> Result<Self, String> {
        let rows = read_metrics(&run.metrics()).and_then(|metrics| Self::alone(run, metrics));
        let mut rows = rows.map_err(|error| with_causes(&error))?;
        let every = rows.config.as_ref().map_or(1, |config| config.run.log_every);
        let last = rows.metrics.last().map_or(0, |row| row.step);
        if last.saturating_add(every) < step {
            return Err(format!("the rows of {} end at step {last}", run.path().display()));
        }
        rows.metrics.retain(|row| row.step <= step);
        rows.curvature.retain(|row| row.step <= step);
        Ok(rows)
    }

    #[cfg(feature = "plots")]
    fn with(run: &RunDir, metrics: Vec<MetricsRow>) -> Result<Self, RecordError> {
        let mut readout = Self::alone(run, metrics)?;
        if let Ok(manifest) = run.read_manifest()
            && let Some(parent) = &manifest.parent
        {
            readout.parent = Ancestor::of(&manifest, |run| Self::before(run, parent.step)).map(Box::new);
        }
        Ok(readout)
    }

    #[cfg(not(feature = "plots"))]
    fn with(run: &RunDir, metrics: Vec<MetricsRow>) -> Result<Self, RecordError> {
        Self::alone(run, metrics)
    }

    /// A run without its parent.
    fn alone(run: &RunDir, metrics: Vec<MetricsRow>) -> Result<Self, RecordError> {
        let config = config::resolve(Some(&run.config().to_string_lossy()), &[]).ok().map(|resolved| resolved.config);
        let curvature = if run.curvature().is_file() { read_curvature(&run.curvature())? } else { vec![] };
        if let (Some(config), Ok(manifest)) = (&config, run.read_manifest()) {
            // A run that goes on may be told to end before the step that it has reached.
            let reached = manifest.resumed.iter().map(|resumed| resumed.step).max().unwrap_or(0);
            let most = reached.max(manifest.steps_done).max(config.run.steps);
            let last = [metrics.last().map(|row| row.step), curvature.last().map(|row| row.step)];
            for (step, path) in last.into_iter().zip([run.metrics(), run.curvature()]) {
                if let Some(step) = step.filter(|&step| step > most) {
                    return Err(RecordError::TooFar { path, step, most });
                }
            }
        }
        Ok(Self {
            rule: config.as_ref().map_or(Rule::sam(1.0, 1.0), build::rule),
            curvature,
            config,
            metrics,
            #[cfg(feature = "plots")]
            parent: None,
        })
    }

    /// A summary of the rows.
    pub fn summary(&self) -> Summary {
        let batch = self.config.as_ref().map_or(0, |config| config.optim.batch);
        let by_power = self.config.as_ref().is_some_and(|config| config.measure.method == MeasureMethod::Power);
        Summary { batch, by_power, ..Summary::of(&self.metrics, &self.curvature, self.rule) }
    }
}
