//! The targets of examples: classes, signs or numbers.

use crate::choice::choice;

choice! {
    /// The meaning of the labels in a file.
    TargetsAs {
        /// Whole numbers are classes, and other numbers are targets of a regression.
        Auto = "auto",
        /// Classes, counted from 0.
        Classes = "classes",
        /// Two classes as the numbers −1 and 1, for a network with one output.
        Signs = "signs",
        /// Targets of a regression.
        Numbers = "numbers",
    }
}

/// The targets of examples.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// Classes: one of every example, or for tokens one of every token.
    Classes {
        /// The classes, each below `classes`.
        labels: Vec<u32>,
        /// The number of classes, and of the outputs of a network.
        classes: usize,
    },
    /// −1 or 1 of every example; the sign of a network's one output is its answer.
    Signs(Vec<f32>),
    /// Numbers, the targets of a regression.
    Numbers {
        /// `width` of every example, row after row.
        values: Vec<f32>,
        /// Numbers of an example, and outputs of a network.
        width: usize,
    },
}

/// The kind of [`Targets`], without their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// So many classes.
    Classes(usize),
    /// −1 or 1.
    Signs,
    /// So many numbers.
    Numbers(usize),
}

impl TargetKind {
    /// The outputs of a network for one label.
    pub fn outputs(self) -> usize {
        match self {
            Self::Classes(outputs) | Self::Numbers(outputs) => outputs,
            Self::Signs => 1,
        }
    }

    /// The values of one label in memory.
    pub fn values_each(self) -> usize {
        match self {
            Self::Classes(_) | Self::Signs => 1,
            Self::Numbers(width) => width,
        }
    }
}

impl Targets {
    /// Their kind.
    pub fn kind(&self) -> TargetKind {
        match *self {
            Self::Classes { classes, .. } => TargetKind::Classes(classes),
            Self::Signs(_) => TargetKind::Signs,
            Self::Numbers { width, .. } => TargetKind::Numbers(width),
        }
    }

    /// The first number outside of 0 to 1, with its example, if there is one.
    pub fn no_probability(&self) -> Option<(f32, usize)> {
        let Self::Numbers { values, width } = self else { return None };
        let at = values.iter().position(|value| !(0.0..=1.0).contains(value))?;
        Some((values[at], at / width))
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::Classes { labels, .. } => labels.len(),
            Self::Signs(values) | Self::Numbers { values, .. } => values.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values in memory, four bytes each.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Classes { labels, .. } => bytemuck::cast_slice(labels),
            Self::Signs(values) | Self::Numbers { values, .. } => bytemuck::cast_slice(values),
        }
    }
}
