//! The processor in words.

use std::collections::BTreeMap;

use pulp::Arch;
use sysinfo::{CpuRefreshKind, RefreshKind, System};

use crate::adapter::{AdapterSummary, Precision};

/// Model, instruction set and number of threads.
pub(super) fn summary(precision: Precision, threads: usize) -> AdapterSummary {
    let system = System::new_with_specifics(RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing()));
    let brand = system.ok().and_then(|system| Some(system.cpus().first()?.brand().trim().to_owned()));
    let name = brand.filter(|brand| !brand.is_empty()).unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let set = instruction_set();
    let limits = [("threads", threads as u64), ("bits", 8 * precision.bytes() as u64)];
    AdapterSummary {
        name: format!("{name} (native, {set})"),
        place: "native".to_owned(),
        driver: "native".to_owned(),
        driver_info: set.to_owned(),
        backend: "Native".to_owned(),
        kind: "Cpu".to_owned(),
        tier: "native".to_owned(),
        limits: BTreeMap::from(limits.map(|(name, value)| (name.to_owned(), value))),
    }
}

/// The vector instructions that are used.
fn instruction_set() -> &'static str {
    match format!("{:?}", Arch::new()).split('(').next() {
        Some("V4") => "AVX-512",
        Some("V3") => "AVX2",
        Some("Neon" | "NeonFcma") => "NEON",
        _ => "no vector instructions",
    }
}
