//! The errors of a model's sizes and of parameters, with advice.

/// Why a model or its parameters cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// A size of a model is out of range.
    #[error("{size} = {value} is out of range; it must be {allowed}")]
    Size {
        /// The model's field, such as `Mlp.width`.
        size: &'static str,
        /// The value given.
        value: usize,
        /// The range.
        allowed: String,
    },
    /// Examples of another shape than a file asks for.
    #[error("the network reads examples of shape {wanted}, and these have {found:?}; reshape x, or see data.layout")]
    Input {
        /// The shape of an example.
        found: Vec<usize>,
        /// The shape that the network reads.
        wanted: String,
    },
    /// More parameters than 32-bit indices reach.
    #[error("with `{name}` the model has more than {} parameters; make it smaller", super::MOST_PARAMETERS)]
    TooLarge {
        /// The tensor at which the limit is exceeded.
        name: String,
    },
    /// A tensor without elements, or a model without tensors.
    #[error("{what} holds no numbers; give each parameter of the model a shape without zeros")]
    Empty {
        /// The tensor, or the model.
        what: String,
    },
    /// Two tensors of one name.
    #[error("the model has two tensors `{name}`; name each once")]
    TwoTensors {
        /// The name.
        name: String,
    },
    /// A vector of parameters of the wrong length.
    #[error("{found} parameters were given, and this model has {needed}; take them from the same model")]
    Length {
        /// The number given.
        found: usize,
        /// The number of the model's parameters.
        needed: usize,
    },
    /// NaN or infinity.
    #[error("tensor `{name}` has the value {value} at index {index}; parameters must be finite")]
    NotFinite {
        /// Its name.
        name: String,
        /// Flat index.
        index: usize,
        /// The value.
        value: f32,
    },
}

/// The most layers of a kind, since a network is a list of them in memory.
const MOST_LAYERS: usize = u16::MAX as usize;

/// Refuses a width beyond 32-bit indices, by its field's name.
pub(super) fn check_widths<const N: usize>(widths: [(&'static str, usize); N]) -> Result<(), ModelError> {
    within(widths, u32::MAX as usize)
}

/// Refuses a number of layers that is too large for a list.
pub(super) fn check_layers<const N: usize>(counts: [(&'static str, usize); N]) -> Result<(), ModelError> {
    within(counts, MOST_LAYERS)
}

fn within<const N: usize>(sizes: [(&'static str, usize); N], most: usize) -> Result<(), ModelError> {
    match sizes.into_iter().find(|(_, value)| !(1..=most).contains(value)) {
        Some((size, value)) => Err(ModelError::Size { size, value, allowed: format!("from 1 to {most}") }),
        None => Ok(()),
    }
}
