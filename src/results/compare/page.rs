//! The page of a comparison: its pictures, and the text of the command.

use std::path::{Path, PathBuf};

use maud::{Markup, html};

use super::pictures::Named;
use crate::files::write_file;
use crate::results::PlotError;
use crate::results::report::page::{drawn, page};

/// Writes `compare.html` into the folder of the pictures and returns its path.
///
/// # Errors
/// A picture that cannot be drawn, a file that cannot be written.
pub(super) fn write(figures: &[Named], text: &str, out: &Path) -> Result<PathBuf, PlotError> {
    let shown = figures.iter().map(|(stem, figure)| drawn(figure, stem, &html! {}));
    let shown: Vec<Markup> = shown.collect::<Result<_, _>>()?;
    let body = html! {
        h1 { "Runs compared" }
        p.made { "By edgewalk " (env!("CARGO_PKG_VERSION")) "." }
        @for picture in &shown { (picture) }
        h2 { "Numbers and differences" }
        div.wide { pre style="white-space: pre" { (text.trim_end()) } }
    };
    let path = out.join("compare.html");
    write_file(&path, page("Runs compared – Edgewalk", &body).as_bytes())?;
    Ok(path)
}
