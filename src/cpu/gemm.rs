//! The products of `gemm` by element type, taken from its crates for real numbers: the crate `gemm` itself brings those
//! for complex ones too.

use gemm_common::Parallelism;

/// D = αD + βA·B for D of m × n, where the columns of D are `dst_cs` elements apart and its rows `dst_rs`: (m, n, k, D,
/// dst_cs, dst_rs, whether D is read, A, lhs_cs, lhs_rs, B, rhs_cs, rhs_rs, α, β, three flags of complex numbers,
/// threads).
pub(super) type Gemm<T> = unsafe fn(
    usize,
    usize,
    usize,
    *mut T,
    isize,
    isize,
    bool,
    *const T,
    isize,
    isize,
    *const T,
    isize,
    isize,
    T,
    T,
    bool,
    bool,
    bool,
    Parallelism,
);

/// Elements of matrices that can be multiplied.
pub(super) trait Multiply: Sized {
    /// The product for this processor.
    fn gemm() -> Gemm<Self>;
}

impl Multiply for f32 {
    fn gemm() -> Gemm<Self> {
        gemm_f32::gemm::f32::get_gemm_fn()
    }
}

impl Multiply for f64 {
    fn gemm() -> Gemm<Self> {
        gemm_f64::gemm::f64::get_gemm_fn()
    }
}
