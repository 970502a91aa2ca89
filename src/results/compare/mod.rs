//! Runs beside each other: common pictures of their curves, and their differences in words.
//!
//! A source is a run folder or one run in a raw file of the official code. A raw file has the time but not the step, so
//! pictures with one are over seconds, others over steps. Every run is compared with the first: configuration, program
//! and device, and tables cell by cell.

mod differences;
mod pictures;
mod table;

use std::fmt;
use std::path::{Path, PathBuf};

use super::Format;
use super::official_raw::{RawRow, read_raw};
use super::readout::Readout;
use crate::files::check_folder;
use crate::folder::manifest::Manifest;
use crate::folder::{RunDir, RunDirError};
use crate::results::ResultsError;

/// The request of `edgewalk compare`.
#[derive(Debug, Clone, PartialEq)]
pub struct CompareRequest {
    /// ComparedRun folders and raw files.
    pub paths: Vec<PathBuf>,
    /// The folder of the pictures.
    pub out: PathBuf,
    /// Their format.
    pub format: Format,
}

/// One of the runs that are compared.
struct ComparedSource {
    name: String,
    rows: Rows,
}

/// The source of its numbers.
enum Rows {
    ComparedRun(Box<ComparedRun>),
    Raw(Vec<RawRow>),
}

/// A run folder, read.
struct ComparedRun {
    folder: RunDir,
    readout: Readout,
    manifest: Option<Manifest>,
}

/// The result; its `Display` is the text for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The differences.
    pub text: String,
    /// The pictures that were drawn.
    pub pictures: Vec<PathBuf>,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text.trim_end())?;
        self.pictures.iter().try_for_each(|path| write!(f, "\n{}", path.display()))
    }
}

/// Reads, compares and draws.
///
/// # Errors
/// A path that is not a run or raw file, tables that cannot be read, pictures that cannot be written.
pub fn compare(request: &CompareRequest) -> Result<Comparison, ResultsError> {
    check_folder(&request.out)?;
    let mut sources = vec![];
    for path in &request.paths {
        sources.extend(read(path)?);
    }
    name_apart(&mut sources);
    let text = [table::key_numbers(&sources), differences::between(&sources)?].join("\n");
    let pictures = pictures::draw(&sources, &request.out, request.format)?;
    Ok(Comparison { text, pictures })
}

fn read(path: &Path) -> Result<Vec<ComparedSource>, ResultsError> {
    let full = path.canonicalize().unwrap_or_else(|_| path.into());
    let name = full.file_name().unwrap_or(full.as_os_str()).to_string_lossy().into_owned();
    if path.is_dir() {
        let folder = RunDir::open(path)?;
        let run = ComparedRun {
            readout: Readout::of(&folder)?,
            // A run with only its tables left can still be compared by them.
            manifest: match folder.read_manifest() {
                Err(error) if folder.manifest().is_file() => return Err(error.into()),
                manifest => manifest.ok(),
            },
            folder,
        };
        return Ok(vec![ComparedSource { name, rows: Rows::ComparedRun(Box::new(run)) }]);
    }
    if !path.exists() {
        return Err(RunDirError::NotThere { path: path.into() }.into());
    }
    let runs = read_raw(path)?;
    let of = runs.len();
    let named = runs.into_iter().enumerate().map(|(i, rows)| ComparedSource {
        name: if of == 1 { name.clone() } else { format!("{name} ({} of {of})", i + 1) },
        rows: Rows::Raw(rows),
    });
    Ok(named.collect())
}

/// Replaces equal names by the paths that distinguish them.
fn name_apart(sources: &mut [ComparedSource]) {
    let names: Vec<String> = sources.iter().map(|source| source.name.clone()).collect();
    for (i, source) in sources.iter_mut().enumerate() {
        if names.iter().filter(|name| **name == names[i]).count() > 1 {
            source.name = match &source.rows {
                Rows::ComparedRun(run) => run.folder.path().display().to_string(),
                Rows::Raw(_) => format!("{} #{}", source.name, i + 1),
            };
        }
    }
}
