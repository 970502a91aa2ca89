//! The table of all configuration keys with their accepted values. It serves to lay a file over a preset, to apply
//! `--set key=value` with full or short names, and to explain an error. Accepted values fit the structs of
//! [`crate::config`].

use toml::{Table, Value};

use super::suggest;
use super::{
    Activation, ConfigError, DataName, LossKind, MeasureAt, MeasureMethod, MeasureOn, ModelKind, Norm, OptimKind, Pool,
    Reduction, Until,
};

/// The values that a key accepts.
#[derive(Clone, Copy)]
enum Rule {
    /// One of the given words.
    Word(&'static [&'static str]),
    /// Any text; empty means none.
    Text,
    /// A whole number in an inclusive range.
    Count(i64, i64),
    /// A number that is finite and above 0 in 32 bits.
    Positive,
    /// A number that is finite and not negative in 32 bits.
    NonNegative,
    /// A number of seconds that is finite and not above a day, or `auto`.
    Seconds,
    /// A whole number, not negative, or `auto`.
    CountOrAuto,
    /// A condition that ends a run early; empty means none.
    Until,
    /// A number above 0 and below 1.
    Fraction,
    /// A number that is not negative and in 32 bits below 1.
    BelowOne,
    /// `true` or `false`.
    Flag,
}

/// One key of one section.
struct Key {
    section: &'static str,
    name: &'static str,
    rule: Rule,
}

const fn key(section: &'static str, name: &'static str, rule: Rule) -> Key {
    Key { section, name, rule }
}

/// The largest count of examples: indices on the device are 32 bits wide.
const MAX_INDEX: i64 = u32::MAX as i64;
/// The widest layer whose width × width weights still have 32-bit indices.
const MAX_WIDTH: i64 = u16::MAX as i64;

/// The longest time to spend on kernels: a day.
const MAX_SECS: f32 = 86_400.0;

const KEYS: &[Key] = &[
    key("data", "name", Rule::Word(DataName::NAMES)),
    key("data", "path", Rule::Text),
    key("data", "train", Rule::Count(0, MAX_INDEX)),
    key("data", "test", Rule::Count(0, MAX_INDEX)),
    key("model", "kind", Rule::Word(ModelKind::NAMES)),
    key("model", "activation", Rule::Word(Activation::NAMES)),
    key("model", "depth", Rule::Count(1, 1000)),
    key("model", "width", Rule::Count(1, MAX_WIDTH)),
    key("model", "blocks", Rule::Count(1, 100)),
    key("model", "layers_per_block", Rule::Count(1, 100)),
    key("model", "channels", Rule::Count(1, MAX_WIDTH)),
    key("model", "growth", Rule::Count(1, 16)),
    key("model", "stride", Rule::Count(1, 16)),
    key("model", "norm", Rule::Word(Norm::NAMES)),
    key("model", "pool", Rule::Word(Pool::NAMES)),
    key("model", "layers", Rule::Count(1, 1000)),
    key("model", "heads", Rule::Count(1, 1000)),
    key("model", "key_size", Rule::Count(1, MAX_WIDTH)),
    key("model", "model_size", Rule::Count(1, MAX_WIDTH)),
    key("model", "seq_len", Rule::Count(1, MAX_WIDTH)),
    key("loss", "kind", Rule::Word(LossKind::NAMES)),
    key("loss", "reduction", Rule::Word(Reduction::NAMES)),
    key("optim", "kind", Rule::Word(OptimKind::NAMES)),
    key("optim", "lr", Rule::Positive),
    key("optim", "rho", Rule::NonNegative),
    key("optim", "epsilon", Rule::NonNegative),
    key("optim", "asam_eta", Rule::NonNegative),
    key("optim", "ascent_steps", Rule::Count(1, 1000)),
    key("optim", "sam_from", Rule::Count(0, i64::MAX)),
    key("optim", "sam_until", Rule::Count(0, i64::MAX)),
    key("optim", "momentum", Rule::BelowOne),
    key("optim", "nesterov", Rule::Flag),
    key("optim", "weight_decay", Rule::NonNegative),
    key("optim", "batch", Rule::Count(0, MAX_INDEX)),
    key("optim", "micro_batch", Rule::Count(0, MAX_INDEX)),
    key("run", "steps", Rule::Count(1, i64::MAX)),
    key("run", "until", Rule::Until),
    key("run", "time_limit", Rule::NonNegative),
    key("run", "checkpoint_every", Rule::CountOrAuto),
    key("run", "keep", Rule::Count(0, MAX_INDEX)),
    key("run", "init", Rule::Text),
    key("run", "tensorboard", Rule::Flag),
    key("run", "seed", Rule::Count(0, i64::MAX)),
    key("run", "log_every", Rule::Count(1, i64::MAX)),
    key("run", "chunk", Rule::Count(0, MAX_INDEX)),
    key("run", "tune", Rule::Seconds),
    key("run", "kernels", Rule::Text),
    key("measure", "every", Rule::Count(0, i64::MAX)),
    key("measure", "per_decade", Rule::Count(0, 1000)),
    key("measure", "on", Rule::Word(MeasureOn::NAMES)),
    key("measure", "examples", Rule::Count(0, MAX_INDEX)),
    key("measure", "at", Rule::Word(MeasureAt::NAMES)),
    key("measure", "top", Rule::Count(1, 100)),
    key("measure", "bottom", Rule::Count(0, 100)),
    key("measure", "track", Rule::NonNegative),
    key("measure", "method", Rule::Word(MeasureMethod::NAMES)),
    key("measure", "tol", Rule::Fraction),
    key("measure", "max_iterations", Rule::Count(1, MAX_INDEX)),
    key("measure", "window", Rule::Count(0, 10_000)),
];

