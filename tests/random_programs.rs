//! Random programs over the whole op set and awkward shapes (empty axes, axes of length 1, primes, sums of more than 256
//! terms), for the tests that compare two ways to compute the same thing.
//!
//! Every program is well conditioned by construction, so that a comparison means something: each value carries a bound
//! on its magnitude and is squashed by tanh before the bound leaves [-8, 8]; sums of n terms are divided by √n; roots,
//! logarithms and quotients see arguments of at least 1; and only values that are exact in f32 are compared, since
//! rounding could flip any other mask.

use edgewalk::graph::{Compare, ConvSide, DType, DotDims, Graph, NodeId, Op, Tensor, Unary, Window};

use super::oracle::{Given, Numbers};

/// One instruction: which op, which earlier values it takes and how it is shaped, all modulo what there is.
pub type Instruction = (u8, usize, usize, usize);

/// A graph with values for its inputs and what is to be computed.
pub struct Program {
    pub graph: Graph,
    pub outputs: Vec<NodeId>,
    pub given: Given,
}

const SHAPES: [&[usize]; 20] = [
    &[],
    &[1],
    &[7],
    &[257],
    &[4, 6],
    &[3, 5],
    &[1, 8],
    &[8, 1],
    &[0, 4],
    &[2, 3, 4],
    &[5, 1, 3],
    &[300, 4],
    &[2, 521],
    &[1031],
    &[64, 12],
    &[2, 2, 2, 3],
    &[3, 0, 2],
    &[513, 3],
    &[16, 20],
    &[512],
];
/// No value has more elements, no contraction more products.
const MOST: usize = 1 << 12;
const MOST_PRODUCTS: usize = 1 << 20;
/// No value is larger.
const LARGEST: f64 = 8.0;

#[derive(Clone, Copy)]
struct Value {
    id: NodeId,
    /// Bound on its magnitude.
    bound: f64,
    /// Whether f32 arithmetic computes it without rounding.
    exact: bool,
}

struct Builder {
    graph: Graph,
    values: Vec<Value>,
    masks: Vec<NodeId>,
}

/// A random program; its outputs are its last three values and its last mask.
pub fn program(instructions: &[Instruction], seed: u64) -> Program {
    let mut graph = Graph::new();
    let mut numbers = Numbers::new(seed);
    let (mut given, mut values) = (Given::new(), vec![]);
    for i in 0..4 {
        let shape = SHAPES[(seed as usize + 7 * i) % SHAPES.len()];
        let id = graph.input_f32("x", shape);
        let mut tensor = numbers.tensor(shape);
        tensor.data.iter_mut().for_each(|x| *x = f64::from(*x as f32));
        given.push((id, tensor));
        values.push(Value { id, bound: 1.0, exact: true });
    }
    let labels = graph.input("labels", &[5], DType::U32);
    given.push((
        labels,
        Tensor { shape: vec![5], data: (0..5).map(|i| f64::from((3 * i + seed as u32) % 4)).collect() },
    ));
    let flags = graph.input("flags", &[2, 3], DType::Bool);
    given.push((flags, Tensor { shape: vec![2, 3], data: (0..6).map(|i| (seed >> i & 1) as f64).collect() }));
    let one_hot = graph.one_hot(labels, 4);
    values.push(Value { id: one_hot, bound: 1.0, exact: true });
    let mut builder = Builder { graph, values, masks: vec![flags] };
    for &instruction in instructions {
        builder.step(instruction);
    }
    let mut outputs: Vec<NodeId> = builder.values.iter().rev().take(3).map(|v| v.id).collect();
    outputs.extend(builder.masks.last());
    Program { graph: builder.graph, outputs, given }
}

impl Builder {
    fn shape(&self, value: Value) -> Vec<usize> {
        self.graph.shape(value.id).to_vec()
    }

    fn inexact(id: NodeId, bound: f64) -> Value {
        Value { id, bound, exact: false }
    }

    /// tanh(x) where x may be larger than `bound`.
    fn tame(&mut self, x: Value, bound: f64) -> Value {
        if x.bound <= bound { x } else { Self::inexact(self.graph.unary(Unary::Tanh, x.id), 1.0) }
    }

