//! The axes of a sweep: keys with several values, their combinations, and a folder name for each.

use std::collections::BTreeSet;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use toml::Value;

use super::error::{MAX_JOBS, SweepError};
use crate::config::{self, ConfigError};
use crate::folder::settled::{PATHS, settled};

/// The longest name of a job, in bytes: file systems allow 255, with room for suffixes.
const LONGEST_NAME: usize = 120;

/// The longest value, in bytes: every job has a copy.
const LONGEST_VALUE: usize = 4096;

/// A key of the configuration and the values it takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// The key with its section, such as `optim.lr`.
    pub key: String,
    /// The values, as `--set key=VALUE` takes them.
    #[serde(deserialize_with = "texts")]
    pub values: Vec<String>,
}

/// The values in a list of `sweep.toml`, each of which must be in quotes: a number could be written in several ways,
/// and the name of its job would not be known.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let text = |value: Value| match value {
        Value::String(text) => Ok(text),
        other => Err(D::Error::custom(format!("write the value {other} in quotes: \"{other}\""))),
    };
    Vec::<Value>::deserialize(deserializer)?.into_iter().map(text).collect()
}

/// One value of every axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Combination {
    /// A name that every file system accepts, such as `lr=0.03,rho=0`.
    pub name: String,
    /// The values, one for each axis.
    pub values: Vec<String>,
}

/// Divides `--set` arguments into those with one value, unchanged, and the axes; each value is checked by itself.
///
/// # Errors
/// [`ConfigError`] for an unknown key or an unacceptable value; [`SweepError`] for a value or an axis given twice, and
/// if no key has several values.
pub(super) fn divide(sets: &[String]) -> Result<(Vec<String>, Vec<Axis>), SweepError> {
    let (mut fixed, mut axes) = (vec![], Vec::<Axis>::new());
    let mut fixed_keys = BTreeSet::new();
    for argument in sets {
        let Some((key, text)) = argument.split_once('=') else {
            return Err(ConfigError::NotKeyValue { argument: argument.clone() }.into());
        };
        let mut values = expanded(split(text))?;
        for value in &values {
            check(&format!("{key}={value}"))?;
        }
        let key = config::full_name(key.trim())?;
        if PATHS.contains(&key.as_str()) {
            values.iter_mut().for_each(|value| *value = settled_value(value));
        }
        if axes.iter().any(|axis| axis.key == key) || (values.len() > 1 && fixed_keys.contains(&key)) {
            return Err(SweepError::KeyTwice { key });
        }
        if let [value] = &values[..] {
            fixed.push(format!("{key}={value}"));
            fixed_keys.insert(key);
            continue;
        }
        let axis = Axis { key, values };
        axis.check_distinct()?;
        axes.push(axis);
    }
    if axes.is_empty() {
        return Err(SweepError::NoAxis);
    }
    Ok((fixed, axes))
}

impl Axis {
    /// Refuses a value that is there twice.
    pub(super) fn check_distinct(&self) -> Result<(), SweepError> {
        let Self { key, values } = self;
        match (1..values.len()).find(|&i| values[..i].contains(&values[i])) {
            Some(i) => Err(SweepError::ValueTwice { key: key.clone(), value: values[i].clone() }),
            None => Ok(()),
        }
    }
}

/// The values between the commas; a comma inside quotes or a list belongs to a value.
fn split(text: &str) -> Vec<String> {
    let (mut values, mut quote) = (vec![String::new()], None);
    for letter in text.chars() {
        let value = values.last_mut().expect("it begins with one and only grows");
        match quote {
            None if letter == ',' => {
                values.push(String::new());
                continue;
            }
            // A quote counts only at the start of a value.
            None if matches!(letter, '"' | '\'') && value.trim().is_empty() => quote = Some(letter),
            None if letter == '[' && value.trim().is_empty() => quote = Some(']'),
            Some(open) if letter == open => quote = None,
            _ => {}
        }
        value.push(letter);
    }
    values.iter().map(|value| value.trim().to_owned()).collect()
}

/// The same with ranges of whole numbers, such as 0..4, written out; both ends belong to a range.
fn expanded(values: Vec<String>) -> Result<Vec<String>, SweepError> {
    let mut all = vec![];
    for value in values {
        let range = value.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
        match range {
            Some((from, to)) if from < to => {
                let (from, to): (u64, u64) = (from, to);
                if to - from >= MAX_JOBS as u64 {
                    return Err(SweepError::TooMany);
                }
                all.extend((from..=to).map(|number| number.to_string()));
            }
            Some(_) | None => all.push(value),
        }
    }
    Ok(all)
}

