//! Programs on a device: pipelines, the program's own buffers, and recordings that can be run again and again.

use std::borrow::Cow;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::{Buffer, Gpu};
use crate::adapter::{Cache, DeviceError, check_copy, lock};
use crate::kernel::{Kernel, KernelError, Program, validate};
use crate::plan::{Access, BufferRef};

/// A compiled kernel.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub inner: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
}

/// Compiled kernels by their WGSL.
pub(super) type Pipelines = Cache<String, Pipeline>;

/// Kernels that are kept when nothing uses them: those that a tuner has timed are there for the run.
pub(super) const MOST_PIPELINES: usize = 32;

/// A program with its pipelines and its own buffers, ready to be bound to a caller's buffers.
#[derive(Clone, Debug)]
pub struct Loaded {
    program: Arc<Program>,
    pipelines: Vec<Arc<Pipeline>>,
    /// The kernels' labels, shared with recordings.
    labels: Vec<Arc<str>>,
    temps: Vec<Buffer>,
    /// The uniforms `offsets` of all dispatches, of equal length, one after the other.
    offsets: Buffer,
}

/// Elements that the place of a uniform is a multiple of: WebGPU's 256 bytes.
const UNIFORM_ALIGNMENT: usize = 64;

/// Dispatches with everything bound: what a submission encodes. Recordings are joined with [`Recording::then`].
#[derive(Clone, Debug, Default)]
pub struct Recording {
    pub(super) steps: Vec<Step>,
    /// What the steps are bound to, so that it counts as long as they hold it.
    held: Vec<Arc<[Buffer]>>,
}

/// One thing to encode.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A bound dispatch, with its estimated work.
    Dispatch {
        pipeline: Arc<Pipeline>,
        bind_group: wgpu::BindGroup,
        grid: [u32; 3],
        label: Arc<str>,
        flops: f64,
        bytes: f64,
    },
    /// All elements of one buffer to an element offset of another.
    Copy { from: Buffer, to: Buffer, at: usize },
}

impl Recording {
    /// This recording, then another.
    #[must_use]
    pub fn then(mut self, next: &Recording) -> Self {
        self.steps.extend(next.steps.iter().cloned());
        self.held.extend(next.held.iter().cloned());
        self
    }

    /// A copy of all of `from` to element `at` of `to`.
    ///
    /// # Errors
    /// [`DeviceError::Mismatch`] when it does not fit.
    pub fn copy(from: &Buffer, to: &Buffer, at: usize) -> Result<Self, DeviceError> {
        check_copy(from.len(), to.len(), at)?;
        let held = vec![Arc::from([from.clone(), to.clone()])];
        if from.is_dry() && to.is_dry() {
            return Ok(Self { steps: vec![], held });
        }
        from.check_real()?;
        to.check_real()?;
        Ok(Self { steps: vec![Step::Copy { from: from.clone(), to: to.clone(), at }], held })
    }

    /// Number of dispatches.
    pub fn dispatches(&self) -> usize {
        self.steps.iter().filter(|s| matches!(s, Step::Dispatch { .. })).count()
    }

    /// Floating-point operations, estimated from shapes.
    pub fn flops(&self) -> f64 {
        let flops = |step: &Step| match step {
            Step::Dispatch { flops, .. } => *flops,
            Step::Copy { .. } => 0.0,
        };
        self.steps.iter().map(flops).sum()
    }
}

impl Loaded {
    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Whether these buffers match the program's slots.
    fn check_slots(&self, slots: &[&Buffer]) -> Result<(), DeviceError> {
        let program = &self.program;
        let name = &program.name;
        if slots.len() != program.slots.len() {
            let (given, needed) = (slots.len(), program.slots.len());
            return Err(DeviceError::Mismatch(format!(
                "`{name}` was given {given} buffers and takes {needed}, one per slot"
            )));
        }
        for (slot, (buffer, &len)) in slots.iter().zip(&program.slots).enumerate() {
            if buffer.len() < len {
                let given = buffer.len();
                let problem = format!("slot {slot} of `{name}` needs {len} elements and was given a buffer of {given}");
                return Err(DeviceError::Mismatch(problem));
            }
        }
        Ok(())
    }

