//! `edgewalk data`: lists and downloads data sets.

use std::fs;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use indicatif::DecimalBytes;

use super::Error;
use super::terminal::{Terminal, width};
use crate::data::catalogue::{DATA_SETS, DataSet};
use crate::data::download::{FetchError, PATIENCE};
use crate::data::fetch::fetch;
use crate::data::{self, Roots};
use crate::files::shown;
use crate::text::{in_columns, wrapped};

/// What `edgewalk data` is asked to do.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// List the data sets: name, size, where each one was found, who made it under which licence
    List,
    /// Download a data set, continuing an earlier attempt, and check it
    Fetch(FetchArgs),
}

/// The arguments of `edgewalk data fetch`.
#[derive(Debug, Args)]
pub struct FetchArgs {
    /// The data set
    #[arg(value_parser = PossibleValuesParser::new(DATA_SETS.iter().map(|set| set.name.word())))]
    name: String,
    /// The folder that will hold the data set's folder; name it in EDGEWALK_DATA later [default: the user's cache
    /// folder]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// [`Error::Fetch`] when a data set cannot be downloaded or there is no folder for it.
pub fn run(command: DataCommand) -> Result<(), Error> {
    let roots = Roots::of_this_machine();
    match command {
        DataCommand::List => super::print(&list(&roots, width())),
        DataCommand::Fetch(args) => {
            let root = args.dir.or(roots.cache).ok_or(FetchError::NoCache)?;
            for set in DATA_SETS.iter().filter(|set| set.name.word() == args.name) {
                let fetched = fetch(set, &root, PATIENCE, &Terminal::default())?;
                let how = if fetched.downloaded { "fetched and checked" } else { "already here, and checked" };
                super::print(&format!("{}: {how}, in {}\n", set.name, shown(&fetched.folder)))?;
            }
            Ok(())
        }
    }
}

/// One line for each data set, in columns.
fn list(roots: &Roots, width: Option<usize>) -> String {
    let rows = DATA_SETS.iter().map(|set| row(set, roots).to_vec()).collect();
    let rest = "`edgewalk data fetch NAME` brings what is not here. The data set embedded is part of the program; \
                text is a file of your own, named by data.path.\n";
    in_columns(rows, width) + &wrapped(rest, width)
}

/// Name, size, place and maker of a data set.
fn row(set: &DataSet, roots: &Roots) -> [String; 4] {
    let whole = || set.files().iter().map(|file| file.bytes).sum();
    let (bytes, place) = match roots.find(set.name) {
        Err(_) => (whole(), "not here".into()),
        Ok(folder) => match data::files(set.name, &folder) {
            Err(_) => (whole(), format!("incomplete in {}", shown(&folder))),
            Ok(files) => {
                let bytes = files.iter().filter_map(|file| fs::metadata(file).ok()).map(|file| file.len()).sum();
                (bytes, shown(&folder))
            }
        },
    };
    [set.name.to_string(), DecimalBytes(bytes).to_string(), place, set.about.into()]
}
