//! Flat buffers in host memory: creation, writing, reading.

use std::sync::Arc;

use super::layout::Runs;
use super::memory::Memory;
use super::{Cpu, Needs, Pools, Precision, Threads, lock};
use crate::adapter::{DeviceError, Share, Value, buffer_bytes, check_write};

/// A flat buffer of `len` elements, floats or words of the device's precision. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// Nothing on a dry device.
    pub(super) memory: Option<Arc<Memory>>,
    len: usize,
    /// Those of the devices that can use it.
    owner: Arc<Threads>,
    /// What it adds to the memory in use.
    _share: Arc<Share>,
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

    /// Its memory, if it belongs to the devices with these threads and no dry one made it.
    pub(super) fn checked(&self, threads: &Arc<Threads>) -> Result<&Arc<Memory>, DeviceError> {
        if !Arc::ptr_eq(&self.owner, threads) {
            return Err(DeviceError::Mismatch("a buffer of another device; make it on the one that runs".to_owned()));
        }
        self.real()
    }

    /// Its memory, if no dry device made it.
    pub(super) fn real(&self) -> Result<&Arc<Memory>, DeviceError> {
        self.memory.as_ref().ok_or_else(|| {
            DeviceError::Mismatch("a buffer of a dry device holds nothing; make it on the device that runs".into())
        })
    }
}

impl Cpu {
    /// Largest buffer in bytes: its elements have 32-bit numbers.
    pub fn max_binding_bytes(&self) -> u64 {
        (1 << 32) * self.0.precision.bytes() as u64
    }

    /// Size in bytes of a buffer of `len` elements; `what` names it in errors.
    ///
    /// # Errors
    /// [`DeviceError::BufferTooLarge`].
    pub fn check_size(&self, what: &str, len: usize) -> Result<u64, DeviceError> {
        buffer_bytes(what, len, self.0.precision.bytes(), self.max_binding_bytes(), &self.adapter().name)
    }

    /// Makes a zeroed buffer of `len` elements; `what` names it in errors.
    ///
    /// # Errors
    /// [`DeviceError::BufferTooLarge`], or [`DeviceError::NoMemory`].
    pub fn buffer(&self, what: &str, len: usize) -> Result<Buffer, DeviceError> {
        let bytes = self.check_size(what, len)?;
        let share = Arc::new(Share::new(&self.0.account, bytes));
        let memory = if self.0.dry {
            None
        } else {
            let none = || DeviceError::NoMemory(format!("{bytes} bytes for {what}"));
            Some(usize::try_from(bytes).ok().and_then(Memory::new).ok_or_else(none)?)
        };
        Ok(Buffer { memory, len, owner: Arc::clone(&self.0.threads), _share: share })
    }

    /// Makes a buffer with these elements.
    ///
    /// # Errors
    /// As [`Cpu::buffer`].
    pub fn buffer_from<V: Value>(&self, what: &str, data: &[V]) -> Result<Buffer, DeviceError> {
        let buffer = self.buffer(what, data.len())?;
        self.write(&buffer, data)?;
        Ok(buffer)
    }

    /// Replaces the first elements of a buffer.
    ///
    /// # Errors
    /// [`DeviceError::Mismatch`] when `data` is longer than the buffer, or the buffer is another device's.
    pub fn write<V: Value>(&self, buffer: &Buffer, data: &[V]) -> Result<(), DeviceError> {
        check_write(data.len(), buffer.len)?;
        if self.0.dry {
            return Ok(());
        }
        let memory = buffer.checked(&self.0.threads)?;
        let _alone = lock(&self.0.threads.running);
        match self.0.precision {
            Precision::F32 => {
                let view = memory.view::<f32>();
                data.iter()
                    .enumerate()
                    .for_each(|(i, x)| view.store(Runs::one(i), &[f32::from_bits(x.bits_32())], false));
            }
            Precision::F64 => {
                let view = memory.view::<f64>();
                data.iter()
                    .enumerate()
                    .for_each(|(i, x)| view.store(Runs::one(i), &[f64::from_bits(x.bits_64())], false));
            }
        }
        Ok(())
    }

