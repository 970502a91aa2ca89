//! Edgewalk trains networks with gradient descent and SAM on any GPU that [wgpu](https://wgpu.rs) reaches, and measures
//! how close they come to the edge of stability: the top eigenvalue of the exact Hessian against 2/η, or against the
//! SAM-edge of Long and Bartlett (arXiv 2309.12488). The `edgewalk` program is a thin layer over this library.
//!
//! # The stages
//!
//! The modules are a pipeline; each imports only earlier ones (ARCHITECTURE.md has their order).
//!
//! | module | turns | into |
//! |---|---|---|
//! | [`onnx`] | the file of a network | a graph |
//! | [`model`] | layers and a loss | a graph |
//! | [`graph`] | ops on tensors of static shape | nodes, their types, and their values in f64 |
//! | [`autodiff`] | a graph | its gradient, H·v, G·v and ∇(vᵀHv), as graphs |
//! | `index` | a position in a value | where it lies in a buffer, through any chain of reshapes and transposes |
//! | [`passes`] | a graph | the same values in less work |
//! | [`plan`] | a graph | steps over few buffers: code over symbolic indices, in no particular language |
//! | [`kernel`] | a plan | WGSL and a list of dispatches, as plain data |
//! | [`gpu`] | such a program | numbers |
//! | [`objective`] | a model, a loss and a data set | those quantities on flat vectors, chunk by chunk |
//! | [`optim`] | an objective | steps of GD, SAM and their relatives, each one recording |
//! | [`curvature`] | products with a symmetric matrix | eigenpairs, and the edges to compare them with |
//! | [`theory`] | a device | its results beside predictions in closed form |
//! | [`config`] | presets, files and `key=value` | a complete, valid configuration |
//! | [`folder`] | the files of a run | manifest, checkpoints and tables |
//! | [`results`] | a run folder | figures, pages and numbers |
//! | [`run`] | a configuration | a run folder |
//! | [`analysis`] | the parameters of a run | the spectrum of their Hessian |
//! | [`sweep`] | several values of some settings | a run for each combination |
//! | [`mod@list`] | a folder | the runs below it |
//! | [`mod@bench`] | a configuration | the time of its kernels and steps |
//! | [`doctor`] | an adapter | a verdict on its results |
//!
//! [`data`] reads data sets, [`files`] writes files and locks them, and [`cli`] reads the command line.
//!
//! # A first look, without a device
//!
//! Everything up to [`passes`] runs on the host, and [`graph::eval`] is what defines a graph's value.
//!
//! ```
//! use edgewalk::autodiff::hvp;
//! use edgewalk::graph::{Graph, Tensor, eval};
//!
//! // L(w) = (w₀² + w₁²)², whose Hessian at (1, 0) is diag(12, 4).
//! let mut g = Graph::new();
//! let (w, v) = (g.input_f32("w", &[2]), g.input_f32("v", &[2]));
//! let squares = g.mul(w, w);
//! let sum = g.sum_all(squares);
//! let loss = g.mul(sum, sum);
//! let hv = hvp(&mut g, loss, &[w], &[v]);
//!
//! let at = |data: [f64; 2]| Tensor { shape: vec![2], data: data.to_vec() };
//! let values = eval(&g, &hv, &[(w, at([1.0, 0.0])), (v, at([1.0, 1.0]))])?;
//! assert_eq!(values[0].data, [12.0, 4.0]);
//! # Ok::<(), edgewalk::graph::GraphError>(())
//! ```
//!
//! docs/library.md continues from here, and so does `examples/`: `train` (a run with its folder), `hvp` (products and
//! eigenvalues of a network), `sam_edge` (training, measured as it goes), `custom_model`, `custom_loss` and
//! `custom_data`. ARCHITECTURE.md explains how it works and why.

// A reader of standard error or output may be gone, and these macros panic then: `cli/terminal.rs` writes.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod adapter;
pub mod analysis;
pub mod autodiff;
pub mod bench;
mod choice;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod cpu;
pub mod curvature;
pub mod data;
pub mod device;
pub mod doctor;
mod environment;
pub mod files;
pub mod folder;
pub mod gpu;
pub mod graph;
pub(crate) mod index;
pub mod kernel;
pub mod list;
pub mod model;
pub mod objective;
pub mod observer;
pub mod onnx;
pub mod optim;
pub mod passes;
pub mod plan;
pub mod results;
pub mod run;
pub mod sweep;
mod text;
pub mod theory;

/// The code of the README and of the page about the library is compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../docs/library.md")]
struct Pages;