    /// 1 + softplus(x), at least 1 and at most 10.
    fn positive(&mut self, x: Value) -> NodeId {
        let positive = self.graph.unary(Unary::Softplus, x.id);
        self.graph.offset(positive, 1.0)
    }

    /// x made to have a shape: by slices and pads of its axes, or of its elements repeated in a row.
    fn fit(&mut self, x: Value, shape: &[usize]) -> Value {
        let from = self.shape(x);
        let (g, mut id) = (&mut self.graph, x.id);
        let (len, wanted) = (from.iter().product::<usize>(), shape.iter().product::<usize>());
        if from.len() != shape.len() {
            let repeats = if len == 0 { 1 } else { wanted.div_ceil(len).max(1) };
            let mut repeated = vec![repeats];
            repeated.extend(&from);
            let along: Vec<usize> = (1..=from.len()).collect();
            id = g.broadcast(id, &repeated, &along);
            id = g.reshape(id, &[repeats * len]);
            id = Self::crop(g, id, &[wanted]);
            id = g.reshape(id, shape);
        } else {
            id = Self::crop(g, id, shape);
        }
        Value { id, ..x }
    }

    fn crop(g: &mut Graph, x: NodeId, shape: &[usize]) -> NodeId {
        let from = g.shape(x).to_vec();
        let smaller: Vec<usize> = from.iter().zip(shape).map(|(a, b)| *a.min(b)).collect();
        let x = g.slice(x, &vec![0; from.len()], &smaller);
        let missing: Vec<usize> = shape.iter().zip(&smaller).map(|(a, b)| a - b).collect();
        // Zeros on either side by turns.
        let low: Vec<usize> = missing.iter().map(|m| m / 2).collect();
        let high: Vec<usize> = missing.iter().zip(&low).map(|(m, l)| m - l).collect();
        g.pad(x, &low, &high)
    }