impl Key {
    fn full_name(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// Stores `value` in `table` if the key accepts it.
    fn store(&self, table: &mut Table, value: Value) -> Result<(), ConfigError> {
        if !self.rule.accepts(&value) {
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
            allowed: self.rule.describe() + &self.rule.meant(value).unwrap_or_default(),
        }
    }
}

impl Rule {
    fn accepts(self, value: &Value) -> bool {
        // The device computes in 32 bits: a number that becomes infinite or 0 there is out of range.
        let number = || match *value {
            Value::Float(number) => Some(number as f32),
            Value::Integer(number) => Some(number as f32),
            _ => None,
        };
        match self {
            Rule::Word(words) => value.as_str().is_some_and(|word| words.contains(&word)),
            Rule::Text => value.is_str(),
            Rule::Count(min, max) => value.as_integer().is_some_and(|n| (min..=max).contains(&n)),
            Rule::Positive => number().is_some_and(|x| x > 0.0 && x.is_finite()),
            Rule::NonNegative => number().is_some_and(|x| x >= 0.0 && x.is_finite()),
            Rule::Seconds => value.as_str() == Some("auto") || number().is_some_and(|x| (0.0..=MAX_SECS).contains(&x)),
            Rule::CountOrAuto => value.as_str() == Some("auto") || value.as_integer().is_some_and(|n| n >= 0),
            Rule::Until => value.as_str().is_some_and(|text| text.is_empty() || text.parse::<Until>().is_ok()),
            Rule::Fraction => number().is_some_and(|x| x > 0.0 && x < 1.0),
            Rule::BelowOne => number().is_some_and(|x| (0.0..1.0).contains(&x)),
            Rule::Flag => value.is_bool(),
        }
    }

    fn describe(self) -> String {
        match self {
            Rule::Word([word]) => format!("\"{word}\""),
            Rule::Word(words) => format!("one of \"{}\"", words.join("\", \"")),
            Rule::Text => "text in quotes".into(),
            Rule::Count(min, max) => format!("a whole number from {min} to {max}"),
            Rule::Positive => "a number above 0 that 32 bits can hold, such as 0.1 or 1e-3".into(),
            Rule::NonNegative => "a number, 0 or above, that 32 bits can hold, such as 0.1".into(),
            Rule::Seconds => format!("\"auto\", or a number of seconds from 0 to {MAX_SECS}"),
            Rule::CountOrAuto => format!("\"auto\", or a whole number of steps from 0 to {}", i64::MAX),
            Rule::Until => Until::ALLOWED.into(),
            Rule::Fraction => "a number above 0 and below 1, such as 1e-3".into(),
            Rule::BelowOne => "a number, 0 or above and below 1, such as 0.9".into(),
            Rule::Flag => "true or false".into(),
        }
    }

    /// A similar word to a refused one, to follow [`Self::describe`].
    fn meant(self, value: &Value) -> Option<String> {
        let Rule::Word(words) = self else { return None };
        let word = value.as_str()?;
        let elsewhere = suggest::elsewhere(word).map(|says| format!("; {says}"));
        elsewhere.or_else(|| Some(format!("; did you mean \"{}\"?", suggest::nearest(word, words.iter().copied())?)))
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
    let key = match name.split_once('.') {
        Some((section, name)) => find(section, name)?,
        None => find_short(name)?,
    };
    let value = match key.rule {
        Rule::Word(_) | Rule::Text | Rule::Until => word(text),
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

fn find(section: &str, name: &str) -> Result<&'static Key, ConfigError> {
    KEYS.iter()
        .find(|key| key.section == section && key.name == name)
        .ok_or_else(|| unknown(&format!("{section}.{name}")))
}

fn find_short(name: &str) -> Result<&'static Key, ConfigError> {
    let found: Vec<&Key> = KEYS.iter().filter(|key| key.name == name).collect();
    match found[..] {
        [key] => Ok(key),
        [] => Err(unknown(name)),
        _ => Err(ConfigError::AmbiguousKey {
            key: name.into(),
            candidates: found.iter().map(|key| key.full_name()).collect::<Vec<_>>().join(", "),
        }),
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
