//! `edgewalk compare`: runs beside each other.

use std::path::PathBuf;

use clap::Args;

use super::Error;
use crate::results::Format;
use crate::results::compare::{CompareRequest, compare};

/// The arguments of `edgewalk compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Run folders, and raw data files of the official code of Long and Bartlett; the others are compared with the
    /// first
    #[arg(required = true, value_name = "RUN|RAW.txt")]
    paths: Vec<PathBuf>,
    /// The folder for the pictures; earlier ones there are replaced
    #[arg(long, value_name = "DIR", default_value = "compare")]
    out: PathBuf,
    /// The file format
    #[arg(long, value_enum, default_value_t = Format::Svg)]
    format: Format,
}

/// Compares, prints the differences and the paths of the pictures.
///
/// # Errors
/// [`Error`].
pub fn run(args: CompareArgs) -> Result<(), Error> {
    let CompareArgs { paths, out, format } = args;
    let comparison = compare(&CompareRequest { paths, out, format })?;
    super::terminal::show(&format!("{comparison}\n"))
}
