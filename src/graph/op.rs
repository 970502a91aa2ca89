//! The closed op set, on one page.
//!
//! Every tensor program in Edgewalk is built from these ops and no others, in the terms of XLA and `jax.lax`. Each
//! meaning of an op is one exhaustive `match`, in the order of this enum: its type (`infer`), its value (`eval`), its
//! derivative (`autodiff::jvp`), its transpose where it is linear (`autodiff::transpose`) and its WGSL
//! (`kernel`). Adding an op is one row in each, and the compiler names a missing one.
//!
//! Two things that others make ops of are combinations here. Max-pooling is a sum over its window under a one-hot mask
//! that has no derivative (`model::pool`), and looking up rows of a table is a contraction with one-hot rows: both are
//! exact, deterministic in reverse, and differentiate to any order.

use std::fmt;

/// Element type of a value. Arithmetic is on `F32`; `U32` carries labels and indices; `Bool` carries masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// 32-bit float (evaluated in f64 by the interpreter).
    F32,
    /// 32-bit unsigned integer.
    U32,
    /// Truth value; stored as a `u32` of 0 or 1 where it must be stored.
    Bool,
}

/// Elementwise functions of one `F32` argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unary {
    /// −x
    Neg,
    /// eˣ
    Exp,
    /// eˣ − 1, without cancellation.
    Expm1,
    /// Natural logarithm.
    Log,
    /// √x
    Sqrt,
    /// 1/√x
    Rsqrt,
    /// Hyperbolic tangent.
    Tanh,
    /// 1/(1 + e⁻ˣ)
    Logistic,
    /// log(1 + eˣ), without overflow.
    Softplus,
    /// Error function, 2/√π·∫₀ˣ e^(−t²) dt.
    Erf,
    /// Identity with a zero derivative.
    StopGradient,
}

/// Elementwise functions of two `F32` arguments of one shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    /// a + b
    Add,
    /// a − b
    Sub,
    /// a · b
    Mul,
    /// a / b
    Div,
    /// max(a, b); at a tie the derivative flows to b, so relu = max(x, 0) has relu'(0) = 0.
    Max,
}

/// Elementwise comparisons of two arguments of one shape and type; the result is `Bool`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compare {
    /// a > b
    Gt,
    /// a ≥ b
    Ge,
    /// a = b
    Eq,
}

/// Which axes a [`Op::DotGeneral`] pairs. The result's axes are the batch axes, then the free axes of the left operand,
/// then those of the right, each in the operand's own order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct DotDims {
    /// Batch axes of the left operand.
    pub lhs_batch: Vec<usize>,
    /// Batch axes of the right operand, paired with `lhs_batch`.
    pub rhs_batch: Vec<usize>,
    /// Axes of the left operand that are summed over.
    pub lhs_contract: Vec<usize>,
    /// Axes of the right operand that are summed over, paired with `lhs_contract`.
    pub rhs_contract: Vec<usize>,
}

/// The tensors of a convolution. It is a trilinear form of the three, T = Σ u·(x ⋆ w), and each is the derivative of T
/// by one of them given the other two; so the three ops are closed under differentiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConvSide {
    /// x `[.., n, height, width, channels in]`
    Input,
    /// w `[.., kernel height, kernel width, channels in, channels out]`
    Kernel,
    /// u `[.., n, height, width, channels out]`
    Output,
}

impl ConvSide {
    /// The sides that determine this one, in the order in which they are operands.
    pub fn operands(self) -> [Self; 2] {
        match self {
            Self::Input => [Self::Kernel, Self::Output],
            Self::Kernel => [Self::Input, Self::Output],
            Self::Output => [Self::Input, Self::Kernel],
        }
    }
}

/// Where the windows of a convolution lie: output position o and kernel position k meet at input position
/// o·stride + k − low, per axis (height, width); beyond the input are zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Positions of the input.
    pub input: [usize; 2],
    /// Positions of the kernel.
    pub kernel: [usize; 2],
    /// Positions of the output.
    pub output: [usize; 2],
    /// Input positions from one output position to the next.
    pub stride: [usize; 2],
    /// Zeros before the input.
    pub low: [usize; 2],
}