    /// Appends a value (tamed) and what its instruction computed.
    fn step(&mut self, (op, i, j, form): Instruction) {
        let (x, other) = (self.values[i % self.values.len()], self.values[j % self.values.len()]);
        let shape = self.shape(x);
        let y = self.fit(other, &shape);
        let exact = x.exact && y.exact;
        let bound = x.bound.max(y.bound);
        let axes: Vec<usize> = (0..shape.len()).filter(|a| form >> a & 1 == 1).collect();
        let value = match op % 27 {
            0 => Self::inexact(self.graph.add(x.id, y.id), x.bound + y.bound),
            1 => Self::inexact(self.graph.sub(x.id, y.id), x.bound + y.bound),
            2 => Self::inexact(self.graph.mul(x.id, y.id), x.bound * y.bound),
            3 => {
                let below = self.positive(y);
                Self::inexact(self.graph.div(x.id, below), x.bound)
            }
            4 => Value { id: self.graph.max(x.id, y.id), bound, exact },
            5 => {
                let x = self.tame(x, 2.0);
                Self::inexact(self.graph.unary(Unary::Exp, x.id), 8.0)
            }
            6 => {
                let f = [Unary::Tanh, Unary::Logistic, Unary::Softplus][form % 3];
                Self::inexact(self.graph.unary(f, x.id), 9.0)
            }
            7 => {
                let above = self.positive(x);
                let f = [Unary::Log, Unary::Sqrt, Unary::Rsqrt][form % 3];
                Self::inexact(self.graph.unary(f, above), 4.0)
            }
            8 => Value { id: self.graph.neg(x.id), ..x },
            9 | 10 if exact => {
                let mask = self.graph.compare([Compare::Gt, Compare::Ge, Compare::Eq][form % 3], x.id, y.id);
                self.masks.push(mask);
                Value { id: self.graph.select(mask, y.id, x.id), bound, exact }
            }
            9 | 10 => {
                let zero = self.graph.full(0.0, &shape);
                Self::inexact(self.graph.max(x.id, zero), x.bound)
            }
            11 => {
                let mask = self.masks[form % self.masks.len()];
                let ones = self.graph.to_f32(mask);
                let ones = self.fit(Value { id: ones, bound: 1.0, exact: true }, &shape);
                let zero = self.graph.full(0.0, &shape);
                let mask = self.graph.compare(Compare::Gt, ones.id, zero);
                Value { id: self.graph.select(mask, x.id, y.id), bound, exact }
            }
            12 | 13 => self.mean(x, &axes),
            14 if axes.iter().all(|&a| shape[a] > 0) => Value { id: self.graph.reduce_max(x.id, &axes), ..x },
            15 | 14 => {
                let mut perm: Vec<usize> = (0..shape.len()).collect();
                perm.rotate_left(form % shape.len().max(1));
                if form % 2 == 1 {
                    perm.reverse();
                }
                Value { id: self.graph.transpose(x.id, &perm), ..x }
            }
            16 => {
                let start: Vec<usize> = shape.iter().map(|n| (form % 3).min(n / 2)).collect();
                let limit: Vec<usize> = shape.iter().zip(&start).map(|(n, s)| n - (form / 3 % 2).min(n - s)).collect();
                Value { id: self.graph.slice(x.id, &start, &limit), ..x }
            }
            17 => {
                let low: Vec<usize> = (0..shape.len()).map(|a| form >> a & 1).collect();
                let high: Vec<usize> = (0..shape.len()).map(|a| form >> (a + 2) & 1).collect();
                Value { id: self.graph.pad(x.id, &low, &high), ..x }
            }
            18 | 19 => {
                let len: usize = shape.iter().product();
                let new = match form % 4 {
                    0 => vec![len],
                    1 => vec![1, len, 1],
                    2 if len.is_multiple_of(4) => vec![4, len / 4],
                    _ => (2..20).find(|d| len.is_multiple_of(*d)).map_or(vec![len, 1], |d| vec![len / d, d]),
                };
                Value { id: self.graph.reshape(x.id, &new), ..x }
            }
            20 => {
                let mut new = shape.clone();
                let axis = form % (shape.len() + 1);
                new.insert(axis, [1, 2, 3, 5][form % 4]);
                Value { id: self.graph.broadcast_over(x.id, &new, &[axis]), ..x }
            }
            21 | 22 => self.contraction(x, other, form),
            23 => {
                let new = [&shape[..], &[3][..]].concat();
                let count = self.graph.iota(&new, form % new.len());
                let count = self.graph.to_f32(count);
                let count = self.graph.scale(count, 1.0 / 64.0);
                let wide = self.graph.broadcast_over(x.id, &new, &[shape.len()]);
                Self::inexact(self.graph.add(count, wide), x.bound + new.iter().max().map_or(0.0, |&n| n as f64 / 64.0))
            }
            24 => {
                let tail = &shape[shape.len().min(1)..];
                let row = self.fit(other, tail);
                let row = self.graph.broadcast(row.id, &shape, &(shape.len().min(1)..shape.len()).collect::<Vec<_>>());
                let sum = self.graph.add(x.id, row);
                Self::inexact(self.graph.unary(Unary::Softplus, sum), x.bound + y.bound + 1.0)
            }
            25 => self.convolution(x, other, form),
            _ => {
                let square = self.graph.mul(x.id, y.id);
                self.mean(Self::inexact(square, x.bound * y.bound), &axes)
            }
        };
        if self.graph.node(value.id).ty.len() <= MOST {
            let value = self.tame(value, LARGEST);
            self.values.push(value);
        }
    }

    /// Sum over `axes` by the root of the number of terms.
    fn mean(&mut self, x: Value, axes: &[usize]) -> Value {
        let terms: usize = axes.iter().map(|&a| self.graph.shape(x.id)[a]).product();
        let root = (terms.max(1) as f64).sqrt();
        let sum = self.graph.reduce_sum(x.id, axes);
        Self::inexact(self.graph.scale(sum, (1.0 / root) as f32), x.bound * root)
    }

