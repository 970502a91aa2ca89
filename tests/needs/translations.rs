//! Every kernel in every language that an adapter's driver may be handed: SPIR-V for Vulkan, MSL for Metal, HLSL for DirectX 12 and
//! GLSL for OpenGL ES, by naga with the options that wgpu gives it for trusted modules. No adapter needed.
//!
//! What a backend cannot translate, it refuses here and not on the user's machine. Whether a compiler takes the result is seen
//! where there is one: `spirv-val` for SPIR-V (Debian's spirv-tools), `glslangValidator` for GLSL (glslang-tools), and DXC for HLSL
//! (the Python package compushady, by `scripts/check-hlsl`). glslang reads HLSL too, but not the `(float4[8])0` that naga writes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread;

use edgewalk::kernel::{Kernel, Target};
use naga::back::{glsl, hlsl, msl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ResourceBinding, ShaderStage};

use super::run_kernels;

#[path = "../../examples/kernels/collect.rs"]
mod collect;

/// wgpu hands on what it is told of a trusted module: no checks of bounds.
const UNCHECKED: BoundsCheckPolicies = BoundsCheckPolicies {
    index: BoundsCheckPolicy::Unchecked,
    buffer: BoundsCheckPolicy::Unchecked,
    image_load: BoundsCheckPolicy::Unchecked,
    binding_array: BoundsCheckPolicy::Unchecked,
};

/// A kernel that naga has understood.
struct Understood {
    module: Module,
    info: ModuleInfo,
    entry: String,
    /// The buffers, and whether each is written.
    buffers: Vec<(ResourceBinding, bool)>,
    has_subgroups: bool,
}

impl Understood {
    fn of(kernel: &Kernel) -> Result<Self, String> {
        let module = naga::front::wgsl::parse_str(&kernel.wgsl).map_err(|error| error.to_string())?;
        let mut validator = Validator::new(ValidationFlags::all(), Capabilities::SUBGROUP);
        let info = validator.validate(&module).map_err(|error| format!("{error:?}"))?;
        let buffers = module.global_variables.iter().filter_map(|(_, variable)| {
            let is_written = match variable.space {
                AddressSpace::Storage { access } => access.contains(naga::StorageAccess::STORE),
                _ => false,
            };
            Some((variable.binding?, is_written))
        });
        let (buffers, entry) = (buffers.collect(), module.entry_points[0].name.clone());
        Ok(Self { has_subgroups: kernel.wgsl.contains("subgroup"), module, info, entry, buffers })
    }

    fn spirv(&self) -> Result<Vec<u32>, String> {
        let options = spv::Options {
            // Vulkan 1.1, the oldest version with subgroups.
            lang_version: (1, 3),
            flags: spv::WriterFlags::LABEL_VARYINGS | spv::WriterFlags::FORCE_POINT_SIZE,
            bounds_check_policies: UNCHECKED,
            zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
            force_loop_bounding: false,
            emit_int_div_checks: false,
            ..spv::Options::default()
        };
        let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: self.entry.clone() };
        spv::write_vec(&self.module, &self.info, &options, Some(&pipeline)).map_err(|error| error.to_string())
    }

    fn msl(&self) -> Result<String, String> {
        let slot = |(i, &(binding, mutable)): (usize, &(ResourceBinding, bool))| {
            (binding, msl::BindTarget { buffer: Some(i as u8), mutable, ..msl::BindTarget::default() })
        };
        let resources = msl::EntryPointResources {
            resources: self.buffers.iter().enumerate().map(slot).collect(),
            immediates_buffer: None,
            sizes_buffer: Some(self.buffers.len() as u8),
        };
        let options = msl::Options {
            // Metal 2.4, of macOS 12.
            lang_version: (2, 4),
            per_entry_point_map: [(self.entry.clone(), resources)].into(),
            fake_missing_bindings: false,
            bounds_check_policies: UNCHECKED,
            zero_initialize_workgroup_memory: false,
            force_loop_bounding: false,
            emit_int_div_checks: false,
            ..msl::Options::default()
        };
        let entry_point = Some((ShaderStage::Compute, self.entry.clone()));
        let pipeline = msl::PipelineOptions { entry_point, ..msl::PipelineOptions::default() };
        let written = msl::write_string(&self.module, &self.info, &options, &pipeline);
        let (source, info) = written.map_err(|error| error.to_string())?;
        info.entry_point_names.into_iter().collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
        Ok(source)
    }

    fn hlsl(&self, shader_model: hlsl::ShaderModel) -> Result<String, String> {
        let register = |(i, &(binding, _)): (usize, &(ResourceBinding, bool))| {
            let target = hlsl::BindTarget { register: i as u32, ..hlsl::BindTarget::default() };
            (binding, target)
        };
        let options = hlsl::Options {
            shader_model,
            binding_map: self.buffers.iter().enumerate().map(register).collect(),
            fake_missing_bindings: false,
            zero_initialize_workgroup_memory: false,
            restrict_indexing: false,
            force_loop_bounding: false,
            ..hlsl::Options::default()
        };
        let pipeline = hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, self.entry.clone())) };
        let mut source = String::new();
        let info = hlsl::Writer::new(&mut source, &options, &pipeline)
            .write(&self.module, &self.info, None)
            .map_err(|error| error.to_string())?;
        info.entry_point_names.into_iter().collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
        Ok(source)
    }

    fn glsl(&self) -> Result<String, String> {
        let slot = |(i, &(binding, _)): (usize, &(ResourceBinding, bool))| (binding, i as u8);
        let options = glsl::Options {
            // The oldest OpenGL ES with compute shaders.
            version: glsl::Version::new_gles(310),
            writer_flags: glsl::WriterFlags::ADJUST_COORDINATE_SPACE | glsl::WriterFlags::FORCE_POINT_SIZE,
            binding_map: self.buffers.iter().enumerate().map(slot).collect(),
            zero_initialize_workgroup_memory: false,
        };
        let pipeline = glsl::PipelineOptions {
            shader_stage: ShaderStage::Compute,
            entry_point: self.entry.clone(),
            multiview: None,
        };
        let mut source = String::new();
        glsl::Writer::new(&mut source, &self.module, &self.info, &options, &pipeline, UNCHECKED)
            .and_then(|mut writer| writer.write())
            .map_err(|error| error.to_string())?;
        Ok(source)
    }
}

