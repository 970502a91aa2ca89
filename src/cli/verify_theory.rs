//! `edgewalk verify-theory`: predictions of theory beside the results of this adapter.

use clap::Args;

use super::Error;
use crate::device::Device;
use crate::theory::{self, Check, ROUNDING, Tally, TheorySection, TheoryVerdict};

/// The arguments of `edgewalk verify-theory`.
#[derive(Debug, Args)]
#[command(after_help = about_tolerances())]
pub struct VerifyArgs {
    /// The adapter: native, gpu, cpu, part of its name, or its number in `edgewalk info`
    #[arg(long, value_name = "NAME|INDEX")]
    adapter: Option<String>,
}

/// The reasons for the tolerances.
fn about_tolerances() -> String {
    format!(
        "Tolerances: predictions are computed in float64, measurements in float32, which rounds by up to 6e-8. A step \
         is worth twenty such roundings, weighed up to four times: {ROUNDING:.0e}. The drift of the network is \
         predicted to leading order in ρ, and each of its steps is so small that rounding is 1e-4 of it: 1e-3.\n\
         Exit code 1 if a prediction fails."
    )
}

/// Verifies and prints the table.
///
/// # Errors
/// [`Error::Theory`] when a prediction fails, and device errors.
pub fn run(args: &VerifyArgs) -> Result<(), Error> {
    let device = Device::open(args.adapter.as_deref())?;
    let adapter = device.adapter().name.clone();
    let sections = theory::verify(&device)?;
    super::print(&format!("{adapter}\n{}", table(&sections)))?;
    let Tally { passed, observed } = theory::judge(&sections, &adapter)?;
    super::print(&format!("\nall {passed} predictions hold; {observed} numbers are shown as measured\n"))
}

/// The checks in columns, a heading over each section.
fn table(sections: &[TheorySection]) -> String {
    let checks = || sections.iter().flat_map(|section| &section.checks);
    let width = checks().map(|check| check.prediction.chars().count()).max().unwrap_or(0);
    let mut text = format!(
        "\n  {:width$}  {:>13}  {:>13}  {:>9}  {:>9}  verdict\n",
        "prediction", "predicted", "measured", "error", "tolerance"
    );
    for section in sections {
        text += &format!("\n{}\n", section.title);
        for check in &section.checks {
            text += &format!("  {:width$}  {}\n", check.prediction, numbers(check));
        }
    }
    text
}

/// Predicted, measured, relative error, tolerance and verdict of a check.
fn numbers(check: &Check) -> String {
    match check.predicted.zip(check.error()) {
        None => format!("{:>13}  {:>13}  {:>9}  {:>9}  as measured", "", check.measured, "", ""),
        Some((predicted, error)) => {
            let verdict = if check.verdict() == TheoryVerdict::Passed { "ok" } else { "FAILED" };
            let [predicted, measured] = [predicted, check.measured].map(significant);
            format!("{predicted:>13}  {measured:>13}  {error:>9.1e}  {:>9.0e}  {verdict}", check.tolerance)
        }
    }
}

/// Eight significant digits, with an exponent if the number is small.
fn significant(x: f64) -> String {
    if x == 0.0 || (1e-3..1e6).contains(&x.abs()) { format!("{x:.8}") } else { format!("{x:.6e}") }
}
