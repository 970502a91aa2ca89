//! The configuration for readers: the keys that count for a network and its rule.

use serde_json::Value;

use super::Config;
use super::accepts::Accepts;
use super::effect::effective;
use super::key_table::KEYS;

/// The configuration without the keys of `[model]` and `[optim]` that this network and this rule do not look at: those
/// whose value could be another without a change of the run.
pub(crate) fn effective_toml(config: &Config) -> String {
    let (whole, usual) = (config.to_json(), effective(config));
    let has_effect = |section: &str, key: &str| {
        let others = others(&whole[section][key], section, key);
        others.into_iter().any(|other| {
            let mut changed = whole.clone();
            changed[section][key] = other;
            serde_json::from_value(changed).is_ok_and(|changed| effective(&changed) != usual)
        })
    };
    let (text, mut section) = (config.to_toml(), String::new());
    let is_kept = |line: &&str| {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name.to_owned();
        }
        // A value of several lines has one that is not the usual one, and so an effect.
        let key = line.split_once(" = ").map(|(key, _)| key).filter(|key| !whole[&section][*key].is_null());
        key.is_none_or(|key| !["model", "optim"].contains(&section.as_str()) || has_effect(&section, key))
    };
    text.lines().filter(is_kept).map(|line| format!("{line}\n")).collect()
}

/// Other values of a key.
fn others(value: &Value, section: &str, key: &str) -> Vec<Value> {
    match value {
        Value::Bool(flag) => vec![(!flag).into()],
        Value::Number(number) => match number.as_u64() {
            Some(count) => vec![count.wrapping_add(1).into()],
            None => number.as_f64().map_or_else(Vec::new, |x| vec![(x + 1.0).into()]),
        },
        Value::Array(_) => vec![serde_json::json!(["another"]), serde_json::json!([])],
        Value::String(_) | Value::Null => {
            let accepts = KEYS.iter().find(|it| it.section == section && it.name == key).map(|key| &key.accepts);
            let words = if let Some(Accepts::Word(words)) = accepts { words } else { &["another"][..] };
            words.iter().map(|&word| word.into()).collect()
        }
        Value::Object(_) => vec![],
    }
}