/// What a program says of a file that it does not take; none where it is not installed.
fn judge(program: &str, args: &[&str], file: &Path) -> Option<Result<(), String>> {
    let output = Command::new(program).args(args).arg(file).output().ok()?;
    Some(if output.status.success() {
        Ok(())
    } else {
        let said = [output.stdout, output.stderr].concat();
        Err(format!("{program}: {}", String::from_utf8_lossy(&said).trim()))
    })
}

/// How many kernels each language or compiler took, and what it refused.
#[derive(Default)]
struct Verdicts {
    taken: BTreeMap<&'static str, usize>,
    refused: BTreeMap<&'static str, Vec<Refusal>>,
}

/// Why a kernel was refused.
struct Refusal {
    error: String,
    kernel: Kernel,
}

impl Verdicts {
    fn note<T>(&mut self, by: &'static str, kernel: &Kernel, result: Result<T, String>) -> Option<T> {
        match result {
            Ok(value) => {
                *self.taken.entry(by).or_default() += 1;
                Some(value)
            }
            Err(error) => {
                self.refused.entry(by).or_default().push(Refusal { error, kernel: kernel.clone() });
                None
            }
        }
    }
}

/// Takes a kernel through every language, and if there is a folder for the files, through the compilers that work on one at a
/// time.
fn translate((number, kernel): (usize, &Kernel), verdicts: &Mutex<Verdicts>, files: Option<&Path>) {
    let note = |by, result: Result<Vec<u8>, String>| verdicts.lock().unwrap().note(by, kernel, result);
    let understood = match Understood::of(kernel) {
        Ok(understood) => understood,
        Err(error) => {
            note("WGSL", Err(error));
            return;
        }
    };
    let spirv = note("SPIR-V", understood.spirv().map(|words| words.iter().flat_map(|w| w.to_le_bytes()).collect()));
    note("MSL", understood.msl().map(String::into_bytes));
    note("HLSL 6.0", understood.hlsl(hlsl::ShaderModel::V6_0).map(String::into_bytes));
    // Older compilers of HLSL have no subgroups, nor has any version of OpenGL ES; wgpu offers none there.
    let glsl = if understood.has_subgroups {
        None
    } else {
        note("HLSL 5.1", understood.hlsl(hlsl::ShaderModel::V5_1).map(String::into_bytes));
        note("GLSL", understood.glsl().map(String::into_bytes))
    };
    let Some(files) = files else { return };
    let compile = |by, source: Option<Vec<u8>>, name: &str, program, args: &[&str]| {
        if let Some(source) = source {
            let path = files.join(format!("{number}.{name}"));
            std::fs::write(&path, source).unwrap();
            if let Some(result) = judge(program, args, &path) {
                note(by, result.map(|()| vec![]));
            }
        }
    };
    compile("spirv-val", spirv, "spv", "spirv-val", &["--target-env", "vulkan1.1"]);
    compile("glslang", glsl, "comp", "glslangValidator", &["-S", "comp"]);
}

/// Kernels by their source.
type Kernels = BTreeMap<String, Kernel>;

/// The kinds of adapter.
fn kinds() -> [Target; 3] {
    ["gpu", "subgroup", "rows"].map(|kind| collect::target(kind).unwrap())
}

