//! Jobs that differ in their seed alone, taken together: means over the seeds, with standard deviations.

use super::{Axis, JobState, SummaryRow};
use crate::text::digits;

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
    pub averages: [Option<Average>; 3],
}

/// A mean, and the standard deviation of the sample.
#[derive(Clone, Copy)]
pub(super) struct Average {
    pub mean: f64,
    pub deviation: f64,
}

impl Average {
    fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
        Self { mean, deviation: (squares / (count - 1.0).max(1.0)).sqrt() }
    }

    /// The mean ± the standard deviation.
    pub fn words(self) -> String {
        format!("{} ± {}", digits(self.mean, 4), digits(self.deviation, 2))
    }
}

/// The place of the seeds among the axes, unless they are the only one.
pub(super) fn place(axes: &[Axis]) -> Option<usize> {
    axes.iter().position(|axis| axis.key == SEED).filter(|_| axes.len() > 1)
}

impl OverSeeds {
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

    /// The means in lines, for people.
    pub fn in_lines(&self) -> String {
        let line = |Mean { row, averages }: &Mean| {
            let values = self.axes.iter().zip(&row.values).map(|(axis, value)| format!("{} = {value}", axis.key));
            let names = ["loss", "edge ratio", "gauge"].into_iter().zip(averages);
            let numbers = names.filter_map(|(name, average)| Some(format!("{name} {}", (*average)?.words())));
            let parts: Vec<String> = values.chain(numbers).collect();
            let state = if row.state == JobState::Done { String::new() } else { format!("  {}", row.message) };
            format!("  {}{state}\n", parts.join("  "))
        };
        let lines: String = self.means.iter().map(line).collect();
        format!("means over {} seeds ± standard deviations:\n{lines}", self.seeds)
    }
}

impl Mean {
    fn of(values: Vec<String>, group: &[&SummaryRow]) -> Self {
        let mut row = SummaryRow::empty(group[0].job.clone(), values, JobState::Done, String::new());
        let open: Vec<&&SummaryRow> = group.iter().filter(|row| row.state != JobState::Done).collect();
        if let Some(first) = open.first() {
            row.state = first.state;
            row.message = format!("{} of {} seeds not done", open.len(), group.len());
            return Self { row, averages: [None; 3] };
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
        Self { row, averages }
    }
}
