//! The compiled part of the Python package `edgewalk`: products with the Hessian of a network, and runs.
//!
//! It takes arrays of exact types and leaves conversions, defaults and names to the Python files beside it. The
//! interpreter is released while a device computes, and Ctrl-C is looked for between products and steps.

mod error;
mod hessian;
mod network;
mod training;

/// See the module text.
#[pyo3::pymodule]
mod _core {
    #[pymodule_export]
    use super::hessian::Hessian;
    #[pymodule_export]
    use super::network::Network;
    #[pymodule_export]
    use super::training::{resume, train};
}