/// A path as a value that does not depend on the working folder.
fn settled_value(value: &str) -> String {
    let bare = value.trim_matches(['"', '\'']);
    if bare.is_empty() { value.to_owned() } else { Value::from(&*settled(bare.as_ref()).to_string_lossy()).to_string() }
}

/// Refuses an unknown key or an unacceptable value, without checking contradictions.
fn check(argument: &str) -> Result<(), ConfigError> {
    match config::resolve(None, &[argument.to_owned()]) {
        Ok(_) | Err(ConfigError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The first fault of axes from a `sweep.toml` that may have been edited.
pub(super) fn problem(axes: &[Axis]) -> Option<String> {
    let is_key = |name: &str| config::full_name(name).is_ok_and(|full| full == name);
    let wrong = |(i, Axis { key, values }): (usize, &Axis)| match values.is_empty() {
        true => Some(format!("`{key}` has no values")),
        false if !is_key(key) => Some(format!("there is no key `{key}`")),
        false if values.iter().any(|value| value.len() > LONGEST_VALUE) => {
            Some(format!("`{key}` has a value of more than {LONGEST_VALUE} bytes"))
        }
        false => axes[..i].iter().any(|other| other.key == *key).then(|| format!("`{key}` is there twice")),
    };
    if axes.is_empty() { Some("it has no axis".into()) } else { axes.iter().enumerate().find_map(wrong) }
}

/// The number of combinations; `None` above [`MAX_JOBS`].
fn count(axes: &[Axis]) -> Option<usize> {
    let product = axes.iter().try_fold(1_usize, |product, axis| product.checked_mul(axis.values.len()));
    product.filter(|&count| count <= MAX_JOBS)
}

/// Every combination, the last axis changing fastest.
///
/// # Errors
/// [`SweepError::TooMany`].
pub(super) fn combinations(axes: &[Axis]) -> Result<Vec<Combination>, SweepError> {
    let count = count(axes).ok_or(SweepError::TooMany)?;
    let short: Vec<&str> = axes.iter().map(|axis| config::short_name(&axis.key)).collect();
    let mut combinations: Vec<Combination> = (0..count)
        .map(|mut place| {
            let mut values = vec![];
            for axis in axes.iter().rev() {
                values.push(axis.values[place % axis.values.len()].clone());
                place /= axis.values.len();
            }
            values.reverse();
            let named: Vec<String> = axes
                .iter()
                .zip(short.iter().zip(&values))
                .map(|(axis, (key, value))| {
                    // The file name of a path suffices.
                    let is_path = PATHS.contains(&axis.key.as_str());
                    let value = if is_path { value.rsplit(['/', '\\']).next().unwrap_or(value) } else { value };
                    format!("{key}={}", safe(value))
                })
                .collect();
            Combination { name: named.join(","), values }
        })
        .collect();
    // Some file systems ignore case.
    let distinct: BTreeSet<String> = combinations.iter().map(|it| it.name.to_lowercase()).collect();
    if distinct.len() < count || combinations.iter().any(|it| it.name.len() > LONGEST_NAME) {
        for (place, combination) in combinations.iter_mut().enumerate() {
            let name: String = combination.name.chars().take(LONGEST_NAME - 5).collect();
            combination.name = format!("{place:04}-{name}");
        }
    }
    Ok(combinations)
}

/// A value as part of a file name: ASCII letters, digits, and the signs of numbers.
fn safe(value: &str) -> String {
    let bare = value.trim_matches(['"', '\'']);
    bare.chars().map(|c| if c.is_ascii_alphanumeric() || "+-._".contains(c) { c } else { '_' }).collect()
}
/// The names of the axes without their sections, where those that are left differ.
pub(super) fn short_names(axes: &[Axis]) -> Vec<String> {
    let last = |axis: &Axis| axis.key.rsplit('.').next().unwrap_or(&axis.key).to_owned();
    let is_clear = |axis: &&Axis| axes.iter().filter(|other| last(other) == last(axis)).count() == 1;
    axes.iter().map(|axis| if is_clear(&axis) { last(axis) } else { axis.key.clone() }).collect()
}
