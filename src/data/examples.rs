//! Labelled examples as plain numbers, checked once when they are made.

use super::ExamplesError;

/// The features of examples, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Features {
    /// Numbers, such as centred pixels.
    Real(Vec<f32>),
    /// Token codes; 0 is padding, whose label does not count.
    Tokens(Vec<u32>),
}

impl Features {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Real(values) => values.len(),
            Self::Tokens(codes) => codes.len(),
        }
    }

    /// Whether there is no element at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements in memory, four bytes each.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Real(values) => bytemuck::cast_slice(values),
            Self::Tokens(codes) => bytemuck::cast_slice(codes),
        }
    }
}

/// Labelled examples, one row of features each: an image with its class, or a window of text with the character that
/// follows each of its characters. There is at least one, and every label is a class.
#[derive(Clone, Debug, PartialEq)]
pub struct Examples {
    features: Features,
    shape: Vec<usize>,
    labels: Vec<u32>,
    classes: usize,
}

impl Examples {
    /// Examples of `features`, row after row, each of `shape`: `[28, 28, 1]` (height, width, channel) or `[length]`.
    /// `labels` are classes, each below `classes`: one of every example, or for tokens one of every token.
    ///
    /// # Errors
    /// [`ExamplesError`], naming what does not fit.
    pub fn new(
        features: Features,
        shape: impl Into<Vec<usize>>,
        labels: Vec<u32>,
        classes: usize,
    ) -> Result<Self, ExamplesError> {
        let shape: Vec<usize> = shape.into();
        let dim = shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
        // A product beyond 64 bits is longer than any list.
        let dim = dim.unwrap_or(usize::MAX);
        if dim == 0 {
            return Err(ExamplesError::NoFeatures { shape });
        }
        if classes == 0 {
            return Err(ExamplesError::NoClasses);
        }
        if features.is_empty() {
            return Err(ExamplesError::NoExamples);
        }
        if !features.len().is_multiple_of(dim) {
            return Err(ExamplesError::Ragged { features: features.len(), shape });
        }
        let made = Self { features, shape, labels, classes };
        let (examples, each) = (made.features.len() / dim, made.labels_each());
        if made.labels.len() != examples * each {
            return Err(ExamplesError::Labels { labels: made.labels.len(), examples, each });
        }
        if let Some(at) = made.labels.iter().position(|&label| label as usize >= classes) {
            return Err(ExamplesError::Label { label: made.labels[at], example: at / each, classes });
        }
        if let Features::Real(values) = &made.features
            && let Some(at) = values.iter().position(|value| !value.is_finite())
        {
            return Err(ExamplesError::NotFinite { feature: at % dim, example: at / dim, value: values[at] });
        }
        Ok(made)
    }

    /// The inputs, `len() × dim()`, in file order; real ones are centred.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// Shape of one example's features.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Classes, each below [`classes`](Self::classes): [`labels_each`](Self::labels_each) of every example.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Features per example.
    pub fn dim(&self) -> usize {
        self.shape.iter().product()
    }

    /// Labels per example: one, or one per token.
    pub fn labels_each(&self) -> usize {
        match self.features {
            Features::Real(_) => 1,
            Features::Tokens(_) => self.dim(),
        }
    }

    /// The number of examples.
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.features.len() / self.dim()
    }

    /// Size of features and labels.
    pub fn bytes(&self) -> usize {
        4 * (self.features.len() + self.labels.len())
    }

    /// For tokens, the weight of every label in the mean: 1/n where its token is one of the n that are not padding.
    /// `None` for real features: all labels weigh the same.
    pub fn label_weights(&self) -> Option<Vec<f32>> {
        let Features::Tokens(codes) = &self.features else { return None };
        let counted = codes.iter().filter(|&&code| code != 0).count();
        let weight = (1.0 / counted.max(1) as f64) as f32;
        Some(codes.iter().map(|&code| if code == 0 { 0.0 } else { weight }).collect())
    }

    /// The first examples, at most this many.
    #[must_use]
    pub fn first(&self, count: usize) -> Self {
        let count = count.clamp(1, self.len());
        self.rows(0..count)
    }

    /// The examples of these numbers, in this order.
    ///
    /// # Errors
    /// [`ExamplesError::NoSuchExample`] for a number that is not below `len()`, [`ExamplesError::NoExamples`] for none.
    pub fn select(&self, numbers: &[usize]) -> Result<Self, ExamplesError> {
        let examples = self.len();
        match numbers.iter().copied().find(|&number| number >= examples) {
            Some(number) => Err(ExamplesError::NoSuchExample { number, examples }),
            None if numbers.is_empty() => Err(ExamplesError::NoExamples),
            None => Ok(self.rows(numbers.iter().copied())),
        }
    }

    /// These rows, which must exist.
    fn rows(&self, numbers: impl Iterator<Item = usize> + Clone) -> Self {
        fn rows<T: Copy>(values: &[T], each: usize, numbers: impl Iterator<Item = usize>) -> Vec<T> {
            numbers.flat_map(|i| values[i * each..(i + 1) * each].iter().copied()).collect()
        }
        let features = match &self.features {
            Features::Real(values) => Features::Real(rows(values, self.dim(), numbers.clone())),
            Features::Tokens(codes) => Features::Tokens(rows(codes, self.dim(), numbers.clone())),
        };
        let labels = rows(&self.labels, self.labels_each(), numbers);
        Self { features, labels, shape: self.shape.clone(), classes: self.classes }
    }
}
