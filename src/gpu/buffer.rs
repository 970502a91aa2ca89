//! Flat device buffers of 4-byte elements: creation, upload, read-back.

use std::sync::Arc;

use futures::channel::oneshot;

use super::Gpu;
use crate::adapter::{DeviceError, Share, buffer_bytes, check_write, lock};

/// A flat buffer of `len` elements of 4 bytes (`f32` or `u32`) on the device. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// Nothing on a dry device.
    inner: Option<wgpu::Buffer>,
    len: usize,
    /// What it adds to the memory in use.
    _share: Arc<Share>,
}

impl Buffer {
    /// The device's buffer. Buffers of a dry device have none; they are refused before commands are made.
    pub(super) fn raw(&self) -> &wgpu::Buffer {
        self.inner.as_ref().expect("`check_real` comes first")
    }

    /// Whether a dry device made it.
    pub(super) fn is_dry(&self) -> bool {
        self.inner.is_none()
    }

    /// Refuses a buffer that a dry device made.
    pub(super) fn check_real(&self) -> Result<(), DeviceError> {
        match self.is_dry() {
            true => Err(DeviceError::Mismatch(
                "a buffer of a dry device holds nothing; make it on the device that runs".into(),
            )),
            false => Ok(()),
        }
    }

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
    /// [`DeviceError::BufferTooLarge`].
    pub fn check_size(&self, what: &str, len: usize) -> Result<u64, DeviceError> {
        buffer_bytes(what, len, 4, self.max_binding_bytes(), &self.adapter().name)
    }

    /// Makes a zeroed buffer of `len` elements; `what` names it in errors.
    ///
    /// # Errors
    /// [`DeviceError::BufferTooLarge`], or [`DeviceError::NoMemory`].
    pub fn buffer(&self, what: &str, len: usize) -> Result<Buffer, DeviceError> {
        let bytes = self.check_size(what, len)?;
        let copied = wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        self.make(what, len, bytes, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::UNIFORM | copied)
    }

    /// The one place where buffers are made, and counted.
    fn make(&self, what: &str, len: usize, size: u64, usage: wgpu::BufferUsages) -> Result<Buffer, DeviceError> {
        let share = Arc::new(Share::new(&self.0.account, size));
        let descriptor = wgpu::BufferDescriptor { label: Some(what), size, usage, mapped_at_creation: false };
        let inner = (!self.0.dry).then(|| self.0.device.create_buffer(&descriptor));
        self.check()?;
        Ok(Buffer { inner, len, _share: share })
    }

    /// Makes a buffer with these elements (`f32` or `u32`).
    ///
    /// # Errors
    /// As [`Gpu::buffer`].
    pub fn buffer_from<T: bytemuck::Pod>(&self, what: &str, data: &[T]) -> Result<Buffer, DeviceError> {
        const { assert!(size_of::<T>() == 4) };
        let buffer = self.buffer(what, data.len())?;
        self.write(&buffer, data)?;
        self.check()?;
        Ok(buffer)
    }

    /// Replaces the first elements of a buffer, ordered with the work queued before and after.
    ///
    /// # Errors
    /// [`DeviceError::Mismatch`] when `data` is longer than the buffer, and those of [`Gpu::run`].
    pub fn write<T: bytemuck::Pod>(&self, buffer: &Buffer, data: &[T]) -> Result<(), DeviceError> {
        const { assert!(size_of::<T>() == 4) };
        check_write(data.len(), buffer.len)?;
        if !self.0.dry {
            buffer.check_real()?;
            self.flush()?;
            self.0.queue.write_buffer(buffer.raw(), 0, bytemuck::cast_slice(data));
        }
        Ok(())
    }

    /// Makes room for reading a buffer back, so that [`Self::read`] need not when it is called: one buffer of the device's,
    /// as long as the longest that is read.
    ///
    /// # Errors
    /// [`DeviceError::NoMemory`].
    pub fn prepare_read(&self, buffer: &Buffer) -> Result<(), DeviceError> {
        self.readback(&mut lock(&self.0.readback), buffer.len).map(|_| ())
    }

    /// A mapped-for-reading buffer of at least `len` elements.
    fn readback(&self, slot: &mut Option<Buffer>, len: usize) -> Result<Buffer, DeviceError> {
        if slot.as_ref().is_none_or(|buffer| buffer.len < len) {
            // The shorter one goes first: the longer is there instead, not besides.
            *slot = None;
            let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
            *slot = Some(self.make("read-back", len, len.max(1) as u64 * 4, usage)?);
        }
        Ok(slot.clone().expect("it has just been made"))
    }

    /// Waits for the work queued so far and returns the buffer's elements; zeros on a dry device.
    ///
    /// # Errors
    /// [`DeviceError::Lost`], [`DeviceError::NoMemory`] or [`DeviceError::Device`].
    pub fn read<T: bytemuck::Pod>(&self, buffer: &Buffer) -> Result<Vec<T>, DeviceError> {
        const { assert!(size_of::<T>() == 4) };
        let mut slot = lock(&self.0.readback);
        let readback = self.readback(&mut slot, buffer.len)?;
        if buffer.is_empty() || self.0.dry {
            return Ok(vec![T::zeroed(); buffer.len]);
        }
        buffer.check_real()?;
        // Back in its place only when all has gone well: what failed may still be mapped.
        *slot = None;
        self.flush()?;
        let bytes = buffer.len as u64 * 4;
        let mut encoder = self.0.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(buffer.raw(), 0, readback.raw(), 0, bytes);
        self.0.queue.submit([encoder.finish()]);
        let (sender, receiver) = oneshot::channel();
        readback.raw().slice(..bytes).map_async(wgpu::MapMode::Read, move |result| {
            // The receiver is gone only if the wait below failed, which is reported there.
            let _ = sender.send(result);
        });
        self.wait()?;
        let mapped =
            pollster::block_on(receiver).map_err(|_| DeviceError::Device("a read-back was dropped".to_owned()))?;
        mapped.map_err(|error| DeviceError::Device(format!("read-back: {error}")))?;
        let view = readback.raw().slice(..bytes).get_mapped_range();
        let view = view.map_err(|error| DeviceError::Device(format!("read-back: {error}")))?;
        let values = bytemuck::pod_collect_to_vec(&view);
        drop(view);
        readback.raw().unmap();
        *slot = Some(readback);
        Ok(values)
    }
}
