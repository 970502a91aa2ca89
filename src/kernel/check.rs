//! naga's verdict on a kernel, before wgpu sees it and without a device.
//!
//! Kernels must be valid under the capabilities of default WebGPU; only the subgroup tier may ask for more.

use naga::valid::{Capabilities, ValidationFlags, Validator};

use super::{Kernel, KernelError};

/// Parses and validates a kernel.
///
/// # Errors
/// [`KernelError::Invalid`] with the source line that naga points at.
pub fn validate(kernel: &Kernel) -> Result<(), KernelError> {
    let invalid = |message: String| KernelError::Invalid { label: kernel.label.clone(), message };
    let module = naga::front::wgsl::parse_str(&kernel.wgsl).map_err(|e| invalid(e.emit_to_string(&kernel.wgsl)))?;
    let mut validator = if kernel.subgroups {
        let mut validator = Validator::new(ValidationFlags::all(), Capabilities::SUBGROUP);
        validator
            .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
            .subgroup_operations(naga::valid::SubgroupOperationSet::BALLOT);
        validator
    } else {
        Validator::new(ValidationFlags::all(), Capabilities::empty())
    };
    validator.validate(&module).map_err(|e| invalid(e.emit_to_string(&kernel.wgsl)))?;
    Ok(())
}