    /// The buffer's elements; zeros on a dry device.
    ///
    /// # Errors
    /// [`DeviceError::Mismatch`] when the buffer is another device's.
    pub fn read<V: Value>(&self, buffer: &Buffer) -> Result<Vec<V>, DeviceError> {
        if buffer.is_empty() || self.0.dry {
            return Ok(vec![V::default(); buffer.len]);
        }
        let memory = buffer.checked(&self.0.threads)?;
        let _alone = lock(&self.0.threads.running);
        Ok(match self.0.precision {
            Precision::F32 => {
                let mut values = vec![0.0_f32; buffer.len];
                memory.view().load(Runs::line(0, 1, buffer.len), &mut values);
                values.into_iter().map(|x| V::from_bits_32(x.to_bits())).collect()
            }
            Precision::F64 => {
                let mut values = vec![0.0_f64; buffer.len];
                memory.view().load(Runs::line(0, 1, buffer.len), &mut values);
                values.into_iter().map(|x| V::from_bits_64(x.to_bits())).collect()
            }
        })
    }

    /// Makes the memory that programs loaded on a dry device need, at its final size.
    ///
    /// # Errors
    /// As [`Cpu::buffer`].
    pub fn reserve(&self, dry: &Self) -> Result<(), DeviceError> {
        let lens: Vec<usize> = lock(&dry.0.scratch).iter().map(Buffer::len).collect();
        for (i, len) in lens.into_iter().enumerate() {
            let buffer = self.buffer(&format!("intermediate value {i}"), len)?;
            lock(&self.0.scratch).push(buffer);
        }
        let needs = lock(&dry.0.needs).0;
        self.need(needs);
        Ok(())
    }

    /// Makes sure that all threads have what a program needs.
    pub(super) fn need(&self, needs: Needs) {
        let mut all = lock(&self.0.needs);
        let (before, share) = &mut *all;
        let now = before.or(needs);
        if now == *before {
            return;
        }
        // The smaller share goes first: the larger is there instead, not besides.
        *share = None;
        *share = Some(Share::new(&self.0.account, now.bytes(self.0.precision.bytes(), self.0.threads.count)));
        *before = now;
        if !self.0.dry {
            match &self.0.threads.pools {
                Pools::F32(pool) => pool.reserve(now),
                Pools::F64(pool) => pool.reserve(now),
            }
        }
    }

    /// Buffers for a program's intermediate values, shared with all other programs: they run one after the other, and
    /// none expects to find what it left behind.
    pub(super) fn scratch(&self, name: &str, temps: &[usize]) -> Result<Vec<Buffer>, DeviceError> {
        let what = |i: usize| format!("intermediate value {i} of {name}");
        let mut order: Vec<usize> = (0..temps.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(temps[i]));
        let mut pool = lock(&self.0.scratch);
        if self.0.dry {
            for (place, &i) in order.iter().enumerate() {
                if pool.get(place).is_some_and(|buffer| buffer.len() >= temps[i]) {
                    continue;
                }
                // The smaller one goes first: the larger is there instead, not besides.
                if place < pool.len() {
                    pool.remove(place);
                }
                pool.insert(place, self.buffer(&what(i), temps[i])?);
            }
            return Ok(vec![]);
        }
        let mut taken = vec![false; pool.len()];
        let mut found: Vec<Option<Buffer>> = vec![None; temps.len()];
        for i in order {
            let fits = (0..pool.len()).filter(|&b| !taken[b] && pool[b].len() >= temps[i]);
            let place = fits.min_by_key(|&b| pool[b].len()).unwrap_or(pool.len());
            if place == pool.len() {
                pool.push(self.buffer(&what(i), temps[i])?);
                taken.push(false);
            }
            taken[place] = true;
            found[i] = Some(pool[place].clone());
        }
        Ok(found.into_iter().flatten().collect())
    }
}
