//! Spectral densities as curves: the table and the picture of each block, with H, G and R on one axis.

use crate::curvature::SpectralDensity;
use crate::files::write_file;
use crate::results::figure::{Curve, Figure, Format, Horizontal, Scale, Style};
use crate::results::plot::{BLUE, ORANGE, PlotError, VERMILLION};
use crate::run::RunError;

use super::{Analysis, Finding, Part};

/// Points of a curve.
const POINTS: usize = 1000;
/// Widths σ of the Gaussians from one end of the spectrum to the other: fine enough to show single outliers.
const WIDTHS: f64 = 150.0;
/// Standard deviations shown beyond the ends.
const MARGIN: f64 = 4.0;

/// Densities on a common grid: λ, and the number of eigenvalues per unit of λ in each matrix.
struct Table<'a> {
    lambdas: Vec<f64>,
    columns: Vec<(Part, &'a SpectralDensity, Vec<f64>)>,
    sigma: f64,
}

impl<'a> Table<'a> {
    fn of(findings: &'a [Finding]) -> Option<Self> {
        let densities: Vec<(Part, &SpectralDensity)> =
            findings.iter().filter_map(|finding| Some((finding.part, finding.density.as_ref()?))).collect();
        let low = densities.iter().map(|(_, d)| d.lambda_min.value).reduce(f64::min)?;
        let high = densities.iter().map(|(_, d)| d.lambda_max.value).reduce(f64::max)?;
        // A multiple of the identity has no width.
        let span = if high > low { high - low } else { high.abs().max(1.0) };
        let sigma = span / WIDTHS;
        let (low, high) = (low - MARGIN * sigma, high + MARGIN * sigma);
        let at = |i: usize| low + (high - low) * i as f64 / (POINTS - 1) as f64;
        let lambdas: Vec<f64> = (0..POINTS).map(at).collect();
        let columns = densities.into_iter().map(|(part, density)| {
            let counts = lambdas.iter().map(|&x| density.dim as f64 * density.density(x, sigma)).collect();
            (part, density, counts)
        });
        Some(Self { columns: columns.collect(), lambdas, sigma })
    }

    fn csv(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(part, ..)| part.key()).collect();
        let mut text = format!("lambda,{}\n", names.join(","));
        for (i, lambda) in self.lambdas.iter().enumerate() {
            let cells: Vec<String> = self.columns.iter().map(|(.., counts)| format!("{:?}", counts[i])).collect();
            text += &format!("{lambda:?},{}\n", cells.join(","));
        }
        text
    }

    fn figure(&self, title: String) -> Figure {
        // The height of a tenth of an eigenvalue; lower values are tails of Gaussians.
        let floor = 0.1 / (self.sigma * (2.0 * std::f64::consts::PI).sqrt());
        let mut curves = vec![];
        for (part, _, counts) in &self.columns {
            let style = match part {
                Part::Hessian => Style { color: BLUE, width: 4.0, dashes: "" },
                Part::GaussNewton => Style { color: ORANGE, width: 1.5, dashes: "" },
                Part::Rest => Style { color: VERMILLION, width: 1.5, dashes: "" },
            };
            let points: Vec<(f64, f64)> = self.lambdas.iter().copied().zip(counts.iter().copied()).collect();
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
}

impl Analysis {
    /// Writes the table and the picture of every block that has a density.
    pub(super) fn write_densities(&self, format: Format) -> Result<(), RunError> {
        for block in self.findings.chunk_by(|a, b| a.block == b.block) {
            let (Some(table), name) = (Table::of(block), &block[0].block) else { continue };
            write_file(&self.out.join(format!("density-{name}.csv")), table.csv().as_bytes())?;
            let whole = if name == "all" { String::new() } else { format!(" of {name}") };
            let path = self.out.join(format!("density-{name}.{}", format.extension()));
            let picture = table.figure(format!("Spectral density{whole} at step {}", self.step)).render(format);
            write_file(&path, &picture.map_err(|message| PlotError::Draw { path: path.clone(), message })?)?;
        }
        Ok(())
    }
}
