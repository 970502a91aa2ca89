//! The picture of spectral densities.

use super::Part;
use super::density_table::DensityTable;
use crate::results::figure::{Curve, Figure, Horizontal, Scale, Style};
use crate::results::plot::{BLUE, ORANGE, VERMILLION};

/// The densities of a block on a logarithmic axis.
pub(super) fn figure(table: &DensityTable, title: String) -> Figure {
    // The height of a tenth of an eigenvalue; lower values are tails of Gaussians.
    let floor = 0.1 / (table.sigma * (2.0 * std::f64::consts::PI).sqrt());
    let mut curves = vec![];
    for (part, _, counts) in &table.columns {
        let style = match part {
            Part::Hessian => Style { color: BLUE, width: 4.0, dashes: "" },
            Part::GaussNewton => Style { color: ORANGE, width: 1.5, dashes: "" },
            Part::Rest => Style { color: VERMILLION, width: 1.5, dashes: "" },
        };
        let points: Vec<(f64, f64)> = table.lambdas.iter().copied().zip(counts.iter().copied()).collect();
        // One piece for each range with a visible density; the first has the name.
        for piece in points.chunk_by(|a, b| (a.1 > floor) == (b.1 > floor)).filter(|piece| piece[0].1 > floor) {
            let label = if curves.iter().any(|c: &Curve| c.label == part.words()) { "" } else { part.words() };
            curves.push(Curve { label: label.into(), points: piece.to_vec(), style });
        }
    }
    Figure {
        title,
        x: Horizontal::Linear("eigenvalue (loss per squared weight)".into()),
        y_label: "eigenvalues per unit, smoothed",
        scale: Scale::Log,
        curves,
    }
}
