//! Which adapter is meant: by its number, its address, its kind, or part of its name.

use super::{AdapterSummary, DeviceError};

/// The position among `adapters` of the one that `wanted` names: `gpu` for the first GPU, `native` for the processor,
/// `cpu` for it or else the first software adapter, `auto` for the first GPU or else as `cpu`; else its number in the
/// list, its address, its whole name, or a part of its name.
///
/// One device may be in the list once for each interface to it; the first interface that has the name counts.
///
/// # Errors
/// [`DeviceError::UnknownAdapter`] if none is meant, [`DeviceError::SeveralAdapters`] if several are.
pub fn position(adapters: &[AdapterSummary], wanted: &str) -> Result<usize, DeviceError> {
    let lower = wanted.trim().to_lowercase();
    let all = |is_meant: &dyn Fn(&AdapterSummary) -> bool| -> Vec<usize> {
        adapters.iter().enumerate().filter(|(_, adapter)| is_meant(adapter)).map(|(index, _)| index).collect()
    };
    let first = |found: Vec<usize>| found.first().copied();
    let gpu = || first(all(&|adapter| !adapter.is_cpu()));
    let native = || first(all(&AdapterSummary::is_native));
    let software = || first(all(&AdapterSummary::is_cpu));
    let unknown =
        || DeviceError::UnknownAdapter { wanted: wanted.to_owned(), known: list(adapters, 0..adapters.len()) };
    match lower.as_str() {
        "" => return Err(unknown()),
        "auto" => return gpu().or_else(native).or_else(software).ok_or_else(unknown),
        "cpu" => return native().or_else(software).ok_or_else(unknown),
        "gpu" => return gpu().ok_or_else(unknown),
        "native" => return native().ok_or_else(unknown),
        _ => {}
    }
    if let Some(index) = lower.parse().ok().filter(|&index: &usize| index < adapters.len()) {
        return Ok(index);
    }
    let by_address = all(&|adapter| adapter.place.eq_ignore_ascii_case(&lower));
    let by_name = all(&|adapter| adapter.name.to_lowercase() == lower);
    // Mesa's driver is lavapipe, and calls its device llvmpipe.
    let part = if lower == "lavapipe" { "llvmpipe" } else { &lower };
    let by_part = all(&|adapter| has_part(&adapter.name.to_lowercase(), part));
    let found = [by_address, by_name, by_part].into_iter().find(|found| !found.is_empty()).ok_or_else(unknown)?;
    let backend = &adapters[found[0]].backend;
    let meant: Vec<usize> = found.into_iter().filter(|&index| adapters[index].backend == *backend).collect();
    match meant[..] {
        [index] => Ok(index),
        _ => Err(DeviceError::SeveralAdapters { wanted: wanted.to_owned(), known: list(adapters, meant) }),
    }
}

/// Whether a name has this part. Digits that are no number of an adapter are the whole number in a word, as in RTX 4090
/// or A770, and no part of a version.
fn has_part(name: &str, part: &str) -> bool {
    if !part.chars().all(|c| c.is_ascii_digit()) {
        return name.contains(part);
    }
    let words = name.split_whitespace().filter(|word| !word.contains('.'));
    words.flat_map(|word| word.split(|c: char| !c.is_ascii_digit())).any(|number| number == part)
}

/// The position of the adapter that a run had: of those with its name, one with its interface, and of these the one in
/// its place. If no adapter is all three, another of the name is as good.
pub fn same(adapters: &[AdapterSummary], name: &str, backend: &str, place: &str) -> Option<usize> {
    let named = adapters.iter().enumerate().filter(|(_, adapter)| adapter.name == name);
    let nearest = named.min_by_key(|(_, adapter)| (adapter.backend != backend, adapter.place != place));
    nearest.map(|(index, _)| index)
}

/// Adapters with their numbers, and the places of those whose names are no different.
fn list(adapters: &[AdapterSummary], indices: impl IntoIterator<Item = usize>) -> String {
    let one = |index: usize| {
        let AdapterSummary { name, place, .. } = &adapters[index];
        let is_alone = adapters.iter().filter(|other| other.name == *name).count() == 1;
        if is_alone { format!("{index} = {name}") } else { format!("{index} = {name} at {place}") }
    };
    indices.into_iter().map(one).collect::<Vec<_>>().join(", ")
}
