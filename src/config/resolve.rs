//! From the command line to a valid configuration: a preset, or a TOML file laid over the quickstart preset, then
//! `--set key=value` changes in order. Every key passes the table in `keys`, and `conflicts` refuses contradictions.

use std::io::ErrorKind;
use std::path::Path;

use toml::{Table, Value};

use super::{Config, ConfigError, DataName, LrSchedule, conflicts, keys, preset};
use crate::files::read_text;

/// A configuration with the name of its run folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The preset's name, or the file's name without `.toml`.
    pub name: String,
    /// The settings.
    pub config: Config,
}

/// Builds the configuration of a run from the command line: `target` is a preset or a TOML file (none:
/// `quickstart`), and `sets` are the `key=value` changes, applied in order.
///
/// A target that ends in `.toml` or exists as a file is a file; keys it leaves out keep the quickstart's values. For
/// arrays the defaults are all training examples and no test examples.
///
/// # Errors
/// A [`ConfigError`] for an unknown preset, an unreadable file, and every unknown key or unacceptable value.
pub fn resolve(target: Option<&str>, sets: &[String]) -> Result<Resolved, ConfigError> {
    let target = target.unwrap_or(preset::QUICKSTART);
    let path = Path::new(target);
    let (name, base, file) = if target.ends_with(".toml") || path.is_file() {
        let stem = path.file_stem().unwrap_or(path.as_os_str());
        let base = preset::find(preset::QUICKSTART)?.config.to_table();
        (stem.to_string_lossy().into_owned(), base, Some(read_table(path)?))
    } else {
        let preset = preset::find(target)?;
        (preset.name.to_owned(), preset.config.to_table(), None)
    };
    let changed = |mut table: Table| -> Result<Table, ConfigError> {
        keys::overlay(&mut table, file.clone().unwrap_or_default())?;
        sets.iter().try_for_each(|argument| keys::set(&mut table, argument))?;
        Ok(table)
    };
    let config = checked(match changed(base.clone())? {
        table if is_of_arrays(&table) => changed(with_all_examples(base))?,
        table => table,
    })?;
    Ok(Resolved { name, config })
}

/// Whether a table of all keys has examples of one's own.
fn is_of_arrays(table: &Table) -> bool {
    let name = table.get("data").and_then(|data| data.get("name"));
    name.and_then(Value::as_str) == Some(DataName::Arrays.word())
}

/// The same table with all training examples and no test examples, since a preset's numbers are those of its own data
/// set.
fn with_all_examples(mut table: Table) -> Table {
    if let Some(Value::Table(data)) = table.get_mut("data") {
        data.extend(["train", "test"].map(|key| (key.to_owned(), Value::Integer(0))));
    }
    table
}

/// Reads a TOML file without checking its keys.
fn read_table(path: &Path) -> Result<Table, ConfigError> {
    let text = read_text(path).map_err(|cause| match cause.kind() {
        ErrorKind::InvalidData => ConfigError::NotText { path: path.into(), problem: cause.to_string() },
        _ => {
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let preset = stem.and_then(|stem| preset::find(stem).ok()).filter(|_| cause.kind() == ErrorKind::NotFound);
            let meant = preset.map_or_else(String::new, |preset| format!(", or give the preset `{}`", preset.name));
            ConfigError::Read { path: path.into(), meant, cause }
        }
    })?;
    text.parse().map_err(|error: toml::de::Error| ConfigError::Parse {
        path: path.into(),
        message: error.to_string().trim_end().into(),
    })
}

/// The last check: `table` has every key with an accepted value; contradictions remain.
fn checked(table: Table) -> Result<Config, ConfigError> {
    let mut config: Config = table.try_into().expect("the table of keys accepts only what the sections can hold");
    conflicts::check(&config)?;
    // A run that goes on for longer keeps the schedule that it has.
    if config.optim.decay_steps == 0 && matches!(config.optim.schedule, LrSchedule::Cosine | LrSchedule::Linear) {
        config.optim.decay_steps = config.run.steps;
    }
    Ok(config)
}
