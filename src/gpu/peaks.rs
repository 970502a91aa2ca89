//! What an adapter can do at best: multiply-adds, memory, launches, each measured by a kernel that does nothing else.
//!
//! These are the limits that [`Gpu::profile`]'s times are judged by (the roofline of Williams, Waterman and Patterson, 2009):
//! a kernel of so many operations and bytes takes at least the larger of operations ÷ [`Peaks::flops_per_sec`] and
//! bytes ÷ [`Peaks::bytes_per_sec`]. They are what WGSL reaches through this driver, not what the hardware is sold for.

use super::{Buffer, Gpu};
use crate::adapter::{DeviceError, DispatchTime, Peaks};
use crate::kernel::{Dispatch, Kernel, Parts, Program};
use crate::plan::{Access, BufferRef};

/// Operations of an invocation of `peak_fma.wgsl`: rounds × steps × multiply-adds × 2.
const FMA_FLOPS: f64 = 64.0 * 4.0 * 20.0 * 2.0;
/// Invocations of a workgroup of `peak_fma.wgsl`.
const WORKGROUP: usize = 64;
/// Elements of a row of the grid of `peak_copy.wgsl`.
const COPY_ROW: usize = 1024 * 64 * 4;
/// Seconds to measure each limit.
const BUDGET_SECS: f64 = 0.3;

impl Gpu {
    /// Measures the limits of this adapter, in about a second.
    ///
    /// # Errors
    /// [`DeviceError::NoMemory`] or [`DeviceError::Lost`].
    pub fn peaks(&self) -> Result<Peaks, DeviceError> {
        let cpu = self.target().cpu;
        let groups = if cpu { 1 << 10 } else { 1 << 15 };
        let lanes = groups * WORKGROUP;
        let factors = self.buffer_from("factors", &[0.999_f32, 0.001])?;
        let out = self.buffer("results of multiply-adds", lanes)?;
        let fma = Plain {
            name: "peak_fma",
            wgsl: include_str!("../../shaders/peak_fma.wgsl"),
            grid: [groups as u32, 1, 1],
            flops: FMA_FLOPS * lanes as f64,
            bytes: 0.0,
        };
        let fma = self.peak(&fma, &[(&factors, Access::Read), (&out, Access::Write)])?;

        // Beyond the caches of CPUs, and of GPUs, where a binding may be so large.
        let rows = (self.max_binding_bytes() as usize / 4 / COPY_ROW).min(if cpu { 64 } else { 256 });
        let [from, to] = [self.buffer("a copy's source", rows * COPY_ROW)?, self.buffer("a copy", rows * COPY_ROW)?];
        let copy = Plain {
            name: "peak_copy",
            wgsl: include_str!("../../shaders/peak_copy.wgsl"),
            grid: [1024, rows as u32, 1],
            flops: 0.0,
            bytes: 8.0 * (rows * COPY_ROW) as f64,
        };
        let copy = self.peak(&copy, &[(&from, Access::Read), (&to, Access::Write)])?;

        let counter = self.buffer("a counter", 1)?;
        let wgsl = include_str!("../../shaders/peak_launch.wgsl");
        let launch = Plain { name: "peak_launch", wgsl, grid: [1, 1, 1], flops: 0.0, bytes: 0.0 };
        let launch = self.peak(&launch, &[(&counter, Access::ReadWrite)])?;
        Ok(Peaks {
            flops_per_sec: fma.flops / fma.secs,
            bytes_per_sec: copy.bytes / copy.secs,
            launch_secs: launch.secs,
        })
    }

    fn peak(&self, plain: &Plain, bindings: &[(&Buffer, Access)]) -> Result<DispatchTime, DeviceError> {
        let (buffers, access): (Vec<&Buffer>, Vec<Access>) = bindings.iter().copied().unzip();
        let Plain { name, wgsl, grid, flops, bytes } = *plain;
        let program = Program::trusted(Parts {
            name: name.to_owned(),
            slots: buffers.iter().map(|buffer| buffer.len()).collect(),
            temps: vec![],
            kernels: vec![Kernel {
                label: name.to_owned(),
                wgsl: wgsl.to_owned(),
                subgroups: false,
                access,
                offsets: 0,
                variant: None,
            }],
            dispatches: vec![Dispatch {
                kernel: 0,
                buffers: (0..buffers.len()).map(BufferRef::Slot).collect(),
                offsets: vec![],
                grid,
                flops,
                bytes,
            }],
            subgroup: None,
        });
        let recording = self.load(program)?.bind(self, &buffers)?;
        let mut rows = self.profile(&recording, BUDGET_SECS)?;
        Ok(rows.pop().expect("the recording has one dispatch"))
    }
}

/// A dispatch of a shader that has no hooks.
struct Plain {
    name: &'static str,
    wgsl: &'static str,
    grid: [u32; 3],
    flops: f64,
    bytes: f64,
}
