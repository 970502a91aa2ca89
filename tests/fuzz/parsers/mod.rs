//! What is asked of every parser, whatever its input: `Ok` or an error with words, memory in proportion, and no wrong
//! answer.
//!
//! Each function here reads one input with one parser, says whether it was accepted, and panics if the parser broke a
//! promise.

pub mod arrays;
pub mod data;
pub mod folders;
pub mod settings;
pub mod tables;
pub mod tensors;

use std::cell::Cell;
use std::fmt::{Debug, Display};
use std::fs;
use std::path::Path;

use tempfile::TempDir;

/// A parser with the promises that it must keep. It says whether it has accepted the input.
pub type Parser = fn(&[u8]) -> bool;

/// Every parser by its name.
pub const ALL: [(&str, Parser); 21] = [
    ("idx", data::idx),
    ("cifar", data::cifar),
    ("characters", data::characters),
    ("archive", data::archive),
    ("npy", arrays::npy),
    ("arrays", arrays::archive),
    ("table", arrays::table),
    ("params", tensors::params),
    ("network", tensors::network),
    ("state", tensors::state),
    ("config", settings::config),
    ("sets", settings::sets),
    ("sweep", settings::sweep),
    ("metrics", tables::metrics),
    ("curvature", tables::curvature),
    ("oscillation", tables::oscillation),
    ("summary", tables::summary),
    ("official", tables::official),
    ("manifest", folders::manifest),
    ("kernels", folders::kernels),
    ("checkpoint", folders::checkpoint),
];

/// The parser of this name.
///
/// # Panics
/// If there is none.
pub fn named(name: &str) -> Parser {
    ALL.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no parser is called {name:?}")).1
}

/// Bytes of memory for each byte of input: a tree of a file's values takes so many times the file, since a value of one
/// letter and a comma has a node of its own, in a vector that may just be growing.
const EACH: usize = 256;
/// Bytes of memory whatever the input: buffers of the readers, tables of the decoders, the settings of a run.
const BASE: usize = 256 << 10;

thread_local! {
    static FOLDER: TempDir = {
        // In memory where the system has such a folder.
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder for files")
    };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

/// The most memory that an input of this thread took, in bytes.
pub fn peak() -> usize {
    PEAK.get()
}

/// A folder of this thread, for parsers that read files.
fn in_folder<T>(use_it: impl FnOnce(&Path) -> T) -> T {
    FOLDER.with(|folder| use_it(folder.path()))
}

/// Writes a file for a parser.
fn put(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("the folder for files takes them");
}

/// Runs a parser on so many bytes.
fn bounded<T>(bytes: usize, parse: impl FnOnce() -> T) -> T {
    let mut result = None;
    let info = allocation_counter::measure(|| result = Some(parse()));
    let peak = info.bytes_max as usize;
    assert!(peak <= BASE + EACH * bytes, "{peak} bytes of memory for {bytes} bytes of input");
    PEAK.set(PEAK.get().max(peak));
    result.expect("it has run")
}

/// An error must say something about `name`.
fn refused(error: &dyn Display, name: &str) {
    let text = error.to_string();
    assert!(text.contains(name) && text.len() > name.len(), "{name:?} is not in {text:?}");
}

/// What is accepted must be what is `expected`, and the rest refused.
fn agree<T: PartialEq + Debug>(read: Result<T, impl Display>, expected: Option<&T>, name: &str) -> bool {
    match (read, expected) {
        (Ok(read), Some(expected)) => {
            assert!(read == *expected, "read as {read:?} instead of {expected:?}");
            true
        }
        (Err(error), None) => {
            refused(&error, name);
            false
        }
        (Ok(read), None) => panic!("accepted as {read:?}"),
        (Err(error), Some(_)) => panic!("refused: {error}"),
    }
}

/// Cuts an input into parts: the lengths of all but the last come first, in two bytes each.
fn parts<const N: usize>(input: &[u8]) -> [&[u8]; N] {
    let (head, mut rest) = input.split_at(input.len().min(2 * (N - 1)));
    std::array::from_fn(|i| {
        let len =
            head.get(2 * i..2 * i + 2).map_or(rest.len(), |len| usize::from(u16::from_le_bytes([len[0], len[1]])));
        let (part, after) = rest.split_at(len.min(rest.len()));
        rest = after;
        part
    })
}