impl Window {
    /// Padding "SAME": ⌈input/stride⌉ outputs, the zeros shared out evenly, the odd one at the end.
    pub fn same(input: [usize; 2], kernel: [usize; 2], stride: [usize; 2]) -> Self {
        // A stride of 0 is refused by the convolution.
        let output: [usize; 2] = std::array::from_fn(|a| input[a].div_ceil(stride[a].max(1)));
        let reach = |a: usize| output[a].saturating_sub(1).saturating_mul(stride[a]).saturating_add(kernel[a]);
        let low = std::array::from_fn(|a| reach(a).saturating_sub(input[a]) / 2);
        Self { input, kernel, output, stride, low }
    }
}

/// One operation. Attributes are static; operands are the node's inputs, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    // -- leaves ------------------------------------------------------------------------------------------------------
    /// A value given from outside; the number indexes [`Graph::inputs`](super::Graph::inputs).
    Input(usize),
    /// A rank-0 `F32` constant.
    Constant(Bits),
    /// `U32` tensor whose element is its own index along `axis`.
    Iota {
        /// Shape of the result.
        shape: Vec<usize>,
        /// The axis that is counted.
        axis: usize,
    },

    // -- elementwise -------------------------------------------------------------------------------------------------
    /// f(x)
    Unary(Unary),
    /// f(a, b)
    Binary(Binary),
    /// a ? b, as `Bool`
    Compare(Compare),
    /// (mask, on_true, on_false), all of one shape.
    Select,
    /// `U32` or `Bool` to `F32`.
    ToF32,

    // -- index maps --------------------------------------------------------------------------------------------------
    /// Operand axis i becomes result axis `dims[i]` (ascending); the other result axes repeat it.
    BroadcastInDim {
        /// Shape of the result.
        shape: Vec<usize>,
        /// Where each operand axis goes.
        dims: Vec<usize>,
    },
    /// Same elements in row-major order under another shape.
    Reshape {
        /// Shape of the result.
        shape: Vec<usize>,
    },
    /// Result axis i is operand axis `perm[i]`.
    Transpose {
        /// The permutation.
        perm: Vec<usize>,
    },
    /// Elements `start[i] .. limit[i]` along every axis.
    Slice {
        /// First index kept, per axis.
        start: Vec<usize>,
        /// First index no longer kept, per axis.
        limit: Vec<usize>,
    },
    /// Zeros before and after every axis.
    Pad {
        /// Zeros before, per axis.
        low: Vec<usize>,
        /// Zeros after, per axis.
        high: Vec<usize>,
    },

    // -- reductions and contractions ---------------------------------------------------------------------------------
    /// Sum over `axes` (ascending), which vanish.
    ReduceSum {
        /// The axes summed over.
        axes: Vec<usize>,
    },
    /// Maximum over `axes` (ascending, none of length 0), which vanish. At ties the derivative is averaged over them.
    ReduceMax {
        /// The axes reduced.
        axes: Vec<usize>,
    },
    /// Batched tensor contraction, see [`DotDims`].
    DotGeneral(DotDims),
    /// One side of a convolution from the other two, see [`ConvSide`]. Leading axes before those named there are batch
    /// axes of all three.
    Conv {
        /// The side that results.
        of: ConvSide,
        /// The geometry.
        window: Window,
    },
}

impl Op {
    /// Whether it reads its operands many times.
    pub fn is_contraction(&self) -> bool {
        matches!(self, Self::DotGeneral(_) | Self::Conv { .. })
    }

    /// Whether it only says where elements of its operand are found.
    pub fn is_index_map(&self) -> bool {
        matches!(
            self,
            Self::BroadcastInDim { .. }
                | Self::Reshape { .. }
                | Self::Transpose { .. }
                | Self::Slice { .. }
                | Self::Pad { .. }
        )
    }
}

/// An f64 compared and hashed by its bits, so that constants can be hash-consed. Code that computes in f32 rounds it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bits(u64);

impl Bits {
    /// Wraps a value.
    pub fn new(value: f64) -> Self {
        Self(value.to_bits())
    }

    /// The value.
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl fmt::Debug for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.get())
    }
}
