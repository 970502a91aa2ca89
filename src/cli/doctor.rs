//! `edgewalk doctor`: examines an adapter and prints the findings, section by section.

use super::Error;
use super::terminal::{Terminal, show};
use crate::device::Device;
use crate::doctor::{ExaminationEvent, Report, SECTIONS, Verdict, examine};
use crate::observer::Observer;

/// Examines the adapter given by part of its name, its number or its kind. Rows are printed at once, so that the last
/// one shows the place if the driver crashes the program.
///
/// # Errors
/// [`Error::Untrustworthy`] if a check fails, [`crate::run::RunError::Device`] if there is no such adapter.
pub fn run(adapter: Option<&str>) -> Result<(), Error> {
    let device = Device::open(adapter)?;
    let terminal = Terminal::default();
    let mut printed = show(&format!("{}\n", Report::new(device.adapter()).title));
    let mut watch = |progress: ExaminationEvent| match progress {
        ExaminationEvent::Begins(section) => terminal.part(section),
        ExaminationEvent::Found(rows) => {
            let rows: String = rows.iter().map(|row| format!("{row}\n")).collect();
            let done = terminal.suspended(|| show(&format!("\n{rows}")));
            if printed.is_ok() {
                printed = done;
            }
        }
    };
    let report = examine(&device, &SECTIONS, &mut watch);
    terminal.finished();
    printed?;
    show(&format!("\n{}\n", report.verdict()))?;
    match report.with(Verdict::Fail).count() {
        0 => Ok(()),
        failed => Err(Error::Untrustworthy { failed }),
    }
}
