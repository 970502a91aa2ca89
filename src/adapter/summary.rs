//! An adapter in words and numbers.

use std::collections::BTreeMap;

/// What people and manifests need to know of an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterSummary {
    /// Name, such as "llvmpipe (LLVM 15.0.6, 256 bits)".
    pub name: String,
    /// What tells it from others of its name: its PCI address, such as "0000:01:00.0", or its number where the driver
    /// tells none.
    pub place: String,
    /// Driver name.
    pub driver: String,
    /// Driver version.
    pub driver_info: String,
    /// "Vulkan", "Metal", "Dx12", "Gl" or "Native".
    pub backend: String,
    /// "Cpu", "IntegratedGpu", "DiscreteGpu", …
    pub kind: String,
    /// Kernel tier: "subgroup" or "portable".
    pub tier: String,
    /// The limits that plans depend on, by WebGPU name.
    pub limits: BTreeMap<String, u64>,
}

impl AdapterSummary {
    /// Whether it is the processor itself, without wgpu.
    pub fn is_native(&self) -> bool {
        self.backend == "Native"
    }

    /// Its name, and the number of threads of the processor.
    pub fn words(&self) -> String {
        match self.limits.get("threads").filter(|_| self.is_native()) {
            None => self.name.clone(),
            Some(1) => format!("{}, 1 thread", self.name),
            Some(threads) => format!("{}, {threads} threads", self.name),
        }
    }

    /// Whether it is software.
    pub fn is_cpu(&self) -> bool {
        self.kind == "Cpu"
    }
}
