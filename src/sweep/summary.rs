//! The table of results: one row for each job, made from the run's own tables. `summary.csv` is rewritten whole when a
//! job begins or ends; readers see the old table or the new one.

use std::path::Path;

use super::state::judge;
use super::{Job, JobState, SweepDir, SweepError, axis};
use crate::files::write_file;
use crate::folder::RunDir;
use crate::folder::table::{RecordError, number, read, read_lines};
use crate::results::readout::Readout;
use crate::results::summary::Summary;
use crate::text::{self, HARD_SPACE, duration, with_causes};

/// One job's row. Unknown or unmeasured values are `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct SummaryRow {
    /// The job's name.
    pub job: String,
    /// Its values, one for each axis.
    pub values: Vec<String>,
    /// Its state.
    pub state: JobState,
    /// Updates made before the last logged row.
    pub steps: Option<u64>,
    /// The training loss there; in minibatch runs that of the minibatch.
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
    /// ‖H‖ divided by the SAM-edge, or by 2/η where ρ = 0: the median over the second half.
    pub edge_ratio: Option<f64>,
    /// The smallest such ratio.
    pub edge_ratio_low: Option<f64>,
    /// The largest such ratio.
    pub edge_ratio_high: Option<f64>,
    /// The gauge S, which is 1 at the edge: the median over the second half.
    pub gauge: Option<f64>,
    /// The first measured step at which the gauge is within the band about the edge by which the run is judged, or above.
    pub edge_step: Option<f64>,
    /// The largest relative residual of λ₁ in the second half.
    pub worst_residual: Option<f64>,
    /// Wall time from the first step to the last, in seconds.
    pub wall_secs: Option<f64>,
    /// A remark about the state, such as an error.
    pub message: String,
}

/// A column of numbers: its name, its value, and its place in a row.
pub(super) struct NumberColumn {
    pub name: &'static str,
    pub of: fn(&SummaryRow) -> Option<f64>,
    field: fn(&mut SummaryRow) -> &mut Option<f64>,
}

macro_rules! numbers {
    ($($field:ident),*) => {
        [$(NumberColumn { name: stringify!($field), of: |row| row.$field, field: |row| &mut row.$field }),*]
    };
}

/// The number of columns of numbers.
pub(super) const COLUMNS: usize = 13;

/// The columns of numbers behind `steps`, in order.
pub(super) const NUMBERS: [NumberColumn; COLUMNS] = numbers!(
    loss,
    error,
    grad_norm,
    test_loss,
    test_error,
    hessian_norm,
    edge_ratio,
    edge_ratio_low,
    edge_ratio_high,
    gauge,
    edge_step,
    worst_residual,
    wall_secs
);

impl SummaryRow {
    /// Puts a number into a column.
    pub(super) fn set(&mut self, column: &NumberColumn, value: Option<f64>) {
        *(column.field)(self) = value;
    }

    pub(super) fn empty(job: String, values: Vec<String>, state: JobState, message: String) -> Self {
        Self {
            job,
            values,
            state,
            steps: None,
            loss: None,
            error: None,
            grad_norm: None,
            test_loss: None,
            test_error: None,
            hessian_norm: None,
            edge_ratio: None,
            edge_ratio_low: None,
            edge_ratio_high: None,
            gauge: None,
            edge_step: None,
            worst_residual: None,
            wall_secs: None,
            message,
        }
    }

    /// The row from a job's folder. Failure without a trace in the folder comes from the row `before`.
    pub(super) fn of(job: &Job, before: Option<&Self>) -> Self {
        let (mut state, mut message) = judge(job);
        if let Some(before) = before
            && before.state == JobState::Failed
            && matches!(state, JobState::Waiting | JobState::Interrupted)
        {
            (state, message) = (JobState::Failed, before.message.clone());
        }
        let mut row = Self::empty(job.name.clone(), job.values.clone(), state, message);
        if state != JobState::Waiting
            && let Ok(run) = RunDir::open(&job.run)
            && let Err(error) = row.read_tables(&run)
        {
            row.note(&with_causes(&error));
        }
        row
    }

