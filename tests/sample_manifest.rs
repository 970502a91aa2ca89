//! A manifest in which every kind of value stands.

use edgewalk::config::{MeasureOn, MeasuringSet};
use edgewalk::folder::data_record::DataRecord;
use edgewalk::folder::manifest::{Ended, Manifest, MemoryPlan};

/// Of a run that is under way.
pub fn manifest() -> Manifest {
    Manifest {
        version: "0.1.0".into(),
        commit: None,
        command: vec!["edgewalk".into(), "train".into()],
        seed: 3,
        settings: Some(serde_json::json!({ "optim": { "lr": 0.5 } })),
        data: DataRecord { name: "mnist".into(), train: 1000, test: 0, sha256: "ab".into() },
        network: None,
        init: None,
        host: "node-3".into(),
        began: "2026-12-01T15:18:08Z".into(),
        adapter: "some \"GPU\"".into(),
        adapter_place: "0000:01:00.0".into(),
        driver: "driver".into(),
        driver_info: "1.2".into(),
        backend: "Vulkan".into(),
        limits: [("max_buffer_size".into(), 1 << 28)].into(),
        tier: "portable".into(),
        kernel_choices: vec!["matmul: 64x64".into()],
        choices: [("matmul 1x64x64x1024 At".into(), "tile 64x64 by 8x4".into())].into(),
        chunk: 512,
        chunks: 2,
        measured: Some(MeasuringSet { on: MeasureOn::Fixed, examples: 200 }),
        parameters: 1234,
        memory_plan: MemoryPlan { device_bytes: 4000, host_bytes: 500 },
        memory_peak_bytes: 0,
        wall_secs: 1.5,
        steps_done: 10,
        ended: Ended::Running,
        not_finite: None,
        resumed: vec![],
        parent: None,
    }
}
