//! Spectral densities as curves: the table and the picture of each block, with H, G and R on one axis.

use super::Analysis;
use super::density_table::DensityTable;
use crate::files::write_file;
use crate::results::Format;
#[cfg(feature = "plots")]
use crate::results::PlotError;
use crate::run::RunError;

impl Analysis {
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
                let title = format!("Spectral density{whole} at step {}", self.step);
                let picture = super::density_figure::figure(&table, title).render(format);
                write_file(&path, &picture.map_err(|message| PlotError::Draw { path: path.clone(), message })?)?;
            }
        }
        Ok(())
    }
}
