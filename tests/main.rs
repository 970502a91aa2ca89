//! One integration binary, one module per subject.

mod autodiff;
mod autodiff_models;
mod autodiff_random;
mod cli;
mod config;
mod curvature;
mod data;
mod device;
mod edge;
mod graph;
mod kernels;
mod networks;
mod objective;
mod objective_cases;
mod official;
mod op_cases;
mod oracle;
mod passes;
mod plot;
mod random_graphs;
mod random_programs;
mod reference_mlp;
mod reference_mlp_checks;
mod rundir;
mod shaders;
mod training;
