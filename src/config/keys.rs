//! Looks keys up: to lay a file over a preset, to apply `--set key=value` with full or short names, and to explain an
//! error. Accepted values fit the structs of [`crate::config`].

use toml::{Table, Value};

use super::accepts::Accepts;
use super::key_table::{KEYS, Key};
use super::{ConfigError, suggest};

impl Key {
    pub(super) fn full_name(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// Stores `value` in `table` if the key accepts it.
    fn store(&self, table: &mut Table, value: Value) -> Result<(), ConfigError> {
        if !self.accepts.accepts(&value) {
            return Err(self.refused(&value));
        }
        if let Value::Table(section) = table.entry(self.section).or_insert_with(|| Table::new().into()) {
            section.insert(self.name.into(), value);
        }
        Ok(())
    }

    fn refused(&self, value: &Value) -> ConfigError {
        ConfigError::BadValue {
            key: self.full_name(),
            value: match value {
                // An exponent where TOML would write hundreds of zeros.
                Value::Float(number) if number.is_finite() => format!("{number:?}"),
                value => value.to_string(),
            },
            allowed: self.accepts.describe() + &self.accepts.meant(value).unwrap_or_default(),
        }
    }
}

/// Lays the keys of `file` over `table`, checking each.
pub(crate) fn overlay(table: &mut Table, file: Table) -> Result<(), ConfigError> {
    for (section, content) in file {
        let is_section = KEYS.iter().any(|key| key.section == section);
        match content {
            Value::Table(content) if is_section || !content.is_empty() => {
                for (name, value) in content {
                    find(&section, &name)?.store(table, value)?;
                }
            }
            _ if !is_section => return Err(unknown(&section)),
            value => {
                return Err(ConfigError::BadValue {
                    allowed: format!("a section: [{section}], with its keys below"),
                    key: section,
                    value: value.to_string(),
                });
            }
        }
    }
    Ok(())
}

/// Applies one `key=value` to `table`; a key may omit its section if only one section has it.
pub(crate) fn set(table: &mut Table, argument: &str) -> Result<(), ConfigError> {
    let Some((name, text)) = argument.split_once('=') else {
        return Err(ConfigError::NotKeyValue { argument: argument.into() });
    };
    let (name, text) = (name.trim(), text.trim());
    let key = named(name)?;
    let value = match key.accepts {
        Accepts::Word(_) | Accepts::Text | Accepts::Until => word(text),
        _ => parse(text).unwrap_or_else(|| text.into()),
    };
    key.store(table, value)
}

/// The text as one TOML value, if it is one.
fn parse(text: &str) -> Option<Value> {
    let mut table: Table = format!("value = {text}").parse().ok()?;
    let value = table.remove("value")?;
    table.is_empty().then_some(value)
}

/// The text as a TOML string, with optional quotes.
fn word(text: &str) -> Value {
    parse(text).filter(Value::is_str).unwrap_or_else(|| text.into())
}

/// The key with this full or short name.
fn named(name: &str) -> Result<&'static Key, ConfigError> {
    match name.split_once('.') {
        Some((section, name)) => find(section, name),
        None => find_short(name),
    }
}

fn find(section: &str, name: &str) -> Result<&'static Key, ConfigError> {
    KEYS.iter()
        .find(|key| key.section == section && key.name == name)
        .ok_or_else(|| unknown(&format!("{section}.{name}")))
}

fn find_short(name: &str) -> Result<&'static Key, ConfigError> {
    let found: Vec<&Key> = KEYS.iter().filter(|key| key.name == name && key.has_short_name()).collect();
    match found[..] {
        [key] => Ok(key),
        [] => Err(unknown(name)),
        _ => Err(ConfigError::AmbiguousKey {
            key: name.into(),
            candidates: found.iter().map(|key| key.full_name()).collect::<Vec<_>>().join(", "),
        }),
    }
}

/// The full name of a key that has this full or short name.
pub(crate) fn full_name(name: &str) -> Result<String, ConfigError> {
    named(name).map(Key::full_name)
}

/// The shortest name of a key on the command line: without its section, unless several keys have that name.
pub(crate) fn short_name(full: &str) -> &str {
    let leaf = full.split_once('.').map_or(full, |(_, leaf)| leaf);
    match find_short(leaf) {
        Ok(key) if key.full_name() == full => leaf,
        Ok(_) | Err(_) => full,
    }
}

/// The error for an unknown key, with similar ones.
///
/// The name counts more than the section, so that `run.lr` leads to `optim.lr` and `optimizer.lr` too.
fn unknown(name: &str) -> ConfigError {
    let (section, leaf) = name.split_once('.').unwrap_or(("", name));
    let likeness = |key: &Key| strsim::jaro_winkler(section, key.section);
    let nearest = |distance: &dyn Fn(&Key) -> Option<usize>| {
        let known = KEYS.iter().filter_map(|key| Some((distance(key)?, key)));
        let best = known.min_by(|(a, x), (b, y)| a.cmp(b).then(likeness(y).total_cmp(&likeness(x))));
        best.map(|(_, key)| format!("did you mean `{}`?", key.full_name()))
    };
    let elsewhere = |word| suggest::elsewhere(word).map(str::to_owned);
    let near = || nearest(&|key| suggest::distance(leaf, key.name));
    // Whole words of a longer name lead to a key, such as `batch_size`.
    let holds = |key: &Key| format!("_{leaf}_").contains(&format!("_{}_", key.name)).then_some(0);
    let meant = elsewhere(leaf).or_else(near).or_else(|| elsewhere(section)).or_else(|| nearest(&holds));
    ConfigError::UnknownKey {
        key: name.escape_debug().to_string(),
        meant: meant.map_or_else(String::new, |it| format!("; {it}")),
    }
}
