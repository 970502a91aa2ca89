//! Images: bytes and classes in, centred numbers out.
//!
//! Inputs are pixels/256 minus the per-pixel mean over the training examples *in use* (the first n), as in the official
//! code of Long and Bartlett, "Sharpness-Aware Minimization and the Edge of Stability" (arXiv 2309.12488).

use super::{Dataset, Examples, ExamplesError, Features};

/// Number of classes of every image set read here: labels run from 0 to 9.
pub const CLASSES: usize = 10;

/// Many times the largest set; a file with more is damaged.
pub(super) const MAX_EXAMPLES: usize = 1 << 20;

/// Raw images and their labels, in file order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// One image after the other, each row-major in `shape`.
    pub pixels: Vec<u8>,
    /// The class of each image, below [`CLASSES`].
    pub labels: Vec<u8>,
    /// Height, width and channels of an image.
    pub shape: [usize; 3],
}

impl Images {
    fn each(&self) -> std::slice::ChunksExact<'_, u8> {
        self.pixels.chunks_exact(self.shape.iter().product())
    }

    /// Per-pixel mean of pixels/256. Sums of bytes are exact in `f64`, so the only rounding is the division.
    fn mean(&self) -> Vec<f64> {
        let mut sum = vec![0.0_f64; self.shape.iter().product()];
        for image in self.each() {
            for (sum, &pixel) in sum.iter_mut().zip(image) {
                *sum += f64::from(pixel);
            }
        }
        let scale = 1.0 / (256.0 * self.labels.len() as f64);
        sum.into_iter().map(|sum| sum * scale).collect()
    }

    /// pixels/256 − mean, subtracted in `f64` and rounded to `f32` once.
    fn centre(&self, mean: &[f64]) -> Result<Examples, ExamplesError> {
        let features = self.each().flat_map(|image| {
            let centred = image.iter().zip(mean);
            centred.map(|(&pixel, mean)| (f64::from(pixel) / 256.0 - mean) as f32)
        });
        let labels = self.labels.iter().map(|&label| label.into()).collect();
        Examples::new(Features::Real(features.collect()), self.shape, labels, CLASSES)
    }
}

/// Both halves, centred by the mean of the training images.
pub(super) fn centred(train: &Images, test: Option<&Images>) -> Result<Dataset, ExamplesError> {
    let mean = train.mean();
    Ok(Dataset { train: train.centre(&mean)?, test: test.map(|images| images.centre(&mean)).transpose()? })
}
