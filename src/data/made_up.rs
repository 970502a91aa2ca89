//! Examples whose values mean nothing, for measurements of time, which depends on shapes alone.

use super::text::VOCABULARY;
use super::{Examples, Features};

/// Numbers below `most` in no order: multiples of Knuth's multiplicative hash.
fn numbers(count: usize, most: usize) -> impl Iterator<Item = u32> {
    (0..count).map(move |i| ((i.wrapping_mul(2_654_435_761) >> 7) % most) as u32)
}

/// `count` images of this shape (height, width, channels), of 10 classes.
pub fn images(count: usize, shape: [usize; 3]) -> Examples {
    let pixels = numbers(count * shape.iter().product::<usize>(), 256);
    Examples {
        features: Features::Real(pixels.map(|pixel| pixel as f32 / 256.0 - 0.5).collect()),
        shape: shape.to_vec(),
        labels: numbers(count, 10).collect(),
        classes: 10,
    }
}

/// `count` windows of so many characters, none of them padding.
pub fn windows(count: usize, length: usize) -> Examples {
    Examples {
        features: Features::Tokens(numbers(count * length, VOCABULARY - 1).map(|code| code + 1).collect()),
        shape: vec![length],
        labels: numbers(count * length, VOCABULARY).collect(),
        classes: VOCABULARY,
    }
}
