//! The files of a run: folder, manifest, checkpoints and tables, without computation. `run` writes them, and `results`
//! shows them.

mod cells;
pub mod checkpoint;
pub mod choices;
pub mod columns;
mod curvature_columns;
pub mod data_record;
pub mod manifest;
pub mod rows;
mod run_dir;
pub(crate) mod settled;
pub mod state;
pub mod table;
pub mod tables;

pub(crate) use run_dir::{RUNS, SWEEP, SWEEP_RUNS, lock_file};
pub use run_dir::{RunDir, RunDirError, check};
