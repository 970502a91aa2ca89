//! Edgewalk trains networks with gradient descent and SAM on any GPU that [wgpu](https://wgpu.rs) reaches, and measures
//! how close they come to the edge of stability: the top eigenvalue of the exact Hessian against 2/η, or against the
//! SAM-edge of Long and Bartlett (arXiv 2309.12488). The `edgewalk` program is a thin layer over this library.
//!
//! # The stages
//!
//! The modules are a pipeline; each knows only those before it.
//!
//! | module | turns | into |
//! |---|---|---|
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
//! | [`theory`] | a device | what it computes beside what is predicted in closed form |
//! | [`experiment`] | a configuration | a run folder |
//! | [`doctor`] | an adapter | a verdict: does it compute what it should? |
//!
//! [`data`] reads data sets, [`lock`] keeps processes from one another, and [`cli`] reads the command line.
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
//! docs/library.md goes on from here, and so does `examples/`: `train` (a run with its folder), `hvp` (products and eigenvalues of a
//! network), `sam_edge` (training, measured as it goes), `custom_model`, `custom_loss` and `custom_data`. ARCHITECTURE.md explains
//! how it works and why.

// A reader of standard error or output may be gone, and these macros panic then: `experiment/output.rs` writes.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod aside;
pub mod autodiff;
mod choice;
pub mod cli;
pub mod curvature;
pub mod data;
pub mod doctor;
pub mod experiment;
pub mod gpu;
pub mod graph;
pub(crate) mod index;
pub mod kernel;
pub mod lock;
pub mod model;
pub mod objective;
pub mod optim;
pub mod passes;
pub mod plan;
pub mod theory;

/// The code of the README and of the page about the library is compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../docs/library.md")]
struct Pages;
