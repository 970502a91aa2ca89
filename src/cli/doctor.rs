//! `edgewalk doctor`: examines an adapter and prints the findings, section by section.

use std::time::Duration;

use indicatif::ProgressBar;

use super::{Error, print};
use crate::device::Device;
use crate::doctor::{ExaminationEvent, Report, SECTIONS, Verdict, examine};

/// Examines the adapter given by part of its name, its number or its kind. Rows are printed at once, so that the last
/// one shows the place if the driver crashes the program.
///
/// # Errors
/// [`Error::Untrustworthy`] if a check fails, [`crate::run::RunError::Device`] if there is no such adapter.
pub fn run(adapter: Option<&str>) -> Result<(), Error> {
    let device = Device::open(adapter)?;
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(100));
    let mut printed = print(&format!("{}\n", Report::new(device.adapter()).title));
    let mut watch = |progress: ExaminationEvent| match progress {
        ExaminationEvent::Begins(section) => bar.set_message(section),
        ExaminationEvent::Found(rows) => {
            let rows: String = rows.iter().map(|row| format!("{row}\n")).collect();
            let done = bar.suspend(|| print(&format!("\n{rows}")));
            if printed.is_ok() {
                printed = done;
            }
        }
    };
    let report = examine(&device, &SECTIONS, &mut watch);
    bar.finish_and_clear();
    printed?;
    print(&format!("\n{}\n", report.verdict()))?;
    match report.with(Verdict::Fail).count() {
        0 => Ok(()),
        failed => Err(Error::Untrustworthy { failed }),
    }
}
