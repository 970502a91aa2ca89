//! What a step does, as plain data and in no particular language: lines of code over symbolic indices.
//!
//! Code handles `width` elements at once: one, or four neighbours along the last axis, its *lanes*. An index may have
//! variables beside those that count a step's elements: `v3` is what line 3 has computed, and `offset1` is `offsets[1]`
//! of the step.

use crate::graph::{Binary, Compare, ConvSide, DType, Unary, Window};
use crate::index::{Atom, Idx};

/// The variable that counts the elements of a row.
pub(crate) const ELEMENT: &str = "r";

/// What a line of code works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// The value of the [`Line::Let`] with this number.
    Value(usize),
    /// What the loop before the code has computed: a reduction or a contraction.
    Root,
}

/// One line.
#[derive(Clone, Debug)]
pub(crate) enum Line {
    /// A value with a number of its own.
    Let(usize, Expr),
    /// A value goes to a buffer, or is added to what is there.
    Store { binding: usize, at: Address, value: Name, dtype: DType, accumulate: bool },
}

/// Lines that end in a value.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    pub lines: Vec<Line>,
    pub value: Name,
}

/// Elements of a buffer.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    /// The only one.
    One(Idx),
    /// Four side by side; the index counts groups of four.
    Quad(Idx),
    /// The same one for all lanes.
    Same(Idx),
    /// One a lane.
    Each([Idx; 4]),
}

/// A condition on indices.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Test {
    /// The value is below a constant.
    Below(Name, usize),
    /// The constant divides the value.
    Divides(Name, usize),
}

/// How a value is computed. Indices are `U32`.
#[derive(Clone, Debug)]
pub(crate) enum Expr {
    Load {
        binding: usize,
        at: Address,
        dtype: DType,
    },
    Constant(f64),
    /// Of each lane its own.
    Position(Idx),
    Unary(Unary, Name),
    Binary(Binary, [Name; 2]),
    /// Of operands of a type.
    Compare(Compare, DType, [Name; 2]),
    /// (mask, on_true, on_false)
    Select([Name; 3]),
    /// From a type.
    ToF32(DType, Name),
    /// Zero that is no node's value.
    Zero,
    /// A value where all conditions hold, and 0 elsewhere.
    Masked(Name, Vec<Test>),
    /// from + plus − minus, which wraps around below 0.
    Difference {
        from: Idx,
        plus: Option<usize>,
        minus: Idx,
    },
    /// Of an index by a constant.
    Quotient(Name, usize),
    /// An index, or a constant where that is less.
    AtMost(Name, usize),
    /// f of the first two lanes (0), or of the last two (1).
    Half(Binary, Name, usize),
    /// f of two numbers, in all lanes.
    Spread(Binary, [Name; 2]),
    /// A reduction of the values of a row's elements, see [`Code::Rows`].
    OverRow(Binary, Name),
}

impl Address {
    fn indices(&self) -> &[Idx] {
        match self {
            Self::One(at) | Self::Quad(at) | Self::Same(at) => std::slice::from_ref(at),
            Self::Each(lanes) => lanes,
        }
    }
}

impl Line {
    /// The values and the indices that it uses.
    pub fn operands(&self) -> (Vec<Name>, Vec<&Idx>) {
        match self {
            Self::Let(_, expr) => expr.operands(),
            Self::Store { at, value, .. } => (vec![*value], at.indices().iter().collect()),
        }
    }
}

impl Expr {
    fn operands(&self) -> (Vec<Name>, Vec<&Idx>) {
        match self {
            Self::Load { at, .. } => (vec![], at.indices().iter().collect()),
            Self::Constant(_) | Self::Zero => (vec![], vec![]),
            Self::Position(at) => (vec![], vec![at]),
            Self::Unary(_, x) | Self::ToF32(_, x) | Self::Quotient(x, _) | Self::AtMost(x, _) => (vec![*x], vec![]),
            Self::Half(_, x, _) | Self::OverRow(_, x) => (vec![*x], vec![]),
            Self::Binary(_, operands) | Self::Compare(_, _, operands) | Self::Spread(_, operands) => {
                (operands.to_vec(), vec![])
            }
            Self::Select(operands) => (operands.to_vec(), vec![]),
            Self::Masked(value, tests) => {
                let tested = tests.iter().map(|test| match *test {
                    Test::Below(value, _) | Test::Divides(value, _) => value,
                });
                ([*value].into_iter().chain(tested).collect(), vec![])
            }
            Self::Difference { from, minus, .. } => (vec![], vec![from, minus]),
        }
    }
}

/// The number of the [`Line::Let`] whose value a variable is.
pub(crate) fn line_of(variable: &str) -> Option<usize> {
    variable.strip_prefix('v')?.parse().ok()
}

/// The numbers of the [`Line::Let`]s whose values an index mentions.
pub(crate) fn lines_in(idx: &Idx) -> Vec<usize> {
    let mut found = vec![];
    for (atom, _) in idx.terms().0 {
        match atom {
            Atom::Var { name, .. } => found.extend(line_of(name)),
            Atom::Div(x, _) | Atom::Mod(x, _) => found.extend(lines_in(x)),
        }
    }
    found
}

