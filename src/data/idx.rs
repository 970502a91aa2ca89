//! The idx files of MNIST, Fashion-MNIST and sets of their form, plain or gzipped, with images of any size: a
//! big-endian header (magic `0x0000_08dd` for bytes in `dd` dimensions, then each dimension as `u32`), then bytes; see
//! <http://yann.lecun.com/exdb/mnist/>.
//!
//! The file is always read to its end, where the gzip checksum is: a damaged pixel is an error. Only the requested
//! examples are kept, and memory grows with the bytes present, not with the header's claims.

use std::io;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use super::images::{CLASSES, Images, MAX_EXAMPLES};
use super::{DataError, Split, page};
use crate::files::open_regular;
use crate::files::shown;
use crate::text::counted;

/// Many times the pixels of any image; a file with more is damaged.
const MAX_PIXELS: u64 = 1 << 24;

const IMAGES_MAGIC: u32 = 0x0803;
const LABELS_MAGIC: u32 = 0x0801;
const FETCH_AGAIN: &str = "fetch the file again from its source";

/// The beginnings of the names of one half's files.
fn prefix(split: Split) -> &'static str {
    match split {
        Split::Train => "train",
        Split::Test => "t10k",
    }
}

/// The bytes of one idx file, unzipped if they start with the gzip magic.
pub struct IdxSource<'a> {
    name: String,
    reader: Box<dyn Read + 'a>,
}

impl IdxSource<'static> {
    /// Opens a file.
    ///
    /// # Errors
    /// [`DataError::Io`] if it cannot be opened or read, [`DataError::Foreign`] if it is a web page.
    pub fn file(path: &Path) -> Result<Self, DataError> {
        let name = shown(path);
        match open_regular(path) {
            Ok(file) => Self::new(name, file),
            Err(source) => Err(DataError::Io { file: name, source }),
        }
    }
}

impl<'a> IdxSource<'a> {
    /// Reads from memory; `name` stands for the file in error messages.
    ///
    /// # Errors
    /// [`DataError::Foreign`].
    pub fn bytes(name: &str, bytes: &'a [u8]) -> Result<Self, DataError> {
        Self::new(name.to_owned(), bytes)
    }

    fn new(name: String, raw: impl Read + 'a) -> Result<Self, DataError> {
        let mut raw = BufReader::new(raw);
        let gzipped = match raw.fill_buf() {
            Ok(start) => {
                let gzipped = page::is_gzip(start);
                if !gzipped {
                    page::refuse(&name, start)?;
                }
                gzipped
            }
            Err(source) => return Err(DataError::Io { file: name, source }),
        };
        let reader: Box<dyn Read + 'a> = if gzipped { Box::new(MultiGzDecoder::new(raw)) } else { Box::new(raw) };
        Ok(Self { name, reader })
    }

    fn malformed(&self, expected: String, found: String, advice: &'static str) -> DataError {
        DataError::Malformed { file: self.name.clone(), expected, found, advice }
    }

    /// The decoder reports damage as an I/O error of one of three kinds; anything else is the system's.
    fn read_failed(&self, source: io::Error) -> DataError {
        match source.kind() {
            ErrorKind::UnexpectedEof => {
                self.malformed("a complete gzip stream".into(), "one that ends early".into(), FETCH_AGAIN)
            }
            ErrorKind::InvalidData | ErrorKind::InvalidInput => {
                self.malformed("a valid gzip stream".into(), format!("a damaged one ({source})"), FETCH_AGAIN)
            }
            _ => DataError::Io { file: self.name.clone(), source },
        }
    }

