//! Flat device buffers of 4-byte elements: creation, upload, read-back.

use futures::channel::oneshot;

use super::{Gpu, GpuError};

/// A flat buffer of `len` elements of 4 bytes (`f32` or `u32`) on the device. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Buffer {
    pub(super) inner: wgpu::Buffer,
    len: usize,
}

impl Buffer {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Gpu {
    /// Largest buffer, in bytes, that one kernel can bind.
    pub fn max_binding_bytes(&self) -> u64 {
        let limits = self.0.device.limits();
        limits.max_storage_buffer_binding_size.min(limits.max_buffer_size)
    }

    /// Size in bytes of a buffer of `len` elements, if this adapter can bind it; `what` names it in errors.
    ///
    /// # Errors
    /// [`GpuError::BufferTooLarge`].
    pub fn check_size(&self, what: &str, len: usize) -> Result<u64, GpuError> {
        // Whole vec4s, and never empty: zero-sized bindings are not allowed.
        let bytes = (len.max(1) as u64).saturating_mul(4).next_multiple_of(16);
        let limit = self.max_binding_bytes();
        if bytes <= limit {
            return Ok(bytes);
        }
        const MIB: f64 = 1024.0 * 1024.0;
        Err(GpuError::BufferTooLarge {
            what: what.to_owned(),
            needed_mib: bytes as f64 / MIB,
            limit_mib: limit as f64 / MIB,
            adapter: self.adapter().name.clone(),
        })
    }

    /// Makes a zeroed buffer of `len` elements; `what` names it in errors.
    ///
    /// # Errors
    /// [`GpuError::BufferTooLarge`], or [`GpuError::Device`] when memory runs out.
    pub fn buffer(&self, what: &str, len: usize) -> Result<Buffer, GpuError> {
        let bytes = self.check_size(what, len)?;
        let copied = wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::UNIFORM | copied;
        let descriptor = wgpu::BufferDescriptor { label: Some(what), size: bytes, usage, mapped_at_creation: false };
        let inner = self.0.device.create_buffer(&descriptor);
        self.check()?;
        Ok(Buffer { inner, len })
    }

    /// Makes a buffer with these elements (`f32` or `u32`).
    ///
    /// # Errors
    /// As [`Gpu::buffer`].
    pub fn buffer_from<T: bytemuck::Pod>(&self, what: &str, data: &[T]) -> Result<Buffer, GpuError> {
        const { assert!(size_of::<T>() == 4) };
        let buffer = self.buffer(what, data.len())?;
        self.write(&buffer, data);
        self.check()?;
        Ok(buffer)
    }

    /// Replaces the first elements of a buffer, ordered with the work submitted before and after.
    ///
    /// # Panics
    /// When `data` is longer than the buffer.
    pub fn write<T: bytemuck::Pod>(&self, buffer: &Buffer, data: &[T]) {
        assert!(data.len() <= buffer.len, "{} elements do not fit a buffer of {}", data.len(), buffer.len);
        self.0.queue.write_buffer(&buffer.inner, 0, bytemuck::cast_slice(data));
    }

    /// Waits for the work submitted so far and returns the buffer's elements.
    ///
    /// # Errors
    /// [`GpuError::Lost`] or [`GpuError::Device`].
    pub fn read<T: bytemuck::Pod>(&self, buffer: &Buffer) -> Result<Vec<T>, GpuError> {
        const { assert!(size_of::<T>() == 4) };
        if buffer.is_empty() {
            return Ok(vec![]);
        }
        let bytes = buffer.len as u64 * 4;
        let staging = self.0.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("read-back"),
            size: bytes,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = self.0.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(&buffer.inner, 0, &staging, 0, bytes);
        self.0.queue.submit([encoder.finish()]);
        let (sender, receiver) = oneshot::channel();
        staging.slice(..).map_async(wgpu::MapMode::Read, move |result| {
            // The receiver is gone only if the wait below failed, which is reported there.
            let _ = sender.send(result);
        });
        self.wait()?;
        let mapped =
            pollster::block_on(receiver).map_err(|_| GpuError::Device("a read-back was dropped".to_owned()))?;
        mapped.map_err(|error| GpuError::Device(format!("read-back: {error}")))?;
        let view = staging.slice(..).get_mapped_range();
        let view = view.map_err(|error| GpuError::Device(format!("read-back: {error}")))?;
        Ok(bytemuck::pod_collect_to_vec(&view))
    }
}
