//! The runs of a comparison in groups of one colour: each run by itself, or those with one value of a setting together.

use std::cmp::Ordering;

use super::ComparedSource;
use super::differences::settings_of;
use crate::config;
use crate::results::ResultsError;
use crate::results::moments::Moments;
use crate::results::summary::Summary;
use crate::text::{counted, digits};

/// Runs of one colour.
pub(super) struct Group<'a> {
    /// The name in the legend.
    pub name: String,
    /// The runs, at least one.
    pub members: Vec<&'a ComparedSource>,
    /// The settings in which these differ among each other.
    pub differ: Vec<String>,
}

/// One group for each run.
pub(super) fn each(sources: &[ComparedSource]) -> Vec<Group<'_>> {
    sources.iter().map(|source| Group { name: source.name.clone(), members: vec![source], differ: vec![] }).collect()
}

/// The groups of runs with equal values of some keys, in the order of the values.
///
/// # Errors
/// A key that no section has, a run without it, a raw file, which has no settings.
pub(super) fn by<'a>(keys: &[String], sources: &'a [ComparedSource]) -> Result<Vec<Group<'a>>, ResultsError> {
    let keys = keys.iter().map(|key| config::full_name(key)).collect::<Result<Vec<_>, _>>()?;
    let mut groups: Vec<(Vec<String>, Vec<&ComparedSource>)> = vec![];
    for source in sources {
        let values = keys.iter().map(|key| value(source, key)).collect::<Result<Vec<_>, _>>()?;
        match groups.iter_mut().find(|group| group.0 == values) {
            Some(group) => group.1.push(source),
            None => groups.push((values, vec![source])),
        }
    }
    groups.sort_by(|a, b| {
        a.0.iter().zip(&b.0).map(|(a, b)| in_order(a, b)).find(|it| it.is_ne()).unwrap_or(Ordering::Equal)
    });
    let named = groups.into_iter().map(|(values, members)| {
        let parts = keys.iter().zip(&values).map(|(key, value)| format!("{} = {value}", config::short_name(key)));
        let runs = if members.len() > 1 { format!(" ({} runs)", members.len()) } else { String::new() };
        let differ = differing(&members);
        Group { name: parts.collect::<Vec<_>>().join(", ") + &runs, members, differ }
    });
    Ok(named.collect())
}

/// A run's value of a key as people write it.
fn value(source: &ComparedSource, key: &str) -> Result<String, ResultsError> {
    let missing = |why| ResultsError::NoValue { run: source.name.clone(), key: key.into(), why };
    let run = source.run().ok_or_else(|| missing("a raw file of the official code has no settings; leave it out"))?;
    let value = settings_of(run).remove(key);
    let value = value.ok_or_else(|| missing("its config.toml lacks the key or cannot be read; leave the run out"))?;
    Ok(value.parse().map_or_else(|_| value.trim_matches('"').to_owned(), |number: f64| digits(number, 12)))
}

/// Numbers by size, and before other values, which stay in the order of the runs.
fn in_order(a: &str, b: &str) -> Ordering {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.total_cmp(&b),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => Ordering::Equal,
    }
}

/// The settings in which some runs differ.
fn differing(members: &[&ComparedSource]) -> Vec<String> {
    let all: Vec<_> = members.iter().filter_map(|member| member.run()).map(settings_of).collect();
    let Some((first, others)) = all.split_first() else { return vec![] };
    let is_other = |key: &&String| others.iter().any(|other| other.get(*key) != first.get(*key));
    first.keys().filter(is_other).cloned().collect()
}

/// A key number of a run: its name and its value.
type KeyNumber = (&'static str, fn(&Summary) -> Option<f64>);

/// The groups in lines: their runs, how these differ among each other, and means of the key numbers.
pub(super) fn in_words(groups: &[Group<'_>]) -> String {
    let mut text = String::new();
    for Group { name, members, differ } in groups {
        let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
        text += &format!("{name}: {}\n", names.join(", "));
        if members.len() > 1 {
            let keys = if differ.is_empty() { "no setting".into() } else { differ.join(", ") };
            text += &format!("  {} that differ in {keys}\n", counted(members.len(), "run"));
        }
        let runs = members.iter().filter_map(|member| member.run());
        let summaries: Vec<Summary> = runs.map(|run| run.readout.summary()).collect();
        let numbers: [KeyNumber; 4] = [
            ("loss", |it| it.last.as_ref().map(|row| row.loss)),
            ("‖H‖", |it| it.norm.map(|norm| norm.median)),
            ("edge ratio", |it| it.edge.as_ref()?.ratio.map(|ratio| ratio.median)),
            ("gauge", |it| it.edge.as_ref().map(|edge| edge.gauge.median)),
        ];
        let parts = numbers.iter().filter_map(|(what, of)| {
            let values = summaries.iter().map(of).collect::<Option<Vec<f64>>>()?;
            let moments = Moments::of(&values)?;
            Some(if values.len() > 1 {
                format!("{what} {moments}")
            } else {
                format!("{what} {}", digits(moments.mean, 4))
            })
        });
        text += &format!("  {}\n", parts.collect::<Vec<_>>().join(", "));
    }
    text + "(means over the runs of a group ± one standard deviation; ‖H‖, edge ratio and gauge: medians over the second half of \
            each run)\n"
}