    /// Fills in values from the tables of a run.
    fn read_tables(&mut self, run: &RunDir) -> Result<(), RecordError> {
        let summary = Readout::so_far(run)?.summary();
        if let Some(words) = summary.not_judged() {
            self.note(&words);
        }
        let Summary { last, test, edge, norm, .. } = summary;
        if let Some(last) = last {
            self.steps = Some(last.step);
            (self.loss, self.error, self.grad_norm) = (Some(last.loss), Some(last.error), Some(last.grad_norm));
            let whole = run.read_manifest().map(|manifest| manifest.wall_secs).unwrap_or_default();
            self.wall_secs = Some(if whole > 0.0 { whole } else { last.secs });
        }
        (self.test_loss, self.test_error) = test.unzip();
        self.hessian_norm = norm.map(|norm| norm.median);
        if let Some(edge) = edge {
            self.edge_ratio = edge.ratio.map(|ratio| ratio.median);
            self.edge_ratio_low = edge.ratio.map(|ratio| ratio.min);
            self.edge_ratio_high = edge.ratio.map(|ratio| ratio.max);
            self.gauge = Some(edge.gauge.median);
            self.edge_step = edge.reached.map(|step| step as f64);
            self.worst_residual = Some(edge.worst_residual);
        }
        Ok(())
    }

    /// Adds something to the message.
    pub(super) fn note(&mut self, text: &str) {
        if !self.message.is_empty() {
            self.message += "; ";
        }
        self.message += text;
    }
}

/// Writes `summary.csv`, whole or not at all.
///
/// # Errors
/// [`SweepError`] if the file cannot be written.
pub(super) fn write_summary(sweep: &SweepDir, rows: &[SummaryRow]) -> Result<(), SweepError> {
    let mut writer = csv::Writer::from_writer(vec![]);
    let axes = sweep.axes.iter().map(|axis| axis.key.as_str());
    let numbers = NUMBERS.iter().map(|column| column.name);
    let header: Vec<&str> =
        ["job"].into_iter().chain(axes).chain(["state", "steps"]).chain(numbers).chain(["message"]).collect();
    let mut write = |cells: &[&str]| writer.write_record(cells).expect("memory takes every row of one length");
    write(&header);
    for row in rows {
        let steps = row.steps.map_or_else(String::new, |steps| steps.to_string());
        let numbers = NUMBERS.map(|column| (column.of)(row).map_or_else(String::new, number));
        let mut cells = vec![row.job.as_str()];
        cells.extend(row.values.iter().map(String::as_str));
        cells.extend([row.state.word(), &steps]);
        cells.extend(numbers.iter().map(String::as_str));
        cells.push(&row.message);
        write(&cells);
    }
    let bytes = writer.into_inner().expect("memory takes every row");
    Ok(write_file(&sweep.summary(), &bytes)?)
}

/// Reads the `summary.csv` of a sweep, at `path`, in the order of its jobs.
///
/// # Errors
/// [`RecordError`] if the table is missing or invalid.
pub fn read_summary(path: &Path) -> Result<Vec<SummaryRow>, RecordError> {
    let (header, _) = read_lines(path)?;
    // The columns between the job and its state are the axes.
    let axes: Vec<&str> = header.iter().skip(1).take_while(|name| *name != "state").collect();
    read(path, |line| {
        let values = axes.iter().map(|axis| Ok(line.optional(axis)?.unwrap_or_default()));
        let values = values.collect::<Result<_, RecordError>>()?;
        let message = line.optional("message")?.unwrap_or_default();
        let mut row = SummaryRow::empty(line.required("job")?, values, line.required("state")?, message);
        row.steps = line.optional("steps")?;
        for NumberColumn { name, field, .. } in NUMBERS {
            *field(&mut row) = line.optional(name)?;
        }
        Ok(row)
    })
}

/// The rows in columns of at most this width in all, for people.
pub(super) fn in_columns(sweep: &SweepDir, rows: &[SummaryRow], width: Option<usize>) -> String {
    let rest = ["state", "steps", "loss", "edge ratio [low, high]", "gauge", "wall", ""].map(str::to_owned);
    let mut lines: Vec<Vec<String>> = vec![axis::short_names(&sweep.axes).into_iter().chain(rest).collect()];
    for row in rows {
        let short = |x: Option<f64>| x.map_or_else(String::new, |x| format!("{x:.3}"));
        let ratio = match (row.edge_ratio, row.edge_ratio_low, row.edge_ratio_high) {
            // A range is one word.
            (Some(median), Some(low), Some(high)) => format!("{median:.3} [{low:.3},{HARD_SPACE}{high:.3}]"),
            _ => String::new(),
        };
        let cells = [
            row.state.to_string(),
            row.steps.map_or_else(String::new, |steps| steps.to_string()),
            row.loss.map_or_else(String::new, |loss| format!("{loss:.4e}")),
            ratio,
            short(row.gauge),
            row.wall_secs.map_or_else(String::new, |secs| duration(secs).replace(' ', &HARD_SPACE.to_string())),
            row.message.lines().next().unwrap_or_default().to_owned(),
        ];
        lines.push(row.values.iter().cloned().chain(cells).collect());
    }
    text::in_columns(lines, width)
}