    fn read_bytes(&mut self, len: u64, what: &str) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        let read = self.reader.by_ref().take(len).read_to_end(&mut bytes);
        match read {
            Err(source) => Err(self.read_failed(source)),
            Ok(read) if (read as u64) < len => {
                Err(self.malformed(format!("{} of {what}", counted(len, "byte")), format!("only {read}"), FETCH_AGAIN))
            }
            Ok(_) => Ok(bytes),
        }
    }

    /// Magic and dimensions. The first dimension, the number of examples, is checked here.
    fn read_header<const DIMS: usize>(&mut self, magic: u32) -> Result<[u32; DIMS], DataError> {
        let word = |bytes: &[u8]| bytes.iter().fold(0, |word, &byte| word << 8 | u32::from(byte));
        let found = word(&self.read_bytes(4, "magic number")?);
        if found != magic {
            let advice = match found {
                IMAGES_MAGIC => "this is an images file: check that the file names are not swapped",
                LABELS_MAGIC => "this is a labels file: check that the file names are not swapped",
                _ => "this is not an MNIST file: check the path",
            };
            return Err(self.malformed(format!("the magic number {magic:#010x}"), format!("{found:#010x}"), advice));
        }
        let bytes = self.read_bytes(4 * DIMS as u64, "dimensions")?;
        let dims: [u32; DIMS] = std::array::from_fn(|i| word(&bytes[4 * i..4 * (i + 1)]));
        if !(1..=MAX_EXAMPLES).contains(&(dims[0] as usize)) {
            return Err(self.malformed(
                format!("1 to {MAX_EXAMPLES} examples in the header"),
                dims[0].to_string(),
                FETCH_AGAIN,
            ));
        }
        Ok(dims)
    }

    /// Reads the rest of the file, to find truncation, wrong checksums and trailing bytes.
    fn finish(mut self, rest: u64) -> Result<(), DataError> {
        let copied = io::copy(&mut self.reader.by_ref().take(rest + 1), &mut io::sink());
        match copied {
            Err(source) => Err(self.read_failed(source)),
            Ok(copied) if copied < rest => Err(self.malformed(
                "as many examples as its header says".into(),
                format!("a file {} too short", counted(rest - copied, "byte")),
                FETCH_AGAIN,
            )),
            Ok(copied) if copied > rest => Err(self.malformed(
                "the end of the file after the last example".into(),
                "more bytes".into(),
                FETCH_AGAIN,
            )),
            Ok(_) => Ok(()),
        }
    }
}

/// Reads the first `first_n` examples (0 = all) of one half of a data set from the folder of its files.
///
/// # Errors
/// [`DataError::Missing`] if no spelling of a file exists, and those of [`read_pair`].
pub fn read_folder(folder: &Path, split: Split, first_n: usize) -> Result<Images, DataError> {
    let [images, labels] = files(folder, split)?;
    read_pair(IdxSource::file(&images)?, IdxSource::file(&labels)?, first_n)
}

/// The files of one half, images first, under any accepted name.
///
/// # Errors
/// [`DataError::Missing`] if no spelling of a file is there.
pub fn files(folder: &Path, split: Split) -> Result<[PathBuf; 2], DataError> {
    Ok([find(folder, split, "images", 3)?, find(folder, split, "labels", 1)?])
}

fn find(folder: &Path, split: Split, what: &str, dims: u32) -> Result<PathBuf, DataError> {
    let prefix = prefix(split);
    let names = ["-", "."].map(|mark| format!("{prefix}-{what}{mark}idx{dims}-ubyte"));
    let names = names.each_ref().map(|name| [name.clone(), format!("{name}.gz")]);
    let names = names.as_flattened();
    match names.iter().map(|name| folder.join(name)).find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => Err(DataError::Missing { folder: folder.into(), names: names.join(", ") }),
    }
}

/// Reads the first `first_n` examples (0 = all) from an images file and its labels file.
///
/// # Errors
/// [`DataError::Malformed`] for a wrong magic number, image size, count or label, for truncated, damaged or surplus
/// bytes, and for counts that differ between the two files; [`DataError::TooFew`] if the files hold fewer than
/// `first_n`.
pub fn read_pair(mut images: IdxSource<'_>, mut labels: IdxSource<'_>, first_n: usize) -> Result<Images, DataError> {
    let [count, rows, columns] = images.read_header::<3>(IMAGES_MAGIC)?;
    let size = u64::from(rows) * u64::from(columns);
    if !(1..=MAX_PIXELS).contains(&size) {
        return Err(images.malformed(
            format!("images of 1 to {MAX_PIXELS} pixels"),
            format!("{rows} × {columns}"),
            FETCH_AGAIN,
        ));
    }
    let [labelled] = labels.read_header::<1>(LABELS_MAGIC)?;
    if labelled != count {
        return Err(labels.malformed(
            format!("{}, one for each image of {}", counted(count, "label"), images.name),
            labelled.to_string(),
            "take both files from the same source",
        ));
    }
    let held = count as usize;
    if first_n > held {
        return Err(DataError::TooFew {
            file: images.name,
            held,
            asked: first_n,
            advice: "lower data.train (0 = all) or data.test",
        });
    }
    let kept = if first_n == 0 { held } else { first_n };
    let (kept_count, rest) = (kept as u64, (held - kept) as u64);

    let values = labels.read_bytes(kept_count, "labels")?;
    if let Some(at) = values.iter().position(|&label| usize::from(label) >= CLASSES) {
        return Err(labels.malformed(
            "labels from 0 to 9".into(),
            format!("{} for example {at}", values[at]),
            FETCH_AGAIN,
        ));
    }
    labels.finish(rest)?;
    let pixels = images.read_bytes(kept_count * size, "images")?;
    images.finish(rest * size)?;
    Ok(Images { pixels, labels: values, shape: [rows as usize, columns as usize, 1] })
}
