//! Runs beside each other: common pictures of their curves, and their differences in words.
//!
//! A source is a run folder or one run in a raw file of the official code. A raw file has the time but not the step, so
//! pictures with one are over seconds, others over steps. Every run is compared with the first: configuration, program
//! and device, and tables cell by cell.

mod differences;
mod groups;
mod page;
mod pictures;
mod table;

use std::fmt;
use std::path::{Path, PathBuf};

use super::look::Look;
use super::official_raw::{RawRow, read_raw};
use super::plot::save;
use super::readout::Readout;
use crate::files::check_folder;
use crate::folder::manifest::Manifest;
use crate::folder::{RunDir, RunDirError};
use crate::results::ResultsError;

/// The request of `edgewalk compare`.
#[derive(Debug, Clone, PartialEq)]
pub struct CompareRequest {
    /// Run folders and raw files.
    pub paths: Vec<PathBuf>,
    /// The settings whose values make groups of runs, by their full or short names; without any, every run has a colour
    /// of its own.
    pub by: Vec<String>,
    /// The folder of the pictures and their page.
    pub out: PathBuf,
    /// How the pictures look.
    pub look: Look,
}

/// One of the runs that are compared.
struct ComparedSource {
    name: String,
    rows: Rows,
}

impl ComparedSource {
    /// The run folder, unless it is a raw file.
    fn run(&self) -> Option<&ComparedRun> {
        match &self.rows {
            Rows::ComparedRun(run) => Some(run),
            Rows::Raw(_) => None,
        }
    }
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
    /// The page that shows them with the differences.
    pub page: PathBuf,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text.trim_end())?;
        self.pictures.iter().chain([&self.page]).try_for_each(|path| write!(f, "\n{}", path.display()))
    }
}

/// Reads, compares and draws.
///
/// # Errors
/// No path at all, a path that is not a run or raw file, a key that a run has not, tables that cannot be read, pictures that cannot be
/// written.
pub fn compare(request: &CompareRequest) -> Result<Comparison, ResultsError> {
    check_folder(&request.out)?;
    let mut sources = vec![];
    for path in &request.paths {
        sources.extend(read(path)?);
    }
    if sources.is_empty() {
        return Err(ResultsError::NoRuns);
    }
    name_apart(&mut sources);
    let groups = if request.by.is_empty() { groups::each(&sources) } else { groups::by(&request.by, &sources)? };
    let text = match request.by.is_empty() {
        true => [table::key_numbers(&sources), differences::between(&sources)?].join("\n"),
        false => groups::in_words(&groups),
    };
    let figures = pictures::figures(&groups);
    let pictures = figures.iter().map(|(stem, figure)| save(figure, &request.out.join(stem), &request.look));
    let pictures = pictures.collect::<Result<_, _>>()?;
    let page = page::write(&figures, &text, &request.out)?;
    Ok(Comparison { text, pictures, page })
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
