//! Spectral densities as curves: the table and the picture of each block, with H, G and R on one axis.

use super::Analysis;
use super::density_table::DensityTable;
use std::fs;

use crate::files::write_file;
use crate::results::Format;
#[cfg(feature = "plots")]
use crate::results::PlotError;
use crate::run::RunError;

impl Analysis {
    /// The step of the parameters, or the name of their file.
    #[cfg(feature = "plots")]
    fn place(&self) -> String {
        let name = self.params.file_name().unwrap_or(self.params.as_os_str());
        self.step.map_or_else(|| name.to_string_lossy().into_owned(), |step| format!("step {step}"))
    }

    /// The edges of the run's rule; none without a run.
    #[cfg(feature = "plots")]
    fn edges(&self) -> Vec<super::density_figure::NamedEdge> {
        let unperturbed = self.rule.unperturbed();
        let names = [unperturbed.edge_name(), self.rule.edge_name()];
        let of_run = |edge: Option<f64>| edge.filter(|_| self.step.is_some());
        super::density_figure::edges(names, [of_run(unperturbed.edge(&[])), of_run(self.edge)])
    }

    /// Removes the densities of an earlier analysis, which would be taken for those of this one.
    pub(super) fn remove_densities(&self) {
        let is_density = |name: &str| {
            let (stem, extension) = name.rsplit_once('.').unwrap_or_default();
            stem.starts_with("density-") && ["csv", "svg", "png", "pdf"].contains(&extension)
        };
        for entry in fs::read_dir(&self.out).into_iter().flatten().flatten() {
            if entry.file_name().to_str().is_some_and(is_density) {
                // Best effort: what cannot be removed can hardly be replaced, which is an error.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Writes the table and the picture of every block that has a density.
    pub(super) fn write_densities(&self, format: Format) -> Result<(), RunError> {
        #[cfg(not(feature = "plots"))]
        let _ = format;
        for block in self.findings.chunk_by(|a, b| a.block == b.block) {
            let (Some(table), name) = (DensityTable::of(block), &block[0].block) else { continue };
            write_file(&self.out.join(format!("density-{name}.csv")), table.csv().as_bytes())?;
            #[cfg(feature = "plots")]
            {
                let whole = if name == "all" { String::new() } else { format!(" of {name}") };
                let path = self.out.join(format!("density-{name}.{}", format.extension()));
                let title = format!("Spectral density{whole} at {}", self.place());
                let edges = if name == "all" { self.edges() } else { vec![] };
                let picture = super::density_figure::figure(&table, title, &edges).render(&format.into());
                write_file(&path, &picture.map_err(|message| PlotError::Draw { path: path.clone(), message })?)?;
            }
        }
        Ok(())
    }
}
