//! `edgewalk info`: the devices of this machine, with their limits.

use super::Error;
use crate::device;

/// Lists the devices: GPUs first, the processor last.
///
/// # Errors
/// [`crate::run::RunError::Device`] for environment variables that cannot be followed.
pub fn run() -> Result<(), Error> {
    let adapters = device::adapters()?;
    let mut text = format!("edgewalk {}\n", env!("CARGO_PKG_VERSION"));
    for (index, adapter) in adapters.iter().enumerate() {
        text += &format!(
            "\n{index}: {}\n   {} at {} through {}, driver {} {}\n   kernels: {} tier\n",
            adapter.name,
            adapter.kind,
            adapter.place,
            adapter.backend,
            adapter.driver,
            adapter.driver_info,
            adapter.tier
        );
        for (name, value) in &adapter.limits {
            text += &format!("   {name} = {value}\n");
        }
    }
    super::print(&text)
}