    /// Binds the caller's buffers, one per slot.
    ///
    /// # Errors
    /// [`DeviceError::Mismatch`] when the buffers do not match the program's slots, [`DeviceError::Device`] when the device refuses
    /// a binding.
    pub fn bind(&self, gpu: &Gpu, slots: &[&Buffer]) -> Result<Recording, DeviceError> {
        let program = &self.program;
        let name = &program.name;
        self.check_slots(slots)?;
        let held = slots.iter().copied().chain(&self.temps).chain([&self.offsets]).cloned().collect();
        if gpu.0.dry {
            return Ok(Recording { steps: vec![], held: vec![held] });
        }
        slots.iter().try_for_each(|buffer| buffer.check_real())?;
        if self.pipelines.len() < program.kernels.len() {
            return Err(DeviceError::Mismatch(format!(
                "`{name}` was loaded on a dry device; load it on the one that runs"
            )));
        }
        let each = 4 * (self.offsets.len() / program.dispatches.len().max(1)) as u64;
        let steps = program.dispatches.iter().enumerate().map(|(number, dispatch)| {
            let pipeline = &self.pipelines[dispatch.kernel];
            let entry = |(binding, buffer): (usize, &BufferRef)| wgpu::BindGroupEntry {
                binding: binding as u32,
                resource: match *buffer {
                    BufferRef::Slot(slot) => slots[slot].raw().as_entire_binding(),
                    BufferRef::Temp(temp) => self.temps[temp].raw().as_entire_binding(),
                },
            };
            let mut entries: Vec<_> = dispatch.buffers.iter().enumerate().map(entry).collect();
            if !dispatch.offsets.is_empty() {
                entries.push(wgpu::BindGroupEntry {
                    binding: entries.len() as u32,
                    resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                        buffer: self.offsets.raw(),
                        offset: number as u64 * each,
                        size: wgpu::BufferSize::new(each),
                    }),
                });
            }
            let bind_group = gpu.0.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: None,
                layout: &pipeline.layout,
                entries: &entries,
            });
            Step::Dispatch {
                pipeline: Arc::clone(pipeline),
                bind_group,
                grid: dispatch.grid,
                label: Arc::clone(&self.labels[dispatch.kernel]),
                flops: dispatch.flops,
                bytes: dispatch.bytes,
            }
        });
        let recording = Recording { steps: steps.collect(), held: vec![held] };
        gpu.check()?;
        Ok(recording)
    }
}

impl Gpu {
    /// Compiles a program's kernels, or finds them compiled, and makes its buffers.
    ///
    /// # Errors
    /// [`DeviceError::Kernel`] for invalid WGSL, [`DeviceError::BufferTooLarge`], or [`DeviceError::Device`].
    pub fn load(&self, program: impl Into<Arc<Program>>) -> Result<Loaded, DeviceError> {
        let program = program.into();
        if program.subgroup != self.target().subgroup && program.kernels.iter().any(|kernel| kernel.subgroups) {
            return Err(KernelError::OtherTarget(program.name.clone()).into());
        }
        // The program itself stays as it is: another device may be given it, and trusts it.
        let mut kernels = Cow::Borrowed(&program.kernels[..]);
        if let Some(alter) = &self.0.alter {
            kernels.to_mut().iter_mut().for_each(|kernel| alter(kernel));
        }
        for (class, variant) in program.kernels.iter().filter_map(|kernel| kernel.variant) {
            lock(&self.0.variants).entry(class).or_default().insert(variant);
        }
        let kernels = if self.0.dry { &[] } else { &kernels[..] };
        let pipelines = self.pipelines(kernels)?;
        let labels = kernels.iter().map(|k| k.label.as_str().into()).collect();
        let temps = self.scratch(&program)?;
        let longest = program.dispatches.iter().map(|d| d.offsets.len()).max().unwrap_or(0);
        let each = longest.next_multiple_of(UNIFORM_ALIGNMENT).max(UNIFORM_ALIGNMENT);
        let mut offsets = vec![0; program.dispatches.len() * each];
        for (to, dispatch) in offsets.chunks_exact_mut(each).zip(&program.dispatches) {
            to[..dispatch.offsets.len()].copy_from_slice(&dispatch.offsets);
        }
        let offsets = self.buffer_from("offsets of tensors", &offsets)?;
        Ok(Loaded { program, pipelines, labels, temps, offsets })
    }

