//! Prints the statistics of a Vulkan driver's compiler for kernels: registers, spills and instructions. Nothing is run,
//! so no GPU is needed if the driver can compile for an absent one, as Mesa's drivers can (`scripts/vendors`).
//!
//!     RADV_FORCE_FAMILY=navi21 cargo run --release --example compilers -- KERNEL.wgsl...
//!
//! The output is `adapter NAME`, and for each kernel its path and `seconds=…;statistic=value;…`, with the statistics of
//! `VK_KHR_pipeline_executable_properties`. The path is printed before the kernel is compiled: the driver may crash.
#![allow(unsafe_code, reason = "Vulkan's interface is unsafe")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "handles are used on the device that made them, and live to the end"
)]

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::{CStr, c_char};
use std::io::Write as _;
use std::time::Instant;

use ash::khr::pipeline_executable_properties as executables;
use ash::vk;
use naga::AddressSpace;
use naga::back::spv;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ValidationFlags, Validator};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let loader = unsafe { ash::Entry::load()? };
    let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
    let info = vk::InstanceCreateInfo::default().application_info(&application);
    let compiler = Compiler::open(&unsafe { loader.create_instance(&info, None)? })?;
    println!("adapter {}", compiler.adapter);
    for path in std::env::args().skip(1) {
        println!("{path}");
        std::io::stdout().flush()?;
        let statistics = compiler.statistics(&std::fs::read_to_string(&path)?)?;
        let statistics: Vec<String> = statistics.iter().map(|(name, value)| format!("{name}={value}")).collect();
        println!("{}", statistics.join(";"));
    }
    Ok(())
}

/// A device for compiling.
struct Compiler {
    adapter: String,
    device: ash::Device,
    /// `None` where the driver has no statistics.
    statistics: Option<executables::Device>,
    /// The version of SPIR-V that wgpu writes for it.
    version: (u8, u8),
}

impl Compiler {
    /// The first device, with the features that wgpu enables and that matter to a compiler.
    fn open(instance: &ash::Instance) -> Result<Self> {
        let gpu = *unsafe { instance.enumerate_physical_devices()? }.first().ok_or("there is no Vulkan device")?;
        let properties = unsafe { instance.get_physical_device_properties(gpu) };
        let offered: Vec<String> = unsafe { instance.enumerate_device_extension_properties(gpu)? }
            .iter()
            .map(|extension| text(&extension.extension_name))
            .collect();
        let has = |name: &CStr| offered.iter().any(|offered| offered.as_bytes() == name.to_bytes());
        let mut robustness = vk::PhysicalDeviceRobustness2FeaturesEXT::default();
        let mut features = vk::PhysicalDeviceFeatures2::default();
        if has(ash::ext::robustness2::NAME) {
            features = features.push_next(&mut robustness);
        }
        unsafe { instance.get_physical_device_features2(gpu, &mut features) };
        let core = vk::PhysicalDeviceFeatures::default()
            .robust_buffer_access(features.features.robust_buffer_access == vk::TRUE);
        let queues = [vk::DeviceQueueCreateInfo::default().queue_priorities(&[1.0])];
        let mut info = vk::DeviceCreateInfo::default().queue_create_infos(&queues).enabled_features(&core);
        let mut extensions = vec![];
        let mut robustness = vk::PhysicalDeviceRobustness2FeaturesEXT::default()
            .robust_buffer_access2(robustness.robust_buffer_access2 == vk::TRUE);
        if robustness.robust_buffer_access2 == vk::TRUE {
            extensions.push(ash::ext::robustness2::NAME.as_ptr());
            info = info.push_next(&mut robustness);
        }
        let mut wanted =
            vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
        let counts = has(executables::NAME);
        if counts {
            extensions.push(executables::NAME.as_ptr());
            info = info.push_next(&mut wanted);
        }
        let (major, minor) =
            (vk::api_version_major(properties.api_version), vk::api_version_minor(properties.api_version));
        let mut maintenance = vk::PhysicalDeviceVulkan13Features::default().maintenance4(true);
        if (major, minor) >= (1, 3) {
            info = info.push_next(&mut maintenance);
        }
        let device = unsafe { instance.create_device(gpu, &info.enabled_extension_names(&extensions), None)? };
        let statistics = counts.then(|| executables::Device::new(instance, &device));
        let version = match (major, minor) {
            (1, 0) => (1, 0),
            (1, 1) => (1, 3),
            (1, 2) => (1, 5),
            _ => (1, 6),
        };
        Ok(Self { adapter: text(&properties.device_name), device, statistics, version })
    }

