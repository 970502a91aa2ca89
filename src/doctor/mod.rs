//! Whether an adapter can be trusted: a table of checks, in under a minute.
//!
//! [`crate::graph::eval`] defines every kernel's result in f64. So driver, shader compiler and hardware are examined by
//! running the programs of training on difficult inputs and comparing. Limits are derived: a multiple of [`ROUNDOFF`],
//! or the error that the WGSL specification allows a builtin. Each module has one kind of check.

mod case;
mod definition;
mod derivatives;
pub mod driver;
mod functions;
mod kernels;
mod limits;
mod nonfinite;
mod report;
mod throughput;

use crate::device::{Device, DeviceError};

pub use report::{Report, Row, Verdict};

/// u = 2⁻²³, one ulp of 1: the largest relative error of one float32 operation. Rounding to nearest has half of it, but
/// WGSL lets +, − and × go to either neighbour of the exact result.
pub const ROUNDOFF: f64 = f32::EPSILON as f64;

/// One section of the report.
pub struct Section {
    /// Its name.
    pub name: &'static str,
    run: fn(&Device) -> Result<Vec<Row>, DeviceError>,
}

/// All sections, in the order in which they are printed.
pub const SECTIONS: [Section; 9] = [
    Section { name: "driver", run: driver::rows },
    Section { name: "limits", run: limits::rows },
    Section { name: "functions", run: functions::rows },
    Section { name: "NaN and infinity", run: nonfinite::rows },
    Section { name: "kernels", run: kernels::rows },
    Section { name: "derivatives of an MLP", run: derivatives::mlp },
    Section { name: "derivatives of a CNN", run: derivatives::cnn },
    Section { name: "derivatives of a Transformer", run: derivatives::transformer },
    Section { name: "throughput", run: throughput::rows },
];

/// The events of [`examine`].
pub enum ExaminationEvent<'a> {
    /// A section of this name begins.
    Begins(&'static str),
    /// A section found this.
    Found(&'a [Row]),
}

/// Examines an open adapter, section by section. A section that the device refuses is a failed row, not an error.
pub fn examine(device: &Device, sections: &[Section], watch: &mut dyn FnMut(ExaminationEvent)) -> Report {
    let mut report = Report::new(device.adapter());
    for section in sections {
        watch(ExaminationEvent::Begins(section.name));
        let rows = (section.run)(device).unwrap_or_else(|error| vec![Row::refused(section.name, &error)]);
        watch(ExaminationEvent::Found(&rows));
        report.rows.extend(rows);
    }
    report
}
