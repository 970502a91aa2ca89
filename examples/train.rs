//! What `edgewalk train` does, from Rust: a run with its folder, tables and pictures.
//!
//!     cargo run --release --example train
//!
//! The configuration is that of the command line: a preset or a TOML file, and changes to it.

use std::error::Error;

use edgewalk::experiment::record::{CurvatureRow, read_curvature};
use edgewalk::experiment::rundir::RunDir;
use edgewalk::experiment::{TrainRequest, config, run};

/// Trains into an empty folder, and reads what was measured.
///
/// # Errors
/// Whatever ends the run early.
pub fn train(folder: &RunDir) -> Result<Vec<CurvatureRow>, Box<dyn Error>> {
    let sets = ["width=16", "train=200", "steps=200", "run.tune=0"].map(String::from);
    let request = TrainRequest::from(config::resolve(Some("quickstart"), &sets)?);
    run::train(&TrainRequest { out: Some(folder.path().into()), ..request })?;
    Ok(read_curvature(&folder.curvature())?)
}

fn main() -> Result<(), Box<dyn Error>> {
    // The next free runs/from-rust-<n>.
    let folder = RunDir::create(None, "from-rust")?;
    println!("step      ‖H‖  ‖H‖ ÷ edge");
    for row in train(&folder)? {
        println!("{:4} {:8.4} {:11.3}", row.step, row.hessian_norm, row.edge_ratio);
    }
    Ok(())
}
