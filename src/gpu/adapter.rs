//! Finding adapters, choosing one, and deciding the capability tier its kernels are compiled for.

use std::sync::Arc;

use crate::adapter::{AdapterSummary, DeviceError, position};
use crate::choice::choice;
use crate::environment::{foreign_variable, variable};
use crate::kernel::{Registers, Target};
use crate::passes::SplitPolicy;

/// The environment variable that says what may be used of an adapter, see [`Ceiling`].
const CEILING_VARIABLE: &str = "EDGEWALK_LIMITS";
/// The environment variable of wgpu that names the interfaces to look for adapters through.
const BACKEND_VARIABLE: &str = "WGPU_BACKEND";
/// The environment variables by which the Vulkan loader leaves drivers out.
const DRIVER_VARIABLES: [&str; 4] =
    ["VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VK_LOADER_DRIVERS_SELECT", "VK_LOADER_DRIVERS_DISABLE"];

choice! {
    /// What is used of an adapter at most. Less than it offers is for seeing that less suffices.
    Ceiling {
        /// Whatever it offers.
        Adapter = "adapter",
        /// WebGPU's default limits, which every adapter of a browser has, and no features.
        WebGpu = "webgpu",
        /// What OpenGL ES 3.1 asks of every driver (its tables of implementation-dependent limits), and no features.
        Gles = "gles",
    }
}

impl Ceiling {
    fn from_env() -> Result<Self, DeviceError> {
        let Some(text) = variable(CEILING_VARIABLE) else { return Ok(Self::Adapter) };
        let text = text.to_string_lossy();
        text.parse().map_err(|_: String| {
            let problem = format!("`{text}` is unknown; set it to one of {}, or unset it", Self::NAMES.join(", "));
            DeviceError::Ceiling { variable: CEILING_VARIABLE, problem }
        })
    }

    fn limits(self) -> Option<wgpu::Limits> {
        match self {
            Self::Adapter => None,
            Self::WebGpu => Some(wgpu::Limits::defaults()),
            Self::Gles => Some(wgpu::Limits {
                max_compute_invocations_per_workgroup: 128,
                max_compute_workgroup_size_x: 128,
                max_compute_workgroup_size_y: 128,
                max_compute_workgroup_size_z: 64,
                ..wgpu::Limits::downlevel_defaults()
            }),
        }
    }
}

/// An adapter, and what of its limits and features may be used.
struct Candidate {
    adapter: wgpu::Adapter,
    info: wgpu::AdapterInfo,
    limits: wgpu::Limits,
    features: wgpu::Features,
}

impl Candidate {
    fn new(adapter: wgpu::Adapter, ceiling: Ceiling) -> Self {
        let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
        let (limits, features) = match ceiling.limits() {
            None => (limits, features),
            Some(most) => (limits.or_worse_values_from(&most), wgpu::Features::empty()),
        };
        Self { adapter, info, limits, features }
    }
}

pub(super) struct Opened {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub summary: AdapterSummary,
    pub target: Target,
}

/// How to get a software adapter where there is none.
const ADVICE: &str = if cfg!(target_os = "linux") {
    "install a Vulkan driver, for instance the software one: sudo apt-get install -y mesa-vulkan-drivers"
} else if cfg!(target_os = "macos") {
    "Metal needs macOS 10.13 or later on a real machine"
} else if cfg!(target_os = "windows") {
    "install your graphics driver; Windows 10 and later bring the software adapter WARP"
} else {
    "install a Vulkan driver"
};

fn enumerate() -> Result<Vec<Candidate>, DeviceError> {
    let ceiling = Ceiling::from_env()?;
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    // Validation layers are for driver developers; naga validates every kernel already.
    descriptor.flags -= wgpu::InstanceFlags::VALIDATION | wgpu::InstanceFlags::DEBUG;
    let backends = backends()?;
    descriptor.backends = backends;
    let instance = wgpu::Instance::new(descriptor);
    let adapters = pollster::block_on(instance.enumerate_adapters(backends)).into_iter();
    let mut adapters: Vec<Candidate> = adapters.map(|adapter| Candidate::new(adapter, ceiling)).collect();
    adapters.retain(|candidate| candidate.limits.max_compute_workgroups_per_dimension > 0);
    adapters.sort_by_key(|candidate| rank(candidate.info.device_type));
    if adapters.is_empty() { Err(none_found(backends)) } else { Ok(adapters) }
}

/// The interfaces to look for adapters through. OpenGL is slower than any of the others, and prints messages on
/// headless machines, so it is used only on request (`WGPU_BACKEND=gl`).
fn backends() -> Result<wgpu::Backends, DeviceError> {
    let enabled = wgpu::Instance::enabled_backend_features();
    let Some(text) = variable(BACKEND_VARIABLE) else { return Ok(wgpu::Backends::PRIMARY & enabled) };
    let wanted = wgpu::Backends::from_env().unwrap_or(wgpu::Backends::empty()) & enabled;
    if !wanted.is_empty() {
        return Ok(wanted);
    }
    let problem = format!(
        "`{}` names no interface of this platform; unset it, or set it to vulkan, gl, metal or dx12",
        text.display()
    );
    Err(DeviceError::Ceiling { variable: BACKEND_VARIABLE, problem })
}

