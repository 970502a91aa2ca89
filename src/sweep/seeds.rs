//! Jobs that differ in their seed alone, taken together: means over the seeds, with standard deviations.

use super::{Axis, JobState, SummaryRow, axis};
use crate::text::{self, counted, digits};

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
    /// Means, and the state that all have or the first one that is not done. `edge_ratio_low` and `edge_ratio_high` are one
    /// standard deviation below and above the mean.
    pub row: SummaryRow,
    /// Means and standard deviations of loss, edge ratio and gauge, if all are done.
    averages: [Option<Average>; 3],
    /// The same of the step at which the edge is reached, over the seeds that reach it.
    edge_step: Option<Average>,
    /// Their number, and that of all.
    reached: (usize, usize),
}

/// A mean, and the standard deviation of the sample.
#[derive(Clone, Copy)]
struct Average {
    mean: f64,
    deviation: f64,
}

impl Average {
    fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
        Self { mean, deviation: (squares / (count - 1.0).max(1.0)).sqrt() }
    }

    /// The mean ± the standard deviation.
    fn words(self) -> String {
        format!("{} ± {}", digits(self.mean, 4), digits(self.deviation, 2))
    }
}

/// The place of the seeds among the axes, unless they are the only one.
pub(super) fn place(axes: &[Axis]) -> Option<usize> {
    axes.iter().position(|axis| axis.key == SEED).filter(|_| axes.len() > 1)
}

impl OverSeeds {
    /// The names of [`Mean::words`].
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
            return Self { row, averages: [None; 3], edge_step: None, reached: (0, 0) };
        }
        let average = |of: fn(&SummaryRow) -> Option<f64>| -> Option<Average> {
            let values = group.iter().map(|row| of(row)).collect::<Option<Vec<f64>>>()?;
            Some(Average::of(&values))
        };
        let averages = [average(|row| row.loss), average(|row| row.edge_ratio), average(|row| row.gauge)];
        let [loss, ratio, gauge] = averages;
        (row.loss, row.gauge) = (loss.map(|it| it.mean), gauge.map(|it| it.mean));
        row.edge_ratio = ratio.map(|it| it.mean);
        row.edge_ratio_low = ratio.map(|it| it.mean - it.deviation);
        row.edge_ratio_high = ratio.map(|it| it.mean + it.deviation);
        let reached: Vec<f64> = group.iter().filter_map(|row| row.edge_step).collect();
        let edge_step = (!reached.is_empty()).then(|| Average::of(&reached));
        row.edge_step = edge_step.map(|it| it.mean);
        Self { row, averages, edge_step, reached: (reached.len(), group.len()) }
    }

    /// Loss, edge ratio, gauge, and the step at which the edge is reached: means ± standard deviations, or nothing.
    pub fn words(&self) -> [String; 4] {
        let words = |average: Option<Average>| average.map_or_else(String::new, Average::words);
        let [loss, ratio, gauge] = self.averages.map(words);
        // Where no gauge is known, nothing can be said of it.
        let edge_step = match (self.reached, self.edge_step) {
            _ if gauge.is_empty() => String::new(),
            ((reached, all), Some(step)) if reached == all => step.words(),
            ((reached, all), Some(step)) => format!("{} ({reached} of {all} seeds)", step.words()),
            ((_, all), None) => format!("none of {}", counted(all, "seed")),
        };
        [loss, ratio, gauge, edge_step]
    }
}
