//! The picture of spectral densities: how many eigenvalues lie around each place, on a logarithmic axis, with the edges
//! of the run's update rule.

use super::Part;
use super::density_table::DensityTable;
use crate::results::figure::palette::{BLUE, GREEN, ORANGE};
use crate::results::figure::{Curve, Figure, Horizontal, Scale, Style};
use crate::results::plot::{GD_EDGE, SAM_EDGE};
use crate::text::digits;

/// Lower counts are tails of Gaussians, not eigenvalues.
const FLOOR: f64 = 0.1;
/// An edge farther from the spectrum than this many of its spans would leave it little room.
const FAR: f64 = 1.0;

/// An edge of the update rule: its name, its place, and its look.
pub(super) type NamedEdge = (String, f64, Style);

/// The edges of a rule: without its perturbation, and its own where that is another.
pub(super) fn edges(names: [String; 2], [gd, own]: [Option<f64>; 2]) -> Vec<NamedEdge> {
    let [gd_name, own_name] = names;
    let of_gd = gd.map(|edge| (gd_name, edge, GD_EDGE));
    let of_rule = own.filter(|edge| Some(*edge) != gd).map(|edge| (own_name, edge, SAM_EDGE));
    of_gd.into_iter().chain(of_rule).filter(|edge| edge.1.is_finite()).collect()
}

/// The densities of a block as counts: a single eigenvalue is a peak of height 1.
pub(super) fn figure(table: &DensityTable<'_>, title: String, edges: &[NamedEdge]) -> Figure {
    let sigma = table.sigma;
    // Times the area of a Gaussian of height 1.
    let area = sigma * (2.0 * std::f64::consts::PI).sqrt();
    let mut curves = vec![];
    let (mut low, mut high, mut most) = (f64::INFINITY, f64::NEG_INFINITY, 1.0_f64);
    for (part, density, densities) in &table.columns {
        let style = match part {
            Part::Hessian => Style { color: BLUE, width: 4.0, dashes: "" },
            Part::GaussNewton => Style { color: ORANGE, width: 1.5, dashes: "" },
            Part::Rest => Style { color: GREEN, width: 1.5, dashes: "" },
        };
        // Beyond one width from the outermost eigenvalues there is only smoothing.
        let ends = (density.lambda_min.value - sigma, density.lambda_max.value + sigma);
        (low, high) = (low.min(ends.0), high.max(ends.1));
        let counts = table.lambdas.iter().zip(densities).map(|(&lambda, density)| (lambda, area * density));
        let points: Vec<(f64, f64)> = counts.filter(|point| (ends.0..=ends.1).contains(&point.0)).collect();
        most = points.iter().fold(most, |most, point| most.max(point.1));
        // One piece for each range with a visible count; the first has the name.
        for piece in points.chunk_by(|a, b| (a.1 > FLOOR) == (b.1 > FLOOR)).filter(|piece| piece[0].1 > FLOOR) {
            let label = if curves.iter().any(|c: &Curve| c.label == part.words()) { "" } else { part.words() };
            curves.push(Curve::new(label, piece.to_vec(), style));
        }
    }
    let mut note = format!("Smoothed with Gaussians of standard deviation {}", digits(sigma, 2));
    for (name, edge, style) in edges {
        if (low - FAR * (high - low)..=high + FAR * (high - low)).contains(edge) {
            curves.push(Curve::new(name.as_str(), vec![(*edge, FLOOR), (*edge, most)], *style));
        } else {
            note += &format!("; {name} = {} lies beyond the picture", digits(*edge, 4));
        }
    }
    Figure {
        title,
        note,
        x: Horizontal::Linear("eigenvalue (loss per squared weight)".into()),
        y_label: "eigenvalues (a single one is 1)",
        scale: Scale::Log,
        curves,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curvature::{QuadratureNode, RitzValue, SpectralDensity};

    /// 1000 eigenvalues: 998 at 0, one at −0.1 and one at 2.
    fn density() -> SpectralDensity {
        let node = |value, count: f64| QuadratureNode { value, weight: count / 1000.0 };
        let ritz = |value| RitzValue { value, residual: 0.0 };
        SpectralDensity {
            probes: vec![vec![node(-0.1, 1.0), node(0.0, 998.0), node(2.0, 1.0)]],
            dim: 1000,
            lambda_min: ritz(-0.1),
            lambda_max: ritz(2.0),
            rounding: 0.0,
            level: 0.95,
            products: 3,
        }
    }

    fn table(density: &SpectralDensity) -> DensityTable<'_> {
        let sigma = 0.02;
        let lambdas: Vec<f64> = (-100..=1200).map(|i| 0.002 * f64::from(i)).collect();
        let counts = lambdas.iter().map(|&x| 1000.0 * density.density(x, sigma)).collect();
        DensityTable { columns: vec![(Part::Hessian, density, counts)], lambdas, sigma }
    }

    #[test]
    fn a_peak_counts_eigenvalues_and_nothing_lies_beyond_the_ends() {
        let density = density();
        let figure = figure(&table(&density), String::new(), &[]);
        let points: Vec<(f64, f64)> = figure.curves.iter().flat_map(|curve| curve.points.clone()).collect();
        let peak = |at: f64| points.iter().filter(|p| (p.0 - at).abs() < 0.02).map(|p| p.1).fold(0.0, f64::max);
        assert!((peak(2.0) - 1.0).abs() < 1e-6 && (peak(0.0) - 998.0).abs() < 0.1, "{} {}", peak(2.0), peak(0.0));
        assert!(points.iter().all(|p| (-0.12..=2.02).contains(&p.0)));
        assert!(figure.note.contains("standard deviation 0.02"), "{}", figure.note);
    }

    #[test]
    fn edges_are_lines_where_they_are_near() {
        let density = density();
        let named = |gd, own| edges(["2/η".into(), "SAM-edge".into()], [gd, own]);
        let shown = figure(&table(&density), String::new(), &named(Some(4.0), Some(2.5)));
        let line = |name: &str| shown.curves.iter().find(|curve| curve.label == name).unwrap().points[0].0;
        assert_eq!((line("2/η"), line("SAM-edge")), (4.0, 2.5));
        // For gradient descent both are one, and a far one is told of.
        let shown = figure(&table(&density), String::new(), &named(Some(40.0), Some(40.0)));
        assert!(
            shown.note.contains("2/η = 40 lies beyond") && shown.curves.iter().all(|curve| curve.label != "SAM-edge")
        );
    }
}
