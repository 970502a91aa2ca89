//! Examples with meaningless values, for measurements of time, which depends on shapes alone.

use super::text::VOCABULARY;
use super::{Examples, ExamplesError, Features};

/// Numbers below `most` in no order: multiples of Knuth's multiplicative hash.
fn numbers(count: usize, most: usize) -> impl Iterator<Item = u32> {
    (0..count).map(move |i| ((i.wrapping_mul(2_654_435_761) >> 7) % most) as u32)
}

/// The product of all, if memory holds this many numbers.
fn room(count: usize, shape: &[usize]) -> Result<usize, ExamplesError> {
    let len = shape.iter().try_fold(count, |product, &size| product.checked_mul(size));
    let fits = |len: &usize| Vec::<f32>::new().try_reserve_exact(*len).is_ok();
    len.filter(fits).ok_or_else(|| ExamplesError::TooMany { examples: count, shape: shape.into() })
}

/// `count` images of this shape (height, width, channels), of 10 classes.
///
/// # Errors
/// [`ExamplesError`] for images without pixels, for none of them, and for more than memory holds.
pub fn images(count: usize, shape: [usize; 3]) -> Result<Examples, ExamplesError> {
    let pixels = numbers(room(count, &shape)?, 256);
    let features = Features::Real(pixels.map(|pixel| pixel as f32 / 256.0 - 0.5).collect());
    Examples::new(features, shape, numbers(count, 10).collect(), 10)
}

/// `count` windows of `length` characters without padding.
///
/// # Errors
/// As [`images`].
pub fn windows(count: usize, length: usize) -> Result<Examples, ExamplesError> {
    let len = room(count, &[length])?;
    let codes = numbers(len, VOCABULARY - 1).map(|code| code + 1).collect();
    Examples::new(Features::Tokens(codes), [length], numbers(len, VOCABULARY).collect(), VOCABULARY)
}
