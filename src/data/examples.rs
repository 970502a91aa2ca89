//! Labelled examples as plain numbers, checked once when they are made.

use super::{ExamplesError, TargetKind, Targets};

/// The features of examples, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Features {
    /// Numbers, such as centred pixels.
    Real(Vec<f32>),
    /// Token codes; 0 is padding, whose label does not count, except in [`Examples::without_padding`].
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

/// The class of a label that does not count: it weighs 0 in the loss and the error.
pub const IGNORED: u32 = u32::MAX;

/// Labelled examples, one row of features each: an image with its class, a window of text with the character that
/// follows each of its characters, or numbers with the numbers that a network should give. There is at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Examples {
    features: Features,
    shape: Vec<usize>,
    targets: Targets,
    /// Whether token 0 is padding.
    padding: bool,
    /// Whether labels may be [`IGNORED`].
    ignores: bool,
}

impl Examples {
    /// Examples of `features`, row after row, each of `shape`: `[28, 28, 1]` (height, width, channel) or `[length]`.
    /// `labels` are classes, each below `classes` or [`IGNORED`]: one of every example, or for tokens one of every token.
    ///
    /// # Errors
    /// [`ExamplesError`], naming what does not fit.
    pub fn new(
        features: Features,
        shape: impl Into<Vec<usize>>,
        labels: Vec<u32>,
        classes: usize,
    ) -> Result<Self, ExamplesError> {
        Self::with_targets(features, shape, Targets::Classes { labels, classes })
    }

    /// Examples with targets of any kind; signs and numbers belong to [`Features::Real`].
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_targets(
        features: Features,
        shape: impl Into<Vec<usize>>,
        targets: Targets,
    ) -> Result<Self, ExamplesError> {
        let shape: Vec<usize> = shape.into();
        let dim = shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
        // A product beyond 64 bits is longer than any list.
        let dim = dim.unwrap_or(usize::MAX);
        if dim == 0 {
            return Err(ExamplesError::NoFeatures { shape });
        }
        let kind = targets.kind();
        if kind.outputs() == 0 {
            return Err(ExamplesError::NoClasses);
        }
        if features.is_empty() {
            return Err(ExamplesError::NoExamples);
        }
        if !features.len().is_multiple_of(dim) {
            return Err(ExamplesError::Ragged { features: features.len(), shape });
        }
        if matches!((&features, kind), (Features::Tokens(_), TargetKind::Signs | TargetKind::Numbers(_))) {
            return Err(ExamplesError::TokensToNumbers);
        }
        let ignores = matches!(&targets, Targets::Classes { labels, .. } if labels.contains(&IGNORED));
        let made = Self { features, shape, targets, padding: true, ignores };
        let (examples, each) = (made.features.len() / dim, made.values_each());
        if Some(made.targets.len()) != examples.checked_mul(each) {
            return Err(ExamplesError::Labels { labels: made.targets.len(), examples, each });
        }
        made.check_targets(each)?;
        if let Features::Real(values) = &made.features
            && let Some(at) = values.iter().position(|value| !value.is_finite())
        {
            return Err(ExamplesError::NotFinite { feature: at % dim, example: at / dim, value: values[at] });
        }
        Ok(made)
    }

    /// Refuses labels beyond the classes, signs other than −1 and 1, and numbers that are not finite.
    fn check_targets(&self, each: usize) -> Result<(), ExamplesError> {
        let first = |values: &[f32], is_wrong: &dyn Fn(f32) -> bool| -> Result<(), ExamplesError> {
            match values.iter().position(|&value| is_wrong(value)) {
                Some(at) => Err(ExamplesError::Target { value: values[at], example: at / each }),
                None => Ok(()),
            }
        };
        match &self.targets {
            &Targets::Classes { ref labels, classes } => {
                if labels.iter().all(|&label| label == IGNORED) {
                    return Err(ExamplesError::AllIgnored);
                }
                match labels.iter().position(|&label| label as usize >= classes && label != IGNORED) {
                    Some(at) => Err(ExamplesError::Label { label: labels[at], example: at / each, classes }),
                    None => Ok(()),
                }
            }
            Targets::Signs(values) => first(values, &|value| value.abs() != 1.0),
            Targets::Numbers { values, .. } => first(values, &|value| !value.is_finite()),
        }
    }

    /// Two classes as signs: −1 for the first and 1 for the second.
    ///
    /// # Errors
    /// [`ExamplesError::NotTwo`] unless there are two classes, one label for each example.
    pub fn with_signs(self) -> Result<Self, ExamplesError> {
        let Self { features, shape, targets, .. } = self;
        match targets {
            Targets::Classes { labels, classes: 2 } if matches!(features, Features::Real(_)) => {
                let signs = labels.into_iter().map(|label| if label == 0 { -1.0 } else { 1.0 }).collect();
                Self::with_targets(features, shape, Targets::Signs(signs))
            }
            other => Err(ExamplesError::NotTwo { classes: other.kind().outputs() }),
        }
    }

    /// The same examples, of whose tokens 0 is one like the others.
    #[must_use]
    pub fn without_padding(self) -> Self {
        Self { padding: false, ..self }
    }

    /// The inputs, `len() × dim()`, in file order; real ones are centred.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// Shape of one example's features.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The targets.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// Classes, each below [`classes`](Self::classes) or [`IGNORED`]: [`labels_each`](Self::labels_each) of every
    /// example. Empty for signs and numbers.
    pub fn labels(&self) -> &[u32] {
        match &self.targets {
            Targets::Classes { labels, .. } => labels,
            Targets::Signs(_) | Targets::Numbers { .. } => &[],
        }
    }

    /// Number of classes, or of a network's outputs for signs and numbers.
    pub fn classes(&self) -> usize {
        self.targets.kind().outputs()
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

    /// Values of the targets per example.
    fn values_each(&self) -> usize {
        self.labels_each() * self.targets.kind().values_each()
    }

    /// The number of examples.
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.features.len() / self.dim()
    }

    /// Size of features and labels.
    pub fn bytes(&self) -> usize {
        4 * (self.features.len() + self.targets.len())
    }

    /// The weight of every label in the mean, where labels differ in it: 1/n for each of the n that count, and 0 for
    /// those of padding and those that are [`IGNORED`]. `None` for real features whose labels all count.
    ///
    /// Minibatches have weights of their own; in one without a label that counts, all are 0.
    pub fn label_weights(&self) -> Option<Vec<f64>> {
        let codes = match &self.features {
            Features::Tokens(codes) => Some(codes),
            Features::Real(_) if self.ignores => None,
            Features::Real(_) => return None,
        };
        let is_padding = |at: usize| self.padding && codes.is_some_and(|codes| codes[at] == 0);
        let counts: Vec<bool> =
            self.labels().iter().enumerate().map(|(at, &label)| label != IGNORED && !is_padding(at)).collect();
        let weight = 1.0 / counts.iter().filter(|&&counts| counts).count().max(1) as f64;
        Some(counts.into_iter().map(|counts| if counts { weight } else { 0.0 }).collect())
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
        let each = self.values_each();
        let targets = match &self.targets {
            &Targets::Classes { ref labels, classes } => {
                Targets::Classes { labels: rows(labels, each, numbers), classes }
            }
            Targets::Signs(values) => Targets::Signs(rows(values, each, numbers)),
            &Targets::Numbers { ref values, width } => Targets::Numbers { values: rows(values, each, numbers), width },
        };
        Self { features, targets, shape: self.shape.clone(), ..*self }
    }
}
