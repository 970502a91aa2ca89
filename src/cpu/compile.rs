//! From the lines of a step to a [`Tape`].
//!
//! Lines have indices in the step's own variables. A [`Domain`] says what these are in q, which counts the elements of
//! the step, and in q for each row where the step has rows.

use std::collections::HashMap;

use super::layout::{Q, Scalar, Strides};
use super::tape::{At, Bound, Instruction, Kind, Operation, Register, Tape};
use crate::graph::{Binary, DType};
use crate::index::{Atom, Idx};
use crate::plan::{Address, ELEMENT, Expr, Line, Name, Test, line_of, lines_in};

/// Which elements a tape computes.
#[derive(Clone, Debug)]
pub(super) struct Domain {
    /// The step's variables in q, where q counts elements.
    pub elements: Vec<(&'static str, Idx)>,
    /// The same where q counts rows.
    pub rows: Vec<(&'static str, Idx)>,
    /// Number of rows.
    pub count: usize,
    /// Elements of a row; 1 where there are no rows.
    pub row: usize,
}

impl Domain {
    /// Every value of one variable.
    pub fn flat(name: &'static str, count: usize) -> Self {
        let all = vec![(name, Idx::var(Q, count))];
        Self { elements: all.clone(), rows: all, count, row: 1 }
    }

    /// The elements `r` of rows `i`.
    pub fn rows(count: usize, row: usize) -> Self {
        let q = Idx::var(Q, count * row);
        let elements = vec![("i", q.div(row as u64)), (ELEMENT, q.rem(row as u64))];
        Self { elements, rows: vec![("i", Idx::var(Q, count))], count, row }
    }

    /// The elements of variables of these extents, the last one changing first.
    pub fn grid<const N: usize>(variables: [(&'static str, usize); N]) -> Self {
        let shape = variables.map(|(_, extent)| extent);
        let count = shape.iter().product();
        let index = Idx::var(Q, count).unflatten(&shape);
        let all: Vec<_> = variables.iter().map(|(name, _)| *name).zip(index).collect();
        Self { elements: all.clone(), rows: all, count, row: 1 }
    }
}

/// The value of a line.
#[derive(Clone, Copy, Debug)]
struct Value {
    register: Register,
    kind: Kind,
    per_row: bool,
}

/// See the module text.
pub(super) struct Compiler {
    domain: Domain,
    tape: Tape,
    values: HashMap<usize, Value>,
    root: Option<Value>,
    constants: HashMap<u64, Register>,
    /// Values that have been given to each element of their rows.
    spread: HashMap<(Register, bool), Value>,
}

impl Compiler {
    pub fn new(domain: Domain) -> Self {
        let tape = Tape { row: domain.row, ..Tape::default() };
        let (values, constants, spread) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { domain, tape, values, root: None, constants, spread }
    }

    /// The tape so far.
    pub fn finish(mut self) -> Tape {
        self.tape.share_registers();
        self.tape
    }

    /// The root is what the loop before the tape leaves for each of its elements.
    pub fn take_root(&mut self) {
        let register = self.push(Operation::Root, true);
        self.root = Some(Value { register, kind: Kind::Float, per_row: true });
    }

    /// The root is the reduction of a value over its row.
    pub fn reduce(&mut self, with: Binary, value: Name) {
        let x = self.elementwise(self.value(value), false);
        let register = self.push(Operation::OverRow(with, x.register), true);
        self.root = Some(Value { register, kind: Kind::Float, per_row: true });
    }

    /// The root of each element becomes what `with` makes of it and of a value.
    pub fn accumulate(&mut self, with: Binary, value: Name) {
        let value = self.value(value).register;
        self.push(Operation::Accumulate(with, value), true);
    }

    pub fn lines(&mut self, lines: &[Line]) {
        for line in lines {
            match line {
                Line::Let(number, expr) => {
                    let value = self.expr(expr);
                    self.values.insert(*number, value);
                }
                Line::Store { binding, at, value, dtype, accumulate } => {
                    let (idx, value) = (one(at), self.value(*value));
                    let per_row = self.is_per_row(idx) && (value.per_row || self.domain.row == 1);
                    let value = self.elementwise(value, per_row).register;
                    let (at, kind) = (self.at(idx, per_row), kind(*dtype));
                    self.push(
                        Operation::Store { binding: *binding, at, kind, value, accumulate: *accumulate },
                        per_row,
                    );
                }
            }
        }
    }

    fn value(&self, name: Name) -> Value {
        match name {
            Name::Value(number) => self.values[&number],
            Name::Root => self.root.expect("the root comes first"),
        }
    }

    fn push(&mut self, operation: Operation, per_row: bool) -> Register {
        let to = match operation {
            _ if operation.fills_nothing() => 0,
            _ if operation.gives_words() => {
                self.tape.words += 1;
                self.tape.words - 1
            }
            _ => {
                self.tape.floats += 1;
                self.tape.floats - 1
            }
        };
        self.tape.instructions.push(Instruction { operation, to, per_row });
        to
    }

    fn number(&mut self, number: f64) -> Value {
        let tape = &mut self.tape;
        let register = *self.constants.entry(number.to_bits()).or_insert_with(|| {
            tape.constants.push((tape.floats, number));
            tape.floats += 1;
            tape.floats - 1
        });
        Value { register, kind: Kind::Float, per_row: true }
    }

    /// A value for each row if asked, and else for each element.
    fn elementwise(&mut self, value: Value, per_row: bool) -> Value {
        let is_constant = value.kind == Kind::Float && self.constants.values().any(|&known| known == value.register);
        if value.per_row == per_row || self.domain.row == 1 || is_constant {
            return value;
        }
        let is_word = value.kind == Kind::Word;
        if let Some(&known) = self.spread.get(&(value.register, is_word)) {
            return known;
        }
        let spread = if is_word { Operation::SpreadWords(value.register) } else { Operation::Spread(value.register) };
        let spread = Value { register: self.push(spread, false), per_row: false, ..value };
        self.spread.insert((value.register, is_word), spread);
        spread
    }

    /// Several values at one level: for each row if all have one value for it.
    fn level<const N: usize>(&mut self, names: [Name; N]) -> ([Register; N], [Kind; N], bool) {
        let values = names.map(|name| self.value(name));
        let per_row = values.iter().all(|value| value.per_row);
        let registers = values.map(|value| self.elementwise(value, per_row).register);
        (registers, values.map(|value| value.kind), per_row)
    }

    /// Whether an index is the same for all elements of a row.
    fn is_per_row(&self, idx: &Idx) -> bool {
        let is_flat = |number: &usize| self.values.get(number).is_none_or(|value| value.per_row);
        self.domain.row == 1 || !idx.mentions(ELEMENT) && lines_in(idx).iter().all(is_flat)
    }

    /// An index of the step's variables in q.
    fn in_q(&self, idx: &Idx, per_row: bool) -> Idx {
        let variables = if per_row { &self.domain.rows } else { &self.domain.elements };
        variables.iter().fold(idx.clone(), |idx, (name, value)| idx.with(name, value))
    }

    fn count(&self, per_row: bool) -> usize {
        self.domain.count * if per_row { 1 } else { self.domain.row }
    }

    fn at(&mut self, idx: &Idx, per_row: bool) -> At {
        let idx = self.in_q(idx, per_row);
        match Strides::new(&idx, self.count(per_row)) {
            Some(strides) => At::Strided(strides),
            None => At::Each(self.word(&idx, per_row)),
        }
    }

    /// The values of any index of q.
    fn word(&mut self, idx: &Idx, per_row: bool) -> Register {
        if let Some(strides) = Strides::new(idx, self.count(per_row)) {
            return self.push(Operation::Positions(strides), per_row);
        }
        let (terms, constant) = idx.terms();
        let terms: Vec<(Atom, u64)> = terms.map(|(atom, c)| (atom.clone(), c)).collect();
        let mut words = vec![];
        for (atom, c) in terms {
            let word = match &atom {
                Atom::Div(x, s) => {
                    let x = self.word(x, per_row);
                    self.push(Operation::Divided(x, *s as u32), per_row)
                }
                Atom::Mod(x, s) => {
                    let x = self.word(x, per_row);
                    self.push(Operation::Remainder(x, *s as u32), per_row)
                }
                Atom::Var { name, extent } => match line_of(name) {
                    Some(number) => {
                        let value = self.values[&number];
                        self.elementwise(value, per_row).register
                    }
                    None => {
                        let variable = Idx::var(name, *extent as usize);
                        let strides = Strides::new(&variable, self.count(per_row)).expect("one variable has a stride");
                        self.push(Operation::Positions(strides), per_row)
                    }
                },
            };
            words.push((c as u32, word));
        }
        self.push(Operation::Sum(constant as u32, words), per_row)
    }

    fn expr(&mut self, expr: &Expr) -> Value {
        let float = |register, per_row| Value { register, kind: Kind::Float, per_row };
        let flag = |register, per_row| Value { register, kind: Kind::Flag, per_row };
        match expr {
            Expr::Load { binding, at, dtype } => {
                let (idx, kind) = (one(at), kind(*dtype));
                let per_row = self.is_per_row(idx);
                let at = self.at(idx, per_row);
                Value { register: self.push(Operation::Load { binding: *binding, at, kind }, per_row), kind, per_row }
            }
            Expr::Constant(value) => self.number(*value),
            Expr::Zero => self.number(0.0),
            Expr::Position(idx) => self.index(idx),
            Expr::Unary(f, x) => {
                let ([x], _, per_row) = self.level([*x]);
                float(self.push(Operation::Unary(*f, x), per_row), per_row)
            }
            Expr::Binary(f, operands) => {
                let (operands, _, per_row) = self.level(*operands);
                float(self.push(Operation::Binary(*f, operands), per_row), per_row)
            }
            Expr::Compare(f, dtype, operands) => {
                let (operands, _, per_row) = self.level(*operands);
                let compare = match dtype {
                    DType::U32 => Operation::CompareWords(*f, operands),
                    DType::F32 | DType::Bool => Operation::Compare(*f, operands),
                };
                flag(self.push(compare, per_row), per_row)
            }
            Expr::Select(operands) => {
                let (operands, [_, kind, _], per_row) = self.level(*operands);
                let select = match kind {
                    Kind::Word => Operation::SelectWords(operands),
                    Kind::Float | Kind::Flag => Operation::Select(operands),
                };
                Value { register: self.push(select, per_row), kind, per_row }
            }
            Expr::ToF32(dtype, x) => match (self.value(*x), dtype) {
                (Value { register, per_row, .. }, DType::U32) => {
                    float(self.push(Operation::Float(register), per_row), per_row)
                }
                (value, DType::Bool | DType::F32) => Value { kind: Kind::Float, ..value },
            },
            Expr::Masked(value, tests) => {
                tests.iter().fold(self.value(*value), |value, test| self.masked(value, *test))
            }
            Expr::Difference { from, plus, minus } => {
                let per_row = self.is_per_row(from) && self.is_per_row(minus);
                let (from, minus) = (self.in_q(from, per_row), self.in_q(minus, per_row));
                let (from, minus) = (self.word(&from, per_row), self.word(&minus, per_row));
                let terms = vec![(1, from), (u32::MAX, minus)];
                word(self.push(Operation::Sum(plus.unwrap_or(0) as u32, terms), per_row), per_row)
            }
            Expr::Quotient(x, by) => {
                let ([x], _, per_row) = self.level([*x]);
                word(self.push(Operation::Divided(x, *by as u32), per_row), per_row)
            }
            Expr::AtMost(x, most) => {
                let ([x], _, per_row) = self.level([*x]);
                word(self.push(Operation::AtMost(x, *most as u32), per_row), per_row)
            }
            Expr::OverRow(with, x) => {
                let value = self.value(*x);
                let x = self.elementwise(value, false).register;
                float(self.push(Operation::OverRow(*with, x), true), true)
            }
            Expr::Half(..) | Expr::Spread(..) => unreachable!("blocks have no lanes"),
        }
    }

    fn index(&mut self, idx: &Idx) -> Value {
        let per_row = self.is_per_row(idx);
        let idx = self.in_q(idx, per_row);
        word(self.word(&idx, per_row), per_row)
    }

    fn masked(&mut self, value: Value, test: Test) -> Value {
        let (Test::Below(name, _) | Test::Divides(name, _)) = test;
        let tested = self.value(name);
        let per_row = value.per_row && tested.per_row;
        let x = self.elementwise(value, per_row).register;
        let word = self.elementwise(tested, per_row).register;
        let bound = match test {
            Test::Below(_, extent) => Bound::Below(word, extent as u32),
            Test::Divides(_, by) => Bound::Divides(word, by as u32),
        };
        Value { register: self.push(Operation::Masked(x, bound), per_row), kind: value.kind, per_row }
    }
}

fn word(register: Register, per_row: bool) -> Value {
    Value { register, kind: Kind::Word, per_row }
}

fn kind(dtype: DType) -> Kind {
    match dtype {
        DType::F32 => Kind::Float,
        DType::U32 => Kind::Word,
        DType::Bool => Kind::Flag,
    }
}

/// The index of an element that is handled by itself.
pub(super) fn one(at: &Address) -> &Idx {
    match at {
        Address::One(idx) => idx,
        Address::Quad(_) | Address::Same(_) | Address::Each(_) => unreachable!("blocks have no lanes"),
    }
}

/// Strides of a load along some variables, from an index that is constant in a block; nothing if a body does anything
/// else.
pub(super) fn strided<const N: usize>(lines: &[Line], names: [&str; N]) -> Option<(usize, Scalar, [usize; N])> {
    let [Line::Let(_, Expr::Load { binding, at, .. })] = lines else { return None };
    let mut base = one(at).clone();
    let mut strides = [0; N];
    for (stride, name) in strides.iter_mut().zip(names) {
        *stride = base.stride(name)? as usize;
        base = base.with(name, &Idx::constant(0));
    }
    Some((*binding, Scalar::new(&base)?, strides))
}

/// Where the elements of a domain lie by an index.
pub(super) fn in_plane(idx: &Idx, domain: &Domain) -> Option<Strides> {
    let idx = domain.elements.iter().fold(idx.clone(), |idx, (name, value)| idx.with(name, value));
    Strides::new(&idx, domain.count)
}
