//! The curves of all jobs of a sweep over each other: colours for the values of one axis, dashes for those of another.
//! Jobs that differ in their seed alone are one curve, their mean, with a band.

use super::figures::{Drawn, Picture, short};
use super::seeds;
use super::{Axis, Job, SweepDir, SweepError};
use crate::folder::RunDir;
use crate::folder::tables::{read_curvature, read_metrics};
use crate::results::figure::palette::{BLACK, rising};
use crate::results::figure::{Curve, Figure, Horizontal, Scale, Style};
use crate::results::means::{Points, mean};
use crate::results::plot::AT_EDGE;

/// Dashes for the values of an axis; from the seventh on they are equal.
const DASHES: [&str; 6] = ["", "8 4", "2 3", "12 3 2 3", "18 4", "12 3 2 3 2 3"];

/// The axes that the looks of curves show, by their places.
struct Shown {
    color: usize,
    dash: Option<usize>,
    /// What a reader must know of curves that look alike.
    alike: &'static str,
}

impl Shown {
    fn of(axes: &[Axis]) -> Self {
        // Seeds beside other axes are averaged.
        let seeds = seeds::place(axes);
        let places: Vec<usize> = (0..axes.len()).rev().filter(|place| Some(*place) != seeds).collect();
        let (mut color, mut dash) = (places.first().copied().unwrap_or(0), places.get(1).copied());
        // There are more colours than dashes.
        if let Some(other) = dash.filter(|&other| axes[other].values.len() > axes[color].values.len()) {
            (color, dash) = (other, Some(color));
        }
        let alike = match dash {
            _ if places.len() > 2 => " Jobs that differ in other keys alone look alike.",
            Some(dash) if axes[dash].values.len() > DASHES.len() => " From the seventh value on, dashes are the same.",
            _ => "",
        };
        Self { color, dash, alike }
    }

    /// The look of the jobs with these values.
    fn style(&self, axes: &[Axis], values: &[String]) -> Style {
        let place = |axis: usize| axes[axis].values.iter().position(|value| *value == values[axis]).unwrap_or(0);
        let color = rising(place(self.color), axes[self.color].values.len());
        Style { color, width: 1.5, dashes: self.dash.map_or("", |axis| dashes(place(axis))) }
    }

    /// Names for the colours and the dashes: curves without points.
    fn legend(&self, axes: &[Axis]) -> Vec<Curve> {
        let entries = |axis: &Axis, look: &dyn Fn(usize) -> Style| -> Vec<Curve> {
            let name = |value: &String| format!("{} = {value}", short(&axis.key));
            axis.values.iter().enumerate().map(|(i, value)| Curve::new(name(value), vec![], look(i))).collect()
        };
        let colored = &axes[self.color];
        let count = colored.values.len();
        let mut curves = entries(colored, &|i| Style { color: rising(i, count), width: 2.0, dashes: "" });
        if let Some(dash) = self.dash {
            curves.extend(entries(&axes[dash], &|i| Style { color: BLACK, width: 2.0, dashes: dashes(i) }));
        }
        curves
    }
}

fn dashes(i: usize) -> &'static str {
    DASHES[i.min(DASHES.len() - 1)]
}

/// The curves of one job.
#[derive(Default)]
struct Curves {
    gauge: Points,
    ratio: Points,
    loss: Points,
}

impl Curves {
    /// Those of a job that has begun.
    fn read(job: &Job) -> Result<Self, SweepError> {
        let Ok(run) = RunDir::open(&job.run) else { return Ok(Self::default()) };
        let curvature = if run.curvature().is_file() { read_curvature(&run.curvature())? } else { vec![] };
        let metrics = if run.metrics().is_file() { read_metrics(&run.metrics())? } else { vec![] };
        Ok(Self {
            gauge: curvature.iter().map(|row| (row.step as f64, row.gauge)).collect(),
            ratio: curvature.iter().map(|row| (row.step as f64, row.edge_ratio)).collect(),
            loss: metrics.iter().map(|row| (row.step as f64, row.loss)).collect(),
        })
    }
}

/// The pictures of all jobs that have begun: gauges, λ_max ÷ edge, and loss.
///
/// # Errors
/// A table that cannot be read.
pub(crate) fn trajectories(sweep: &SweepDir) -> Result<Vec<Picture>, SweepError> {
    let axes = &sweep.axes;
    let shown = Shown::of(axes);
    let seeds = seeds::place(axes);
    let mut groups: Vec<(Vec<String>, Vec<Curves>)> = vec![];
    for job in sweep.jobs() {
        let mut values = job.values.clone();
        if let Some(place) = seeds {
            values[place].clear();
        }
        let curves = Curves::read(job)?;
        match groups.iter_mut().find(|group| group.0 == values) {
            Some(group) => group.1.push(curves),
            None => groups.push((values, vec![curves])),
        }
    }
    let first = groups.iter().flat_map(|group| &group.1).filter_map(|curves| curves.loss.first());
    let highest = first.fold(f64::MIN_POSITIVE, |most, point| point.1.max(most));
    let drawn = |of: fn(&Curves) -> &Points| -> Vec<Curve> {
        groups.iter().flat_map(|(values, jobs)| drawn(jobs, of, shown.style(axes, values))).collect()
    };
    let specs = [
        ("gauge", "Gauges of all jobs", "gauge (1 at the edge)", Scale::Auto, drawn(|it| &it.gauge)),
        ("edge_ratio", "λ_max ÷ edge of all jobs", "λ_max ÷ edge", Scale::Auto, drawn(|it| &it.ratio)),
        // The last values of a diverging job would flatten the others.
        ("loss", "Loss of all jobs", "loss (per example)", Scale::LogBelow(10.0 * highest), drawn(|it| &it.loss)),
    ];
    let caption = match seeds {
        Some(_) => {
            "One curve for the seeds of a combination: their mean at the steps that all have, and a band of one standard \
             deviation to either side; each by itself where they have too few steps in common."
        }
        None => "One curve a job, diverged ones up to their end.",
    };
    let picture = |(stem, title, y_label, scale, mut curves): (&str, &str, _, _, Vec<Curve>)| {
        let last = curves.iter().flat_map(|curve| &curve.points).fold(1.0_f64, |last, point| last.max(point.0));
        if stem != "loss" {
            curves.push(Curve::new("the edge", vec![(0.0, 1.0), (last, 1.0)], AT_EDGE));
        }
        curves.extend(shown.legend(axes));
        let note = if seeds.is_some() { "Means over seeds; bands: ± one standard deviation" } else { "" };
        let (title, note, x) = (title.to_owned(), note.to_owned(), Horizontal::Steps);
        Picture {
            stem: format!("trajectories_{stem}"),
            title: title.clone(),
            caption: format!("{caption}{}", shown.alike),
            drawn: Drawn::Curves(Figure { title, note, x, y_label, scale, curves }),
        }
    };
    Ok(specs.into_iter().filter(|spec| !spec.4.is_empty()).map(picture).collect())
}

/// One curve for jobs of equal look, if they have steps in common; otherwise one each.
fn drawn(jobs: &[Curves], of: fn(&Curves) -> &Points, style: Style) -> Vec<Curve> {
    let curves: Vec<&Points> = jobs.iter().map(of).filter(|points| points.iter().any(|p| p.1.is_finite())).collect();
    match mean(&curves).filter(|_| curves.len() > 1) {
        Some((points, band)) => vec![Curve { band, ..Curve::new("", points, style) }],
        None => curves.into_iter().map(|points| Curve::new("", points.clone(), style)).collect(),
    }
}