    /// The pipelines of kernels. A GPU's driver compiles on the thread that asks, for up to seconds, so a thread for
    /// each core asks; a software driver uses the cores itself.
    fn pipelines(&self, kernels: &[Kernel]) -> Result<Vec<Arc<Pipeline>>, DeviceError> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let workers = if self.target().cpu { 1 } else { cores.min(kernels.len()) };
        let next = AtomicUsize::new(0);
        let work = || {
            let mut made = vec![];
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(kernel) = kernels.get(number) else { return made };
                made.push((number, self.pipeline(kernel)));
                if made.last().is_some_and(|(_, pipeline)| pipeline.is_err()) {
                    return made;
                }
            }
        };
        let mut made: Vec<_> = thread::scope(|scope| {
            let others: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
            let own = work();
            let others = others.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
            others.flatten().chain(own).collect()
        });
        made.sort_by_key(|(number, _)| *number);
        made.into_iter().map(|(_, pipeline)| pipeline).collect()
    }

    fn pipeline(&self, kernel: &Kernel) -> Result<Arc<Pipeline>, DeviceError> {
        self.0.pipelines.get(kernel.wgsl.clone(), || self.make_pipeline(kernel))
    }

    fn make_pipeline(&self, kernel: &Kernel) -> Result<Pipeline, DeviceError> {
        validate(kernel)?;
        let device = &self.0.device;
        // Scopes belong to the thread, so they catch no errors of kernels that other threads compile.
        let scopes = [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::Validation].map(|f| device.push_error_scope(f));
        let entry = |(binding, ty): (usize, wgpu::BufferBindingType)| wgpu::BindGroupLayoutEntry {
            binding: binding as u32,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
            count: None,
        };
        let storage = kernel.access.iter().map(|access| {
            let read_only = *access == Access::Read;
            wgpu::BufferBindingType::Storage { read_only }
        });
        let uniform = (kernel.offsets > 0).then_some(wgpu::BufferBindingType::Uniform);
        let entries: Vec<_> = storage.chain(uniform).enumerate().map(entry).collect();
        let label = Some(kernel.label.as_str());
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let module = match self.0.alter {
            None => trusted_module(device, kernel),
            Some(_) => device.create_shader_module(module_descriptor(kernel)),
        };
        let inner = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        });
        // The innermost scope ends first.
        let errors = scopes.into_iter().rev().map(|scope| pollster::block_on(scope.pop()));
        if let Some(error) = errors.reduce(Option::or).flatten() {
            let message = error.to_string();
            return Err(KernelError::Invalid { label: kernel.label.clone(), message }.into());
        }
        self.check()?;
        Ok(Pipeline { inner, layout })
    }
}

fn module_descriptor(kernel: &Kernel) -> wgpu::ShaderModuleDescriptor<'_> {
    let source = wgpu::ShaderSource::Wgsl(kernel.wgsl.as_str().into());
    wgpu::ShaderModuleDescriptor { label: Some(&kernel.label), source }
}

/// Makes a shader module without bounds checks, which cost up to half the speed of a load-bound kernel.
#[allow(unsafe_code, reason = "wgpu's entry point for shaders without bounds checks is unsafe")]
fn trusted_module(device: &wgpu::Device, kernel: &Kernel) -> wgpu::ShaderModule {
    let descriptor = module_descriptor(kernel);
    // SAFETY: naga has validated the module (`pipeline` calls `validate` first). It was generated by `kernel`, which alone
    // makes programs, and for subgroups of this device's width (`load` checks). There every index is an affine form over loop
    // variables whose extents are those of the tensors, or is clamped to them (tails of matmuls, padding, convolutions,
    // rows), plus the tensor's offset. `compile` refuses a tensor that does not lie inside its slot, `bind` a buffer
    // that does not hold all elements of its slot. All loops count to constants. `Program::single` has single
    // dispatches of such programs on buffers of the same lengths. The shaders of `peaks` are not generated: their
    // invocations are as many as the elements of the buffers made for them.
    unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
}
