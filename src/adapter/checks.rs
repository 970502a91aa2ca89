//! Checks of sizes that every device makes of its buffers.

use super::DeviceError;

/// Size in bytes of a buffer of `len` elements of `each` bytes, at most `limit`; `what` and `adapter` are named in errors.
/// It is a multiple of four elements, which one vector load reads, and never 0.
pub(crate) fn buffer_bytes(what: &str, len: usize, each: usize, limit: u64, adapter: &str) -> Result<u64, DeviceError> {
    const MIB: f64 = 1024.0 * 1024.0;
    let bytes = (len.max(1) as u64).div_ceil(4).saturating_mul(4 * each as u64);
    if bytes <= limit {
        return Ok(bytes);
    }
    Err(DeviceError::BufferTooLarge {
        what: what.to_owned(),
        needed_mib: bytes as f64 / MIB,
        limit_mib: limit as f64 / MIB,
        adapter: adapter.to_owned(),
    })
}

/// Refuses to write `len` elements to a buffer of `room`, if they are more.
pub(crate) fn check_write(len: usize, room: usize) -> Result<(), DeviceError> {
    if len <= room {
        return Ok(());
    }
    Err(DeviceError::Mismatch(format!("{len} elements do not fit a buffer of {room}; write as many at most")))
}

/// Refuses to copy `len` elements to element `at` of a buffer of `room`, if they do not fit.
pub(crate) fn check_copy(len: usize, room: usize, at: usize) -> Result<(), DeviceError> {
    if room.checked_sub(at).is_some_and(|left| left >= len) {
        return Ok(());
    }
    let problem = format!("{len} elements do not fit at {at} of a buffer of {room}; copy to a longer one");
    Err(DeviceError::Mismatch(problem))
}
