//! All devices of this machine, and the choice of one.

use super::{AdapterSummary, Device, DeviceError, Precision, position};
use crate::cpu::Cpu;
use crate::gpu::{self, Gpu};

/// All devices, adapters of wgpu first, the processor last; positions are the numbers that `--adapter` takes.
///
/// # Errors
/// [`DeviceError::Ceiling`].
pub fn adapters() -> Result<Vec<AdapterSummary>, DeviceError> {
    Ok(found()?.0)
}

/// The same, and the error of wgpu if it has found no adapter.
fn found() -> Result<(Vec<AdapterSummary>, Option<DeviceError>), DeviceError> {
    let (mut all, none) = match gpu::adapters() {
        Err(none @ DeviceError::NoAdapter { .. }) => (vec![], Some(none)),
        adapters => (adapters?, None),
    };
    all.push(Cpu::open(Precision::F32)?.adapter().clone());
    Ok((all, none))
}

impl Device {
    /// Opens the device that is meant as [`position`] has it, `auto` if nothing is said. Environment variables of wgpu
    /// (`WGPU_BACKEND`, `WGPU_STRICT_WEBGPU_COMPLIANCE`, …) are honoured.
    ///
    /// # Errors
    /// Those of [`position`] and of [`Gpu::open`]; [`DeviceError::NoAdapter`] for what is not the processor where wgpu
    /// finds none.
    pub fn open(wanted: Option<&str>) -> Result<Self, DeviceError> {
        Self::open_with(wanted, Precision::F32)
    }

    /// The same with this precision, which only the processor can choose.
    ///
    /// # Errors
    /// As [`Device::open`]; [`DeviceError::Mismatch`] for an adapter of wgpu and 64 bits.
    pub fn open_with(wanted: Option<&str>, precision: Precision) -> Result<Self, DeviceError> {
        let wanted = match (wanted.map(str::trim), precision) {
            (Some(word), _) if word.eq_ignore_ascii_case("native") => return Ok(Self::Cpu(Cpu::open(precision)?)),
            // No adapter of wgpu has 64 bits.
            (None | Some("auto"), Precision::F64) => return Ok(Self::Cpu(Cpu::open(precision)?)),
            (wanted, _) => wanted.unwrap_or("auto"),
        };
        let (adapters, none) = found()?;
        // Where no adapter was found, that is why the one that is wanted is not there.
        let index = position(&adapters, wanted).map_err(|error| none.unwrap_or(error))?;
        match precision {
            _ if adapters[index].is_native() => Ok(Self::Cpu(Cpu::open(precision)?)),
            Precision::F32 => Ok(Self::Gpu(Gpu::open(Some(&index.to_string()))?)),
            Precision::F64 => Err(DeviceError::Mismatch(format!(
                "`{}` computes in 32 bits; for run.precision = \"f64\" use --adapter native",
                adapters[index].name
            ))),
        }
    }
}