/// The error where these interfaces have no adapter. It names the environment variables that may be the reason.
fn none_found(backends: wgpu::Backends) -> DeviceError {
    let names = backends.iter_names().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
    // The loader finds no driver in an empty variable.
    let set = |name: &&str| Some(format!("{name} (`{}`)", foreign_variable(name)?.display()));
    let drivers: Vec<String> = DRIVER_VARIABLES.iter().filter_map(set).collect();
    let advice = if backends.contains(wgpu::Backends::VULKAN) && !drivers.is_empty() {
        format!(
            "only the Vulkan drivers that the environment allows are looked for: unset or correct {}, or {ADVICE}",
            drivers.join(" and ")
        )
    } else {
        ADVICE.to_owned()
    };
    DeviceError::NoAdapter { backends: names, advice }
}

fn rank(kind: wgpu::DeviceType) -> u8 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Cpu => 3,
        wgpu::DeviceType::Other => 4,
    }
}

/// All adapters, the preferred one first; positions are the indices that `--adapter` takes.
///
/// # Errors
/// [`DeviceError::NoAdapter`] when there is none.
pub fn adapters() -> Result<Vec<AdapterSummary>, DeviceError> {
    Ok(summaries(&enumerate()?))
}

fn summaries(candidates: &[Candidate]) -> Vec<AdapterSummary> {
    candidates.iter().enumerate().map(|(index, candidate)| summary(candidate, index)).collect()
}

fn summary(candidate: &Candidate, index: usize) -> AdapterSummary {
    let subgroups = target(candidate).subgroup.is_some();
    let Candidate { info, limits, .. } = candidate;
    let address = &info.device_pci_bus_id;
    let limits = [
        ("max_buffer_size", limits.max_buffer_size),
        ("max_storage_buffer_binding_size", limits.max_storage_buffer_binding_size),
        ("max_storage_buffers_per_shader_stage", limits.max_storage_buffers_per_shader_stage.into()),
        ("max_compute_invocations_per_workgroup", limits.max_compute_invocations_per_workgroup.into()),
        ("max_compute_workgroup_storage_size", limits.max_compute_workgroup_storage_size.into()),
        ("max_compute_workgroups_per_dimension", limits.max_compute_workgroups_per_dimension.into()),
        ("subgroup_min_size", info.subgroup_min_size.into()),
        ("subgroup_max_size", info.subgroup_max_size.into()),
    ];
    AdapterSummary {
        name: info.name.clone(),
        place: if address.is_empty() { index.to_string() } else { address.clone() },
        driver: info.driver.clone(),
        driver_info: info.driver_info.clone(),
        backend: format!("{:?}", info.backend),
        kind: format!("{:?}", info.device_type),
        tier: if subgroups { "subgroup" } else { "portable" }.to_owned(),
        limits: limits.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}

/// Storage buffers that a kernel may bind: as many as are offered, up to 16. Second derivatives of elementwise functions read
/// that many, and a kernel that may not is cut in two.
fn bindings(offered: &wgpu::Limits) -> u32 {
    offered.max_storage_buffers_per_shader_stage.min(16)
}

/// The limits that a device is opened with: WebGPU's defaults, or less where less is offered; but buffers as large as
/// offered, and as many as offered up to sixteen.
fn device_limits(offered: &wgpu::Limits) -> wgpu::Limits {
    wgpu::Limits {
        max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size,
        max_buffer_size: offered.max_buffer_size,
        max_storage_buffers_per_shader_stage: bindings(offered),
        ..wgpu::Limits::defaults().or_worse_values_from(offered)
    }
}

/// The tier of an adapter. Subgroup kernels need a width known in advance, and pay on software adapters.
fn target(Candidate { info, limits, features, .. }: &Candidate) -> Target {
    let cpu = info.device_type == wgpu::DeviceType::Cpu;
    let fixed = info.subgroup_min_size == info.subgroup_max_size && info.subgroup_min_size >= 8;
    let subgroups = cpu && fixed && features.contains(wgpu::Features::SUBGROUP);
    Target {
        subgroup: subgroups.then_some(info.subgroup_min_size),
        cpu,
        registers: Registers::of_vendor(info.vendor),
        invocations: device_limits(limits).max_compute_invocations_per_workgroup,
        max_bindings: bindings(limits) as usize,
        split: if cpu { SplitPolicy::SOFTWARE } else { SplitPolicy::GPU },
        choices: Arc::default(),
    }
}

pub(super) fn open(wanted: Option<&str>) -> Result<Opened, DeviceError> {
    let adapters = enumerate()?;
    let index = wanted.map_or(Ok(0), |wanted| position(&summaries(&adapters), wanted))?;
    let candidate = &adapters[index];
    let target = target(candidate);
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("edgewalk"),
        required_features: if target.subgroup.is_some() { wgpu::Features::SUBGROUP } else { wgpu::Features::empty() },
        required_limits: device_limits(&candidate.limits),
        memory_hints: wgpu::MemoryHints::MemoryUsage,
        ..Default::default()
    };
    let (device, queue) = pollster::block_on(candidate.adapter.request_device(&descriptor))
        .map_err(|error| DeviceError::NoDevice { adapter: candidate.info.name.clone(), reason: error.to_string() })?;
    Ok(Opened { device, queue, summary: summary(candidate, index), target })
}
