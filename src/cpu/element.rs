//! The numbers that the processor computes with: f32 or f64, and the unsigned integers of the same width that hold
//! `U32` and `Bool` elements, so that all elements of a device have one width.

use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

use super::functions::Series;
use super::gemm::Multiply;

/// f32 or f64.
pub(super) trait Element:
    Copy
    + Debug
    + Default
    + PartialEq
    + PartialOrd
    + Send
    + Sync
    + bytemuck::Pod
    + Series
    + Multiply
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + 'static
{
    /// An unsigned integer of the same width.
    type Word: bytemuck::Pod + Send + Sync;
    const INFINITY: Self;

    fn from_f64(value: f64) -> Self;
    fn from_u32(value: u32) -> Self;
    fn sqrt(self) -> Self;
    /// self·factor + term, rounded once.
    fn mul_add(self, factor: Self, term: Self) -> Self;
    fn word(value: u32) -> Self::Word;
    fn of_word(word: Self::Word) -> u32;
}

macro_rules! element {
    ($float:ty, $word:ty, $from_f64:expr, $of_word:expr) => {
        impl Element for $float {
            type Word = $word;
            const INFINITY: Self = <$float>::INFINITY;

            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                $from_f64(value)
            }

            #[inline(always)]
            fn from_u32(value: u32) -> Self {
                value as $float
            }

            #[inline(always)]
            fn sqrt(self) -> Self {
                self.sqrt()
            }

            #[inline(always)]
            fn mul_add(self, factor: Self, term: Self) -> Self {
                self.mul_add(factor, term)
            }

            #[inline(always)]
            fn word(value: u32) -> $word {
                value.into()
            }

            #[inline(always)]
            fn of_word(word: $word) -> u32 {
                $of_word(word)
            }
        }
    };
}

element!(f32, u32, |x| x as f32, |word| word);
element!(f64, u64, |x| x, |word| word as u32);
