//! Arrays of a file: parameters, constants and the whole numbers that shapes are computed with.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path};

use half::{bf16, f16};

use super::OnnxError;
use super::proto::Tensor;
use crate::text::visible;

/// A kind of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Real,
    Whole,
    Flags,
}

impl Kind {
    /// The kind of a type by its number, see [`Tensor::element`]; `None` for types that are not read.
    pub fn of(element: i64) -> Option<Self> {
        match element {
            1 | 10 | 11 | 16 => Some(Self::Real),
            2..=7 | 12 | 13 => Some(Self::Whole),
            9 => Some(Self::Flags),
            _ => None,
        }
    }
}

/// The elements of an array in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Elements {
    Real(Vec<f64>),
    Whole(Vec<i64>),
    Flags(Vec<bool>),
}

/// An array whose elements are known.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Array {
    pub shape: Vec<usize>,
    pub elements: Elements,
}

impl Elements {
    /// Numbers as elements of a kind.
    pub fn of(kind: Kind, numbers: impl Iterator<Item = f64>) -> Self {
        match kind {
            Kind::Real => Self::Real(numbers.collect()),
            Kind::Whole => Self::Whole(numbers.map(|number| number as i64).collect()),
            Kind::Flags => Self::Flags(numbers.map(|number| number != 0.0).collect()),
        }
    }

    pub fn kind(&self) -> Kind {
        match self {
            Self::Real(_) => Kind::Real,
            Self::Whole(_) => Kind::Whole,
            Self::Flags(_) => Kind::Flags,
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Real(values) => values.len(),
            Self::Whole(values) => values.len(),
            Self::Flags(values) => values.len(),
        }
    }

    /// The elements as numbers.
    pub fn numbers(&self) -> Vec<f64> {
        match self {
            Self::Real(values) => values.clone(),
            Self::Whole(values) => values.iter().map(|&value| value as f64).collect(),
            Self::Flags(values) => values.iter().map(|&value| f64::from(u8::from(value))).collect(),
        }
    }

    /// Makes an element 0.
    pub fn clear(&mut self, at: usize) {
        match self {
            Self::Real(values) => values[at] = 0.0,
            Self::Whole(values) => values[at] = 0,
            Self::Flags(values) => values[at] = false,
        }
    }

    /// The elements at these places.
    pub fn at(&self, places: &[usize]) -> Self {
        fn pick<T: Copy>(values: &[T], places: &[usize]) -> Vec<T> {
            places.iter().map(|&place| values[place]).collect()
        }
        match self {
            Self::Real(values) => Self::Real(pick(values, places)),
            Self::Whole(values) => Self::Whole(pick(values, places)),
            Self::Flags(values) => Self::Flags(pick(values, places)),
        }
    }
}

impl Array {
    /// A list of whole numbers.
    pub fn whole(values: Vec<i64>) -> Self {
        Self { shape: vec![values.len()], elements: Elements::Whole(values) }
    }

    /// The value of all elements, if they are equal.
    pub fn uniform(&self) -> Option<f64> {
        let numbers = self.elements.numbers();
        let first = *numbers.first()?;
        numbers.iter().all(|number| number.to_bits() == first.to_bits()).then_some(first)
    }
}

/// Sizes of axes, none negative.
pub(super) fn sizes(values: &[i64]) -> Result<Vec<usize>, String> {
    values.iter().map(|&size| usize::try_from(size).map_err(|_| format!("its shape is {values:?}"))).collect()
}

/// Bytes of the largest array that is read.
const MOST_BYTES: usize = 1 << 34;

/// The array of a file. `folder` holds its external data; memory grows with the bytes present.
///
/// # Errors
/// [`OnnxError::Array`].
pub(super) fn read(tensor: &Tensor, folder: Option<&Path>) -> Result<Array, OnnxError> {
    let fault = |problem: String| OnnxError::Array { name: visible(&tensor.name), problem };
    let shape = sizes(&tensor.dims).map_err(fault)?;
    let count = shape.iter().try_fold(1_usize, |count, &size| count.checked_mul(size));
    let count = count.filter(|&count| count <= MOST_BYTES).ok_or_else(|| fault(format!("its shape is {shape:?}")))?;
    let size = match tensor.element {
        2 | 3 | 9 => 1,
        4 | 5 | 10 | 16 => 2,
        1 | 6 | 12 => 4,
        7 | 11 | 13 => 8,
        other => return Err(fault(format!("elements of the type {other} are not read"))),
    };
    let external;
    let raw = match tensor.location {
        0 => &tensor.raw,
        _ => {
            external = outside(tensor, folder, count * size).map_err(fault)?;
            &external
        }
    };
    let elements = if raw.is_empty() && count > 0 { listed(tensor) } else { of_bytes(tensor.element, raw) };
    let len = elements.len();
    let trailing = !raw.is_empty() && raw.len() != count * size;
    match len == count && !trailing {
        true => Ok(Array { shape, elements }),
        false => Err(fault(format!("it has {len} elements for the shape {shape:?}"))),
    }
}