    /// Compiles a kernel. The names and values of its statistics.
    fn statistics(&self, wgsl: &str) -> Result<Vec<(String, String)>> {
        let kernel = translate(wgsl, self.version)?;
        let device = &self.device;
        let binding = |(&binding, &kind): (&u32, &vk::DescriptorType)| {
            vk::DescriptorSetLayoutBinding::default()
                .binding(binding)
                .descriptor_type(kind)
                .descriptor_count(1)
                .stage_flags(vk::ShaderStageFlags::COMPUTE)
        };
        let bindings: Vec<_> = kernel.bindings.iter().map(binding).collect();
        let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
        let sets = [unsafe { device.create_descriptor_set_layout(&info, None)? }];
        let info = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
        let layout = unsafe { device.create_pipeline_layout(&info, None)? };
        let info = vk::ShaderModuleCreateInfo::default().code(&kernel.spirv);
        let module = unsafe { device.create_shader_module(&info, None)? };
        let stage = vk::PipelineShaderStageCreateInfo::default()
            .stage(vk::ShaderStageFlags::COMPUTE)
            .module(module)
            .name(c"main");
        let flags = match self.statistics {
            Some(_) => vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR,
            None => vk::PipelineCreateFlags::empty(),
        };
        let info = vk::ComputePipelineCreateInfo::default().flags(flags).stage(stage).layout(layout);
        let begin = Instant::now();
        let pipelines = unsafe { device.create_compute_pipelines(vk::PipelineCache::null(), &[info], None) };
        let pipeline = vk::PipelineInfoKHR::default().pipeline(pipelines.map_err(|(_, error)| error)?[0]);
        let mut found = vec![("seconds".to_owned(), format!("{:.3}", begin.elapsed().as_secs_f64()))];
        let Some(statistics) = &self.statistics else { return Ok(found) };
        for number in 0..unsafe { statistics.get_pipeline_executable_properties(&pipeline)? }.len() {
            let info =
                vk::PipelineExecutableInfoKHR::default().pipeline(pipeline.pipeline).executable_index(number as u32);
            for statistic in unsafe { statistics.get_pipeline_executable_statistics(&info)? } {
                let value = match statistic.format {
                    vk::PipelineExecutableStatisticFormatKHR::BOOL32 => unsafe { statistic.value.b32 }.to_string(),
                    vk::PipelineExecutableStatisticFormatKHR::INT64 => unsafe { statistic.value.i64 }.to_string(),
                    vk::PipelineExecutableStatisticFormatKHR::UINT64 => unsafe { statistic.value.u64 }.to_string(),
                    _ => unsafe { statistic.value.f64 }.to_string(),
                };
                found.push((text(&statistic.name), value));
            }
        }
        Ok(found)
    }
}

/// A kernel as a driver takes it.
struct Kernel {
    spirv: Vec<u32>,
    bindings: BTreeMap<u32, vk::DescriptorType>,
}

/// As wgpu translates the kernels of programs: without bounds checks.
fn translate(wgsl: &str, version: (u8, u8)) -> Result<Kernel> {
    let module = naga::front::wgsl::parse_str(wgsl).map_err(|error| error.emit_to_string(wgsl))?;
    let info = Validator::new(ValidationFlags::all(), Capabilities::all())
        .validate(&module)
        .map_err(|error| error.emit_to_string(wgsl))?;
    let unchecked = BoundsCheckPolicy::Unchecked;
    let options = spv::Options {
        lang_version: version,
        flags: spv::WriterFlags::empty(),
        bounds_check_policies: BoundsCheckPolicies {
            index: unchecked,
            buffer: unchecked,
            image_load: unchecked,
            binding_array: unchecked,
        },
        force_loop_bounding: false,
        emit_int_div_checks: false,
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        ..spv::Options::default()
    };
    let spirv = spv::write_vec(&module, &info, &options, None)?;
    let kind = |space| match space {
        AddressSpace::Uniform => vk::DescriptorType::UNIFORM_BUFFER,
        _ => vk::DescriptorType::STORAGE_BUFFER,
    };
    let bindings = module.global_variables.iter();
    let bindings =
        bindings.filter_map(|(_, variable)| Some((variable.binding.as_ref()?.binding, kind(variable.space))));
    Ok(Kernel { spirv, bindings: bindings.collect() })
}

fn text(raw: &[c_char]) -> String {
    let bytes: Vec<u8> = raw.iter().take_while(|&&byte| byte != 0).map(|&byte| byte as u8).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