    /// Some side of a convolution, from x and another value fitted to the shapes of the other two.
    fn convolution(&mut self, x: Value, other: Value, form: usize) -> Value {
        let window = Window::same([2 + form % 3, 3], [1 + form / 3 % 3, 2], [1 + form / 9 % 2, 1]);
        let (n, ci, co) = (1 + form % 2, 1 + form / 2 % 4, 1 + form / 8 % 5);
        let of = [ConvSide::Input, ConvSide::Kernel, ConvSide::Output][form / 5 % 3];
        let area = |[height, width]: [usize; 2]| height * width;
        let terms = match of {
            ConvSide::Input => area(window.kernel) * co,
            ConvSide::Kernel => area(window.output) * n,
            ConvSide::Output => area(window.kernel) * ci,
        };
        let shape = |side: ConvSide| match side {
            ConvSide::Input => [n, window.input[0], window.input[1], ci],
            ConvSide::Kernel => [window.kernel[0], window.kernel[1], ci, co],
            ConvSide::Output => [n, window.output[0], window.output[1], co],
        };
        let [first, second] = of.operands().map(shape);
        let (a, b) = (self.fit(x, &first), self.fit(other, &second));
        let side = self.graph.push(Op::Conv { of, window }, &[a.id, b.id]);
        let root = (terms as f64).sqrt();
        Self::inexact(self.graph.scale(side, (1.0 / root) as f32), x.bound * other.bound * root)
    }

    /// Contraction of x with a value of a fitting shape: each axis of x is a batch axis, contracted, or free.
    fn contraction(&mut self, x: Value, other: Value, form: usize) -> Value {
        let shape = self.shape(x);
        let role = |axis: usize| [1, 2, 0, 1][form >> (2 * axis) & 3];
        let with = |wanted: usize| (0..shape.len()).filter(|&a| role(a) == wanted).collect::<Vec<_>>();
        let (mut batch, mut contract, free) = (with(0), with(1), with(2));
        if form & 256 == 256 {
            batch.reverse();
            contract.reverse();
        }
        let len = |axes: &[usize]| axes.iter().map(|&a| shape[a]).product::<usize>();
        let wide: &[usize] = [&[][..], &[5], &[8], &[2, 3], &[17], &[0]][form / 7 % 6];
        let rhs_free: usize = wide.iter().product();
        if len(&batch) * len(&free) * rhs_free > MOST || len(&batch) * len(&contract) * rhs_free > 4 * MOST {
            return x;
        }
        assert!(len(&batch) * len(&free) * len(&contract) * rhs_free <= MOST_PRODUCTS);
        // The right operand holds contracted, free and batch axes in one of three orders.
        let (b, c, w) = (batch.len(), contract.len(), wide.len());
        let lens = |axes: &[usize]| axes.iter().map(|&a| shape[a]).collect::<Vec<_>>();
        let (bs, cs) = (lens(&batch), lens(&contract));
        let (rhs, rhs_batch, rhs_contract) = match form % 3 {
            0 => ([&bs[..], &cs, wide].concat(), 0, b),
            1 => ([&bs[..], wide, &cs].concat(), 0, b + w),
            _ => ([wide, &cs, &bs].concat(), w + c, w),
        };
        let y = self.fit(other, &rhs);
        let dims = DotDims {
            lhs_batch: batch,
            rhs_batch: (rhs_batch..rhs_batch + b).collect(),
            lhs_contract: contract.clone(),
            rhs_contract: (rhs_contract..rhs_contract + c).collect(),
        };
        let product = self.graph.dot_general(x.id, y.id, dims);
        let root = (len(&contract).max(1) as f64).sqrt();
        Self::inexact(self.graph.scale(product, (1.0 / root) as f32), x.bound * y.bound * root)
    }
}

/// Largest elementwise |a − b| / (1 + |b|): relative where values are large, absolute where they are small.
pub fn largest_error(a: &[Tensor], b: &[Tensor]) -> f64 {
    assert_eq!(a.len(), b.len());
    let pairs = a.iter().zip(b).flat_map(|(a, b)| {
        assert_eq!(a.shape, b.shape);
        a.data.iter().zip(&b.data)
    });
    // NaN counts as infinitely wrong.
    let error = |(a, b): (&f64, &f64)| if a == b { 0.0 } else { ((a - b).abs() / (1.0 + b.abs())).min(f64::INFINITY) };
    pairs.map(error).fold(0.0, |worst, e| if e > worst { e } else { worst })
}
