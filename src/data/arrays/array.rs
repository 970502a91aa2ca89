//! An array as read from a file: a shape and its elements in row-major order.

use half::{bf16, f16};

/// The elements, in 32 bits each.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// Floating-point numbers, rounded to 32 bits.
    Real(Vec<f32>),
    /// Whole numbers.
    Whole(Vec<i32>),
}

/// An array with as many elements as its shape has places.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The size of each axis.
    pub shape: Vec<usize>,
    /// The elements.
    pub numbers: Numbers,
}

impl Numbers {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Real(values) => values.len(),
            Self::Whole(values) => values.len(),
        }
    }

    /// An element as a number.
    pub fn get(&self, at: usize) -> f64 {
        match self {
            Self::Real(values) => values[at].into(),
            Self::Whole(values) => values[at].into(),
        }
    }

    /// The elements at these places.
    pub fn at(&self, places: impl Iterator<Item = usize>) -> Self {
        match self {
            Self::Real(values) => Self::Real(places.map(|at| values[at]).collect()),
            Self::Whole(values) => Self::Whole(places.map(|at| values[at]).collect()),
        }
    }
}

/// The type of elements in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ElementType {
    F16,
    Bf16,
    F32,
    F64,
    Bool,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
}

impl ElementType {
    /// Bytes of an element.
    pub fn size(self) -> usize {
        match self {
            Self::Bool | Self::I8 | Self::U8 => 1,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    /// The elements in these bytes, or the first whole number that 32 bits do not hold.
    pub fn read(self, bytes: &[u8], big_endian: bool) -> Result<Numbers, i128> {
        fn each<const N: usize, T>(
            bytes: &[u8],
            big_endian: bool,
            number: impl Fn([u8; N]) -> T,
        ) -> impl Iterator<Item = T> {
            bytes.as_chunks().0.iter().map(move |&(mut element)| {
                if big_endian {
                    element.reverse();
                }
                number(element)
            })
        }
        fn whole(values: impl Iterator<Item = i128>) -> Result<Numbers, i128> {
            values.map(|value| i32::try_from(value).map_err(|_| value)).collect::<Result<_, _>>().map(Numbers::Whole)
        }
        let big = big_endian;
        match self {
            Self::F16 => Ok(Numbers::Real(each(bytes, big, |x| f16::from_le_bytes(x).to_f32()).collect())),
            Self::Bf16 => Ok(Numbers::Real(each(bytes, big, |x| bf16::from_le_bytes(x).to_f32()).collect())),
            Self::F32 => Ok(Numbers::Real(each(bytes, big, f32::from_le_bytes).collect())),
            Self::F64 => Ok(Numbers::Real(each(bytes, big, |x| f64::from_le_bytes(x) as f32).collect())),
            Self::Bool => whole(each(bytes, big, |[x]: [u8; 1]| i128::from(x != 0))),
            Self::I8 => whole(each(bytes, big, |x| i8::from_le_bytes(x).into())),
            Self::I16 => whole(each(bytes, big, |x| i16::from_le_bytes(x).into())),
            Self::I32 => whole(each(bytes, big, |x| i32::from_le_bytes(x).into())),
            Self::I64 => whole(each(bytes, big, |x| i64::from_le_bytes(x).into())),
            Self::U8 => whole(each(bytes, big, |x| u8::from_le_bytes(x).into())),
            Self::U16 => whole(each(bytes, big, |x| u16::from_le_bytes(x).into())),
            Self::U32 => whole(each(bytes, big, |x| u32::from_le_bytes(x).into())),
            Self::U64 => whole(each(bytes, big, |x| u64::from_le_bytes(x).into())),
        }
    }
}

/// The number of elements of a shape, if memory could hold so many.
pub(super) fn elements(shape: &[usize]) -> Option<usize> {
    let count = shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size))?;
    (count <= isize::MAX as usize / 8).then_some(count)
}
