//! What `edgewalk train` does, from Rust: a run with its folder, tables and pictures.
//!
//!     cargo run --release --example train
//!
//! The configuration is that of the command line: a preset or a TOML file, and changes to it.

use std::error::Error;
use std::path::PathBuf;

use edgewalk::config;
use edgewalk::folder::rows::CurvatureRow;
use edgewalk::folder::tables::read_curvature;
use edgewalk::run::{self, TrainRequest};

/// Trains, into the next free folder under `runs` if no other is given, and reads what was measured.
///
/// # Errors
/// Whatever ends the run early.
pub fn train(out: Option<PathBuf>) -> Result<Vec<CurvatureRow>, Box<dyn Error>> {
    let sets = ["width=16", "train=200", "steps=200", "run.tune=0"].map(String::from);
    let request = TrainRequest::from(config::resolve(Some("quickstart"), &sets)?);
    let folder = run::train(&TrainRequest { out, ..request }, &())?;
    Ok(read_curvature(&folder.curvature())?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let rows = train(None)?;
    println!("step      ‖H‖  ‖H‖ ÷ edge");
    for row in rows {
        println!("{:4} {:8.4} {:11.3}", row.step, row.hessian_norm, row.edge_ratio);
    }
    Ok(())
}
