//! The words with which graphs are written: one short method per op, and the few combinations everyone needs.
//!
//! Operands that do not fit, or a result that is too large, are an error that the graph remembers ([`Graph::check`]),
//! so that a model can be written without a `?` behind every op. Use [`Graph::try_push`] to get the error at once.

use super::{Binary, Bits, Compare, ConvSide, DType, DotDims, Graph, NodeId, Op, Unary, Window, infer};

impl Graph {
    /// Adds `op` applied to `inputs`. If the operands do not fit the op or its result is too large, the graph remembers
    /// the error, as with all methods below.
    pub fn push(&mut self, op: Op, inputs: &[NodeId]) -> NodeId {
        let ty = infer::implied(self, &op, inputs);
        self.try_push(op, inputs).unwrap_or_else(|error| self.refuse(error, ty))
    }

    /// A rank-0 constant.
    pub fn constant(&mut self, value: impl Into<f64>) -> NodeId {
        self.push(Op::Constant(Bits::new(value.into())), &[])
    }

    /// A tensor filled with one value.
    pub fn full(&mut self, value: impl Into<f64>, shape: &[usize]) -> NodeId {
        let scalar = self.constant(value);
        self.broadcast(scalar, shape, &[])
    }

    /// Index along `axis`, as `U32`.
    pub fn iota(&mut self, shape: &[usize], axis: usize) -> NodeId {
        self.push(Op::Iota { shape: shape.to_vec(), axis }, &[])
    }

    /// Applies a function of one argument.
    pub fn unary(&mut self, f: Unary, x: NodeId) -> NodeId {
        self.push(Op::Unary(f), &[x])
    }

    /// Applies a function of two arguments of one shape.
    pub fn binary(&mut self, f: Binary, a: NodeId, b: NodeId) -> NodeId {
        self.push(Op::Binary(f), &[a, b])
    }

    /// a + b
    pub fn add(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.binary(Binary::Add, a, b)
    }

    /// a − b
    pub fn sub(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.binary(Binary::Sub, a, b)
    }

    /// a · b, elementwise
    pub fn mul(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.binary(Binary::Mul, a, b)
    }

    /// a / b, elementwise
    pub fn div(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.binary(Binary::Div, a, b)
    }

    /// max(a, b), elementwise
    pub fn max(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.binary(Binary::Max, a, b)
    }

    /// −x
    pub fn neg(&mut self, x: NodeId) -> NodeId {
        self.unary(Unary::Neg, x)
    }

    /// factor · x
    pub fn scale(&mut self, x: NodeId, factor: impl Into<f64>) -> NodeId {
        let shape = self.shape(x).to_vec();
        let factor = self.full(factor, &shape);
        self.mul(x, factor)
    }

    /// x + offset
    pub fn offset(&mut self, x: NodeId, offset: impl Into<f64>) -> NodeId {
        let shape = self.shape(x).to_vec();
        let offset = self.full(offset, &shape);
        self.add(x, offset)
    }

    /// Compares elementwise.
    pub fn compare(&mut self, f: Compare, a: NodeId, b: NodeId) -> NodeId {
        self.push(Op::Compare(f), &[a, b])
    }

    /// mask ? on_true : on_false, elementwise.
    pub fn select(&mut self, mask: NodeId, on_true: NodeId, on_false: NodeId) -> NodeId {
        self.push(Op::Select, &[mask, on_true, on_false])
    }

    /// `U32` or `Bool` to `F32`.
    pub fn to_f32(&mut self, x: NodeId) -> NodeId {
        self.push(Op::ToF32, &[x])
    }

    /// Operand axis i becomes result axis `dims[i]`; the other result axes repeat the operand.
    pub fn broadcast(&mut self, x: NodeId, shape: &[usize], dims: &[usize]) -> NodeId {
        if self.shape(x) == shape && dims.iter().copied().eq(0..shape.len()) {
            return x;
        }
        self.push(Op::BroadcastInDim { shape: shape.to_vec(), dims: dims.to_vec() }, &[x])
    }

