//! All keys for people: as a page in Markdown (docs/settings.md) and as text for a terminal (`edgewalk train --help`).

use toml::{Table, Value};

use super::key_table::{KEYS, SECTIONS};
use super::keys::short_name;
use super::preset::{PRESETS, Preset};

/// The section "Keys" of docs/settings.md, where the defaults are the values of the first preset.
pub fn keys_in_markdown() -> String {
    let defaults = PRESETS[0].config.to_table();
    let mut page = String::new();
    for (section, about, more) in SECTIONS {
        let more = if more.is_empty() { String::new() } else { format!("{more}\n\n") };
        page += &format!(
            "### {section}: {about}\n\n{more}| key | short name | values | default | meaning |\n|---|---|---|---|---|\n"
        );
        for key in KEYS.iter().filter(|key| key.section == *section) {
            let (name, values, help) = (key.full_name(), key.accepts.short(), key.help.replace('|', "\\|"));
            let short = match short_name(&name) {
                short if short == name => "–".to_owned(),
                short => format!("`{short}`"),
            };
            page +=
                &format!("| `{name}` | {short} | {values} | {} | {help} |\n", default(&defaults, section, key.name));
        }
        page += "\n";
    }
    page
}

/// A default as a cell.
fn default(table: &Table, section: &str, name: &str) -> String {
    match table.get(section).and_then(|section| section.get(name)) {
        Some(Value::String(text)) if text.is_empty() => "empty".into(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(Value::Float(number)) if number.fract() == 0.0 => format!("{number:.0}"),
        Some(Value::Float(number)) => format!("{number:?}"),
        Some(Value::Boolean(flag)) => format!("`{flag}`"),
        Some(value) => value.to_string(),
        None => String::new(),
    }
}

/// The presets, one a line.
pub fn presets() -> String {
    let width = PRESETS.iter().map(|preset| preset.name.len()).max().unwrap_or(0);
    let line = |preset: &Preset| format!("\n  {:width$} {}", preset.name, preset.about);
    format!("Presets:{}", PRESETS.iter().map(line).collect::<String>())
}

/// The presets, and the keys with accepted values and meanings.
pub fn keys() -> String {
    let line = |key: &super::key_table::Key| {
        format!("\n  {}: {}\n      {}", key.full_name(), key.accepts.short().replace('`', ""), key.help)
    };
    format!("{}\n\nSettings:{}", presets(), KEYS.iter().map(line).collect::<String>())
}
