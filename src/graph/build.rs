//! The words with which graphs are written: one short method per op, and the few combinations everyone needs.
//!
//! They panic on operands that do not fit, as indexing does: a wrong shape in a model is a mistake in the program, and
//! the message names op and shapes. Use [`Graph::try_push`] to get an error instead.

use super::{Binary, Bits, Compare, ConvSide, DType, DotDims, Graph, NodeId, Op, Unary, Window};

impl Graph {
    /// Adds `op` applied to `inputs`.
    ///
    /// # Panics
    /// When the operands do not fit the op; so do all methods below.
    #[track_caller]
    pub fn push(&mut self, op: Op, inputs: &[NodeId]) -> NodeId {
        match self.try_push(op, inputs) {
            Ok(id) => id,
            Err(error) => panic!("{error}"),
        }
    }

    /// A rank-0 constant.
    pub fn constant(&mut self, value: f32) -> NodeId {
        self.push(Op::Constant(Bits::new(value)), &[])
    }

    /// A tensor filled with one value.
    pub fn full(&mut self, value: f32, shape: &[usize]) -> NodeId {
        let scalar = self.constant(value);
        self.broadcast(scalar, shape, &[])
    }

    /// Index along `axis`, as `U32`.
    #[track_caller]
    pub fn iota(&mut self, shape: &[usize], axis: usize) -> NodeId {
        self.push(Op::Iota { shape: shape.to_vec(), axis }, &[])
    }

    /// Applies a function of one argument.
    #[track_caller]
    pub fn unary(&mut self, f: Unary, x: NodeId) -> NodeId {
        self.push(Op::Unary(f), &[x])
    }

    /// Applies a function of two arguments of one shape.
    #[track_caller]
    pub fn binary(&mut self, f: Binary, a: NodeId, b: NodeId) -> NodeId {
        self.push(Op::Binary(f), &[a, b])
    }

    /// a + b
    #[track_caller]
    pub fn add(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.binary(Binary::Add, a, b)
    }

    /// a − b
    #[track_caller]
    pub fn sub(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.binary(Binary::Sub, a, b)
    }

    /// a · b, elementwise
    #[track_caller]
    pub fn mul(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.binary(Binary::Mul, a, b)
    }

    /// a / b, elementwise
    #[track_caller]
    pub fn div(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.binary(Binary::Div, a, b)
    }

    /// max(a, b), elementwise
    #[track_caller]
    pub fn max(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.binary(Binary::Max, a, b)
    }

    /// −x
    #[track_caller]
    pub fn neg(&mut self, x: NodeId) -> NodeId {
        self.unary(Unary::Neg, x)
    }

    /// factor · x
    #[track_caller]
    pub fn scale(&mut self, x: NodeId, factor: f32) -> NodeId {
        let shape = self.shape(x).to_vec();
        let factor = self.full(factor, &shape);
        self.mul(x, factor)
    }

    /// x + offset
    #[track_caller]
    pub fn offset(&mut self, x: NodeId, offset: f32) -> NodeId {
        let shape = self.shape(x).to_vec();
        let offset = self.full(offset, &shape);
        self.add(x, offset)
    }

    /// Compares elementwise.
    #[track_caller]
    pub fn compare(&mut self, f: Compare, a: NodeId, b: NodeId) -> NodeId {
        self.push(Op::Compare(f), &[a, b])
    }

    /// mask ? on_true : on_false, elementwise.
    #[track_caller]
    pub fn select(&mut self, mask: NodeId, on_true: NodeId, on_false: NodeId) -> NodeId {
        self.push(Op::Select, &[mask, on_true, on_false])
    }

    /// `U32` or `Bool` to `F32`.
    #[track_caller]
    pub fn to_f32(&mut self, x: NodeId) -> NodeId {
        self.push(Op::ToF32, &[x])
    }

    /// Operand axis i becomes result axis `dims[i]`; the other result axes repeat the operand.
    #[track_caller]
    pub fn broadcast(&mut self, x: NodeId, shape: &[usize], dims: &[usize]) -> NodeId {
        if self.shape(x) == shape {
            return x;
        }
        self.push(Op::BroadcastInDim { shape: shape.to_vec(), dims: dims.to_vec() }, &[x])
    }

