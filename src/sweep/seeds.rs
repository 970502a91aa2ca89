//! Jobs that differ in their seed alone, taken together: means over the seeds, with standard deviations.

use super::summary::{COLUMNS, NUMBERS};
use super::{Axis, JobState, SummaryRow, axis};
use crate::results::moments::Moments;
use crate::text::{self, counted};

/// The axis that is no axis of a picture.
const SEED: &str = "run.seed";

/// The results of a sweep over its other axes.
pub(super) struct OverSeeds {
    /// The axes without the seeds.
    pub axes: Vec<Axis>,
    /// The number of seeds.
    pub seeds: usize,
    /// One for every combination of the other axes.
    pub means: Vec<Mean>,
}

/// The jobs of one combination.
pub(super) struct Mean {
    /// Means, and the state that all have or the first one that is not done.
    pub row: SummaryRow,
    /// Mean and standard deviation of each of [`NUMBERS`], if all jobs are done and have the number. Those of the step at
    /// which the edge is reached are over the seeds that reach it.
    moments: [Option<Moments>; COLUMNS],
    /// Their number, and that of all.
    reached: (usize, usize),
}

/// The place of the seeds among the axes, unless they are the only one.
pub(super) fn place(axes: &[Axis]) -> Option<usize> {
    axes.iter().position(|axis| axis.key == SEED).filter(|_| axes.len() > 1)
}

impl OverSeeds {
    /// The columns of [`Mean::words`].
    pub const COLUMNS: [&str; 4] = ["loss", "edge_ratio", "gauge", "edge_step"];
    /// Their names.
    pub const NAMES: [&str; 4] = ["loss", "edge ratio", "gauge", "step at the edge"];

    /// Takes the rows of a sweep together; `None` without an axis of seeds beside another one.
    pub fn of(axes: &[Axis], rows: &[SummaryRow]) -> Option<Self> {
        let place = place(axes)?;
        let without = |values: &[String]| {
            let mut values = values.to_vec();
            values.remove(place);
            values
        };
        let mut groups: Vec<(Vec<String>, Vec<&SummaryRow>)> = vec![];
        for row in rows {
            let values = without(&row.values);
            match groups.iter_mut().find(|(known, _)| *known == values) {
                Some((_, group)) => group.push(row),
                None => groups.push((values, vec![row])),
            }
        }
        let mut others = axes.to_vec();
        let seeds = others.remove(place).values.len();
        let means = groups.into_iter().map(|(values, group)| Mean::of(values, &group)).collect();
        Some(Self { axes: others, seeds, means })
    }

    /// The rows of means.
    #[cfg(feature = "plots")]
    pub fn rows(&self) -> Vec<SummaryRow> {
        self.means.iter().map(|mean| mean.row.clone()).collect()
    }

    /// The means in columns of at most this width in all, for people.
    pub fn in_columns(&self, width: Option<usize>) -> String {
        let head =
            axis::short_names(&self.axes).into_iter().chain(Self::NAMES.map(str::to_owned)).chain([String::new()]);
        let row = |mean: &Mean| {
            let message = if mean.row.state == JobState::Done { String::new() } else { mean.row.message.clone() };
            mean.row.values.iter().cloned().chain(mean.words()).chain([message]).collect()
        };
        let lines = std::iter::once(head.collect()).chain(self.means.iter().map(row)).collect();
        format!("means over {} seeds ± standard deviations:\n{}", self.seeds, text::in_columns(lines, width))
    }
}

impl Mean {
    fn of(values: Vec<String>, group: &[&SummaryRow]) -> Self {
        let mut row = SummaryRow::empty(group[0].job.clone(), values, JobState::Done, String::new());
        let open: Vec<&&SummaryRow> = group.iter().filter(|row| row.state != JobState::Done).collect();
        if let Some(first) = open.first() {
            row.state = first.state;
            row.message = format!("{} of {} seeds not done", open.len(), group.len());
            return Self { row, moments: [None; COLUMNS], reached: (0, 0) };
        }
        let moments = NUMBERS.map(|column| {
            let known: Vec<f64> = group.iter().filter_map(|row| (column.of)(row)).collect();
            let suffices = known.len() == group.len() || column.name == "edge_step";
            Moments::of(&known).filter(|_| suffices)
        });
        for (column, moments) in NUMBERS.iter().zip(&moments) {
            row.set(column, moments.map(|it| it.mean));
        }
        let reached = group.iter().filter(|row| row.edge_step.is_some()).count();
        Self { row, moments, reached: (reached, group.len()) }
    }

    /// Those of a column.
    pub fn column(&self, column: &str) -> Option<Moments> {
        let place = NUMBERS.iter().position(|number| number.name == column)?;
        self.moments[place]
    }

    /// Loss, edge ratio, gauge, and the step at which the edge is reached: means ± standard deviations, or nothing.
    pub fn words(&self) -> [String; 4] {
        let [loss, ratio, gauge, edge_step] = OverSeeds::COLUMNS.map(|column| self.column(column));
        let words = |moments: Option<Moments>| moments.map_or_else(String::new, |moments| moments.to_string());
        // Where no gauge is known, nothing can be said of it.
        let edge_step = match (self.reached, edge_step) {
            _ if gauge.is_none() => String::new(),
            ((reached, all), Some(step)) if reached == all => step.to_string(),
            ((reached, all), Some(step)) => format!("{step} ({reached} of {all} seeds)"),
            ((_, all), None) => format!("none of {}", counted(all, "seed")),
        };
        [words(loss), words(ratio), words(gauge), edge_step]
    }
}