/// How a step sees one of its buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// One `F32` at a time.
    Floats,
    /// Four `F32` at a time.
    Quads,
    /// One `U32` at a time; a `Bool` is 0 or 1.
    Words,
}

/// How a step uses a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Loads only.
    Read,
    /// Stores only.
    Write,
    /// Both.
    ReadWrite,
}

/// One of a program's buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BufferRef {
    /// One of the caller's buffers.
    Slot(usize),
    /// A buffer of the program's own.
    Temp(usize),
}

/// A computation as steps over buffers: those of the [`Spec`](super::Spec), and its own.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Length in elements of its own buffers.
    pub temps: Vec<usize>,
    /// What runs, in order.
    pub steps: Vec<Step>,
}

/// A buffer as a step sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Binding {
    pub buffer: BufferRef,
    pub view: View,
    pub access: Access,
}

/// One step.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// Kind and sizes, for people.
    pub label: String,
    /// Elements handled at once: 1 or 4.
    pub width: usize,
    pub code: Code,
    pub bindings: Vec<Binding>,
    /// Values of the variables `offset0`, `offset1` and so on.
    pub offsets: Vec<u32>,
    /// Floating-point operations, estimated.
    pub flops: f64,
    /// Bytes loaded and stored once each, estimated.
    pub bytes: f64,
}

/// What a step does.
#[derive(Clone, Debug)]
pub(crate) enum Code {
    /// The same for every `i` in `0 .. count`.
    Each {
        count: usize,
        body: Vec<Line>,
    },
    /// For every row `i` in `0 .. count`, lines that mention an element `r` in `0 .. len` of it, or depend on such a
    /// line, for each element, and the others once.
    Rows {
        count: usize,
        len: usize,
        body: Vec<Line>,
    },
    /// A reduction for every `i` in `0 .. count`.
    Reduce(Fold),
    Product(Box<Product>),
}

/// A reduction of `terms` terms, counted by `r`, for every `i` in `0 .. count`.
#[derive(Clone, Debug)]
pub(crate) struct Fold {
    pub count: usize,
    /// What adds a term.
    pub with: Binary,
    pub terms: usize,
    /// Nothing where there are no terms.
    pub term: Option<Body>,
    /// What is made of the result.
    pub finish: Vec<Line>,
}

/// Sizes of C[b,m,n] = Σₖ A[b,m,k]·B[b,k,n].
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProductShape {
    pub batch: usize,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    /// Whether neighbours of A in memory differ in k, not in m.
    pub a_along_k: bool,
    /// Whether A is read through the patches of a convolution.
    pub is_conv: bool,
}

/// A contraction with its epilogue.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub shape: ProductShape,
    /// Of A, along k or along m, and of B, along n; nothing where k has no values.
    pub operands: Option<[Elements; 2]>,
    /// Of a convolution that reads elements one by one: what it reads as A.
    pub field: Option<Field>,
    /// What is made of the results, at `b`, `m` and `n`, or of four of them at `b`, `m` and `quad`.
    pub finish: Vec<Line>,
    /// Loads and stores in `finish`, for every four results.
    pub accesses: usize,
}

/// Elements of an operand: four neighbours from a multiple of 4 on, where `along` is the variable that counts them, or
/// any one.
#[derive(Clone, Debug)]
pub(crate) enum Elements {
    /// One, at b, m and k or at b, k and n.
    One(Body),
    /// All at once, at the variable divided by 4, which is `quad`.
    Together { along: &'static str, body: Body },
    /// One by one, at variables with the numbers 0 to 3 behind their names. Elements beyond the extent repeat the last
    /// one.
    Apart { along: &'static str, extent: usize, lines: Vec<Line>, values: [Name; 4] },
}

/// The positions with channels that the patches of a convolution are cut from: A is that of
/// [`patches`](super::patches).
#[derive(Clone, Debug)]
pub(crate) struct Field {
    /// The side that results.
    pub of: ConvSide,
    pub window: Window,
    pub channels: usize,
    /// The element at `b`, `example`, `y`, `x` and `channel`.
    pub body: Body,
}

impl ProductShape {
    /// Floating-point operations.
    pub fn flops(&self) -> f64 {
        2.0 * [self.batch, self.m, self.n, self.k].iter().map(|&d| d as f64).product::<f64>()
    }

    /// What it is called, and what is said of the layout of A.
    pub fn words(is_conv: bool, a_along_k: bool) -> (&'static str, &'static str) {
        (if is_conv { "conv" } else { "matmul" }, if a_along_k { "" } else { " At" })
    }

    /// Kind and sizes, for people.
    pub fn label(&self) -> String {
        let batch = if self.batch == 1 { String::new() } else { format!("{}x", self.batch) };
        let (kind, side) = Self::words(self.is_conv, self.a_along_k);
        format!("{kind} {batch}{}x{}x{}{side}", self.m, self.n, self.k)
    }
}