    /// Undoes a reduction over `axes`: repeats `x` along them, to `shape`.
    #[track_caller]
    pub fn broadcast_over(&mut self, x: NodeId, shape: &[usize], axes: &[usize]) -> NodeId {
        let dims: Vec<usize> = (0..shape.len()).filter(|i| !axes.contains(i)).collect();
        self.broadcast(x, shape, &dims)
    }

    /// Same elements under another shape.
    #[track_caller]
    pub fn reshape(&mut self, x: NodeId, shape: &[usize]) -> NodeId {
        if self.shape(x) == shape {
            return x;
        }
        self.push(Op::Reshape { shape: shape.to_vec() }, &[x])
    }

    /// Result axis i is operand axis `perm[i]`.
    #[track_caller]
    pub fn transpose(&mut self, x: NodeId, perm: &[usize]) -> NodeId {
        if perm.iter().copied().eq(0..perm.len()) {
            return x;
        }
        self.push(Op::Transpose { perm: perm.to_vec() }, &[x])
    }

    /// Elements `start .. limit` along every axis.
    #[track_caller]
    pub fn slice(&mut self, x: NodeId, start: &[usize], limit: &[usize]) -> NodeId {
        if start.iter().all(|&s| s == 0) && self.shape(x) == limit {
            return x;
        }
        self.push(Op::Slice { start: start.to_vec(), limit: limit.to_vec() }, &[x])
    }

    /// Zeros before and after every axis.
    #[track_caller]
    pub fn pad(&mut self, x: NodeId, low: &[usize], high: &[usize]) -> NodeId {
        if low.iter().chain(high).all(|&n| n == 0) {
            return x;
        }
        self.push(Op::Pad { low: low.to_vec(), high: high.to_vec() }, &[x])
    }

    /// Sum over `axes`, ascending.
    #[track_caller]
    pub fn reduce_sum(&mut self, x: NodeId, axes: &[usize]) -> NodeId {
        if axes.is_empty() {
            return x;
        }
        self.push(Op::ReduceSum { axes: axes.to_vec() }, &[x])
    }

    /// Sum over every axis: a rank-0 value.
    #[track_caller]
    pub fn sum_all(&mut self, x: NodeId) -> NodeId {
        let axes: Vec<usize> = (0..self.shape(x).len()).collect();
        self.reduce_sum(x, &axes)
    }

    /// Maximum over `axes`, ascending.
    #[track_caller]
    pub fn reduce_max(&mut self, x: NodeId, axes: &[usize]) -> NodeId {
        if axes.is_empty() {
            return x;
        }
        self.push(Op::ReduceMax { axes: axes.to_vec() }, &[x])
    }

    /// Batched tensor contraction.
    #[track_caller]
    pub fn dot_general(&mut self, a: NodeId, b: NodeId, dims: DotDims) -> NodeId {
        self.push(Op::DotGeneral(dims), &[a, b])
    }

    /// `[m, k]` · `[k, n]` → `[m, n]`
    #[track_caller]
    pub fn matmul(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.dot_general(a, b, DotDims { lhs_contract: vec![1], rhs_contract: vec![0], ..DotDims::default() })
    }

    /// `[n, height, width, in]` ⋆ `[kernel height, kernel width, in, out]` → `[n, height', width', out]`
    #[track_caller]
    pub fn conv(&mut self, x: NodeId, w: NodeId, window: Window) -> NodeId {
        self.push(Op::Conv { of: ConvSide::Output, window }, &[x, w])
    }

    /// Labels `[n]` as one-hot rows `[n, classes]`.
    #[track_caller]
    pub fn one_hot(&mut self, labels: NodeId, classes: usize) -> NodeId {
        let n = self.shape(labels)[0];
        let labels = self.broadcast(labels, &[n, classes], &[0]);
        let index = self.iota(&[n, classes], 1);
        let hit = self.compare(Compare::Eq, labels, index);
        self.to_f32(hit)
    }

    /// An `F32` input.
    pub fn input_f32(&mut self, name: &str, shape: &[usize]) -> NodeId {
        self.input(name, shape, DType::F32)
    }
}
