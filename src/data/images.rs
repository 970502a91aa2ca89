//! Images: bytes and classes in, centred numbers out.
//!
//! Inputs are pixels/256 minus the per-pixel mean over the training examples *in use* (the first n), as in the official
//! code of Long and Bartlett, "Sharpness-Aware Minimization and the Edge of Stability" (arXiv 2309.12488).

use super::{DataError, Dataset, Examples, ExamplesError, Features, Options, Request, Split, TargetsAs, TestSize};

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
    fn centre(&self, mean: &[f64], classes: usize) -> Result<Examples, ExamplesError> {
        let features = self.each().flat_map(|image| {
            let centred = image.iter().zip(mean);
            centred.map(|(&pixel, mean)| (f64::from(pixel) / 256.0 - mean) as f32)
        });
        let labels = self.labels.iter().map(|&label| label.into()).collect();
        Examples::new(Features::Real(features.collect()), self.shape, labels, classes)
    }

    /// The first `first_n` images of these classes (0 = all), which are numbered in their order here.
    fn of_classes(&self, classes: &[u32], first_n: usize) -> Result<Self, DataError> {
        let file = || "the data set".to_owned();
        if let Some(&class) = classes.iter().find(|&&class| !self.labels.iter().any(|&label| class == u32::from(label)))
        {
            return Err(DataError::NoSuchClass { file: file(), class });
        }
        let new = |label: u8| classes.iter().position(|&class| class == u32::from(label)).map(|class| class as u8);
        let mut chosen = Self { pixels: vec![], labels: vec![], shape: self.shape };
        let all = self.each().zip(&self.labels).filter_map(|(image, &label)| Some((image, new(label)?)));
        for (image, label) in all.take(if first_n == 0 { usize::MAX } else { first_n }) {
            chosen.pixels.extend(image);
            chosen.labels.push(label);
        }
        match chosen.labels.len() {
            held if held < first_n => Err(DataError::TooFew { file: file(), held, asked: first_n, advice: FEWER }),
            _ => Ok(chosen),
        }
    }
}

/// Advice for too few examples of some classes.
const FEWER: &str = "it holds so many of data.classes; lower data.train (0 = all) or data.test, or choose more classes";

/// Reads both halves of a data set and prepares them as a request says: classes, mean of the training images, signs.
///
/// # Errors
/// Those of the reader; [`DataError::TooFew`] and [`DataError::NoSuchClass`] for the chosen classes.
pub(super) fn load(
    request: &Request,
    read: impl Fn(Split, usize) -> Result<Images, DataError>,
) -> Result<Dataset, DataError> {
    let Options { classes, targets, centre, .. } = &request.options;
    let half = |split: Split, first_n: usize| match classes.is_empty() {
        true => read(split, first_n),
        false => read(split, 0)?.of_classes(classes, first_n),
    };
    let train = half(Split::Train, request.train)?;
    let test = match request.test {
        TestSize::First(0) => None,
        TestSize::First(first_n) => Some(half(Split::Test, first_n)?),
        TestSize::Share(share) => return Err(DataError::ShareOfTwo { file: request.name.to_string(), share }),
    };
    if let Some(test) = test.as_ref().filter(|test| test.shape != train.shape) {
        return Err(DataError::Malformed {
            file: "the test images".into(),
            expected: format!("images of {:?} (height, width, channels), as for training", train.shape),
            found: format!("{:?}", test.shape),
            advice: "take both from the same source",
        });
    }
    let mean = if centre.unwrap_or(true) { train.mean() } else { vec![0.0; train.shape.iter().product()] };
    let count = if classes.is_empty() { CLASSES } else { classes.len() };
    let finished = |images: &Images| -> Result<Examples, ExamplesError> {
        let examples = images.centre(&mean, count)?;
        if *targets == TargetsAs::Signs { examples.with_signs() } else { Ok(examples) }
    };
    Ok(Dataset { train: finished(&train)?, test: test.as_ref().map(finished).transpose()? })
}
