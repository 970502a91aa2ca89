//! Random programs over the whole op set and awkward shapes (empty axes, axes of length 1, primes, sums of more than 256
//! terms), for the tests that compare two ways to compute the same thing.
//!
//! Every program is well conditioned by construction, so that a comparison means something: each value carries a bound
//! on its magnitude and is squashed by tanh before the bound leaves [-8, 8]; sums of n terms are divided by √n; roots,
//! logarithms and quotients see arguments of at least 1; and only values that are exact in f32 are compared, since
//! rounding could flip any other mask. `random_steps` says what an instruction computes.

use std::collections::BTreeMap;

use edgewalk::graph::{DType, Graph, NodeId, Tensor, Unary};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::op_cases::{KINDS, kind};
use super::oracle::{Given, Numbers};

/// One instruction: which op, which earlier values it takes and how it is shaped, all modulo what there is.
pub type Instruction = (u8, usize, usize, usize);

/// At least one and fewer than `most` instructions.
pub fn instructions(most: usize) -> impl Strategy<Value = Vec<Instruction>> {
    prop::collection::vec((any::<u8>(), 0..100usize, 0..100usize, 0..1000usize), 1..most)
}

/// A graph with values for its inputs and what is to be computed.
pub struct Program {
    pub graph: Graph,
    pub outputs: Vec<NodeId>,
    pub given: Given,
}

/// How large a program's values are.
pub struct Scale {
    shapes: &'static [&'static [usize]],
    /// No value has more elements.
    pub most: usize,
    /// No contraction has more products.
    pub most_products: usize,
}

/// For kernels: long enough for every stage of a reduction tree, and for blocks with a ragged border.
pub const LARGE: Scale = Scale {
    shapes: &[
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
    ],
    most: 1 << 12,
    most_products: 1 << 20,
};
/// For many programs in a short time. One shape has more elements than a sum without stages.
pub const SMALL: Scale = Scale {
    shapes: &[
        &[],
        &[1],
        &[3],
        &[2, 3],
        &[1, 4],
        &[4, 1],
        &[0, 2],
        &[2, 1, 3],
        &[2, 0, 3],
        &[5],
        &[2, 2, 2],
        &[8],
        &[3, 4],
        &[2, 2, 1, 2],
        &[7],
        &[2, 131],
    ],
    most: 300,
    most_products: 1 << 12,
};
/// Fewest buffers with which every program can be compiled: a choice loads three values and stores its own.
pub const FEWEST: usize = 4;
/// No value is larger.
pub const LARGEST: f64 = 8.0;

#[derive(Clone, Copy)]
pub(super) struct Value {
    pub id: NodeId,
    /// Bound on its magnitude.
    pub bound: f64,
    /// Whether f32 arithmetic computes it without rounding.
    pub exact: bool,
}

/// A program in the making.
pub(super) struct Builder {
    pub scale: &'static Scale,
    pub graph: Graph,
    pub values: Vec<Value>,
    /// Labels and masks: whatever is no `F32`, with at least one of each type.
    pub discrete: Vec<NodeId>,
}

/// A random program; its outputs are its last three values, its last labels and its last mask.
pub fn program(scale: &'static Scale, instructions: &[Instruction], seed: u64) -> Program {
    let mut graph = Graph::new();
    let mut numbers = Numbers::new(seed);
    let (mut given, mut values) = (Given::new(), vec![]);
    for i in 0..4 {
        let shape = scale.shapes[(seed as usize + 7 * i) % scale.shapes.len()];
        let id = graph.input_f32("x", shape);
        let mut tensor = numbers.tensor(shape);
        tensor.data.iter_mut().for_each(|x| *x = f64::from(*x as f32));
        given.push((id, tensor));
        values.push(Value { id, bound: 1.0, exact: true });
    }
    let labels = graph.input("labels", &[5], DType::U32);
    let data = (0..5).map(|i| f64::from((3 * i + seed as u32) % 4)).collect();
    given.push((labels, Tensor { shape: vec![5], data }));
    let flags = graph.input("flags", &[2, 3], DType::Bool);
    let data = (0..6).map(|i| (seed >> i & 1) as f64).collect();
    given.push((flags, Tensor { shape: vec![2, 3], data }));
    let one_hot = graph.one_hot(labels, 4);
    values.push(Value { id: one_hot, bound: 1.0, exact: true });
    let mut builder = Builder { scale, graph, values, discrete: vec![labels, flags] };
    for &instruction in instructions {
        builder.step(instruction);
    }
    let mut outputs: Vec<NodeId> = builder.values.iter().rev().take(3).map(|v| v.id).collect();
    outputs.extend([DType::U32, DType::Bool].map(|dtype| builder.last(dtype)));
    Program { graph: builder.graph, outputs, given }
}

