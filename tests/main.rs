//! One integration binary, one module per subject.

mod autodiff;
mod autodiff_models;
mod autodiff_random;
mod data;
mod device;
mod graph;
mod kernels;
mod op_cases;
mod oracle;
