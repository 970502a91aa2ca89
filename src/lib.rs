#![doc = "wip"]
pub mod autodiff;
mod choice;
pub mod cli;
pub mod curvature;
pub mod data;
pub mod experiment;
pub mod gpu;
pub mod graph;
pub mod kernel;
pub mod model;
pub mod objective;
pub mod optim;
pub mod passes;
