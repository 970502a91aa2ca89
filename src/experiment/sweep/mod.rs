//! The folder of a sweep, as far as reports read it: what is swept, the jobs, and the table of their results.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::table::{RecordError, read};
use crate::choice::choice;

/// What can go wrong with a sweep.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// Not a sweep's folder.
    #[error("{} is not the folder of a sweep: {problem}; give the folder that `edgewalk sweep` named", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

choice! {
    /// Where a job stands.
    State {
        /// It has not begun.
        Waiting = "waiting",
        /// A process is at it.
        Running = "running",
        /// It was stopped or killed, and can go on.
        Interrupted = "interrupted",
        /// All its steps are made, or a stop rule ended it.
        Done = "done",
        /// Its numbers overflowed: a result.
        Diverged = "diverged",
        /// An error ended it, or its process crashed.
        Failed = "failed",
    }
}

/// A key and the values it takes, as TOML text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Axis {
    /// The full dotted key.
    pub key: String,
    /// Its values.
    pub values: Vec<String>,
}

/// One combination of values and its run folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The name of its run folder.
    pub name: String,
    /// Its values, one an axis.
    pub values: Vec<String>,
    /// Its run folder, which may not be there yet.
    pub run: PathBuf,
}

/// An existing sweep folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepDir {
    /// The folder.
    pub path: PathBuf,
    /// The preset's name, or the file's without `.toml`.
    pub name: String,
    /// What is swept.
    pub axes: Vec<Axis>,
    jobs: Vec<Job>,
}

#[derive(Deserialize)]
struct SweepToml {
    name: String,
    axis: Vec<Axis>,
}

impl SweepDir {
    /// Whether this is the folder of a sweep.
    pub fn is_one(path: &Path) -> bool {
        path.join("sweep.toml").is_file()
    }

    /// Opens the folder of an earlier sweep.
    ///
    /// # Errors
    /// [`SweepError::Unreadable`].
    pub fn open(path: &Path) -> Result<Self, SweepError> {
        let unreadable = |problem: String| SweepError::Unreadable { path: path.into(), problem };
        let text = fs::read_to_string(path.join("sweep.toml")).map_err(|error| unreadable(error.to_string()))?;
        let SweepToml { name, axis: axes } = toml::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
        let mut combinations = vec![vec![]];
        for axis in &axes {
            let extended =
                combinations.iter().flat_map(|before| axis.values.iter().map(|v| [before, &[v.clone()][..]].concat()));
            combinations = extended.collect();
        }
        let jobs = combinations.into_iter().map(|values| {
            let short = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
            let parts: Vec<String> = axes.iter().zip(&values).map(|(a, v)| format!("{}={v}", short(&a.key))).collect();
            let name = parts.join(",");
            Job { run: path.join("runs").join(&name), name, values }
        });
        Ok(Self { path: path.into(), name, jobs: jobs.collect(), axes })
    }

    /// Every job, the last axis changing fastest.
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// The base configuration.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// The table of results.
    pub fn summary(&self) -> PathBuf {
        self.path.join("summary.csv")
    }
}

/// One job's row. What is not known, or was not measured, is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct SummaryRow {
    /// The job's name.
    pub job: String,
    /// Its values, one an axis.
    pub values: Vec<String>,
    /// Where it stands.
    pub state: State,
    /// Updates made before the last logged row.
    pub steps: Option<u64>,
    /// The training loss there.
    pub loss: Option<f64>,
    /// The fraction of those examples that is misclassified.
    pub error: Option<f64>,
    /// ‖∇L‖ there.
    pub grad_norm: Option<f64>,
    /// The last measured loss on the test set.
    pub test_loss: Option<f64>,
    /// The fraction of the test set misclassified then.
    pub test_error: Option<f64>,
    /// ‖H‖, the median over the second half of the run.
    pub hessian_norm: Option<f64>,
    /// ‖H‖ divided by the edge: the median over the second half.
    pub edge_ratio: Option<f64>,
    /// The smallest such ratio.
    pub edge_ratio_low: Option<f64>,
    /// The largest such ratio.
    pub edge_ratio_high: Option<f64>,
    /// The gauge: the median over the second half.
    pub gauge: Option<f64>,
    /// The largest relative residual of λ₁ in the second half.
    pub worst_residual: Option<f64>,
    /// Wall time from the first step to the last, in seconds.
    pub wall_secs: Option<f64>,
    /// What there is to say about the state, such as an error.
    pub message: String,
}

/// Reads `summary.csv`.
///
/// # Errors
/// [`RecordError`].
pub fn read_summary(path: &Path) -> Result<Vec<SummaryRow>, RecordError> {
    let error = |cause| RecordError::Read { path: path.into(), cause };
    let header = csv::Reader::from_path(path).and_then(|mut reader| reader.headers().cloned()).map_err(error)?;
    let axes: Vec<&str> = header.iter().skip(1).take_while(|name| *name != "state").collect();
    read(path, |line| {
        let values = axes.iter().map(|axis| Ok(line.optional(axis)?.unwrap_or_default()));
        Ok(SummaryRow {
            job: line.required("job")?,
            values: values.collect::<Result<_, RecordError>>()?,
            state: line.required("state")?,
            steps: line.optional("steps")?,
            loss: line.optional("loss")?,
            error: line.optional("error")?,
            grad_norm: line.optional("grad_norm")?,
            test_loss: line.optional("test_loss")?,
            test_error: line.optional("test_error")?,
            hessian_norm: line.optional("hessian_norm")?,
            edge_ratio: line.optional("edge_ratio")?,
            edge_ratio_low: line.optional("edge_ratio_low")?,
            edge_ratio_high: line.optional("edge_ratio_high")?,
            gauge: line.optional("gauge")?,
            worst_residual: line.optional("worst_residual")?,
            wall_secs: line.optional("wall_secs")?,
            message: line.optional("message")?.unwrap_or_default(),
        })
    })
}