    /// Undoes a reduction over `axes`: repeats `x` along them, to `shape`.
    pub fn broadcast_over(&mut self, x: NodeId, shape: &[usize], axes: &[usize]) -> NodeId {
        let dims: Vec<usize> = (0..shape.len()).filter(|i| !axes.contains(i)).collect();
        self.broadcast(x, shape, &dims)
    }

    /// Same elements under another shape.
    pub fn reshape(&mut self, x: NodeId, shape: &[usize]) -> NodeId {
        if self.shape(x) == shape {
            return x;
        }
        self.push(Op::Reshape { shape: shape.to_vec() }, &[x])
    }

    /// Result axis i is operand axis `perm[i]`.
    pub fn transpose(&mut self, x: NodeId, perm: &[usize]) -> NodeId {
        if perm.iter().copied().eq(0..self.shape(x).len()) {
            return x;
        }
        self.push(Op::Transpose { perm: perm.to_vec() }, &[x])
    }

    /// Elements `start .. limit` along every axis.
    pub fn slice(&mut self, x: NodeId, start: &[usize], limit: &[usize]) -> NodeId {
        if start.len() == limit.len() && start.iter().all(|&s| s == 0) && self.shape(x) == limit {
            return x;
        }
        self.push(Op::Slice { start: start.to_vec(), limit: limit.to_vec() }, &[x])
    }

    /// Zeros before and after every axis.
    pub fn pad(&mut self, x: NodeId, low: &[usize], high: &[usize]) -> NodeId {
        let rank = self.shape(x).len();
        if [low, high].iter().all(|zeros| zeros.len() == rank && zeros.iter().all(|&n| n == 0)) {
            return x;
        }
        self.push(Op::Pad { low: low.to_vec(), high: high.to_vec() }, &[x])
    }

    /// Sum over `axes`, ascending.
    pub fn reduce_sum(&mut self, x: NodeId, axes: &[usize]) -> NodeId {
        if axes.is_empty() {
            return x;
        }
        self.push(Op::ReduceSum { axes: axes.to_vec() }, &[x])
    }

    /// Sum over every axis: a rank-0 value.
    pub fn sum_all(&mut self, x: NodeId) -> NodeId {
        let axes: Vec<usize> = (0..self.shape(x).len()).collect();
        self.reduce_sum(x, &axes)
    }

    /// Maximum over `axes`, ascending.
    pub fn reduce_max(&mut self, x: NodeId, axes: &[usize]) -> NodeId {
        if axes.is_empty() {
            return x;
        }
        self.push(Op::ReduceMax { axes: axes.to_vec() }, &[x])
    }

    /// Batched tensor contraction.
    pub fn dot_general(&mut self, a: NodeId, b: NodeId, dims: DotDims) -> NodeId {
        self.push(Op::DotGeneral(dims), &[a, b])
    }

    /// `[m, k]` · `[k, n]` → `[m, n]`
    pub fn matmul(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.dot_general(a, b, DotDims { lhs_contract: vec![1], rhs_contract: vec![0], ..DotDims::default() })
    }

    /// `[n, height, width, in]` ⋆ `[kernel height, kernel width, in, out]` → `[n, height', width', out]`
    pub fn conv(&mut self, x: NodeId, w: NodeId, window: Window) -> NodeId {
        self.push(Op::Conv { of: ConvSide::Output, window }, &[x, w])
    }

    /// Where each label `[n]` is in its row `[n, classes]`: a mask with one element of a row set, if the label is a
    /// class.
    pub fn label_mask(&mut self, labels: NodeId, classes: usize) -> NodeId {
        let n = self.shape(labels).first().copied().unwrap_or(1);
        let labels = self.broadcast(labels, &[n, classes], &[0]);
        let index = self.iota(&[n, classes], 1);
        self.compare(Compare::Eq, labels, index)
    }

    /// Labels `[n]` as one-hot rows `[n, classes]`.
    pub fn one_hot(&mut self, labels: NodeId, classes: usize) -> NodeId {
        let mask = self.label_mask(labels, classes);
        self.to_f32(mask)
    }

    /// An `F32` input.
    pub fn input_f32(&mut self, name: &str, shape: &[usize]) -> NodeId {
        self.input(name, shape, DType::F32)
    }
}