/// Elements that the file lists as numbers.
fn listed(tensor: &Tensor) -> Elements {
    let words = || tensor.ints32.iter().map(|&word| word as u16);
    match tensor.element {
        1 => Elements::Real(tensor.floats.iter().map(|&value| value.into()).collect()),
        11 => Elements::Real(tensor.doubles.clone()),
        10 => Elements::Real(words().map(|word| f16::from_bits(word).to_f64()).collect()),
        16 => Elements::Real(words().map(|word| bf16::from_bits(word).to_f64()).collect()),
        7 => Elements::Whole(tensor.ints64.clone()),
        9 => Elements::Flags(tensor.ints32.iter().map(|&word| word != 0).collect()),
        _ => Elements::Whole(tensor.ints32.iter().map(|&word| word.into()).collect()),
    }
}

/// Elements from bytes, the lowest byte of each first.
fn of_bytes(element: i32, bytes: &[u8]) -> Elements {
    fn each<const N: usize, T>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
        bytes.as_chunks().0.iter().map(|&bytes| number(bytes)).collect()
    }
    match element {
        1 => Elements::Real(each(bytes, |x| f32::from_le_bytes(x).into())),
        11 => Elements::Real(each(bytes, f64::from_le_bytes)),
        10 => Elements::Real(each(bytes, |x| f16::from_le_bytes(x).to_f64())),
        16 => Elements::Real(each(bytes, |x| bf16::from_le_bytes(x).to_f64())),
        9 => Elements::Flags(bytes.iter().map(|&byte| byte != 0).collect()),
        2 => Elements::Whole(bytes.iter().map(|&byte| byte.into()).collect()),
        3 => Elements::Whole(each(bytes, |x| i8::from_le_bytes(x).into())),
        4 => Elements::Whole(each(bytes, |x| u16::from_le_bytes(x).into())),
        5 => Elements::Whole(each(bytes, |x| i16::from_le_bytes(x).into())),
        6 => Elements::Whole(each(bytes, |x| i32::from_le_bytes(x).into())),
        12 => Elements::Whole(each(bytes, |x| u32::from_le_bytes(x).into())),
        13 => Elements::Whole(each(bytes, |x| u64::from_le_bytes(x) as i64)),
        _ => Elements::Whole(each(bytes, i64::from_le_bytes)),
    }
}

/// The bytes of an array that lie in another file: beside the model, and nowhere else.
fn outside(tensor: &Tensor, folder: Option<&Path>, size: usize) -> Result<Vec<u8>, String> {
    let value = |key: &str| tensor.external.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
    let location = value("location").ok_or("its file is not named")?;
    let folder = folder.ok_or("its values are in another file")?;
    let path = Path::new(location);
    let is_beside = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let shown = visible(location);
    if !is_beside || location.contains('\0') {
        return Err(format!("its values are in `{shown}`, and only files below the model's folder are read"));
    }
    let problem = |error: std::io::Error| format!("its values are in `{shown}`: {error}");
    let path = folder.join(path).canonicalize().map_err(problem)?;
    if !path.starts_with(folder.canonicalize().map_err(problem)?) || !path.is_file() {
        return Err(format!("its values are in `{shown}`, which leads out of the model's folder"));
    }
    let offset = match value("offset") {
        Some(text) => text.parse().map_err(|_| format!("its values are at `{}`", visible(text)))?,
        None => 0,
    };
    let mut file = File::open(path).map_err(problem)?;
    file.seek(SeekFrom::Start(offset)).map_err(problem)?;
    let mut bytes = vec![];
    file.take(size as u64).read_to_end(&mut bytes).map_err(problem)?;
    Ok(bytes)
}
