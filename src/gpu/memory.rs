//! How much of the device's memory a run will need, and the buffers that programs share.
//!
//! What a run will need is found by setting it up on a *dry* device: the calls are the same and so are the sizes, but no buffer
//! is made, no kernel compiled for the adapter, and nothing runs.

use super::{Buffer, Gpu};
use crate::adapter::{DeviceError, Memory, lock};
use crate::kernel::Program;

impl Gpu {
    /// Bytes of all buffers made through this device, read-back buffers included. What wgpu and the driver take for
    /// themselves (kernels, commands, uploads under way) is not among them.
    pub fn memory(&self) -> Memory {
        *lock(&self.0.account)
    }

    /// Frees what is kept to be used again and nothing uses now: kernels, programs, and the buffers for intermediate values and
    /// for reads. For a process that keeps a device and goes from one problem to another.
    pub fn trim(&self) {
        self.0.compiled.trim();
        self.0.pipelines.trim();
        lock(&self.0.scratch).clear();
        *lock(&self.0.readback) = None;
    }

    /// Makes the buffers for intermediate values that all programs loaded on a dry device need: the largest value of any
    /// program, the second largest, and so on. Made program by program they would grow step by step, and the smaller ones
    /// stay behind.
    ///
    /// # Errors
    /// As [`Gpu::buffer`].
    pub fn reserve(&self, dry: &Self) -> Result<(), DeviceError> {
        let lens: Vec<usize> = lock(&dry.0.scratch).iter().map(Buffer::len).collect();
        for (i, len) in lens.into_iter().enumerate() {
            let buffer = self.buffer(&format!("intermediate value {i}"), len)?;
            lock(&self.0.scratch).push(buffer);
        }
        Ok(())
    }

    /// Buffers for a program's intermediate values, shared with all other programs: they run one after the other, and none
    /// expects to find what it left behind.
    pub(super) fn scratch(&self, program: &Program) -> Result<Vec<Buffer>, DeviceError> {
        let mut order: Vec<usize> = (0..program.temps.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(program.temps[i]));
        let mut pool = lock(&self.0.scratch);
        if self.0.dry {
            for (place, &i) in order.iter().enumerate() {
                let (what, len) = (format!("intermediate value {i} of {}", program.name), program.temps[i]);
                if place == pool.len() {
                    pool.push(self.buffer(&what, len)?);
                } else if pool[place].len() < len {
                    // The smaller one goes first: the larger is there instead, not besides.
                    pool.remove(place);
                    pool.insert(place, self.buffer(&what, len)?);
                }
            }
            return Ok(vec![]);
        }
        let mut taken = vec![false; pool.len()];
        let mut temps = vec![None; order.len()];
        for i in order {
            let len = program.temps[i];
            let fits = |&b: &usize| !taken[b] && pool[b].len() >= len;
            let found = (0..pool.len()).filter(fits).min_by_key(|&b| pool[b].len());
            let buffer = match found {
                Some(b) => {
                    taken[b] = true;
                    pool[b].clone()
                }
                None => {
                    pool.push(self.buffer(&format!("intermediate value {i} of {}", program.name), len)?);
                    taken.push(true);
                    pool[pool.len() - 1].clone()
                }
            };
            temps[i] = Some(buffer);
        }
        Ok(temps.into_iter().flatten().collect())
    }
}
