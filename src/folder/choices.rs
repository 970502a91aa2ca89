//! Kernel variants in manifests, checkpoints and the cache: by class of shapes, each with one spelling.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use crate::kernel::{ShapeClass, Variant};

/// The longest file of choices that is read: a choice takes about 50 bytes, and a run has tens of them.
pub(crate) const MOST_BYTES: u64 = 1 << 20;

/// Variants by class of shape.
pub type Known = BTreeMap<ShapeClass, Variant>;

/// The text of a file of choices.
pub(crate) fn read_text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(std::io::Error::other(format!("it is longer than {} KiB", MOST_BYTES >> 10)));
    }
    Ok(text)
}

/// Reads `choices` from the text of a JSON object.
///
/// # Errors
/// The fault, in words.
pub fn parse(text: &str) -> Result<Known, String> {
    #[derive(Deserialize)]
    struct Recorded {
        choices: BTreeMap<String, String>,
    }
    let Recorded { choices } = serde_json::from_str(text).map_err(|error| error.to_string())?;
    from_words(choices)
}

/// Choices from their form in files.
///
/// # Errors
/// The fault, in words.
pub fn from_words(choices: BTreeMap<String, String>) -> Result<Known, String> {
    let entry = |(class, variant): (String, String)| {
        // Only one spelling: otherwise two choices could be for the same class.
        let parsed = class.parse().ok().filter(|parsed: &ShapeClass| parsed.to_string() == class);
        let known_class = parsed.ok_or_else(|| format!("`{class}` is no class of shapes"))?;
        let known_variant = variant.parse().map_err(|()| {
            let all = Variant::ALL.iter().map(Variant::to_string).collect::<Vec<_>>().join(", ");
            format!("`{variant}` for `{class}` is none of the variants {all}")
        })?;
        Ok((known_class, known_variant))
    };
    choices.into_iter().map(entry).collect()
}

/// The form of choices in files.
pub fn words(known: &Known) -> BTreeMap<String, String> {
    known.iter().map(|(class, variant)| (class.to_string(), variant.to_string())).collect()
}
