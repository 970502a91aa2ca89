//! The variants of every contraction of a gradient compared, to judge the default rules.

use std::fmt;

use super::Scratch;
use crate::config::Resolved;
use crate::device::Device;
use crate::kernel::Variant;
use crate::objective::tune::{TimedContraction, Tuner, decide, secs_of};
use crate::run::RunError;
use crate::text::counted;

/// The times of all variants for the contractions of one chunk's gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct Variants {
    /// The preset or file, and the adapter.
    pub title: String,
    /// By class, the most expensive first, with the seconds of the variants.
    pub rows: Vec<(TimedContraction, Vec<(Variant, f64)>)>,
}

/// Times the variants that suit the adapter.
///
/// # Errors
/// [`RunError::Config`] when the model does not fit the data set; device errors.
pub fn variants(device: &Device, Resolved { name, config }: &Resolved) -> Result<Variants, RunError> {
    let Scratch { objective, .. } = Scratch::of_update(device, config)?;
    let mut tuner = Tuner::new(device, &objective)?;
    let mut rows = vec![];
    for contraction in tuner.contractions().to_vec() {
        let times = tuner.time(&contraction, None)?;
        rows.push((contraction, times));
    }
    Ok(Variants {
        title: format!("{name} on {}, {} at a time", device.adapter().name, counted(objective.plan().rows, "example")),
        rows,
    })
}

impl fmt::Display for Variants {
    /// One line for each class, one column for each variant: times as multiples of the best.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        writeln!(f, "times as multiples of the best; ° the default rule, * what timing would choose\n")?;
        let columns: Vec<Variant> = Variant::ALL
            .iter()
            .copied()
            .filter(|v| self.rows.iter().any(|(_, times)| secs_of(*v, times).is_some()))
            .collect();
        let heads: String = columns.iter().map(|variant| format!("{:>16}", variant.to_string())).collect();
        writeln!(f, "count   share   best ms{heads}  contraction")?;
        let total: f64 = self.rows.iter().map(|(contraction, _)| contraction.flops).sum();
        for (TimedContraction { class, default, count, flops, .. }, times) in &self.rows {
            let best = times.iter().map(|(_, secs)| *secs).fold(f64::INFINITY, f64::min);
            write!(f, "{count:5} {:5.1} % {:9.3}", 100.0 * flops / total, 1e3 * best)?;
            let chosen = decide(*default, times);
            for variant in &columns {
                let mark = |is: bool, mark: char| if is { mark } else { ' ' };
                let marks = [mark(variant == default, '°'), mark(*variant == chosen, '*')];
                match secs_of(*variant, times) {
                    Some(secs) => write!(f, "{:14.2}{}{}", secs / best, marks[0], marks[1])?,
                    None => write!(f, "{:>14}  ", "–")?,
                }
            }
            writeln!(f, "  {class}")?;
        }
        Ok(())
    }
}