impl Builder {
    pub fn shape(&self, id: NodeId) -> Vec<usize> {
        self.graph.shape(id).to_vec()
    }

    /// The last labels or the last mask.
    pub fn last(&self, dtype: DType) -> NodeId {
        let mut found = self.discrete.iter().rev().filter(|id| self.graph.node(**id).ty.dtype == dtype);
        *found.next().expect("there is one from the start")
    }

    pub fn inexact(id: NodeId, bound: f64) -> Value {
        Value { id, bound, exact: false }
    }

    /// tanh(x) where x may be larger than `bound`.
    pub fn tame(&mut self, x: Value, bound: f64) -> Value {
        if x.bound <= bound { x } else { Self::inexact(self.graph.unary(Unary::Tanh, x.id), 1.0) }
    }

    /// 1 + softplus(x), at least 1 and at most 10.
    pub fn positive(&mut self, x: Value) -> NodeId {
        let positive = self.graph.unary(Unary::Softplus, x.id);
        self.graph.offset(positive, 1.0)
    }

    /// Sum over `axes` by the root of the number of terms.
    pub fn mean(&mut self, x: Value, axes: &[usize]) -> Value {
        let terms: usize = axes.iter().map(|&a| self.graph.shape(x.id)[a]).product();
        let sum = self.graph.reduce_sum(x.id, axes);
        self.by_root(sum, x.bound, terms)
    }

    /// A sum of so many terms, each at most `bound`, by the root of their number.
    pub fn by_root(&mut self, sum: NodeId, bound: f64, terms: usize) -> Value {
        let root = (terms.max(1) as f64).sqrt();
        Self::inexact(self.graph.scale(sum, (1.0 / root) as f32), bound * root)
    }

    /// x made to have a shape: by slices and pads of its axes, or of its elements repeated in a row.
    pub fn fit(&mut self, x: Value, shape: &[usize]) -> Value {
        let from = self.shape(x.id);
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

/// Every op, whatever its variant, is among what the programs compute; so are operands of every type where an op takes
/// several, empty axes and axes of length 1.
#[test]
fn no_op_is_never_generated() {
    for scale in [&LARGE, &SMALL] {
        let mut counts: BTreeMap<String, usize> = KINDS.iter().map(|&name| (name.to_owned(), 0)).collect();
        for name in ["reshape", "transpose", "slice", "broadcast_in_dim", "select", "eq", "gt", "ge", "to_f32"] {
            for dtype in [DType::F32, DType::U32, DType::Bool] {
                if (name, dtype) != ("to_f32", DType::F32) {
                    counts.insert(format!("{name} of {dtype:?}"), 0);
                }
            }
        }
        for what in ["no elements", "one element", "an axis of length 1", "an axis of length 0"] {
            counts.insert(what.to_owned(), 0);
        }
        let mut runner = super::random::runner(20_230_911, 0);
        for seed in 0..10_000 {
            let drawn = instructions(14).new_tree(&mut runner).unwrap().current();
            let Program { graph, outputs, .. } = program(scale, &drawn, seed);
            let live = graph.reachable(&outputs);
            for node in graph.ids().filter(|id| live[id.index()]).map(|id| graph.node(id)) {
                let mut count = |what: &str| {
                    if let Some(n) = counts.get_mut(what) {
                        *n += 1;
                    }
                };
                let name = kind(&node.op);
                count(name);
                if let Some(&operand) = node.inputs.last() {
                    count(&format!("{name} of {:?}", graph.node(operand).ty.dtype));
                }
                match node.ty.len() {
                    0 => count("no elements"),
                    1 => count("one element"),
                    _ => {}
                }
                (0..2).filter(|n| node.ty.shape.contains(n)).for_each(|n| count(&format!("an axis of length {n}")));
            }
        }
        println!("{counts:?}");
        let rare: Vec<_> = counts.iter().filter(|(_, n)| **n < 10).collect();
        assert!(rare.is_empty(), "in 10,000 programs hardly ever: {rare:?}");
    }
}
