//! Whether an adapter can be trusted, in under a minute, and a table that says why.
//!
//! The one idea: [`crate::graph::eval`] defines what every kernel should give, in f64; so whatever lies between a graph and
//! its numbers on this adapter (driver, shader compiler, hardware) is examined by running the very programs that training
//! runs, on inputs chosen to be hard, and comparing. Each limit is derived, not tuned: a multiple of [`ROUNDOFF`], or what
//! the WGSL specification lets a builtin be off by. The modules hold one kind of check each.

mod case;
mod derivatives;
pub mod driver;
mod functions;
mod kernels;
mod limits;
mod nonfinite;
mod report;
mod throughput;

use crate::gpu::{Gpu, GpuError};

pub use report::{Report, Row, Verdict};

/// u, float32's unit roundoff: the largest relative error of one correctly rounded operation.
pub const ROUNDOFF: f64 = 1.0 / (1u32 << 24) as f64;

/// One section of the report.
struct Check {
    name: &'static str,
    run: fn(&Gpu) -> Result<Vec<Row>, GpuError>,
}

const CHECKS: [Check; 7] = [
    Check { name: "driver", run: driver::rows },
    Check { name: "limits", run: limits::rows },
    Check { name: "functions", run: functions::rows },
    Check { name: "NaN and infinity", run: nonfinite::rows },
    Check { name: "kernels", run: kernels::rows },
    Check { name: "derivatives", run: derivatives::rows },
    Check { name: "throughput", run: throughput::rows },
];

/// What [`examine`] tells while it is at work.
pub enum Progress<'a> {
    /// A section of this name begins.
    Begins(&'static str),
    /// A section found this.
    Found(&'a [Row]),
}

/// Examines an open adapter, section by section. A section that the device refuses is a failed row, not an error.
pub fn examine(gpu: &Gpu, watch: &mut dyn FnMut(Progress)) -> Report {
    let mut report = Report::new(gpu.adapter());
    for check in CHECKS {
        watch(Progress::Begins(check.name));
        let rows = (check.run)(gpu).unwrap_or_else(|error| vec![Row::refused(check.name, &error)]);
        watch(Progress::Found(&rows));
        report.rows.extend(rows);
    }
    report
}
