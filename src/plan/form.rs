//! What the steps of a plan are made for, as far as planning depends on it.

/// Who computes the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Kernels, whose invocations compute one element or four at once, and which bind a limited number of buffers.
    Kernels {
        /// The most buffers.
        bindings: usize,
        /// Who computes a row.
        rows: Rows,
    },
    /// Loops over blocks of neighbouring elements, or of whole rows, over any number of buffers. An operand of a
    /// contraction is read with any strides.
    Blocks,
}

/// Who computes a row in a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// An invocation, which holds all its elements: for software adapters, where waiting for others is dear.
    Invocation,
    /// Invocations of a workgroup together, for a row of any length: for GPUs, where an invocation has few registers.
    Workgroup,
}

impl Form {
    /// The number of buffers that a step may touch, if there is a limit.
    pub(super) fn bindings(self) -> Option<usize> {
        match self {
            Self::Kernels { bindings, .. } => Some(bindings),
            Self::Blocks => None,
        }
    }

    /// Whether the elements of a row are counted by a variable. Otherwise they are written out.
    pub(super) fn loops_over_rows(self) -> bool {
        match self {
            Self::Kernels { rows, .. } => rows == Rows::Workgroup,
            Self::Blocks => true,
        }
    }

    /// Whether a step may hold whole rows of this length. An invocation that computes a row by itself has a value for
    /// each element, four at a time where 4 divides the length; a block holds 512.
    pub(super) fn holds_rows(self, len: usize) -> bool {
        let most = match self {
            Self::Kernels { rows: Rows::Workgroup, .. } => usize::MAX,
            Self::Kernels { rows: Rows::Invocation, .. } if len.is_multiple_of(4) => 128,
            Self::Kernels { rows: Rows::Invocation, .. } => 32,
            Self::Blocks => 512,
        };
        (1..=most).contains(&len)
    }
}
