//! The adapter's limits beside the needs of the kernels.

use super::{Row, Verdict};
use crate::device::{Device, DeviceError};

/// The needs of every kernel family, by WebGPU name, with reasons.
const NEEDED: [(&str, u64, &str); 4] = [
    ("max_storage_buffers_per_shader_stage", 4, "a choice between two values needs as many"),
    ("max_compute_invocations_per_workgroup", 128, "the largest tiles of matmul_tile"),
    ("max_compute_workgroup_storage_size", 8192, "the slabs of matmul_tile"),
    ("max_compute_workgroups_per_dimension", 65_535, "WebGPU's default, to which grids are cut"),
];
/// WebGPU's default for one buffer: a vector of 33 million parameters.
const BINDING: u64 = 128 << 20;

pub(super) fn rows(device: &Device) -> Result<Vec<Row>, DeviceError> {
    let adapter = device.adapter();
    let Some(target) = device.target() else {
        return Ok(vec![Row::note("instructions", adapter.driver_info.clone())]);
    };
    let limit = |name: &str| adapter.limits.get(name).copied().unwrap_or(0);
    let lanes = target.subgroup.map_or_else(String::new, |lanes| format!(", {lanes} lanes"));
    let mut rows = vec![Row::note("kernel tier", format!("{}{lanes}", adapter.tier))];
    rows.extend(NEEDED.map(|(name, needed, why)| {
        let short = name
            .trim_start_matches("max_")
            .trim_start_matches("compute_")
            .replace("_per_shader_stage", "")
            .replace('_', " ");
        let advice = "kernels will be refused: choose another --adapter (see `edgewalk info`)";
        let found = limit(name).to_string();
        Row::judged(&short, found, format!("≥ {needed} ({why})"), limit(name) >= needed, advice)
    }));
    let bytes = device.max_binding_bytes();
    let found = format!("{} MiB, {} million parameters", bytes >> 20, bytes / 4_000_000);
    let mut row = Row::judged("largest buffer", found, "≥ 128 MiB (WebGPU's default)".to_owned(), true, "");
    // The allowance: some drivers report a limit one byte or one block below a power of two.
    if bytes < BINDING - 256 {
        row.verdict = Verdict::Warn;
        row.advice = Some("larger models will be refused here; small ones are right".to_owned());
    }
    rows.push(row);
    Ok(rows)
}