/// What the tasks of some sizes lead to: loss, gradient, what is kept of H·v and its products, for every kind of adapter, in every
/// variant that a tuner may choose there.
fn kernels_of_tasks(wanted: impl Fn(&str) -> bool) -> Kernels {
    let mut tasks = collect::tasks();
    tasks.retain(|task| wanted(task.name));
    let kinds = kinds();
    let jobs: Vec<_> = kinds.iter().flat_map(|target| tasks.iter().map(move |task| (task, target))).collect();
    let found: Mutex<Kernels> = Mutex::default();
    in_parallel(&jobs, |_, (task, target)| {
        let kernels = collect::kernels(task, target, true).unwrap_or_else(|error| panic!("{}: {error}", task.name));
        found.lock().unwrap().extend(kernels.into_iter().map(|kernel| (kernel.wgsl.clone(), kernel)));
    });
    found.into_inner().unwrap()
}

/// The kernels of the presets' small networks in every variant, and of whole runs. (The paper's sizes have the same with other
/// constants.)
fn kernels() -> &'static [Kernel] {
    static KERNELS: OnceLock<Vec<Kernel>> = OnceLock::new();
    KERNELS.get_or_init(|| {
        let mut found = kernels_of_tasks(|name| name.ends_with("-small"));
        found.extend(run_kernels::kernels(&kinds()));
        found.into_values().collect()
    })
}

/// Does something with each item and its number, on all cores.
fn in_parallel<T: Sync>(items: &[T], each: impl Fn(usize, &T) + Sync) {
    let next = AtomicUsize::new(0);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let mut number = next.fetch_add(1, Ordering::Relaxed);
                while let Some(item) = items.get(number) {
                    each(number, item);
                    number = next.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
}

fn check(kernels: &[Kernel], files: Option<&Path>) -> BTreeMap<&'static str, usize> {
    let verdicts = Mutex::new(Verdicts::default());
    in_parallel(kernels, |number, kernel| translate((number, kernel), &verdicts, files));
    let Verdicts { taken, refused } = verdicts.into_inner().unwrap();
    println!("{} kernels; taken by {taken:?}", kernels.len());
    for (by, refusals) in &refused {
        println!("\n{by} refuses {}, of which the first:\n{}", refusals.len(), refusals[0].kernel.wgsl);
        for Refusal { error, kernel } in refusals {
            println!("{by} refuses {}: {}", kernel.label, error.lines().take(4).collect::<Vec<_>>().join(" | "));
        }
    }
    assert!(refused.is_empty(), "refused by {:?}", refused.keys());
    let portable = kernels.iter().filter(|kernel| !kernel.wgsl.contains("subgroup")).count();
    for (language, count) in [("SPIR-V", kernels.len()), ("MSL", kernels.len()), ("HLSL 6.0", kernels.len())] {
        assert_eq!(taken[language], count, "{language}");
    }
    assert_eq!((taken["HLSL 5.1"], taken["GLSL"]), (portable, portable));
    taken
}

pub fn small() {
    check(kernels(), None);
}

/// Takes many minutes.
pub fn papers_sizes() {
    let kernels: Vec<Kernel> = kernels_of_tasks(|name| !name.ends_with("-small")).into_values().collect();
    let has_compilers = std::env::var_os("EDGEWALK_SHADER_COMPILERS").is_some();
    let folder = has_compilers.then(|| tempfile::tempdir().unwrap());
    check(&kernels, folder.as_ref().map(tempfile::TempDir::path));
}

/// The kernels that differ in more than their numbers, one of each: a process for each file takes its time.
fn forms() -> Vec<Kernel> {
    let form = |kernel: &&Kernel| kernel.wgsl.replace(|letter: char| letter.is_ascii_digit(), "");
    let forms: BTreeMap<String, &Kernel> = kernels().iter().map(|kernel| (form(&kernel), kernel)).collect();
    forms.into_values().cloned().collect()
}

pub fn compilers() {
    let folder = tempfile::tempdir().unwrap();
    let taken = check(&forms(), Some(folder.path()));
    assert_eq!((taken["spirv-val"], taken["glslang"]), (taken["SPIR-V"], taken["GLSL"]));
}

pub fn dxc() {
    let folder = tempfile::tempdir().unwrap();
    in_parallel(kernels(), |number, kernel| {
        let understood = Understood::of(kernel).unwrap();
        let file = folder.path().join(format!("{number}.{}.hlsl", understood.entry));
        std::fs::write(file, understood.hlsl(hlsl::ShaderModel::V6_0).unwrap()).unwrap();
    });
    let python = std::env::var("EDGEWALK_DXC_PYTHON").expect("EDGEWALK_DXC_PYTHON names a Python that has compushady");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/check-hlsl");
    let output = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(&format!("takes {0} of {0} files", kernels().len())));
}
