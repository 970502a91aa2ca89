//! Spectral densities on a common grid, with H, G and R side by side.

use super::{Finding, Part};
use crate::curvature::SpectralDensity;

/// Points of a curve.
const POINTS: usize = 1000;
/// Widths σ of the Gaussians from one end of the spectrum to the other: fine enough to show single outliers.
const WIDTHS: f64 = 150.0;
/// Standard deviations shown beyond the ends.
const MARGIN: f64 = 4.0;

/// Densities on a common grid: λ, and the number of eigenvalues per unit of λ in each matrix.
pub(super) struct DensityTable<'a> {
    pub lambdas: Vec<f64>,
    pub columns: Vec<(Part, &'a SpectralDensity, Vec<f64>)>,
    #[cfg_attr(not(feature = "plots"), expect(dead_code, reason = "only the picture needs it"))]
    pub sigma: f64,
}

impl<'a> DensityTable<'a> {
    pub fn of(findings: &'a [Finding]) -> Option<Self> {
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

    pub fn csv(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(part, ..)| part.key()).collect();
        let mut text = format!("lambda,{}\n", names.join(","));
        for (i, lambda) in self.lambdas.iter().enumerate() {
            let cells: Vec<String> = self.columns.iter().map(|(.., counts)| format!("{:?}", counts[i])).collect();
            text += &format!("{lambda:?},{}\n", cells.join(","));
        }
        text
    }
}
