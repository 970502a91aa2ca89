//! The .npy format: the magic `\x93NUMPY`, a version, the length of a header, the header, and the elements. The header
//! is a Python dictionary with the keys `descr` (a type such as `<f4`), `fortran_order` and `shape`; see
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use std::io::Read;

use super::array::{Array, ElementType, elements};
use super::broken;
use crate::data::DataError;
use crate::text::counted;

const MAGIC: &[u8] = b"\x93NUMPY";
/// The longest header that is read; numpy writes 118 bytes for an array of numbers.
const LONGEST_HEADER: u32 = 1 << 16;
/// The most axes of an array in numpy.
const MOST_AXES: usize = 64;
const SAVE_AGAIN: &str = "save it again with numpy.save, as an array of numbers";

/// The type, order and shape of the elements.
struct Header {
    element: ElementType,
    big_endian: bool,
    fortran_order: bool,
    shape: Vec<usize>,
}

/// Reads an array to the end of its file, which `file` names in errors. Memory grows with the bytes present.
///
/// # Errors
/// [`DataError::Malformed`] or [`DataError::Io`].
pub(super) fn read(file: &str, mut reader: impl Read) -> Result<Array, DataError> {
    let Header { element, big_endian, fortran_order, shape } = read_header(file, &mut reader)?;
    let Some(count) = elements(&shape) else {
        return Err(broken(file, "a shape that memory holds", &format!("{shape:?}"), SAVE_AGAIN));
    };
    let size = count * element.size();
    let bytes = take(file, &mut reader, size as u64 + 1)?;
    if bytes.len() != size {
        let found = if bytes.len() > size { "more bytes".to_owned() } else { counted(bytes.len(), "byte") };
        return Err(broken(file, &format!("{} of elements", counted(size, "byte")), &found, SAVE_AGAIN));
    }
    let numbers = element.read(&bytes, big_endian).map_err(|value| super::too_large(file, value))?;
    drop(bytes);
    // In Fortran's order the first axis advances first.
    let numbers = if fortran_order && shape.len() > 1 {
        let (axes, sizes): (Vec<usize>, Vec<usize>) = shape.iter().copied().enumerate().rev().unzip();
        numbers.at(super::transposed(&sizes, &axes))
    } else {
        numbers
    };
    Ok(Array { shape, numbers })
}

/// At most so many bytes; fewer at the end of the file.
fn take(file: &str, reader: &mut impl Read, most: u64) -> Result<Vec<u8>, DataError> {
    let mut bytes = vec![];
    match reader.take(most).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(super::unreadable(file, error)),
    }
}

fn read_header(file: &str, reader: &mut impl Read) -> Result<Header, DataError> {
    let no_array = |found: &str| broken(file, "an array of numpy", found, SAVE_AGAIN);
    let start = take(file, reader, 8)?;
    let Some(&[major, _]) = start.strip_prefix(MAGIC) else { return Err(no_array("another beginning")) };
    // Versions 2 and 3 have four bytes for the length.
    let width = match major {
        1 => 2,
        2 | 3 => 4,
        _ => return Err(no_array(&format!("version {major} of the format"))),
    };
    let bytes = take(file, reader, width)?;
    let len = bytes.iter().rev().fold(0_u32, |len, &byte| len << 8 | u32::from(byte));
    if bytes.len() as u64 != width || len > LONGEST_HEADER {
        return Err(no_array(&format!("a header of {}", counted(len, "byte"))));
    }
    let text = take(file, reader, len.into())?;
    let text = std::str::from_utf8(&text).ok().filter(|text| text.len() == len as usize);
    let text = text.ok_or_else(|| no_array("a header that is cut off or no text"))?;
    let fields = fields(text).ok_or_else(|| no_array("a header that is no dictionary of an array"))?;
    let (element, big_endian) = match fields.descr {
        Descr::Plain(name) => element(name).ok_or_else(|| {
            let found = format!("the type '{}'", name.escape_debug());
            broken(file, "numbers (f2, f4, f8, i1 to i8, u1 to u8 or bool)", &found, SAVE_AGAIN)
        })?,
        Descr::Record => return Err(broken(file, "one number an element", "records of several fields", SAVE_AGAIN)),
    };
    Ok(Header { element, big_endian, fortran_order: fields.fortran_order, shape: fields.shape })
}

/// The type of a name such as `<f4`, and whether its bytes begin with the highest.
fn element(name: &str) -> Option<(ElementType, bool)> {
    use ElementType as E;
    let (order, name) = (name.chars().next()?, name.get(1..)?);
    let element = match name {
        "f2" => E::F16,
        "f4" => E::F32,
        "f8" => E::F64,
        "b1" => E::Bool,
        "i1" => E::I8,
        "i2" => E::I16,
        "i4" => E::I32,
        "i8" => E::I64,
        "u1" => E::U8,
        "u2" => E::U16,
        "u4" => E::U32,
        "u8" => E::U64,
        _ => return None,
    };
    match order {
        '<' | '|' => Some((element, false)),
        '>' => Some((element, true)),
        _ => None,
    }
}

/// The values of the dictionary.
struct Fields<'a> {
    descr: Descr<'a>,
    fortran_order: bool,
    shape: Vec<usize>,
}

enum Descr<'a> {
    Plain(&'a str),
    /// A list of fields.
    Record,
}

/// The dictionary of a header; `None` if it is no dictionary, or has other keys than the three of an array.
fn fields(text: &str) -> Option<Fields<'_>> {
    let mut rest = text.trim().strip_prefix('{')?;
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    loop {
        rest = rest.trim_start();
        if let Some(end) = rest.strip_prefix('}') {
            end.is_empty().then_some(())?;
            return Some(Fields { descr: descr?, fortran_order: fortran_order?, shape: shape? });
        }
        let (key, after) = quoted(rest)?;
        let value = after.trim_start().strip_prefix(':')?.trim_start();
        rest = match key {
            "descr" if value.starts_with('[') => {
                // Nothing after a list of fields is needed to refuse it.
                return Some(Fields { descr: Descr::Record, fortran_order: false, shape: vec![] });
            }
            "descr" => {
                let (name, after) = quoted(value)?;
                descr = Some(Descr::Plain(name));
                after
            }
            "fortran_order" => {
                let word = ["True", "False"].into_iter().find(|word| value.starts_with(word))?;
                fortran_order = Some(word == "True");
                &value[word.len()..]
            }
            "shape" => {
                let (inside, after) = value.strip_prefix('(')?.split_once(')')?;
                let sizes = inside.trim().strip_suffix(',').unwrap_or(inside).trim();
                let sizes: Vec<&str> = if sizes.is_empty() { vec![] } else { sizes.split(',').collect() };
                (sizes.len() <= MOST_AXES).then_some(())?;
                // Python 2 wrote long integers with an L.
                let size = |size: &&str| size.trim().trim_end_matches('L').parse().ok();
                shape = Some(sizes.iter().map(size).collect::<Option<Vec<usize>>>()?);
                after
            }
            _ => return None,
        };
        rest = rest.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None => rest.starts_with('}').then_some(())?,
        }
    }
}

/// A Python string without escapes, and the text after it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let mark = text.chars().next().filter(|mark| ['\'', '"'].contains(mark))?;
    text[1..].split_once(mark)
}
