//! `edgewalk verify-theory`: predictions of theory beside the results of this adapter.

use clap::Args;

use super::Error;
use super::terminal::{Terminal, print, show, width};
use crate::device::Device;
use crate::observer::Observer;
use crate::text::{HARD_SPACE, rows_in_columns, wrapped};
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
    let terminal = Terminal::default();
    terminal.part("training to test the predictions");
    let sections = theory::verify(&device);
    terminal.finished();
    let sections = sections?;
    print(&format!("{adapter}\n{}", table(&sections, width())))?;
    let Tally { passed, observed } = theory::judge(&sections, &adapter)?;
    show(&format!("\nall {passed} predictions hold; {observed} numbers are shown as measured\n"))
}

/// The checks in columns, a heading over each section.
fn table(sections: &[TheorySection], width: Option<usize>) -> String {
    let checks = sections.iter().flat_map(|section| &section.checks);
    let head = [
        "  prediction".to_owned(),
        format!("{:>13}", "predicted"),
        format!("{:>13}", "measured"),
        format!("{:>9}", "error"),
        "tolerance".to_owned(),
        "verdict".to_owned(),
    ];
    let lines = std::iter::once(head.to_vec()).chain(checks.map(cells)).collect();
    let mut rows = rows_in_columns(lines, width).into_iter();
    let mut text = format!("\n{}", rows.next().unwrap_or_default());
    for section in sections {
        text += &wrapped(&format!("\n{}\n", section.title), width);
        text.extend(rows.by_ref().take(section.checks.len()));
    }
    text
}

/// Prediction, predicted, measured, relative error, tolerance and verdict of a check.
fn cells(check: &Check) -> Vec<String> {
    let [predicted, measured, error, tolerance, verdict] = match check.predicted.zip(check.error()) {
        None => ["".into(), check.measured.to_string(), "".into(), "".into(), "as measured".into()],
        Some((predicted, error)) => {
            let verdict = if check.verdict() == TheoryVerdict::Passed { "ok" } else { "FAILED" };
            let [predicted, measured] = [predicted, check.measured].map(significant);
            [predicted, measured, format!("{error:.1e}"), format!("{:.0e}", check.tolerance), verdict.into()]
        }
    };
    // A prediction has a line of its own rather than two.
    let prediction = format!("  {}", check.prediction).replace(' ', &HARD_SPACE.to_string());
    let verdict = verdict.replace(' ', &HARD_SPACE.to_string());
    vec![
        prediction,
        format!("{predicted:>13}"),
        format!("{measured:>13}"),
        format!("{error:>9}"),
        format!("{tolerance:>9}"),
        verdict,
    ]
}

/// Eight significant digits, with an exponent if the number is small.
fn significant(x: f64) -> String {
    if x == 0.0 || (1e-3..1e6).contains(&x.abs()) { format!("{x:.8}") } else { format!("{x:.6e}") }
}
